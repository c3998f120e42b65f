"""Ready answers to "who is signed in?" for `user_id=`."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request

from .request import session_of


def session_user(key: str) -> Callable[[Request], object]:
    """The user id that the app keeps in `request.session` under a key."""

    async def user_id(request: Request) -> object:
        return session_of(request).get(key)

    return user_id


async def authenticated_user(request: Request) -> object:
    """The user of Starlette's `AuthenticationMiddleware`: `request.user.identity`, of one who is authenticated."""
    user = request.user
    return user.identity if user.is_authenticated else None
