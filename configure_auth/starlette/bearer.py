"""The user of a request, from the bearer token of Starlette's request."""
# Annotations are evaluated here: FastAPI couldn't look up the names in those of an object's methods.

from collections.abc import Awaitable
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ..bearer import user as bearer
from ..bearer.providers import Claims
from ..bearer.user import require_token
from ..errors import BearerError

T = TypeVar("T")


class BearerUser(bearer.BearerUser):
    """`configure_auth.BearerUser` as a `user_id`, and as a FastAPI dependency: `Depends(bearer_user)`.

    A token that isn't valid ends the request with a 401, and one that can't be validated now with a 503; an app may
    have handlers for both. The arguments are those of `configure_auth.BearerUser`.
    """

    async def __call__(self, request: Request) -> str | None:
        """Return the user's id, None for a request without a bearer token."""
        return await _answer(self.auser_id(_headers(request)))

    async def required(self, request: Request) -> str:
        """Return the user's id. A request without a bearer token ends with a 401."""
        return await _answer(_required(self.auser_id(_headers(request))))

    async def claims(self, request: Request) -> Claims:
        """Return all verified claims of the token. A request without one ends with a 401."""
        return await _answer(_required(self.averified_claims(_headers(request))))


def _headers(request: Request) -> list[str]:
    return request.headers.getlist("Authorization")


async def _required(asked: Awaitable[T | None]) -> T:
    return require_token(await asked)


async def _answer(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except BearerError as error:
        refused = HTTPException(error.status, headers=error.headers)
    raise refused
