"""A STAND-IN for the identity system, such as Supabase Auth, so that the example runs without one.

It gives a token to whoever asks for one, without any password. No app that others can reach may have it.
"""

from __future__ import annotations

import secrets
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

__all__ = ["PEOPLE", "StandIn"]

PEOPLE = {"ada": "0a8e6f2c-6f7b-4c39-9d40-5b1f5a0c0ada", "grace": "7d2c1e54-3a9b-4f0e-8c66-91b2d7f6ace0"}
"""Their ids, by name."""

TOKEN_SECONDS = 3600


class StandIn:
    """`url` is what the URL of a Supabase project would be."""

    def __init__(self, app_url: str) -> None:
        self.url = f"{app_url}/stand-in"
        self.routes = Mount(
            "/stand-in", routes=[Route("/token/{name}", self.token), Route("/auth/v1/.well-known/jwks.json", self.keys)]
        )
        self._key, self._kid = ec.generate_private_key(ec.SECP256R1()), secrets.token_hex(8)

    async def token(self, request: Request) -> Response:
        user_id = PEOPLE.get(request.path_params["name"])
        if user_id is None:
            return PlainTextResponse(f"The stand-in knows {' and '.join(PEOPLE)} only.\n", 404)
        claims = {
            "iss": f"{self.url}/auth/v1",
            "aud": "authenticated",
            "role": "authenticated",
            "sub": user_id,
            "exp": int(time.time()) + TOKEN_SECONDS,
        }
        return PlainTextResponse(jwt.encode(claims, self._key, "ES256", {"kid": self._kid}))

    async def keys(self, request: Request) -> Response:
        key = jwt.get_algorithm_by_name("ES256").to_jwk(self._key.public_key(), as_dict=True)
        return JSONResponse({"keys": [{**key, "kid": self._kid, "alg": "ES256", "use": "sig"}]})
