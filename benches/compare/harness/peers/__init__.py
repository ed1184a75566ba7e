"""What is compared: one module for each peer, each giving its rows."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

from ..processes import Child

HERE = Path(__file__).resolve().parents[2]
VENV = HERE / ".venv"
# Above what any machine serves, so that counting is paid for and nothing is refused.
UNREACHABLE_PER_SECOND = 1_000_000


@dataclass
class Setting:
    """What a row may use to start its peer."""

    directory: Path
    origin_port: int
    workers: int
    users: int
    issuer: object


@dataclass
class Running:
    """A started peer."""

    child: Child
    port: int
    tokens: list
    refusable: dict = field(default_factory=dict)
    tokens_file: Optional[Path] = None


@dataclass
class Row:
    """A configuration: `name` is what `--only` takes, `title` what the table says."""

    name: str
    title: str
    start: Callable[[Setting], Running]
    authenticates: bool = False


@dataclass
class Peer:
    """A program and its rows. `find` gives the binary or None, `version` asks that binary."""

    name: str
    title: str
    find: Callable[[], Optional[Path]]
    version: Callable[[Path], str]
    rows: Callable[[Path], list]


def on_path(name):
    """Also in the sbin directories, which are not on everybody's PATH."""
    for directory in [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/usr/local/sbin"]:
        candidate = Path(directory) / name
        if directory and candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    return None


def every():
    from . import envoy, haproxy, nginx, portcullis, traefik

    return [nginx.PEER, haproxy.PEER, envoy.PEER, traefik.PEER, portcullis.PEER]
