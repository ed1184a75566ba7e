"""Traefik as a plain proxy; its open-source edition verifies no tokens."""

import json
import re
import subprocess

from . import VENV, Peer, Row, Running, on_path
from ..processes import Child, free_ports


def _start(binary):
    def start(setting):
        [port] = free_ports(1)
        # JSON is YAML, which is what Traefik reads.
        dynamic = setting.directory / "dynamic.yaml"
        dynamic.write_text(json.dumps({"http": {
            "routers": {"all": {"rule": "PathPrefix(`/`)", "service": "origin"}},
            "services": {"origin": {"loadBalancer": {
                "serversTransport": "pooled",
                "servers": [{"url": f"http://127.0.0.1:{setting.origin_port}"}]}}},
            "serversTransports": {"pooled": {"maxIdleConnsPerHost": 256}}}}))
        command = [
            binary,
            f"--entryPoints.web.address=127.0.0.1:{port}",
            f"--providers.file.filename={dynamic}",
            "--providers.file.watch=false",
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
            "--log.level=ERROR",
        ]
        child = Child(command, setting.directory, {"GOMAXPROCS": str(setting.workers)})
        # It listens before it has read its routes.
        child.wait_for_port(port)
        child.wait_for_success(f"http://127.0.0.1:{port}/")
        return Running(child, port, setting.issuer.tokens("HS256", setting.users))

    return start


def _find():
    wheel = VENV / "bin" / "traefik"
    return wheel if wheel.is_file() else on_path("traefik")


def _version(binary):
    done = subprocess.run([binary, "version"], capture_output=True, text=True, timeout=10)
    return re.search(r"Version:\s+(\S+)", done.stdout)[1]


PEER = Peer(
    name="traefik",
    title="Traefik",
    find=_find,
    version=_version,
    rows=lambda binary: [Row("traefik-plain", "Traefik, plain proxy", _start(binary))],
)
