"""Child processes: free ports, start, readiness, CPU time, peak memory, and their certain end."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A peer that did not start or does not do the work that its row claims."""


def free_ports(count):
    """Ports of 127.0.0.1 that nobody listens on, all different from one another."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


class Child:
    """A process group of its own; its output goes to `output` in the row's directory."""

    started = []

    def __init__(self, command, directory, environment=None):
        self.output = Path(directory) / "output"
        self.command = [str(part) for part in command]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=directory,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        Child.started.append(self)

    def wait_for_port(self, port, seconds=20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"exited with {self.process.returncode}: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failed(f"does not listen on port {port} after {seconds} s: {self.last_words()}")

    def wait_for_success(self, url, seconds=20):
        """Until a GET is answered with 2xx: a listening socket says little about a loaded configuration."""
        deadline = time.monotonic() + seconds
        said = "nothing"
        while time.monotonic() < deadline and self.alive():
            try:
                urllib.request.urlopen(url, timeout=2).close()
                return
            except OSError as error:
                said = error
                time.sleep(0.02)
        raise Failed(f"not ready, {url} said {said}: {self.last_words()}")

    def last_words(self):
        with self.output.open("rb") as output:
            output.seek(max(0, self.output.stat().st_size - 4096))
            lines = output.read().decode(errors="replace").strip().splitlines()
        return " / ".join(lines[-4:]) or "no output"

    def pids(self):
        """The process and all its descendants."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                fields = _stat(entry)
                if fields:
                    parents.setdefault(int(fields[1]), []).append(int(entry))
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            queue.extend(parents.get(pid, []))
        return found

    def cpu_seconds(self):
        """User and system time of all threads, also of children that have ended."""
        ticks = 0
        for pid in self.pids():
            fields = _stat(pid)
            if fields:
                ticks += sum(int(field) for field in fields[11:15])
        return ticks / TICKS_PER_SECOND

    def peak_rss_bytes(self):
        """The sum of VmHWM; pages that processes share are counted in each."""
        total = 0
        for pid in self.pids():
            try:
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        total += int(line.split()[1]) * 1024
            except OSError:
                continue
        return total

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        for number, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        if self in Child.started:
            Child.started.remove(self)


def stop_all():
    """Also what a child left behind in its group, so it is safe to call after a crash."""
    for child in list(Child.started):
        child.stop()


def _stat(pid):
    """Fields of /proc/PID/stat from the third on (the second, a name, may hold spaces)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()
