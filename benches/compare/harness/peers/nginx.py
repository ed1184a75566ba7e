"""nginx: the plain proxy that the others are compared with, with and without its access log, and the origin."""

import os
import re
import subprocess

from . import Peer, Row, Running, on_path
from ..processes import Child, free_ports

ORIGIN_BODY = "x" * 110

_COMMON = """
{user}
worker_processes {workers};
daemon off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path tmp/body;
    proxy_temp_path tmp/proxy;
    fastcgi_temp_path tmp/fastcgi;
    uwsgi_temp_path tmp/uwsgi;
    scgi_temp_path tmp/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    access_log {access_log};
    {http}
}}
"""

# /identity shows what identity a proxy has told; the load goes to the other paths.
_ORIGIN = """
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type text/plain;
        location = /identity {{ return 200 "$http_x_user_id,$http_x_user_tier,$http_authorization"; }}
        location / {{ return 200 "{body}"; }}
    }}
"""

_PROXY = """
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""


def _launch(binary, directory, port, http, workers, access_log="off"):
    (directory / "tmp").mkdir()
    # Workers of a root-owned master drop to `nobody`, who may not enter a private temp directory.
    user = "user root;" if os.geteuid() == 0 else ""
    config = directory / "nginx.conf"
    config.write_text(_COMMON.format(user=user, workers=workers, access_log=access_log, http=http))
    child = Child([binary, "-p", directory, "-e", "error.log", "-c", config], directory)
    child.wait_for_port(port)
    return child


def start_origin(binary, directory):
    """The upstream of all; its CPU time is not counted. Returns its port."""
    [port] = free_ports(1)
    _launch(binary, directory, port, _ORIGIN.format(port=port, body=ORIGIN_BODY), workers=2)
    return port


def _proxy(binary, access_log):
    def start(setting):
        [port] = free_ports(1)
        http = _PROXY.format(port=port, origin=setting.origin_port)
        child = _launch(binary, setting.directory, port, http, setting.workers, access_log)
        return Running(child, port, setting.issuer.tokens("HS256", setting.users))

    return start


def _version(binary):
    done = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=10)
    return re.search(r"nginx/(\S+)", done.stderr)[1]


PEER = Peer(
    name="nginx",
    title="nginx",
    find=lambda: on_path("nginx"),
    version=_version,
    rows=lambda binary: [
        Row("nginx-plain", "nginx, plain proxy", _proxy(binary, "off")),
        Row("nginx-log", "nginx, plain proxy, access log to a file", _proxy(binary, "access.log")),
    ],
)
