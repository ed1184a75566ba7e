"""Load by wrk, and what one measured run says."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .processes import Failed

USERS_SCRIPT = Path(__file__).resolve().parents[2] / "wrk" / "users.lua"
PATH = "/hello"


@dataclass
class Sample:
    """One run of one configuration."""

    requests: int
    seconds: float
    cpu_seconds: float
    not_2xx: int
    socket_errors: int

    @property
    def cpu_per_request(self):
        """In µs."""
        return self.cpu_seconds * 1e6 / self.requests

    @property
    def throughput(self):
        return self.requests / self.seconds

    @property
    def errors(self):
        return self.not_2xx + self.socket_errors


@dataclass
class Shape:
    """How wrk loads; the same for every configuration of a run."""

    connections: int
    threads: int
    seconds: int
    warmup: int


def write_tokens(running, directory):
    """The file that users.lua reads; with one token a fixed header is cheaper for wrk."""
    if len(running.tokens) > 1:
        path = Path(directory) / "tokens"
        path.write_text("\n".join(running.tokens) + "\n")
        path.chmod(0o600)
        running.tokens_file = path


def measure(running, shape):
    """Warms up, then loads, reading the proxy's CPU time right before and right after."""
    if shape.warmup:
        _wrk(running, shape, shape.warmup)
    before = running.child.cpu_seconds()
    text = _wrk(running, shape, shape.seconds)
    spent = running.child.cpu_seconds() - before
    if not running.child.alive():
        raise Failed(f"died under load: {running.child.last_words()}")
    return _sample(text, spent)


def _wrk(running, shape, seconds):
    command = ["wrk", "-c", shape.connections, "-t", shape.threads, "-d", f"{seconds}s"]
    environment = None
    if running.tokens_file:
        command += ["-s", USERS_SCRIPT]
        environment = {**os.environ, "TOKENS": str(running.tokens_file)}
    else:
        command += ["-H", f"Authorization: Bearer {running.tokens[0]}"]
    command.append(f"http://127.0.0.1:{running.port}{PATH}")
    try:
        done = subprocess.run([str(part) for part in command], env=environment, text=True,
                              capture_output=True, timeout=seconds + 30)
    except subprocess.TimeoutExpired:
        raise Failed(f"wrk did not end {30} s after its time") from None
    if done.returncode != 0:
        raise Failed(f"wrk: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _sample(text, cpu_seconds):
    total = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)\b", text)
    if not total or total[1] == "0":
        raise Failed("no request was served under load")
    unit = {"ms": 0.001, "s": 1, "m": 60}[total[3]]
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return Sample(
        requests=int(total[1]),
        seconds=float(total[2]) * unit,
        cpu_seconds=cpu_seconds,
        not_2xx=int(refused[1]) if refused else 0,
        socket_errors=sum(int(count) for count in broken.groups()) if broken else 0,
    )
