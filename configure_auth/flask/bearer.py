"""Who is calling, from the bearer token of Flask's request."""

from __future__ import annotations

from flask import request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import HTTPException, ServiceUnavailable, Unauthorized

from ..bearer import user as bearer
from ..errors import BearerError

__all__ = ["BearerUser"]


class BearerUser(bearer.BearerUser):
    """`configure_auth.BearerUser` as a `user_id`; views may call it too: `bearer_user() -> str | None`.

    A token that isn't good ends the request with a 401, and one that can't be judged now with a 503; an app may have
    handlers for both. The arguments are those of `configure_auth.BearerUser`.
    """

    def __call__(self) -> str | None:
        try:
            return self.user_id(request.headers.getlist("Authorization"))
        except BearerError as error:
            refused = _as_exception(error)
        raise refused


def _as_exception(error: BearerError) -> HTTPException:
    if error.retry_after is not None:
        return ServiceUnavailable(retry_after=int(error.retry_after))
    # As a whole: of parameters Werkzeug would leave out the quotes.
    scheme, _, rest = error.headers["WWW-Authenticate"].partition(" ")
    return Unauthorized(www_authenticate=WWWAuthenticate(scheme, token=rest))
