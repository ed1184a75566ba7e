"""The page that a run leaves: machine, versions, the table, and the pairs that have a target."""

import datetime
import os
import platform
import shlex
import statistics
import sys
from dataclasses import dataclass, field

REFERENCE = "nginx-plain"

# CPU per request of the first over that of the second, and what it is to stay under, if anything is asked.
PAIRS = [
    ("portcullis-full", "nginx-plain", 1.0),
    ("portcullis-hs256", "haproxy-hs256", 0.55),
    ("portcullis-rs256", "haproxy-rs256", 0.25),
    ("portcullis-hs256", "envoy-hs256", 0.2),
    ("portcullis-rs256", "envoy-rs256", 0.2),
    ("portcullis-rs256", "envoy-cached", None),
    ("portcullis-full", "portcullis-plain", 1.05),
    ("portcullis-log", "nginx-log", 1.1),
]


@dataclass
class Result:
    """What became of one row. `samples` is by round; a round that failed holds None."""

    row: object
    samples: list = field(default_factory=list)
    peak_rss_bytes: int = 0
    failure: str = ""

    @property
    def served(self):
        return [sample for sample in self.samples if sample]


def spread(values, digits=2):
    """Median, and [min–max]."""
    if not values:
        return "–"
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}–{high:.{digits}f}]"


def ratios(above, below, figure):
    """The figure's ratio in each round that both served."""
    return [figure(a) / figure(b) for a, b in zip(above.samples, below.samples) if a and b]


def _cpu(sample):
    return sample.cpu_per_request


def _throughput(sample):
    return sample.throughput


def page(results, missing, versions, arguments, load_before):
    """Markdown. `results` is by row name; `missing` names peers that are not installed."""
    rounds = max((len(result.samples) for result in results.values()), default=0)
    parts = [
        "# Performance",
        _preamble(versions, arguments, rounds, load_before),
        _table(results, missing),
        _pairs(results),
        _reading(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _preamble(versions, arguments, rounds, load_before):
    users = "one user" if arguments.users == 1 else f"{arguments.users} users in turn"
    lines = [
        "Made by `benches/compare/run`; see `benches/compare/README.md` for what each row does.",
        "",
        f"- date: {datetime.date.today().isoformat()}",
        f"- machine: {_cpu_model()}, {len(os.sched_getaffinity(0))} cores, "
        f"Linux {platform.release()}, load average before the run {load_before:.2f}",
        f"- versions: {', '.join(versions)}",
        f"- load: wrk, {arguments.connections} keep-alive connections, {arguments.threads} threads, "
        f"HTTP/1.1, 110-byte body, {users}; every proxy on {arguments.workers} workers",
        f"- rounds: {rounds}, each loading every row for {arguments.seconds} s after "
        f"{arguments.warmup} s of warm-up, every other round in reverse order",
        "",
        "Load generator, proxy and origin share the machine's cores. A ratio is taken within a round; "
        "quoted are the median and [min–max] over the rounds. Figures in µs are of this machine on this day.",
    ]
    return "\n".join(lines)


def _table(results, missing):
    reference = results.get(REFERENCE)
    lines = [
        "| configuration | CPU µs/request | CPU ÷ nginx plain | requests/s ÷ nginx plain | peak RSS MiB | errors |",
        "|---|---|---|---|---|---|",
    ]
    for result in results.values():
        if result.failure:
            lines.append(f"| {result.row.title} | failed: {_cell(result.failure)} | – | – | – | – |")
            continue
        served = result.served
        lines.append(
            f"| {result.row.title} | {spread([_cpu(sample) for sample in served], 1)} "
            f"| {_against(result, reference, _cpu)} | {_against(result, reference, _throughput)} "
            f"| {result.peak_rss_bytes / 2**20:.0f} | {_errors(served)} |")
    lines += [f"| {title} | missing: {why} | – | – | – | – |" for title, why in missing]
    return "\n".join(lines)


def _against(result, reference, figure):
    if reference is None or not reference.served:
        return "–"
    return "1" if result is reference else spread(ratios(result, reference, figure))


def _errors(served):
    refused = sum(sample.not_2xx for sample in served)
    broken = sum(sample.socket_errors for sample in served)
    said = []
    if refused:
        said.append(f"**{refused} not 2xx**")
    if broken:
        said.append(f"**{broken} socket errors**")
    return ", ".join(said) or "0"


def _pairs(results):
    lines = []
    for above, below, target in PAIRS:
        first, second = results.get(above), results.get(below)
        if not first or not second:
            continue
        found = [] if first.failure or second.failure else ratios(first, second, _cpu)
        spoilt = any(sample.errors for result in (first, second) for sample in result.served)
        if not found:
            verdict = "not measured"
        elif spoilt:
            verdict = "void: a row had errors"
        elif target is None:
            verdict = "–"
        else:
            verdict = "met" if statistics.median(found) <= target else "missed"
        asked = "–" if target is None else f"≤ {target}"
        lines.append(f"| {first.row.title} | {second.row.title} | {spread(found)} | {asked} | {verdict} |")
    if not lines:
        return ""
    head = ["CPU per request, pair by pair:", "",
            "| of | over that of | ratio | target | |", "|---|---|---|---|---|"]
    return "\n".join(head + lines)


def _reading():
    command = shlex.join(["benches/compare/run", *sys.argv[1:]])
    return (
        "CPU is user and system time of all the proxy's processes and threads over the requests that wrk "
        "counted; the origin's and wrk's are left out. Peak RSS is the sum of VmHWM over the processes at the "
        "end, so pages that processes share count in each. A row is measured only after it has shown that "
        "it answers 200 and, where it authenticates, that it tells the upstream user and tier, withholds the "
        "token, and answers 401 to missing, broken, foreign and (where one can be made) expired tokens.\n\n"
        f"To repeat: `benches/compare/install`, `cargo build --release`, `{command}`.")


def _cell(text):
    return " ".join(text.replace("|", "\\|").split())[:300]


def _cpu_model():
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()
