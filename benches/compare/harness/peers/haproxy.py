"""HAProxy, plain and with the same work: bearer token verified, iss and exp checked, a rate per user, two headers."""

import re
import subprocess

from . import UNREACHABLE_PER_SECOND, Peer, Row, Running, on_path
from ..processes import Child, free_ports
from ..tokens import ISSUER

_CONFIG = """
global
    nbthread {workers}
    maxconn 8192
    log stderr format raw daemon emerg

defaults
    mode http
    timeout connect 2s
    timeout client 1h
    timeout server 30s
    timeout http-keep-alive 1h
    http-reuse always

frontend edge
    bind 127.0.0.1:{port}
{work}
    default_backend origin

backend origin
    server origin 127.0.0.1:{origin} pool-max-conn 256 pool-purge-delay 1h
"""

# The algorithm is the configuration's, never the token's; a verification error is neither 0 nor 1.
_WORK = """
    stick-table type string len 64 size 1m expire 10m store http_req_rate(1m)
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str {algorithm} }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify("{algorithm}","{key}") -m int 1 }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.iss') -m str "{issuer}" }}
    http-request set-var(txn.now) date()
    http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
    http-request deny deny_status 401 unless {{ var(txn.exp),sub(txn.now) -m int gt 0 }}
    http-request set-var(txn.sub) var(txn.token),jwt_payload_query('$.sub')
    http-request track-sc0 var(txn.sub)
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {per_minute} }}
    http-request set-header X-User-Id %[var(txn.sub)]
    http-request set-header X-User-Tier %[var(txn.token),jwt_payload_query('$.tier')]
    http-request del-header Authorization
"""


def _start(binary, algorithm=None):
    def start(setting):
        issuer = setting.issuer
        work, refusable = "", {}
        if algorithm:
            key = issuer.secret if algorithm == "HS256" else issuer.public_key
            work = _WORK.format(algorithm=algorithm, key=key, issuer=ISSUER,
                                per_minute=UNREACHABLE_PER_SECOND * 60)
            refusable = issuer.refusable(algorithm)
        [port] = free_ports(1)
        config = setting.directory / "haproxy.cfg"
        config.write_text(_CONFIG.format(workers=setting.workers, port=port, work=work,
                                         origin=setting.origin_port))
        config.chmod(0o600)
        child = Child([binary, "-db", "-f", config], setting.directory)
        child.wait_for_port(port)
        tokens = issuer.tokens(algorithm or "HS256", setting.users)
        return Running(child, port, tokens, refusable)

    return start


def _version(binary):
    done = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=10)
    return re.search(r"version (\S+)", done.stdout)[1]


PEER = Peer(
    name="haproxy",
    title="HAProxy",
    find=lambda: on_path("haproxy"),
    version=_version,
    rows=lambda binary: [
        Row("haproxy-plain", "HAProxy, plain proxy", _start(binary)),
        Row("haproxy-hs256", "HAProxy, HS256 + per-user rate + 2 headers", _start(binary, "HS256"),
            authenticates=True),
        Row("haproxy-rs256", "HAProxy, RS256 + per-user rate + 2 headers", _start(binary, "RS256"),
            authenticates=True),
    ],
)
