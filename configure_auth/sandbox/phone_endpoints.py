"""One-time passwords by phone, and the embedded page's approval."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from .authentication import agent_of_key, bearer
from .database import Database
from .http_messages import ApiError, ApiRequest, forbidden, optional_text, phone_field, text_field, unauthenticated
from .interactions import RIGHT_CODE
from .issuer import Grant
from .profiles import ProfileOwner
from .values import SCOPES


def start(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    """Pretend to send a code."""
    agent_of_key(db, incoming, publishable=True)
    phone_field(incoming.json())
    return {"ok": True, "mocked": True}


def verify(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    """Return the raw user token for the right code. It proves the phone and approves no agent.

    What was kept under an `external_id` moves to the person, once and one way, as the older documents promise.
    """
    agent = agent_of_key(db, incoming, publishable=True)
    body = incoming.json()
    phone = phone_field(body)
    if body.get("agent") not in {None, "", agent.handle}:
        raise forbidden("agent_forbidden", "the API key does not belong to this agent")
    if text_field(body, "code") != RIGHT_CODE:
        raise unauthenticated("invalid_code", "the code is wrong")
    person = db.people.sign_up(phone)
    external_id = optional_text(body, "external_id", limit=512)
    if external_id is not None:
        unlinked = ProfileOwner(agent.handle, None, external_id)
        db.profiles.merge(unlinked, ProfileOwner(agent.handle, person.user_id, None))
    return {"token": db.issuer.issue_user_token(person.user_id).token, "user_id": person.user_id}


def approve(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    """Exchange a user token for an agent token, as the embedded page does after the person agreed."""
    token = bearer(incoming)
    found = db.issuer.live(token, "user") if token is not None else None
    if found is None:
        raise unauthenticated("token_invalid", "a user token is required", "reauthenticate")
    agent = db.agents.get(text_field(incoming.json(), "agent"))
    if agent is None:
        raise ApiError(404, "invalid_request_error", "agent_not_found", "there is no such agent", param="agent")
    db.issuer.grants.append(Grant("agent", found.user_id, agent.handle, SCOPES, (), db.now()))
    issued = db.issuer.issue_agent_token(found.user_id, agent.handle, SCOPES)
    return {"token": issued.token, "userId": found.user_id}


def preflight(db: Database, incoming: ApiRequest) -> Response:
    """Allow pages of any origin to call the endpoints of this module, without its cookies. A guess."""
    headers = {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "authorization, content-type, x-api-key",
        "Access-Control-Max-Age": "0",
    }
    return Response(status_code=204, headers=headers)
