"""Questions that only `verify` asks: is this a key, is there a page, what does authorize think of a client."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from ..errors import ApiCode, ConfigureError
from ..settings import Settings
from .call import Call, Reply
from .wire import error_from, json_object

__all__ = ["AuthorizeFault", "KeyFault", "is_page", "probe_authorize", "probe_key", "probe_page"]

AuthorizeFault: TypeAlias = Literal["client", "scope", "redirect_uri", "request"]
"""What authorize finds wrong: the client is unknown, it isn't registered for a scope, or for the callback, or else."""

KeyFault: TypeAlias = Literal["unknown", "publishable", "elsewhere"]
"""What a read finds wrong with a key: nobody has it, it isn't the secret one, or this isn't Configure's API."""


def probe_key(settings: Settings) -> Call[KeyFault | None]:
    """A read for nobody: a good key is told that the subject is missing, a bad one that it is bad.

    Raises:
        ConfigureError: the answer tells nothing of the key.
    """
    return Call(
        method="GET",
        url=f"{settings.base_url}/v1/profile",
        headers={"X-API-Key": settings.required_api_key.reveal()},
        parse=_key_fault,
    )


def probe_authorize(url: str) -> Call[AuthorizeFault | None]:
    """Begin an authorization as a program would, without following it.

    What is wrong comes as an error's body and not as a redirect; the page, or the way to one, means that nothing is.

    Raises:
        ConfigureError: the answer is no error of OAuth's and none of Configure's own shape.
    """
    return Call(method="GET", url=url, headers={"Accept": "application/json"}, parse=_fault)


def probe_page(url: str) -> Call[None]:
    """See that something is there; a redirect counts.

    Raises:
        ConfigureError: with the `status_code` of a refusal.
    """

    def parse(reply: Reply) -> None:
        if reply.status >= 400:
            raise error_from(reply)

    return Call(method="GET", url=url, parse=parse)


def _key_fault(reply: Reply) -> KeyFault | None:
    error = error_from(reply)
    if error.backend_code in ("api_key_invalid", "api_key_missing"):
        return "unknown"
    if error.backend_code == "secret_key_required":
        return "publishable"
    if reply.status >= 500 or reply.status == 429:
        raise error
    # Configure always refuses this read, in one of its envelopes; whatever else it says, the key is one.
    told = json_object(reply.content) or {}
    return None if reply.status >= 400 and reply.status != 404 and "error" in told else "elsewhere"


def _fault(reply: Reply) -> AuthorizeFault | None:
    if reply.status < 400:
        return None
    body = json_object(reply.content) or {}
    error: Any = body.get("error")
    if isinstance(error, dict):
        kind, told = error.get("code"), error.get("message")
    else:
        kind, told = error, body.get("error_description")
    if reply.status >= 500 or reply.status == 429 or not isinstance(kind, str):
        raise error_from(reply)
    if kind == "invalid_client":
        return "client"
    if kind == "invalid_scope":
        return "scope"
    # The one place where the other side's words are read: no code of its own is known for this fault.
    if isinstance(told, str) and "redirect" in told.lower():
        return "redirect_uri"
    if kind in ("rate_limited", "not_found"):
        raise error_from(reply)
    return "request"


def is_page(error: ConfigureError) -> bool:
    """Whether a failed probe did meet a page: one that is too large, or packed, for an answer of the API."""
    return error.code is ApiCode.SERVER_ERROR and error.status_code is not None and 200 <= error.status_code < 400
