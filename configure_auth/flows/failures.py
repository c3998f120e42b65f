"""Which error code a user sees for a failure in a flow, and what the log says about it."""

from __future__ import annotations

import logging

from ..errors import ApiCode, BearerError, Code, ConfigureError, SettingsError, SignInError, StoreError
from .app import raised_by

log: logging.Logger = logging.getLogger(__name__)

_CREDENTIALS = {
    "POST /oauth/token": "CONFIGURE_OAUTH_CLIENT_ID and CONFIGURE_OAUTH_CLIENT_SECRET",
    "POST /v1/auth/sign-in/exchange": "CONFIGURE_API_KEY",
}
"""The settings that a call sends, by its endpoint."""


def as_sign_in_error(error: Exception) -> SignInError:
    """Convert any failure of a flow, and log it if it is not the user's; unexpected ones with their traceback."""
    if isinstance(error, SignInError):
        return error
    if isinstance(error, ConfigureError):
        sentence = f"{error.endpoint or 'not sent'}: {error}"
        if error.code == ApiCode.AUTH_REQUIRED and (settings := _CREDENTIALS.get(error.endpoint or "")):
            sentence += f"; check {settings}"
        log.warning("a call to Configure failed: %s", sentence)
        return SignInError(error.sign_in_code, sentence, retry_after=error.retry_after)
    if isinstance(error, SettingsError):
        sentence = "; ".join((str(error), *raised_by(error)))
        log.error("%s: %s", error.code, sentence)
        return SignInError(Code(error.code), sentence)
    if isinstance(error, StoreError):
        log.error("%s: %s", error.code, error)
        return SignInError(Code.STORE_BUSY, str(error), retry_after=2)
    if isinstance(error, BearerError):
        # Of an app's own `user_id`, which asks a `BearerUser`.
        code = Code.SIGNED_OUT if error.retry_after is None else Code.UPSTREAM_UNAVAILABLE
        return SignInError(code, str(error), retry_after=error.retry_after)
    # Its message may be about a user: it is in the log alone, with the traceback.
    sentence = ", ".join((f"an unexpected {type(error).__name__}", *raised_by(error)))
    log.error("a sign-in failed by %s", sentence, exc_info=error)
    return SignInError(Code.MISCONFIGURED, sentence)
