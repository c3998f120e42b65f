"""Which error code a user sees for a failure in a flow, and what the log says about it."""

from __future__ import annotations

import logging

from ..errors import BearerError, Code, ConfigureError, SettingsError, SignInError, StoreError

log: logging.Logger = logging.getLogger(__name__)


def as_sign_in_error(error: Exception) -> SignInError:
    """Convert any failure of a flow, and log it if it is not the user's; unexpected ones with their traceback."""
    if isinstance(error, SignInError):
        return error
    if isinstance(error, ConfigureError):
        log.warning("a call to Configure failed: %s: %s", error.endpoint or "not sent", error)
        return SignInError(error.sign_in_code, str(error), retry_after=error.retry_after)
    if isinstance(error, SettingsError):
        log.error("%s: %s", error.code, error)
        return SignInError(Code(error.code), str(error))
    if isinstance(error, StoreError):
        log.error("%s: %s", error.code, error)
        return SignInError(Code.STORE_BUSY, str(error), retry_after=2)
    if isinstance(error, BearerError):
        # Of an app's own `user_id`, which asks a `BearerUser`.
        code = Code.SIGNED_OUT if error.retry_after is None else Code.UPSTREAM_UNAVAILABLE
        return SignInError(code, str(error), retry_after=error.retry_after)
    log.error("a hook of the app, or configure_auth itself, failed in a sign-in", exc_info=error)
    return SignInError(Code.MISCONFIGURED, f"an unexpected {type(error).__name__}")
