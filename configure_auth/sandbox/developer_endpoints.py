"""The developer's OAuth clients: list and update."""

from __future__ import annotations

from typing import Any

from .authentication import agent_of_key
from .database import Agent, Database
from .http_messages import ApiError, ApiRequest, invalid, missing
from .uris import redirect_uri_error


def list_clients(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    agent = agent_of_key(db, incoming)
    return {"clients": [_client_body(agent)] if agent.credentials.client_id else []}


def update_client(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    """Add or remove redirect URIs; never replaces the list, never changes the id."""
    agent = agent_of_key(db, incoming)
    if incoming.path_params["client_id"] != agent.credentials.client_id:
        raise ApiError(404, "invalid_request_error", "client_not_found", "there is no such OAuth client")
    body = incoming.json()
    added = _uris(body.get("add_redirect_uris"), "add_redirect_uris")
    removed = _uris(body.get("remove_redirect_uris"), "remove_redirect_uris")
    if not added and not removed:
        raise missing("add_redirect_uris")
    if added and removed:
        raise invalid("add and remove in two requests", "remove_redirect_uris")
    for uri in added:
        if fault := redirect_uri_error(uri):
            raise invalid(fault, "add_redirect_uris", "invalid_redirect_uri")
    before = agent.redirect_uris
    kept = dict.fromkeys([*before, *added])
    agent.redirect_uris = [uri for uri in kept if uri not in removed]
    return {**_client_body(agent), "changed": agent.redirect_uris != before}


def _uris(value: object, name: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(uri, str) and len(uri) <= 2048 for uri in value):
        raise invalid(f"{name} must be a list of URLs", name)
    return value


def _client_body(agent: Agent) -> dict[str, Any]:
    return {
        "client_id": agent.credentials.client_id,
        "client_name": agent.name,
        "agent": agent.handle,
        "redirect_uris": list(agent.redirect_uris),
    }
