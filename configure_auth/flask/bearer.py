"""The user of a request, from the bearer token of Flask's request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from flask import request
from werkzeug.exceptions import HTTPException, ServiceUnavailable, Unauthorized

from ..bearer import user as bearer
from ..bearer.providers import Claims
from ..bearer.user import require_token
from ..errors import BearerError

if TYPE_CHECKING:
    from werkzeug.datastructures import WWWAuthenticate

T = TypeVar("T")


class BearerUser(bearer.BearerUser):
    """`configure_auth.BearerUser` as a `user_id`; views may call it too: `bearer_user() -> str | None`.

    A token that isn't valid ends the request with a 401, and one that can't be validated now with a 503; an app may
    have handlers for both. The arguments are those of `configure_auth.BearerUser`.
    """

    def __call__(self) -> str | None:
        """Return the user's id, None for a request without a bearer token."""
        return _answer(self.user_id)

    def required(self) -> str:
        """Return the user's id. A request without a bearer token ends with a 401."""
        return _answer(lambda headers: require_token(self.user_id(headers)))

    def claims(self) -> Claims:
        """Return all verified claims of the token. A request without one ends with a 401."""
        return _answer(lambda headers: require_token(self.verified_claims(headers)))


def _answer(ask: Callable[[Sequence[str]], T]) -> T:
    try:
        return ask(request.headers.getlist("Authorization"))
    except BearerError as error:
        refused = _as_exception(error)
    raise refused


def _as_exception(error: BearerError) -> HTTPException:
    if error.retry_after is not None:
        return ServiceUnavailable(retry_after=int(error.retry_after))
    # As a string, which Werkzeug writes as it is: of parameters it leaves out the quotes, and only 2.3 takes a token.
    return Unauthorized(www_authenticate=cast("list[WWWAuthenticate]", [error.headers["WWW-Authenticate"]]))
