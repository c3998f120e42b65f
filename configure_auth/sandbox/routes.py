"""The routes of the three origins. Each serves its own only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

import httpx2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, compile_path

from . import (
    developer_endpoints,
    message_endpoints,
    oauth_endpoints,
    phone_endpoints,
    profile_endpoints,
    sign_in_endpoints,
)
from .database import Database
from .hosted import hosted_script, hosted_sign_in, hosted_step, minted_sign_in
from .http_messages import ApiError, ApiRequest, in_snake_case, json_response
from .sign_in_steps import advance
from .values import Completion, Origin

Endpoint = Callable[[Database, ApiRequest], Response | dict[str, Any]]
"""Returns the body of its JSON response, with camelCase names where Configure sends both spellings; or a response."""

COMPLETION_SECONDS = 10.0

_SIGN_IN = "/v1/auth/sign-in"

_FOR_BROWSERS: Final[Mapping[str, Endpoint]] = {
    "/v1/auth/otp/start": phone_endpoints.start,
    "/v1/auth/otp/verify": phone_endpoints.verify,
    "/v1/embed/approve": phone_endpoints.approve,
}
"""Endpoints whose responses, errors included, pages of any origin can read (CORS)."""

API: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "/oauth/authorize", oauth_endpoints.authorize),
    ("POST", "/oauth/authorize", advance),
    ("POST", "/oauth/token", oauth_endpoints.token),
    ("POST", "/oauth/introspect", oauth_endpoints.introspect),
    ("POST", f"{_SIGN_IN}/exchange", sign_in_endpoints.exchange),
    ("POST", f"{_SIGN_IN}/validate", sign_in_endpoints.validate),
    ("POST", f"{_SIGN_IN}/recognize-phone", sign_in_endpoints.recognize_phone),
    ("POST", f"{_SIGN_IN}/return-destinations", sign_in_endpoints.add_return_destination),
    ("GET", f"{_SIGN_IN}/return-destinations", sign_in_endpoints.list_return_destinations),
    ("DELETE", f"{_SIGN_IN}/return-destinations", sign_in_endpoints.remove_return_destination),
    ("POST", f"{_SIGN_IN}/message-lines", message_endpoints.add_line),
    ("GET", f"{_SIGN_IN}/message-lines", message_endpoints.list_lines),
    ("DELETE", f"{_SIGN_IN}/message-lines", message_endpoints.revoke_line),
    ("POST", f"{_SIGN_IN}/message-url", message_endpoints.message_url),
    *(("POST", path, endpoint) for path, endpoint in _FOR_BROWSERS.items()),
    *(("OPTIONS", path, phone_endpoints.preflight) for path in _FOR_BROWSERS),
    ("GET", "/v1/profile", profile_endpoints.read),
    ("GET", "/v1/profile/search", profile_endpoints.search),
    ("POST", "/v1/profile/remember", profile_endpoints.remember),
    ("POST", "/v1/profile/forget", profile_endpoints.forget),
    ("POST", "/v1/profile/commit", profile_endpoints.commit),
    ("POST", "/v1/profile/connect", message_endpoints.connect),
    ("GET", "/v1/developer/oauth/clients", developer_endpoints.list_clients),
    ("PATCH", "/v1/developer/oauth/clients/{client_id}", developer_endpoints.update_client),
)
ACCOUNTS: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "/oauth/authorize", oauth_endpoints.authorize),
    ("POST", "/oauth/authorize", advance),
)
SIGN_IN: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "/js/configure.js", hosted_script),
    ("GET", "/{agent}", hosted_sign_in),
    ("POST", "/{agent}", hosted_step),
    ("GET", "/{agent}/reconnect", hosted_sign_in),
    ("POST", "/{agent}/reconnect", hosted_step),
    ("GET", "/{agent}/{code}", minted_sign_in),
    ("POST", "/{agent}/{code}", hosted_step),
)
TABLES: Final[Mapping[Origin, tuple[tuple[str, str, Endpoint], ...]]] = {
    "api": API,
    "accounts": ACCOUNTS,
    "sign-in": SIGN_IN,
}
_PATTERNS: Final = {path: compile_path(path)[0] for table in TABLES.values() for _, path, _ in table}


def served_at(origin: Origin, path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Return the methods of one path, in the order in which they are tried, with the parts that its template names."""
    for method, template, _ in TABLES[origin]:
        if found := _PATTERNS[template].fullmatch(path):
            yield method, found.groupdict()


def application(db: Database, origin: Origin) -> Starlette:
    """Return the ASGI application of one origin."""

    async def not_served(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        if status == 405:
            return ApiError(405, "invalid_request_error", "method_not_allowed", "no such method here").response()
        return ApiError(404, "invalid_request_error", "not_found", "this origin has no such path").response()

    app = Starlette(
        routes=[Route(path, _served(db, origin, endpoint), methods=[m]) for m, path, endpoint in TABLES[origin]],
        exception_handlers={404: not_served, 405: not_served},
    )
    # A client that doubles or adds a slash must see that it did.
    app.router.redirect_slashes = False
    return app


def _served(db: Database, origin: Origin, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        incoming = ApiRequest(
            origin=origin,
            path=request.url.path,
            path_params=request.path_params,
            query=tuple(request.query_params.multi_items()),
            headers=request.headers,
            cookies=request.cookies,
            body=await request.body(),
        )
        with db.lock:
            try:
                response = endpoint(db, incoming)
                if isinstance(response, dict):
                    response = json_response(in_snake_case(response) if db.variants.casing == "snake" else response)
            except ApiError as error:
                response = error.response(flat=db.variants.error_shape == "flat")
            outbox, db.outbox = db.outbox, []
        if incoming.path in _FOR_BROWSERS:
            response.headers["Access-Control-Allow-Origin"] = "*"
        for completion in outbox:
            await _deliver(db, completion)
        return response

    return serve


async def _deliver(db: Database, completion: Completion) -> None:
    """Post a completion, once: whether Configure retries is unknown."""
    status: int | None = None
    error: str | None = None
    try:
        async with httpx2.AsyncClient(timeout=COMPLETION_SECONDS, trust_env=False) as client:
            status = (await client.post(completion.url, json=dict(completion.body))).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as failure:
        error = repr(failure)
    with db.lock:
        db.completions.append(Completion(completion.url, completion.body, status, error))
