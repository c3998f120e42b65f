"""The developer's OAuth clients: list and update."""

from __future__ import annotations

from starlette.responses import Response

from .authentication import agent_of_key
from .database import Database, RegisteredClient
from .http_messages import ApiError, ApiRequest, invalid, json_response, missing
from .uris import redirect_uri_error


def list_clients(db: Database, incoming: ApiRequest) -> Response:
    agent = agent_of_key(db, incoming)
    return json_response({"clients": [_client_body(agent.client)] if agent.credentials.client_id else []})


def update_client(db: Database, incoming: ApiRequest) -> Response:
    """Add or remove redirect URIs; never replaces the list, never changes the id."""
    agent = agent_of_key(db, incoming)
    client = agent.client
    if incoming.path_params["client_id"] != client.credentials.client_id:
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
    before = list(client.redirect_uris)
    client.redirect_uris.extend(uri for uri in dict.fromkeys(added) if uri not in before)
    client.redirect_uris[:] = [uri for uri in client.redirect_uris if uri not in removed]
    return json_response({**_client_body(client), "changed": client.redirect_uris != before})


def _uris(value: object, name: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(uri, str) and len(uri) <= 2048 for uri in value):
        raise invalid(f"{name} must be a list of URLs", name)
    return value


def _client_body(client: RegisteredClient) -> dict[str, object]:
    return {
        "client_id": client.credentials.client_id,
        "client_name": client.name,
        "agent": client.credentials.agent,
        "redirect_uris": list(client.redirect_uris),
    }
