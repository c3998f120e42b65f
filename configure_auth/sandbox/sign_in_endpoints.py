"""The server's side of the hosted sign-in: exchange, validate, recognize-phone, return destinations."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.responses import Response

from .callers import acting_agent, agent_of_token
from .directory import canonical_phone
from .uris import read_return_destination
from .values import SCOPES
from .variants import OWN
from .wire import Incoming, answer, invalid, missing, text_field
from .world import World

MAX_CANDIDATES = 20


def spelled(world: World, name: str) -> str:
    """A camelCase field as the sandbox spells it now."""
    if world.variants.casing == "camel":
        return name
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def exchange(world: World, incoming: Incoming) -> Response:
    """Gives an agent token for a return code, once."""
    agent = acting_agent(world, incoming)
    code = world.ledger.spend_return_code(text_field(incoming.json(), "code"), agent.handle)
    if code is None:
        # One code for unknown, foreign, used and expired: what the service says is unknown, so it says the least.
        raise invalid("the code is not valid, was already used or has expired", "code", "invalid_code")
    token = world.ledger.issue_agent_token(code.user_id, agent.handle, SCOPES)
    variants = world.variants
    return answer(
        {
            "token": token.token,
            spelled(world, "userId"): code.user_id if variants.exchange_user_id == OWN else variants.exchange_user_id,
            spelled(world, "tokenUse"): variants.exchange_token_use,
            "approved": variants.exchange_approved,
            "agent": agent.handle if variants.exchange_agent == OWN else variants.exchange_agent,
        }
    )


def validate(world: World, incoming: Incoming) -> Response:
    """Tells whether a token is an agent token for the acting agent.

    Guesses: an OAuth token isn't one; the raw token of a one-time password is a valid token of another use.
    """
    agent = acting_agent(world, incoming)
    text = text_field(incoming.json(), "token")
    variants = world.variants
    found = world.ledger.live(text, "agent", "user", "access")
    user_id = spelled(world, "userId")
    token_use = spelled(world, "tokenUse")
    if found is not None and found.kind == "user":
        return answer({"valid": True, user_id: found.user_id, token_use: "user", "approved": False})
    if found is None or agent_of_token(world, found) != agent.handle:
        return answer({"valid": False})
    if found.kind == "access" and not variants.validate_takes_oauth_tokens:
        return answer({"valid": False})
    return answer(
        {
            "valid": variants.validate_valid,
            user_id: found.user_id if variants.validate_user_id == OWN else variants.validate_user_id,
            token_use: variants.validate_token_use,
            "approved": variants.validate_approved,
            "agent": agent.handle if variants.validate_agent == OWN else variants.validate_agent,
        }
    )


def recognize_phone(world: World, incoming: Incoming) -> Response:
    """Looks for a person among phone-like candidates.

    Recognised is not approved: a token, a user id and a name come only when this person approved this agent. Strict:
    candidates that name two people recognise nobody.
    """
    agent = acting_agent(world, incoming)
    candidates = incoming.json().get("candidates")
    if not isinstance(candidates, list) or not candidates:
        raise missing("candidates")
    if len(candidates) > MAX_CANDIDATES or not all(isinstance(c, str) and len(c) <= 256 for c in candidates):
        raise invalid(f"candidates must be up to {MAX_CANDIDATES} strings", "candidates")
    phones = [phone for c in candidates if (phone := canonical_phone(c)) is not None]
    people = {p.user_id: p for phone in phones if (p := world.directory.with_phone(phone)) is not None}
    person = next(iter(people.values())) if len(people) == 1 else None
    approved = person is not None and world.ledger.approved(person.user_id, agent.handle)
    body: dict[str, object] = {
        "matched": person is not None,
        "recognized": person is not None,
        "approved": approved,
        "linked": approved,
        "agent": agent.handle,
        spelled(world, "phoneCandidateCount"): len(phones),
    }
    if person is not None and approved:
        body["token"] = world.ledger.issue_agent_token(person.user_id, agent.handle, SCOPES).token
        body[spelled(world, "userId")] = person.user_id
        body[spelled(world, "displayName")] = person.name
    return answer(body)


def add_return_destination(world: World, incoming: Incoming) -> Response:
    agent = acting_agent(world, incoming)
    destination = _destination(incoming)
    created_at = agent.return_destinations.setdefault(destination, world.now())
    return answer({"destination": destination, "created_at": timestamp(created_at)})


def list_return_destinations(world: World, incoming: Incoming) -> Response:
    agent = acting_agent(world, incoming)
    listed = [{"destination": d, "created_at": timestamp(at)} for d, at in agent.return_destinations.items()]
    return answer({"destinations": listed})


def remove_return_destination(world: World, incoming: Incoming) -> Response:
    agent = acting_agent(world, incoming)
    destination = _destination(incoming)
    deleted = agent.return_destinations.pop(destination, None) is not None
    return answer({"destination": destination, "deleted": deleted})


def _destination(incoming: Incoming) -> str:
    destination = read_return_destination(text_field(incoming.json(), "return_to"))
    if destination is None:
        raise invalid(
            "return_to must be https, http on localhost, or a native app's link",
            "return_to",
            "invalid_return_destination",
        )
    return destination
