"""Envoy, plain and with the same work: jwt_authn, claims to headers, a local rate limit per user."""

import json
import re
import subprocess

from . import UNREACHABLE_PER_SECOND, VENV, Peer, Row, Running, on_path
from ..processes import Child, free_ports
from ..tokens import AUDIENCE, ISSUER

_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"


def _jwt(jwks, cached_tokens):
    provider = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": jwks},
        "forward": False,
        "claim_to_headers": [
            {"header_name": "x-user-id", "claim_name": "sub"},
            {"header_name": "x-user-tier", "claim_name": "tier"},
        ],
    }
    if cached_tokens:
        provider["jwt_cache_config"] = {"jwt_cache_size": cached_tokens}
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": f"{_FILTERS}.jwt_authn.v3.JwtAuthentication",
            "providers": {"bench": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
        },
    }


def _limit(users):
    """A descriptor without a value makes a bucket for each user that comes by."""
    bucket = {"max_tokens": UNREACHABLE_PER_SECOND, "tokens_per_fill": UNREACHABLE_PER_SECOND,
              "fill_interval": "1s"}
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": f"{_FILTERS}.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "per_user",
            "token_bucket": bucket,
            "filter_enabled": always,
            "filter_enforced": always,
            "always_consume_default_token_bucket": False,
            "max_dynamic_descriptors": max(1000, users),
            "descriptors": [{"entries": [{"key": "user"}], "token_bucket": bucket}],
            "rate_limits": [{"actions": [{"request_headers": {
                "header_name": "x-user-id", "descriptor_key": "user"}}]}],
        },
    }


def _config(port, origin_port, filters):
    def address(of):
        return {"socket_address": {"address": "127.0.0.1", "port_value": of}}

    router = {"name": "envoy.filters.http.router",
              "typed_config": {"@type": f"{_FILTERS}.router.v3.Router"}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network"
                 ".http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "HTTP1",
        "route_config": {"virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]}]},
        "http_filters": [*filters, router],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager",
                          "typed_config": manager}]}
    cluster = {
        "name": "origin", "type": "STATIC", "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "origin", "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address(origin_port)}}]}]},
    }
    return {"static_resources": {
        "listeners": [{"name": "edge", "address": address(port), "filter_chains": [chain]}],
        "clusters": [cluster]}}


def _start(binary, algorithm=None, cache=False):
    def start(setting):
        issuer = setting.issuer
        filters, refusable = [], {}
        if algorithm:
            cached_tokens = max(1000, setting.users) if cache else 0
            filters = [_jwt(issuer.jwks(algorithm), cached_tokens), _limit(setting.users)]
            refusable = issuer.refusable(algorithm)
        [port] = free_ports(1)
        config = setting.directory / "envoy.json"
        config.write_text(json.dumps(_config(port, setting.origin_port, filters), indent=1))
        config.chmod(0o600)
        child = Child([binary, "-c", config, "--concurrency", setting.workers,
                       "--disable-hot-restart", "--log-level", "error"], setting.directory)
        child.wait_for_port(port)
        tokens = issuer.tokens(algorithm or "HS256", setting.users)
        return Running(child, port, tokens, refusable)

    return start


def _find():
    """The binary itself: the console script of the wheel is a Python process around it."""
    wheel = next(VENV.glob("lib/python3*/site-packages/envoy/_bin/envoy"), None)
    return wheel or on_path("envoy")


def _version(binary):
    done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10)
    return re.search(r"/(\d+\.\d+\.\d+)/", done.stdout)[1]


PEER = Peer(
    name="envoy",
    title="Envoy",
    find=_find,
    version=_version,
    rows=lambda binary: [
        Row("envoy-plain", "Envoy, plain proxy", _start(binary)),
        Row("envoy-hs256", "Envoy, HS256 + per-user rate + 2 headers", _start(binary, "HS256"),
            authenticates=True),
        Row("envoy-rs256", "Envoy, RS256 + per-user rate + 2 headers", _start(binary, "RS256"),
            authenticates=True),
        Row("envoy-cached", "Envoy, RS256 with its token cache on + per-user rate + 2 headers",
            _start(binary, "RS256", cache=True), authenticates=True),
    ],
)
