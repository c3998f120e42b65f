"""Questions that only `verify` asks: is this a key, is there a page, what does authorize think of a client."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from ..errors import ApiCode, ConfigureError
from ..settings import Settings
from .call import Call, Reply
from .wire import error_from, json_object

__all__ = ["AuthorizeFault", "is_page", "probe_authorize", "probe_key", "probe_page"]

AuthorizeFault: TypeAlias = Literal["client", "scope", "redirect_uri", "request"]
"""What authorize finds wrong: the client is unknown, it isn't registered for a scope, or for the callback, or else."""


def probe_key(settings: Settings) -> Call[None]:
    """A read for nobody: a good key is told what is missing, a bad one that it is bad.

    Raises:
        ConfigureError: always; `api_key_invalid` or `api_key_missing` in `backend_code` means a bad key.
    """

    def parse(reply: Reply) -> None:
        raise error_from(reply)

    return Call(
        method="GET",
        url=f"{settings.base_url}/v1/profile",
        headers={"X-API-Key": settings.required_api_key.reveal()},
        parse=parse,
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


def _fault(reply: Reply) -> AuthorizeFault | None:
    if reply.status < 400:
        return None
    body = json_object(reply.content) or {}
    error: Any = body.get("error")
    if isinstance(error, dict):
        kind, told = error.get("code"), error.get("message")
    else:
        kind, told = error, body.get("error_description")
    if reply.status >= 500 or not isinstance(kind, str):
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
