"""The user of a request, from the bearer token of FastAPI's request, with the scheme in the API's documentation."""
# Annotations are evaluated here: FastAPI couldn't look up the names in those of an object's methods.

from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPBearer

from ..bearer.providers import Claims
from ..starlette import bearer

_Scheme = Annotated[object, Security(HTTPBearer(auto_error=False, bearerFormat="JWT", scheme_name="BearerUser"))]
"""For OpenAPI alone; the token is validated by `BearerUser`."""


class BearerUser(bearer.BearerUser):
    """`configure_auth.starlette.BearerUser` with its scheme in OpenAPI.

    `Depends(bearer_user)` is the user's id or None, `Depends(bearer_user.required)` the id or a 401, and
    `Depends(bearer_user.claims)` all verified claims or a 401.
    """

    async def __call__(self, request: Request, _scheme: _Scheme = None) -> str | None:
        return await super().__call__(request)

    async def required(self, request: Request, _scheme: _Scheme = None) -> str:
        return await super().required(request)

    async def claims(self, request: Request, _scheme: _Scheme = None) -> Claims:
        return await super().claims(request)
