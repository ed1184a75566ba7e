"""Proves, before anything is measured, that a row does the work that its title claims."""

import http.client

from .load import PATH
from .peers.nginx import ORIGIN_BODY
from .processes import Failed


def prove(row, running):
    status, body = _get(running.port, PATH, running.tokens[0])
    if (status, body) != (200, ORIGIN_BODY):
        raise Failed(f"a good request got {status} {body[:200]!r}")
    if not row.authenticates:
        return
    _, told = _get(running.port, "/identity", running.tokens[0], {"X-User-Id": "spoofed"})
    user, tier, authorization = (told.split(",") + ["", ""])[:3]
    if not user or "spoofed" in told or tier != "bench":
        raise Failed(f"the upstream was told {told[:200]!r} in place of the user and the tier")
    if authorization:
        raise Failed("the bearer token went on to the upstream")
    for wrong, token in running.refusable.items():
        status, _ = _get(running.port, PATH, token)
        if status != 401:
            raise Failed(f"{wrong} got {status}, not 401")


def _get(port, path, token, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = dict(headers or {})
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"GET {path}: {error or type(error).__name__}") from None
    finally:
        connection.close()
