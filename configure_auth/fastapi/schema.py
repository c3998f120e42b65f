"""What OpenAPI says of our routes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from ..values import Kind


class ConfigureStart(BaseModel):
    """The page at Configure that the browser goes to."""

    url: str


class ConfigureFinish(BaseModel):
    """The page of the app to go on to; null while another request is finishing the same sign-in (202)."""

    next: str | None


class ConfigureConnection(BaseModel):
    kind: Kind
    configure_user_id: str
    scopes: list[str]
    linked_at: datetime
    needs_reconnect: bool


class ConfigureStatus(BaseModel):
    connected: bool
    accounts: list[ConfigureConnection]


class ConfigureDisconnect(BaseModel):
    """Whether there was a connection."""

    disconnected: bool


class ConfigureSession(BaseModel):
    connected: bool
    next: str


class ConfigureProblem(BaseModel):
    """A code of the package's documentation, and a sentence for the user."""

    error: str
    message: str


def _parameter(name: str, description: str, required: bool = False) -> dict[str, Any]:
    place = {"name": name, "in": "query", "required": required, "schema": {"type": "string"}}
    return {**place, "description": description}


_START = {
    "openapi_extra": {
        "parameters": [
            _parameter("next", "The page of the app to come back to."),
            _parameter("replace", '"1" replaces the Configure user that is connected.'),
        ]
    }
}
_HANDLE = _parameter("configure_finish", "From the address of the page that the callback led to.", required=True)
_BODY = {"type": "object", "properties": {"token": {"type": "string"}, "externalId": {"type": "string"}}}

_SHOWN: dict[tuple[str, str], dict[str, Any]] = {
    ("sign_in", "GET"): {
        "summary": "Go to Configure (a link)",
        "status_code": 303,
        "response_class": RedirectResponse,
        **_START,
    },
    ("sign_in", "POST"): {"summary": "Start (a script)", "response_model": ConfigureStart, **_START},
    ("finish", "POST"): {
        "summary": "Finish a link that a bearer token started",
        "response_model": ConfigureFinish,
        "openapi_extra": {"parameters": [_HANDLE]},
    },
    ("token", "POST"): {"summary": "The app's token, soon after a login", "response_model": dict[str, Any]},
    ("status", "GET"): {"summary": "The user's connections", "response_model": ConfigureStatus},
    ("disconnect", "POST"): {"summary": "Disconnect", "response_model": ConfigureDisconnect},
    ("session", "POST"): {
        "summary": "Connect by the token of Configure's element",
        "response_model": ConfigureSession,
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {**_BODY, "required": ["token"]}}},
            }
        },
    },
    ("claim", "POST"): {"summary": "Claim an agent"},
    ("profile", "GET"): {"summary": "A user's public profile"},
}
"""Routes that clients of the API call, by endpoint and method; others are called by browsers or by Configure."""

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": ConfigureProblem, "description": "Cancelled, expired, or malformed"},
    401: {"model": ConfigureProblem, "description": "No user is signed in"},
    403: {"model": ConfigureProblem, "description": "From another site, or refused"},
    409: {"model": ConfigureProblem, "description": "The account belongs to another user, or one is connected already"},
    503: {"model": ConfigureProblem, "description": "Configure, or the store, is unavailable"},
}


def describe(endpoint: str, method: str) -> dict[str, Any]:
    """Return the arguments of `add_api_route` by which OpenAPI has a route, or leaves it out."""
    shown = _SHOWN.get((endpoint, method))
    if shown is None:
        return {"include_in_schema": False, "response_model": None}
    return {"response_model": None, "responses": _PROBLEMS, **shown}
