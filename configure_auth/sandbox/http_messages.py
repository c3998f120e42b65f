"""Requests as endpoints get them, responses, and the two formats of errors."""

from __future__ import annotations

import json
import re
import secrets
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from .phones import canonical_phone
from .values import Origin

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?]*", re.IGNORECASE)
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(frozen=True, slots=True)
class UnregisteredAddress:
    """An address that a sign-in can't return to, because it isn't among the registered ones."""

    param: str
    given: str | None
    registered: tuple[str, ...]

    @property
    def advice(self) -> str:
        """How to register it."""
        option, usual = {
            "redirect_uri": ("--login-path", "/auth/configure"),
            "return_to": ("--link-path", "/configure"),
        }[self.param]
        address = _ORIGIN.sub("", self.given or "").partition("?")[0]
        if address and not address.endswith("/callback"):
            return "name it in a seed: redirect_uris = [...]"  # of a registry, which has paths of its own
        path = address.removesuffix("/callback")
        named = f" {option} {shlex.quote(path)}" if path not in {"", usual} else ""
        return f"python -m configure_auth register-callback --env-file .env{named}"

    def __str__(self) -> str:
        registered = ", ".join(self.registered) or "nothing"
        return (
            f"{self.param} must exactly match a registered one: {self.given!r} came, registered is {registered}. "
            f"To register it: {self.advice}"
        )


@dataclass(slots=True, eq=False)
class ApiError(Exception):
    """An endpoint refuses a request: sent in Configure's structured error format."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = field(default=None, kw_only=True)
    retryable: bool = field(default=False, kw_only=True)
    suggested_action: str | None = field(default=None, kw_only=True)
    retry_after: int | None = field(default=None, kw_only=True)
    address: UnregisteredAddress | None = field(default=None, kw_only=True)

    def response(self, *, flat: bool = False) -> Response:
        if flat:
            return JSONResponse({"error": self.message, "code": self.code}, self.status)
        error: dict[str, object] = {
            "type": self.type,
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
        }
        for name in ("param", "suggested_action", "retry_after"):
            if getattr(self, name) is not None:
                error[name] = getattr(self, name)
        return JSONResponse({"error": error, "request_id": f"req_{secrets.token_hex(8)}"}, self.status)


@dataclass(slots=True, eq=False)
class OAuthError(Exception):
    """An OAuth endpoint refuses a request (RFC 6749, section 5.2)."""

    error: str
    description: str
    status: int = 400
    address: UnregisteredAddress | None = field(default=None, kw_only=True)

    def response(self) -> Response:
        headers = dict(NO_STORE)
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Configure sandbox"'
        body = {"error": self.error, "error_description": self.description}
        return JSONResponse(body, self.status, headers)


def invalid(message: str, param: str | None = None, code: str = "invalid_field") -> ApiError:
    """Return a 400 for an invalid request."""
    return ApiError(400, "invalid_request_error", code, message, param=param)


def missing(param: str) -> ApiError:
    """Return a 400 for a field that is absent or blank."""
    return invalid(f"{param} is required", param, "missing_field")


def unauthenticated(code: str, message: str, action: str | None = None) -> ApiError:
    return ApiError(401, "authentication_error", code, message, suggested_action=action)


def forbidden(code: str, message: str) -> ApiError:
    return ApiError(403, "permission_error", code, message)


def no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the members of a JSON object. Raises ValueError for a repeated one."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member of an object is there twice")
    return members


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request with its body, as an endpoint gets it."""

    origin: Origin
    path: str
    path_params: Mapping[str, str]
    query: tuple[tuple[str, str], ...]
    headers: Headers
    cookies: Mapping[str, str]
    body: bytes

    @property
    def params(self) -> dict[str, str]:
        """The query's parameters. Raises ApiError when one is repeated."""
        if self.repeated() is not None:
            raise invalid("a query parameter is repeated")
        return dict(self.query)

    def repeated(self) -> str | None:
        """Return the name of a repeated query parameter, if there is one."""
        counts = Counter(name for name, _ in self.query)
        return next((name for name, count in counts.items() if count > 1), None)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def wants_html(self) -> bool:
        return "text/html" in self.headers.get("accept", "")

    def form(self) -> list[tuple[str, str]]:
        """Return the form's fields in order, repeated ones included. Raises ApiError for another content type."""
        if self.content_type != "application/x-www-form-urlencoded":
            raise invalid("the body must be application/x-www-form-urlencoded", code="unsupported_content_type")
        try:
            return parse_qsl(
                self.body.decode(), keep_blank_values=True, strict_parsing=bool(self.body), errors="strict"
            )
        except ValueError:
            raise invalid("the body is not a form") from None

    def json(self) -> dict[str, Any]:
        """Return the JSON object of the body. Raises ApiError for anything else."""
        if self.content_type != "application/json":
            raise invalid("the body must be application/json", code="unsupported_content_type")
        try:
            value = json.loads(self.body, object_pairs_hook=no_duplicates, parse_constant=_no_constant)
        except ValueError:
            raise invalid("the body is not JSON", code="invalid_json") from None
        if not isinstance(value, dict):
            raise invalid("the body must be a JSON object", code="invalid_json")
        return cast(dict[str, Any], value)


def text_field(body: Mapping[str, object], name: str, *, limit: int = 4096) -> str:
    """Return a required string of a body. Raises ApiError when it is absent, blank, too long or not a string."""
    value = optional_text(body, name, limit=limit)
    if value is None:
        raise missing(name)
    return value


def phone_field(body: Mapping[str, object]) -> str:
    """Return the phone of a body as E.164. Raises ApiError when it is absent or invalid."""
    phone = canonical_phone(text_field(body, "phone"))
    if phone is None:
        raise invalid("phone is not a phone number", "phone")
    return phone


def optional_text(body: Mapping[str, object], name: str, *, limit: int = 4096) -> str | None:
    """Return a string of a body, None when absent or blank. Raises ApiError when it is too long or not a string."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid(f"{name} must be a string", name)
    if len(value) > limit:
        raise invalid(f"{name} is longer than {limit} characters", name)
    return value if value.strip() else None


def in_snake_case(value: Any) -> Any:
    """Return the body of a response with its camelCase names written as snake_case ones."""
    if isinstance(value, list):
        return [in_snake_case(one) for one in value]
    if isinstance(value, dict):
        return {re.sub("[A-Z]", lambda one: f"_{one[0].lower()}", k): in_snake_case(v) for k, v in value.items()}
    return value


def json_response(body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response without the members that are None."""
    members = {name: value for name, value in body.items() if value is not None}
    return JSONResponse(members, status, {**NO_STORE, **(headers or {})})
