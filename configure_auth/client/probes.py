"""Questions that only `verify` asks: is this a key, is there a page, what does authorize think of a client."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from ..errors import ApiCode, ConfigureError
from ..settings import Settings
from .call import HttpCall, HttpResponse
from .wire import error_from, json_object

AuthorizeFault: TypeAlias = Literal["client", "scope", "redirect_uri", "request", "turned_back", "moved"]
"""What authorize finds wrong: the client is unknown, it isn't registered for a scope, or for the callback, or else.

"turned_back" is a redirect that carries another error; "moved" one that says nothing of the request.
"""

KeyFault: TypeAlias = Literal["unknown", "publishable", "elsewhere"]
"""What a read finds wrong with a key: it is unknown, it isn't the secret one, or this isn't Configure's API."""

PageFault: TypeAlias = Literal["turned_back", "elsewhere"]
"""What is wrong with a page that answers: it leads on with an error, or is something else than was asked for."""

# As Configure's own programs ask; for JSON, a page could say that it has none.
_ANYTHING = {"Accept": "*/*"}
_SCRIPT = re.compile(r"(?:text|application)/(?:x-)?(?:java|ecma)script", re.ASCII)
_REDIRECT_URI = re.compile(r"redirect[_ ]?ur[il]", re.ASCII | re.IGNORECASE)


def probe_key(settings: Settings) -> HttpCall[KeyFault | None]:
    """A read without a subject: a good key gets the error that the subject is missing, a bad one that it is bad.

    Raises:
        ConfigureError: the response says nothing about the key.
    """
    return HttpCall(
        method="GET",
        url=f"{settings.base_url}/v1/profile",
        headers={"X-API-Key": settings.required_api_key.reveal()},
        parse=_key_fault,
    )


def probe_authorize(url: str) -> HttpCall[AuthorizeFault | None]:
    """Begin an authorization as a program would, without following it.

    What is wrong comes as an error's body, and the page itself means that nothing is. A redirect isn't documented.

    Raises:
        ConfigureError: the response is neither an OAuth error nor one of Configure's.
    """
    return HttpCall(method="GET", url=url, headers=_ANYTHING, parse=_fault)


def probe_page(url: str) -> HttpCall[PageFault | None]:
    """See that something is there; a redirect counts, unless it carries an error.

    Raises:
        ConfigureError: with the `status_code` of a refusal.
    """
    return _probe(url, lambda response: None if _error_in_location(response) is None else "turned_back")


def probe_script(url: str) -> HttpCall[PageFault | None]:
    """See that a script is there, by its content type; a redirect counts.

    Raises:
        ConfigureError: with the `status_code` of a refusal.
    """

    def fault(response: HttpResponse) -> PageFault | None:
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return None if response.status >= 300 or _SCRIPT.fullmatch(media_type) else "elsewhere"

    return _probe(url, fault)


def _probe(url: str, fault: Callable[[HttpResponse], PageFault | None]) -> HttpCall[PageFault | None]:
    def parse(response: HttpResponse) -> PageFault | None:
        if response.status >= 400:
            raise error_from(response)
        return fault(response)

    return HttpCall(method="GET", url=url, headers=_ANYTHING, parse=parse)


def _key_fault(response: HttpResponse) -> KeyFault | None:
    error = error_from(response)
    if error.backend_code in ("api_key_invalid", "api_key_missing"):
        return "unknown"
    if error.backend_code == "secret_key_required":
        return "publishable"
    if response.status >= 500 or response.status == 429:
        raise error
    # Configure always refuses this read, in one of its envelopes; whatever else it says, the key is one.
    told = (json_object(response.content) or {}).get("error")
    if response.status < 400 or (
        response.status == 404 and (not _is_structured(told) or error.backend_code == "not_found")
    ):
        return "elsewhere"
    if told is None:
        raise error
    return None


def _is_structured(told: Any) -> bool:
    return isinstance(told, dict) and all(isinstance(told.get(name), str) for name in ("type", "code"))


def _fault(response: HttpResponse) -> AuthorizeFault | None:
    if response.status >= 500 or response.status == 429:
        raise error_from(response)
    kind, told = _error_in_location(response) or _error_in_body(response)
    if kind == "invalid_client":
        return "client"
    if kind == "invalid_scope":
        return "scope"
    # The one place where the other side's words are read: no code of its own is known for this fault.
    if _REDIRECT_URI.search(kind) or _REDIRECT_URI.search(told):
        return "redirect_uri"
    if kind in ("rate_limited", "server_error", "temporarily_unavailable"):
        raise error_from(response)
    if response.status < 300:
        return "request" if kind else None
    if response.status < 400:
        return "turned_back" if kind else "moved"
    if not kind or response.status in (401, 403, 404, 405, 406, 410):
        raise error_from(response)
    return "request"


def _error_in_body(response: HttpResponse) -> tuple[str, str]:
    """The code of an error and what is said of it, each blank where it isn't there."""
    body = json_object(response.content) or {}
    error: Any = body.get("error")
    kind, told = (
        (error.get("code"), error.get("message")) if isinstance(error, dict) else (error, body.get("error_description"))
    )
    return kind if isinstance(kind, str) else "", told if isinstance(told, str) else ""


def _error_in_location(response: HttpResponse) -> tuple[str, str] | None:
    """The same of a redirect, which OAuth's errors may come with; None where there is none."""
    if not 300 <= response.status < 400:
        return None
    try:
        parts = urlsplit(response.headers.get("location", ""))
        given = dict(parse_qsl(f"{parts.query}&{parts.fragment}"))
    except ValueError:
        return None
    return (given["error"], given.get("error_description", "")) if "error" in given else None


def is_page(error: ConfigureError) -> bool:
    """Whether a failed probe did meet a page: one that is too large, or packed, for a response of the API."""
    return error.code is ApiCode.SERVER_ERROR and error.status_code is not None and 200 <= error.status_code < 300
