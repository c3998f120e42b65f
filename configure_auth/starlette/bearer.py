"""Who is calling, from the bearer token of Starlette's request."""
# Annotations are evaluated here: FastAPI couldn't look up the names in those of an object's `__call__`.

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ..bearer import user as bearer
from ..errors import BearerError

__all__ = ["BearerUser"]


class BearerUser(bearer.BearerUser):
    """`configure_auth.BearerUser` as a `user_id`, and as a FastAPI dependency: `Depends(bearer_user)`.

    A token that isn't good ends the request with a 401, and one that can't be judged now with a 503; an app may have
    handlers for both. The arguments are those of `configure_auth.BearerUser`.
    """

    async def __call__(self, request: Request) -> str | None:
        try:
            return await self.auser_id(request.headers.getlist("Authorization"))
        except BearerError as error:
            refused = HTTPException(error.status, headers=error.headers)
        raise refused
