"""Authentication of API requests: the key, the agent and the subject."""

from __future__ import annotations

from collections.abc import Mapping

from .database import Agent, Database
from .http_messages import ApiError, ApiRequest, forbidden, invalid, missing, unauthenticated
from .issuer import AuthorizationCode, ReturnCode, Token
from .profiles import ProfileOwner


def agent_of_key(db: Database, incoming: ApiRequest, *, publishable: bool = False) -> Agent:
    """Return the agent of `X-API-Key`, which may be `publishable` where browsers call too.

    Anywhere else a publishable key is refused with 403; anything unknown with 401.
    """
    keys = incoming.headers.getlist("x-api-key")
    if not keys or not keys[0].strip():
        raise unauthenticated("api_key_missing", "X-API-Key is required")
    if len(keys) > 1:
        raise invalid("X-API-Key is repeated", "X-API-Key")
    if keys[0].startswith("pk_") and not publishable:
        raise forbidden("secret_key_required", "a publishable key can't be used here; use the secret key")
    for agent in db.agents.values():
        if keys[0] in {agent.credentials.api_key, agent.credentials.publishable_key}:
            return agent
    raise unauthenticated("api_key_invalid", "the API key is not valid")


def acting_agent(db: Database, incoming: ApiRequest) -> Agent:
    """Return the agent of the key, which `X-Agent` must name."""
    agent = agent_of_key(db, incoming)
    named = incoming.headers.getlist("x-agent")
    if not named or not named[0]:
        raise missing("X-Agent")
    if named != [agent.handle]:
        raise forbidden("agent_forbidden", "the API key does not belong to the agent in X-Agent")
    return agent


def bearer(incoming: ApiRequest) -> str | None:
    """Return the bearer token of a request, None without one. Raises ApiError for another scheme."""
    values = incoming.headers.getlist("authorization")
    if not values:
        return None
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token or token != token.strip():
        raise unauthenticated("token_invalid", "Authorization must be one bearer token", "reauthenticate")
    return token


def live_token(db: Database, token: str) -> Token:
    """Return a valid agent or OAuth access token. Raises ApiError for any other."""
    found = db.issuer.live(token, "agent", "access")
    if found is not None:
        return found
    known = db.issuer.tokens.get(token)
    if known is not None and known.kind in {"agent", "access"} and not known.revoked:
        raise unauthenticated("token_expired", "the token has expired", "reauthenticate")
    raise unauthenticated("token_invalid", "the token is not valid", "reauthenticate")


def agent_of_token(db: Database, issued: Token | AuthorizationCode | ReturnCode) -> str | None:
    """Return the agent that a token or code was issued for."""
    if (agent := getattr(issued, "agent", None)) is not None:
        return str(agent)
    agent = db.agent_of_client(getattr(issued, "client_id", None) or "")
    return agent.handle if agent is not None else None


def subject_of(db: Database, incoming: ApiRequest, fields: Mapping[str, object], scope: str) -> ProfileOwner:
    """Return the subject of a profile request. Raises ApiError where the caller isn't allowed to name it.

    Exactly one of a bearer token and `X-User-Id`; a `user_id` beside them must name the same subject. `X-Agent` may
    be left out beside an OAuth token only, as Configure's own `verify` does. Strict where nothing is documented:
    `user_id` alone is not enough, and an OAuth client of another agent is refused.
    """
    agent = agent_of_key(db, incoming)
    token = bearer(incoming)
    oauth = token is not None and db.issuer.live(token, "access") is not None
    if not oauth or incoming.headers.getlist("x-agent"):
        agent = acting_agent(db, incoming)
    ids = incoming.headers.getlist("x-user-id")
    if token is not None and ids:
        raise invalid("send a bearer token or X-User-Id, not both", "X-User-Id", "subject_conflict")
    if token is None and not ids:
        raise invalid("a bearer token or X-User-Id is required", "X-User-Id", "subject_missing")
    if token is None:
        if len(ids) > 1 or not ids[0].strip() or len(ids[0]) > 512:
            raise invalid("X-User-Id must be one id of up to 512 characters", "X-User-Id")
        user_id = db.connected_ids.get((agent.handle, ids[0])) if db.variants.connect_links_external_id else None
        subject = ProfileOwner(agent.handle, user_id, None if user_id else ids[0])
        own_id: str | None = ids[0]
    else:
        found = live_token(db, token)
        if agent_of_token(db, found) != agent.handle:
            raise forbidden("agent_mismatch", "the token was issued for another agent")
        if scope not in found.scopes:
            raise ApiError(
                403,
                "permission_error",
                "insufficient_scope",
                f"the token does not have the scope {scope}",
                suggested_action="check_permissions",
            )
        subject = ProfileOwner(agent.handle, found.user_id, None)
        own_id = found.user_id
    if fields.get("user_id") not in {None, own_id}:
        raise invalid("user_id is not the subject of this call", "user_id", "subject_conflict")
    return subject
