"""The response to an error of Configure that an endpoint of the app didn't catch."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from fastapi.responses import JSONResponse

from ..errors import ApiCode, ConfigureAuthError, ConfigureError


def configure_error_handler(auth_required: int = 409) -> Callable[[Request, Exception], JSONResponse]:
    """Return an exception handler: `app.add_exception_handler(ConfigureError, configure_error_handler())`.

    The response is `{"detail": <sentence>, "code": <the error's code>}`, with the error's status and `Retry-After`.

    Args:
        auth_required: the status where no account is connected, or it must be connected again. Many clients forget
            their own token at a 401 or 403.
    """

    def handle(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ConfigureAuthError)
        needs_account = isinstance(error, ConfigureError) and error.code == ApiCode.AUTH_REQUIRED
        retry_after = getattr(error, "retry_after", None)
        return JSONResponse(
            {"detail": str(error), "code": error.code},
            auth_required if needs_account else error.status,
            {} if retry_after is None else {"Retry-After": f"{retry_after:.0f}"},
        )

    return handle
