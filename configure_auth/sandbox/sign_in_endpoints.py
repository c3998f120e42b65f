"""Endpoints of the hosted sign-in: exchange, validate, recognize-phone, return destinations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .authentication import acting_agent, agent_of_token
from .database import Database
from .http_messages import ApiRequest, invalid, missing, text_field
from .phones import canonical_phone
from .uris import read_return_destination
from .values import SCOPES
from .variants import OWN

MAX_CANDIDATES = 20


def timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def exchange(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    """Exchange a return code for an agent token, once."""
    agent = acting_agent(db, incoming)
    code = db.issuer.spend_return_code(text_field(incoming.json(), "code"), agent.handle)
    if code is None:
        # One error for unknown, foreign, used and expired codes: Configure's are not documented.
        raise invalid("the code is not valid, was already used or has expired", "code", "invalid_code")
    token = db.issuer.issue_agent_token(code.user_id, agent.handle, SCOPES)
    variants = db.variants
    return {
        "token": token.token,
        "userId": code.user_id if variants.exchange_user_id == OWN else variants.exchange_user_id,
        "tokenUse": variants.exchange_token_use,
        "approved": variants.exchange_approved,
        "agent": agent.handle if variants.exchange_agent == OWN else variants.exchange_agent,
    }


def validate(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    """Return whether a token is an agent token for the acting agent.

    Guesses: an OAuth token isn't one; the raw token of a one-time password is a valid token of another use.
    """
    agent = acting_agent(db, incoming)
    text = text_field(incoming.json(), "token")
    variants = db.variants
    found = db.issuer.live(text, "agent", "user", "access")
    if found is not None and found.kind == "user":
        return {"valid": True, "userId": found.user_id, "tokenUse": "user", "approved": False}
    if found is None or agent_of_token(db, found) != agent.handle:
        return {"valid": False}
    if found.kind == "access" and not variants.validate_takes_oauth_tokens:
        return {"valid": False}
    return {
        "valid": variants.validate_valid,
        "userId": found.user_id if variants.validate_user_id == OWN else variants.validate_user_id,
        "tokenUse": variants.validate_token_use,
        "approved": variants.validate_approved,
        "agent": agent.handle if variants.validate_agent == OWN else variants.validate_agent,
    }


def recognize_phone(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    """Look for a person among phone-like candidates.

    Recognised is not approved: a token, a user id and a name come only when this person approved this agent. Strict:
    candidates that name two people recognise none of them.
    """
    agent = acting_agent(db, incoming)
    candidates = incoming.json().get("candidates")
    if not isinstance(candidates, list) or not candidates:
        raise missing("candidates")
    if len(candidates) > MAX_CANDIDATES or not all(isinstance(c, str) and len(c) <= 256 for c in candidates):
        raise invalid(f"candidates must be up to {MAX_CANDIDATES} strings", "candidates")
    phones = [phone for c in candidates if (phone := canonical_phone(c)) is not None]
    people = {p.user_id: p for phone in phones if (p := db.people.with_phone(phone)) is not None}
    person = next(iter(people.values())) if len(people) == 1 else None
    approved = person is not None and db.issuer.approved(person.user_id, agent.handle)
    body = {
        "matched": person is not None,
        "recognized": person is not None,
        "approved": approved,
        "linked": approved,
        "agent": agent.handle,
        "phoneCandidateCount": len(phones),
    }
    if person is not None and approved:
        body["token"] = db.issuer.issue_agent_token(person.user_id, agent.handle, SCOPES).token
        body["userId"] = person.user_id
        body["displayName"] = person.name
    return body


def add_return_destination(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    agent = acting_agent(db, incoming)
    destination = _destination(incoming)
    created_at = agent.return_destinations.setdefault(destination, db.now())
    return {"destination": destination, "created_at": timestamp(created_at)}


def list_return_destinations(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    agent = acting_agent(db, incoming)
    listed = [{"destination": d, "created_at": timestamp(at)} for d, at in agent.return_destinations.items()]
    return {"destinations": listed}


def remove_return_destination(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    agent = acting_agent(db, incoming)
    destination = _destination(incoming)
    deleted = agent.return_destinations.pop(destination, None) is not None
    return {"destination": destination, "deleted": deleted}


def _destination(incoming: ApiRequest) -> str:
    destination = read_return_destination(text_field(incoming.json(), "return_to"))
    if destination is None:
        raise invalid(
            "return_to must be https, http on localhost, or a native app's link",
            "return_to",
            "invalid_return_destination",
        )
    return destination
