"""Reading and writing of JSON bodies: responses are validated strictly, field by field."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeGuard, TypeVar, cast
from urllib.parse import quote_plus

from ..errors import ApiCode, ConfigureError
from ..runtime.verbs import Verbs
from ..settings import Settings
from ..values import Secret, is_one_line
from .call import HttpCall, HttpResponse

T = TypeVar("T")

log: logging.Logger = logging.getLogger(__name__)

_DEEPEST = 64
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
# Both get into logs. Neither is ever one of Configure's keys or codes, sent back to us; nor a state, a verifier or a
# token, which have 43 characters and more. A UUID behind a prefix has 40.
_BACKEND_CODE = re.compile(r"(?!(?:sk|cfg|ocs|cfgsic)_)[A-Za-z0-9_.-]{1,40}")
_REQUEST_ID = re.compile(r"(?!(?:sk|cfg|ocs|cfgsic)_)[A-Za-z0-9._:-]{1,40}")
_JSON_TYPE = re.compile(r"application/(?:json|[a-z0-9!#$&^_.+-]+\+json)", re.ASCII)
_UTF8 = re.compile(r"""charset\s*=\s*"?utf-?8"?""", re.ASCII)

TOKEN_LIMIT = 8192
"""Characters of the longest token, code or verifier that is sent or accepted."""


# What we send.


def invalid(sentence: str) -> ConfigureError:
    """The error for an argument that is refused before anything is sent."""
    return ConfigureError(ApiCode.INVALID_INPUT, sentence)


def plain(value: str | Secret) -> str:
    """The string of a token or code that may be wrapped."""
    return value.reveal() if isinstance(value, Secret) else value


def is_token(value: object, limit: int = TOKEN_LIMIT) -> bool:
    """Whether a value is a string of 1 to `limit` visible ASCII characters (RFC 6749 appendix A)."""
    return isinstance(value, str) and len(value) <= limit and _PRINTABLE.fullmatch(value) is not None


def require_token(name: str, value: str | Secret, limit: int = TOKEN_LIMIT) -> None:
    """Refuse, before anything is sent, a token or code that can't be one."""
    if not is_token(plain(value) if isinstance(value, str | Secret) else None, limit):
        raise invalid(f"{name} must be 1 to {limit} visible ASCII characters, without a space")


def require_text(name: str, value: object, limit: int = 2048) -> None:
    """Refuse, before anything is sent, a value that is no text or has control characters in it."""
    if not is_text(value, limit) or not value.strip():
        raise invalid(f"{name} must be a string of 1 to {limit} characters without control characters")


def given_text(name: str, value: object) -> str | None:
    """Return a string that may be left out; None where it is None or empty.

    Raises:
        ConfigureError: INVALID_INPUT for another type, naming the argument.
    """
    if value is not None and not isinstance(value, str):
        raise invalid(f"{name} must be a string, not {type(value).__name__}")
    return value or None


def optional_text(name: str, value: str | None, limit: int = 2048) -> str | None:
    """Return a string of up to `limit` characters that may be left out; None where it is None or empty."""
    if given_text(name, value) is not None:
        require_text(name, value, limit)
    return value or None


def without_blanks(**fields: Any) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value}


def api_headers(settings: Settings, *, content: bool = True) -> dict[str, str]:
    """The headers of every call that the secret key vouches for."""
    headers = {"Content-Type": "application/json"} if content else {}
    headers["X-API-Key"] = settings.required_api_key.reveal()
    headers["X-Agent"] = settings.required_agent
    return headers


def json_body(value: Mapping[str, Any]) -> bytes:
    """A JSON body, byte for byte as JavaScript's `JSON.stringify` writes it.

    Raises:
        ConfigureError: INVALID_INPUT for a lone surrogate, which UTF-8 can't carry.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return _encode(text)


def form(pairs: Iterable[tuple[str, str]]) -> str:
    """A query string, byte for byte as JavaScript's `URLSearchParams` writes it (`~` encoded, `*` not)."""
    return "&".join(f"{_form_quote(name)}={_form_quote(value)}" for name, value in pairs)


def _form_quote(value: str) -> str:
    return quote_plus(_encode(value), safe="*").replace("~", "%7E")


def _encode(text: str) -> bytes:
    if re.search(r"[\ud800-\udfff]", text):
        raise invalid("a lone surrogate can't be sent; give well-formed text")
    return text.encode()


class ApiCalls(Verbs):
    """Calls that the secret key vouches for. On its own it returns them, for a flow to await; a client sends them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings


def api_call(
    settings: Settings,
    method: str,
    path: str,
    parse: Callable[[ResponseBody], T],
    what: str,
    *,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    content_type: bool = True,
) -> HttpCall[T]:
    """Return a call to Configure's API.

    Args:
        parse: reads the body of a successful response.
        what: what is asked, for the error's sentence, such as "the code exchange".
        body: sent as JSON.
        headers: beside those of every call.
    """
    return HttpCall(
        method=method,
        url=f"{settings.base_url}{path}",
        headers=api_headers(settings, content=content_type) | dict(headers or {}),
        content=None if body is None else json_body(body),
        parse=lambda response: parse(read_response(response, what)),
    )


# What comes back.


class ResponseBody:
    """The JSON object of a response. Its getters return a field of the right shape, or raise SERVER_ERROR.

    Configure writes some fields in camelCase and some in snake_case. Every getter takes the snake_case name and reads
    both; where both are there they must agree. null and blank strings count as absent. `fields` is everything, as it
    came.
    """

    __slots__ = ("_response", "_what", "fields")

    def __init__(self, fields: Mapping[str, Any], what: str, response: HttpResponse) -> None:
        self.fields: Mapping[str, Any] = fields
        self._what = what
        self._response = response

    def _get(self, name: str) -> Any:
        first, second = (_present(self.fields.get(spelling)) for spelling in (name, _camel(name)))
        if first is not None and second is not None and (type(first) is not type(second) or first != second):
            return _CONTRADICTION
        return second if first is None else first

    def has(self, name: str) -> bool:
        """Whether a field is there in either spelling, blank or not."""
        return self.fields.get(name) is not None or self.fields.get(_camel(name)) is not None

    def _fitting(self, name: str, fits: Callable[[Any], bool]) -> Any:
        # Never in a local variable: a traceback that prints locals would print a token of the wrong shape.
        if self._get(name) is not None and not fits(self._get(name)):
            self.refuse(name)
        return self._get(name)

    def text(self, name: str, limit: int = 255) -> str | None:
        """A string of at most `limit` characters without control characters."""
        return cast(str | None, self._fitting(name, lambda value: is_text(value, limit)))

    def required_text(self, name: str, limit: int = 255) -> str:
        """`text`, which must be there."""
        return self.text(name, limit) or self.refuse(name)

    def secret(self, name: str, limit: int = TOKEN_LIMIT) -> Secret | None:
        """A token: visible ASCII characters only."""
        return None if self._fitting(name, lambda value: is_token(value, limit)) is None else Secret(self._get(name))

    def required_secret(self, name: str) -> Secret:
        """`secret`, which must be there."""
        return self.secret(name) or self.refuse(name)

    def required_choice(self, name: str, choices: Iterable[str]) -> str:
        """One of a few words, which must be there."""
        return cast(str | None, self._fitting(name, lambda value: value in choices)) or self.refuse(name)

    def word(self, name: str) -> str | None:
        """A plain word, which may get into logs; anything else counts as absent."""
        return _first_code(self._get(name))

    def boolean(self, name: str) -> bool | None:
        """true or false; neither 1 nor "true"."""
        return cast(bool | None, self._fitting(name, lambda value: isinstance(value, bool)))

    def required_boolean(self, name: str) -> bool:
        """`boolean`, which must be there."""
        value = self.boolean(name)
        return self.refuse(name) if value is None else value

    def number(self, name: str, least: float = 0, most: float = math.inf) -> float | None:
        """A finite number within bounds; not a boolean, not a string of digits."""
        value = self._fitting(name, lambda value: is_number(value) and least <= value <= most)
        return None if value is None else float(value)

    def texts(self, name: str, limit: int = 2048, most: int = 1000) -> tuple[str, ...] | None:
        """A list of at most `most` strings."""
        items = self._fitting(name, lambda value: _is_list(value, most, lambda item: is_text(item, limit)))
        return None if items is None else tuple(items)

    def objects(self, name: str, most: int = 1000) -> tuple[ResponseBody, ...] | None:
        """A list of at most `most` objects, each to be read the same way."""
        items = self._fitting(name, lambda value: _is_list(value, most, lambda item: isinstance(item, dict)))
        return None if items is None else tuple(ResponseBody(item, self._what, self._response) for item in items)

    def required_object(self, name: str) -> ResponseBody:
        """An object, to be read the same way."""
        fields = self._fitting(name, lambda value: isinstance(value, dict))
        return self.refuse(name) if fields is None else ResponseBody(fields, self._what, self._response)

    def optional(self, read: Callable[[str], T | None], name: str) -> T | None:
        """A field that no sign-in may fail for: None, and a line in the log, where `read` refuses it.

        For responses that came after a code or a refresh token was used up, which can't be asked for again.
        """
        try:
            return read(name)
        except ConfigureError:
            log.warning("Configure's response to %s: invalid %s, ignored", self._what, name)
            return None

    def refuse(self, name: str) -> NoReturn:
        """Raise the error for a field that is missing or not what it should be."""
        raise ConfigureError(
            ApiCode.SERVER_ERROR,
            f"Configure's response to {self._what}: missing or invalid {name}",
            status_code=self._response.status,
            request_id=_request_id(None, self._response),
        )


_CONTRADICTION = object()


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _present(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def is_text(value: object, limit: int) -> TypeGuard[str]:
    """Whether a value is a string of at most `limit` characters without control characters."""
    return isinstance(value, str) and len(value) <= limit and is_one_line(value)


def _is_list(value: object, most: int, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and len(value) <= most and all(fits(item) for item in value)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number that a float has exactly; true and false are none."""
    # An integer of hundreds of digits is no float.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53


def read_response(response: HttpResponse, what: str, *, statuses: Iterable[int] = range(200, 300)) -> ResponseBody:
    """Read the body of a successful response.

    Args:
        what: what was asked, for the error's sentence, such as "the code exchange".
        statuses: the statuses that mean success.

    Raises:
        ConfigureError: the mapped error of a refusal (see `error_from`); SERVER_ERROR for a redirect, and for a body
            that isn't one JSON object under a JSON content type, in UTF-8, without duplicate keys, NaN, a byte order
            mark or more than 64 levels.
    """
    if not 200 <= response.status < 300:
        raise error_from(response)
    fields = json_object(response.content) if response.status in statuses and _is_json(response) else None
    if fields is None:
        raise ConfigureError(
            ApiCode.SERVER_ERROR,
            f"Configure's response to {what}: not a valid JSON object",
            status_code=response.status,
            request_id=_request_id(None, response),
        )
    return ResponseBody(fields, what, response)


def _is_json(response: HttpResponse) -> bool:
    media_type, *parameters = (part.strip().lower() for part in response.headers.get("content-type", "").split(";"))
    charsets = (parameter for parameter in parameters if parameter.startswith("charset"))
    return _JSON_TYPE.fullmatch(media_type) is not None and all(_UTF8.fullmatch(charset) for charset in charsets)


def json_object(content: bytes) -> dict[str, Any] | None:
    """One JSON object in UTF-8 without duplicate keys, NaN or more than 64 levels; None for anything else."""
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_shallow(value) else None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key is there twice")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _is_shallow(value: object) -> bool:
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return True
    return False


# Errors.

_BY_TYPE = {
    "authentication_error": ApiCode.AUTH_REQUIRED,
    "invalid_request_error": ApiCode.INVALID_INPUT,
    "permission_error": ApiCode.ACCESS_DENIED,
    "tool_error": ApiCode.TOOL_ERROR,
    "rate_limit_error": ApiCode.RATE_LIMITED,
}
_BY_TYPE_AND_CODE = {
    ("permission_error", "commit_required"): ApiCode.COMMIT_REQUIRED,
    ("tool_error", "tool_not_connected"): ApiCode.TOOL_NOT_CONNECTED,
    ("rate_limit_error", "quota_exceeded"): ApiCode.PAYMENT_REQUIRED,
}


def error_from(response: HttpResponse) -> ConfigureError:
    """The error that a refusal means, in any of the envelopes that Configure is known to send.

    The structured one counts as such only with both `type` and `code` as strings; all others go by the status, as in
    Configure's own clients. `str(error)` is our sentence with the code, the status and the request id, and nothing of
    the other side's text. `retry_after` is in seconds, as Configure said; the body's goes before the
    `Retry-After` header.
    """
    # The content type isn't checked: of a refusal only the kind of error is used.
    body = json_object(response.content) or {}
    envelope = body.get("error")
    nested: dict[str, Any] = envelope if isinstance(envelope, dict) else {}
    kind, backend_code = nested.get("type"), nested.get("code")
    if isinstance(kind, str) and isinstance(backend_code, str):
        code = _BY_TYPE_AND_CODE.get((kind, backend_code)) or _BY_TYPE.get(kind, ApiCode.SERVER_ERROR)
    else:
        told = envelope if isinstance(envelope, str) else body.get("message")
        code = _by_status(response.status, told if isinstance(told, str) else "")
        backend_code = _first_code(backend_code, body.get("code"), envelope)
    if 300 <= response.status < 400:
        code = ApiCode.SERVER_ERROR
    retryable = nested.get("retryable")
    if not isinstance(retryable, bool):
        retryable = code is ApiCode.RATE_LIMITED or response.status >= 500
    request_id = _request_id(body, response)
    return ConfigureError(
        code,
        f"{code.sentence} ({code}, HTTP {response.status}{f', request {request_id}' if request_id else ''})",
        status_code=response.status,
        retryable=retryable,
        retry_after=_retry_after(nested.get("retry_after"), response.headers.get("retry-after")),
        request_id=request_id,
        suggested_action=_action(nested.get("suggested_action")) or _action(body.get("suggested_action")),
        doc_url=_doc_url(nested.get("doc_url")),
        backend_code=_first_code(backend_code),
    )


def _by_status(status: int, told: str) -> ApiCode:
    told = told.lower()
    if status in (401, 403):
        return ApiCode.AUTH_REQUIRED
    if status == 404:
        return ApiCode.NOT_FOUND
    if status == 409 and "commit" in told:
        return ApiCode.COMMIT_REQUIRED
    if status == 429:
        return ApiCode.RATE_LIMITED
    if status >= 500:
        return ApiCode.SERVER_ERROR
    if "not connected" in told or "not linked" in told:
        return ApiCode.TOOL_NOT_CONNECTED
    return ApiCode.INVALID_INPUT


def _first_code(*candidates: object) -> str | None:
    for candidate in candidates:
        if isinstance(candidate, str) and _BACKEND_CODE.fullmatch(candidate):
            return candidate
    return None


def _retry_after(told: object, header: str | None) -> float | None:
    if isinstance(told, int | float) and is_number(told):
        seconds = float(told)
    elif header is not None and re.fullmatch(r"[0-9]{1,9}", header):
        # The other form of RFC 9110 section 10.2.3, a date, would need both clocks to agree.
        seconds = float(header)
    else:
        return None
    return max(seconds, 0.0)


def _request_id(body: Mapping[str, Any] | None, response: HttpResponse) -> str | None:
    for candidate in ((body or {}).get("request_id"), response.headers.get("x-request-id")):
        if isinstance(candidate, str) and _REQUEST_ID.fullmatch(candidate):
            return candidate
    return None


def _action(value: object) -> str | dict[str, Any] | None:
    if isinstance(value, str):
        return value if value and is_text(value, 64) else None
    if isinstance(value, dict):
        known = ("type", "app", "reason", "url")
        return {name: value[name] for name in known if is_text(value.get(name), 2048)} or None
    return None


def _doc_url(value: object) -> str | None:
    return value if isinstance(value, str) and is_token(value, 2048) and value.startswith("https://") else None
