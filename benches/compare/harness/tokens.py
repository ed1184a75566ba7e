"""An issuer for the peers that only verify: HS256 and RS256 tokens, good and deliberately bad."""

import base64
import hashlib
import hmac
import json
import secrets
import subprocess
import time
from pathlib import Path

ISSUER = "http://bench.invalid"
AUDIENCE = "api"
TTL_SECONDS = 4 * 3600


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _compact(value):
    return _b64(json.dumps(value, separators=(",", ":")).encode())


class Issuer:
    """Keys made afresh for one run, in `directory`."""

    def __init__(self, directory):
        self.secret = secrets.token_hex(32)
        self.private_key = Path(directory) / "rsa.pem"
        self.public_key = Path(directory) / "rsa.pub.pem"
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048",
                 "-out", self.private_key)
        _openssl("pkey", "-in", self.private_key, "-pubout", "-out", self.public_key)

    def tokens(self, algorithm, users):
        """One token for each of `users` users."""
        return [self._token(algorithm, subject(number)) for number in range(users)]

    def refusable(self, algorithm):
        """What must get 401, by what is wrong with it."""
        good = self._token(algorithm, subject(0))
        head, payload, signature = good.split(".")
        flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
        return {
            "no token": None,
            "a broken signature": ".".join((head, payload, flipped)),
            "an expired token": self._token(algorithm, subject(0), exp=int(time.time()) - 3600),
            "a foreign issuer": self._token(algorithm, subject(0), iss="http://other.invalid"),
        }

    def jwks(self, algorithm):
        if algorithm == "HS256":
            key = {"kty": "oct", "k": _b64(self.secret.encode())}
        else:
            modulus = _openssl("rsa", "-pubin", "-in", self.public_key, "-modulus", "-noout")
            number = bytes.fromhex(modulus.decode().strip().removeprefix("Modulus="))
            key = {"kty": "RSA", "n": _b64(number), "e": _b64((65537).to_bytes(3, "big"))}
        return json.dumps({"keys": [{**key, "alg": algorithm, "kid": "bench", "use": "sig"}]})

    def _token(self, algorithm, sub, **changes):
        now = int(time.time())
        claims = {
            "iss": ISSUER, "sub": sub, "aud": AUDIENCE, "exp": now + TTL_SECONDS, "iat": now,
            "jti": secrets.token_hex(16), "sid": secrets.token_hex(16), "token_type": "access",
            "username": f"user_{sub[-12:]}", "tier": "bench", "roles": [], "is_superuser": False,
            **changes,
        }
        signed = f"{_compact({'typ': 'at+jwt', 'alg': algorithm, 'kid': 'bench'})}.{_compact(claims)}"
        return f"{signed}.{_b64(self._signature(algorithm, signed.encode()))}"

    def _signature(self, algorithm, message):
        if algorithm == "HS256":
            return hmac.new(self.secret.encode(), message, hashlib.sha256).digest()
        return _openssl("dgst", "-sha256", "-sign", self.private_key, stdin=message)


def subject(number):
    """Looks like the UUIDs that real issuers put into `sub`."""
    return f"00000000-0000-7000-8000-{number:012x}"


def _openssl(*arguments, stdin=b""):
    done = subprocess.run(["openssl", *map(str, arguments)], input=stdin, check=True,
                          capture_output=True, timeout=60)
    return done.stdout
