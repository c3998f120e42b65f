"""Who is calling. The API takes a bearer token, good for minutes, that the page keeps in memory.

A cookie that no script can read gets the page a new one: after a reload, after coming back, after a quarter of an hour.
"""

from __future__ import annotations

import time

import jwt
from fastapi import Request, Response

from .models import User

__all__ = ["COOKIE", "bearer_token", "forget", "remember", "user_id_of"]

COOKIE = "fastapi_app_refresh"
BEARER_SECONDS = 15 * 60
COOKIE_SECONDS = 30 * 24 * 3600


def bearer_token(request: Request, user: User) -> str:
    return sign(request, user, "bearer", BEARER_SECONDS)


def remember(request: Request, response: Response, user: User) -> None:
    response.set_cookie(
        COOKIE,
        sign(request, user, "refresh", COOKIE_SECONDS),
        max_age=COOKIE_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.app.state.secure_cookies,
    )


def forget(request: Request, response: Response) -> None:
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.app.state.secure_cookies)


def sign(request: Request, user: User, audience: str, seconds: int) -> str:
    claims = {"sub": str(user.id), "aud": audience, "exp": int(time.time()) + seconds}
    return jwt.encode(claims, request.app.state.jwt_key, "HS256")


def user_id_of(request: Request, token: str, audience: str) -> int | None:
    """The id in a token of ours, for the API ("bearer") or for a new token ("refresh"). Its user may be gone."""
    needed = ["sub", "aud", "exp"]
    try:
        claims = jwt.decode(
            token, request.app.state.jwt_key, algorithms=["HS256"], audience=audience, options={"require": needed}
        )
    except jwt.InvalidTokenError:
        return None
    return int(claims["sub"])
