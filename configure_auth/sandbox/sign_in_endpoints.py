"""Endpoints of the hosted sign-in: exchange, validate, recognize-phone, return destinations."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.responses import Response

from .authentication import acting_agent, agent_of_token
from .database import Database
from .http_messages import ApiRequest, invalid, json_response, missing, text_field
from .phones import canonical_phone
from .uris import read_return_destination
from .values import SCOPES
from .variants import OWN

MAX_CANDIDATES = 20


def field_name(db: Database, name: str) -> str:
    """Return a camelCase field's name in the casing of the variants."""
    if db.variants.casing == "camel":
        return name
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def exchange(db: Database, incoming: ApiRequest) -> Response:
    """Exchange a return code for an agent token, once."""
    agent = acting_agent(db, incoming)
    code = db.issuer.spend_return_code(text_field(incoming.json(), "code"), agent.handle)
    if code is None:
        # One error for unknown, foreign, used and expired codes: Configure's are not documented.
        raise invalid("the code is not valid, was already used or has expired", "code", "invalid_code")
    token = db.issuer.issue_agent_token(code.user_id, agent.handle, SCOPES)
    variants = db.variants
    return json_response(
        {
            "token": token.token,
            field_name(db, "userId"): code.user_id if variants.exchange_user_id == OWN else variants.exchange_user_id,
            field_name(db, "tokenUse"): variants.exchange_token_use,
            "approved": variants.exchange_approved,
            "agent": agent.handle if variants.exchange_agent == OWN else variants.exchange_agent,
        }
    )


def validate(db: Database, incoming: ApiRequest) -> Response:
    """Return whether a token is an agent token for the acting agent.

    Guesses: an OAuth token isn't one; the raw token of a one-time password is a valid token of another use.
    """
    agent = acting_agent(db, incoming)
    text = text_field(incoming.json(), "token")
    variants = db.variants
    found = db.issuer.live(text, "agent", "user", "access")
    user_id = field_name(db, "userId")
    token_use = field_name(db, "tokenUse")
    if found is not None and found.kind == "user":
        return json_response({"valid": True, user_id: found.user_id, token_use: "user", "approved": False})
    if found is None or agent_of_token(db, found) != agent.handle:
        return json_response({"valid": False})
    if found.kind == "access" and not variants.validate_takes_oauth_tokens:
        return json_response({"valid": False})
    return json_response(
        {
            "valid": variants.validate_valid,
            user_id: found.user_id if variants.validate_user_id == OWN else variants.validate_user_id,
            token_use: variants.validate_token_use,
            "approved": variants.validate_approved,
            "agent": agent.handle if variants.validate_agent == OWN else variants.validate_agent,
        }
    )


def recognize_phone(db: Database, incoming: ApiRequest) -> Response:
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
    body: dict[str, object] = {
        "matched": person is not None,
        "recognized": person is not None,
        "approved": approved,
        "linked": approved,
        "agent": agent.handle,
        field_name(db, "phoneCandidateCount"): len(phones),
    }
    if person is not None and approved:
        body["token"] = db.issuer.issue_agent_token(person.user_id, agent.handle, SCOPES).token
        body[field_name(db, "userId")] = person.user_id
        body[field_name(db, "displayName")] = person.name
    return json_response(body)


def add_return_destination(db: Database, incoming: ApiRequest) -> Response:
    agent = acting_agent(db, incoming)
    destination = _destination(incoming)
    created_at = agent.return_destinations.setdefault(destination, db.now())
    return json_response({"destination": destination, "created_at": timestamp(created_at)})


def list_return_destinations(db: Database, incoming: ApiRequest) -> Response:
    agent = acting_agent(db, incoming)
    listed = [{"destination": d, "created_at": timestamp(at)} for d, at in agent.return_destinations.items()]
    return json_response({"destinations": listed})


def remove_return_destination(db: Database, incoming: ApiRequest) -> Response:
    agent = acting_agent(db, incoming)
    destination = _destination(incoming)
    deleted = agent.return_destinations.pop(destination, None) is not None
    return json_response({"destination": destination, "deleted": deleted})


def _destination(incoming: ApiRequest) -> str:
    destination = read_return_destination(text_field(incoming.json(), "return_to"))
    if destination is None:
        raise invalid(
            "return_to must be https, http on localhost, or a native app's link",
            "return_to",
            "invalid_return_destination",
        )
    return destination
