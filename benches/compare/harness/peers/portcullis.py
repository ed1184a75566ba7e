"""portcullis: plain, and with accounts, tokens of its own login, a tier's rate and identity headers."""

import json
import os
import re
import secrets
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from . import HERE, UNREACHABLE_PER_SECOND, Peer, Row, Running
from ..processes import Child, Failed, free_ports

_CONFIG = """\
version: 1
listen:
  - address: 127.0.0.1:{port}
admin: {{ address: 127.0.0.1:{admin} }}
workers: {workers}
store: sqlite:portcullis.db
auth:
  base_path: /api/v1
  issuer: http://127.0.0.1:{port}
  audience: [api]
  keys_dir: keys
  rate: unlimited
  access_token: {{ ttl: 4h }}
  signing: {signing}
  password: {{ bcrypt_cost: 4 }}
  default_tier: bench
tiers:
  bench: {{ rank: 0, rate: {rate}/s }}
upstreams:
  app:
    targets: [ "http://127.0.0.1:{origin}" ]
log: {{ access: "{access}", level: warn }}
routes:
  - name: all
    prefix: /
    {route}
    upstream: app
"""


def _binary():
    named = os.environ.get("PORTCULLIS_BIN")
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[1] / "target"))
    path = Path(named) if named else target / "release" / "portcullis"
    return path.resolve() if path.is_file() else None


def _start(binary, signing=None, access="off"):
    """`signing` is the algorithm of an authenticated route; without it the route is public."""

    def start(setting):
        port, admin = free_ports(2)
        secret = f", secret: {secrets.token_hex(32)}" if signing == "HS256" else ""
        config = setting.directory / "gateway.yaml"
        config.write_text(_CONFIG.format(
            port=port, admin=admin, workers=setting.workers, origin=setting.origin_port,
            rate=UNREACHABLE_PER_SECOND, access=access,
            signing=f"{{ algorithm: {signing or 'EdDSA'}{secret} }}",
            # Without `limits` the tier's own rate holds.
            route="auth: required" if signing else "auth: none\n    limits: []"))
        config.chmod(0o600)
        child = Child([binary, "serve", "-c", config], setting.directory)
        child.wait_for_port(port)
        child.wait_for_success(f"http://127.0.0.1:{admin}/readyz")
        if not signing:
            return Running(child, port, setting.issuer.tokens("HS256", setting.users))
        tokens = [_account(binary, config, port, number) for number in range(setting.users)]
        head, payload, signature = tokens[0].split(".")
        flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
        refusable = {
            "no token": None,
            "a broken signature": ".".join((head, payload, flipped)),
            "a foreign issuer": setting.issuer.tokens("HS256", 1)[0],
        }
        return Running(child, port, tokens, refusable)

    return start


def _account(binary, config, port, number):
    """Makes a user, logs in and returns the access token."""
    name, password = f"bench_{number}", f"Aa1-{secrets.token_hex(8)}"
    made = subprocess.run(
        [binary, "user", "add", name, "--email", f"{name}@example.com", "--password-stdin"],
        cwd=config.parent, env={**os.environ, "PORTCULLIS_CONFIG": str(config)},
        input=password + "\n", capture_output=True, text=True, timeout=30)
    if made.returncode != 0:
        raise Failed(f"user add: {(made.stderr or made.stdout).strip()}")
    form = urllib.parse.urlencode(
        {"username": name, "password": password, "delivery": "body"}).encode()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/login", form, 30) as answer:
            return json.load(answer)["access_token"]
    except urllib.error.HTTPError as error:
        raise Failed(f"login: {error.code} {error.read(500).decode(errors='replace')}") from None


def _version(binary):
    done = subprocess.run([binary, "version"], capture_output=True, text=True, timeout=10)
    found = re.search(r"\d+\.\d+\.\d+\S*", done.stdout)
    return found[0] if found else "of unknown version"


def _rows(binary):
    def full(signing, access="off"):
        return _start(binary, signing, access)

    work = "token + tier rate + identity headers"
    return [
        Row("portcullis-plain", "portcullis, plain proxy", _start(binary)),
        Row("portcullis-full", f"portcullis, EdDSA {work}", full("EdDSA"), authenticates=True),
        Row("portcullis-hs256", f"portcullis, HS256 {work}", full("HS256"), authenticates=True),
        Row("portcullis-rs256", f"portcullis, RS256 {work}", full("RS256"), authenticates=True),
        Row("portcullis-log", f"portcullis, EdDSA {work}, JSON access log to a file",
            full("EdDSA", "json"), authenticates=True),
    ]


PEER = Peer(name="portcullis", title="portcullis", find=_binary, version=_version, rows=_rows)
