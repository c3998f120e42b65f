"""An identity provider: keys, the set of them that it publishes on loopback, and whatever tokens a test wants."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ..api.conftest import Line, Received, Server, http

__all__ = [
    "AUDIENCE",
    "ISSUER",
    "NOW",
    "Clock",
    "Issuer",
    "Signer",
    "b64",
    "compact",
    "ec_key",
    "ed25519_key",
    "good",
    "rsa_key",
]

ISSUER = "https://issuer.example/"
AUDIENCE = "https://api.example"
NOW = 1_800_000_000.0


class Clock:
    """Unix seconds that stand still until a test moves them."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same key for the same name, in one run."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str, curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


@cache
def ed25519_key(name: str) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def b64(content: bytes | str) -> str:
    raw = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def compact(header: object, payload: object, sign: Callable[[bytes], bytes] = lambda _: b"") -> str:
    """A token of whatever parts: bytes as they are, anything else as JSON."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signed = ".".join(b64(part) for part in parts)
    return f"{signed}.{b64(sign(signed.encode()))}"


@dataclass(frozen=True)
class Signer:
    """A key with its name and algorithm."""

    kid: str
    algorithm: str
    key: Any

    def sign(self, signed: bytes, algorithm: str | None = None) -> bytes:
        return jwt.get_algorithm_by_name(algorithm or self.algorithm).sign(signed, self.key)

    def jwk(self, **more: Any) -> dict[str, Any]:
        """The public half, as it is published."""
        public = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.key.public_key(), as_dict=True)
        found = {**public, "kid": self.kid, "alg": self.algorithm, "use": "sig", **more}
        return _without(found)

    def token(self, *, header: object = None, payload: object = None, **claims: Any) -> str:
        """A token that is good but for what is changed; `...` leaves a claim or a header out."""
        sent: Any = {"alg": self.algorithm, "typ": "JWT", "kid": self.kid}
        sent = _without({**sent, **(header or {})}) if header is None or isinstance(header, dict) else header
        told = _without({**good(), **claims}) if payload is None else payload
        return compact(sent, told, self.sign)


def good() -> dict[str, Any]:
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "u1", "iat": int(NOW), "exp": int(NOW) + 3600}


def _without(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not ...}


class Issuer:
    """The provider's server. `keys` are published; `down` and `held` make it misbehave."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.rsa = Signer("key-1", "RS256", rsa_key("issuer"))
        self.ec = Signer("key-2", "ES256", ec_key("issuer"))
        self.release: Callable[[], None] = lambda: None
        self.publish(self.rsa.jwk(), self.ec.jwk())

    @property
    def url(self) -> str:
        return f"{self.server.url}/.well-known/jwks.json"

    @property
    def fetches(self) -> int:
        return len(self.server.received)

    def publish(self, *keys: dict[str, Any]) -> None:
        self.answer(http({"keys": list(keys)}))

    def answer(self, answer: bytes | Callable[[Line, Received], object]) -> None:
        self.answered = answer
        self.server.answers(answer)

    @contextmanager
    def held(self) -> Iterator[threading.Semaphore]:
        """Within the block, or until `release`, every answer waits; each request that comes releases the semaphore."""
        go_on, came, answer = threading.Event(), threading.Semaphore(0), self.answered

        def wait(line: Line, received: Received) -> object:
            came.release()
            go_on.wait(30)
            if not isinstance(answer, bytes):
                return answer(line, received)
            line.write(answer)
            return None

        self.release = go_on.set
        self.server.answers(wait)
        try:
            yield came
        finally:
            self.server.answers(answer)
            go_on.set()
