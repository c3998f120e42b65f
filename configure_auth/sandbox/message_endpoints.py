"""Message lines, and sign-in links for message agents."""

from __future__ import annotations

import secrets
from typing import Any, Final
from urllib.parse import quote, urlencode

from .authentication import acting_agent, subject_of
from .database import Agent, Database, MintedLink
from .http_messages import ApiRequest, invalid, missing, optional_text, phone_field, text_field
from .phones import canonical_phone
from .sign_in_endpoints import timestamp
from .uris import is_web_address
from .values import CONNECTORS
from .variants import OWN

LINK_SECONDS: Final = 600.0
REASONS: Final = ("signin", "reconnect", "permissions")


def add_line(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    """Register a phone that the agent writes from. Idempotent; a revoked one becomes active again."""
    agent = acting_agent(db, incoming)
    body = incoming.json()
    key = _line_key(body)
    metadata = body.get("metadata", {})
    if not isinstance(metadata, dict) or _names_a_phone(metadata):
        raise invalid("metadata must be an object without phone numbers", "metadata")
    known = agent.message_lines.get(key)
    channel, phone = key
    line = {
        "id": known["id"] if known else f"line_{secrets.token_hex(8)}",
        "channel": channel,
        "phoneLast4": phone[-4:],
        "label": optional_text(body, "label", limit=200),
        "status": "active",
        "metadata": metadata,
        "createdAt": timestamp(db.now()),
        "updatedAt": timestamp(db.now()),
    }
    agent.message_lines[key] = line
    return {"line": line}


def list_lines(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    return {"lines": _active(acting_agent(db, incoming))}


def revoke_line(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    agent = acting_agent(db, incoming)
    line = agent.message_lines.get(_line_key(incoming.json()))
    deleted = line is not None and line["status"] == "active"
    if line is not None:
        line["status"] = "revoked"
    return {"deleted": deleted, "lines": _active(agent)}


def message_url(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    """Return a sign-in link for the sender of a message: plain, as Configure is said to do always, or minted."""
    agent = acting_agent(db, incoming)
    body = incoming.json()
    reason = text_field(body, "reason")
    if reason not in REASONS:
        raise invalid(f"reason must be one of {', '.join(REASONS)}", "reason")
    text_field(body, "channel")
    subject = body.get("subject")
    if not isinstance(subject, dict):
        raise missing("subject")
    text_field(subject, "key")
    text_field(subject, "externalId")
    if body.get("returnMode") != "message":
        raise invalid("returnMode must be message", "returnMode")
    query = _link_query(agent, body)
    shown_reason = reason if db.variants.message_url_reason == OWN else db.variants.message_url_reason
    idempotency_key = optional_text(body, "idempotencyKey")
    path = f"{quote(agent.handle, safe='')}{'/reconnect' if reason == 'reconnect' else ''}"
    mode = db.variants.message_url_mode
    body = {"mode": mode, "reason": shown_reason, "idempotencyKey": idempotency_key}
    if mode == "plain":
        body["url"] = f"{db.urls.sign_in}/{path}?{urlencode(query, quote_via=quote)}"
        body["fallbackReason"] = "sender_proof_missing"
    else:
        code = _minted_code(db, agent, query, reason, idempotency_key)
        body |= {"url": _minted_url(db, agent, code), "code": code}
        body["expiresAt"] = timestamp(db.minted[code].expires_at)
    return body


def connect(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    """Return a link with which the subject of the request signs in, or connects an app.

    Guesses: a subject that is linked already gets a link to connect `app`, or without one to change its permissions;
    the sign-in ends at `return_url` with nothing added; the link lasts as long as one of `message-url`.
    """
    body = incoming.json()
    subject = subject_of(db, incoming, body, "profile.read")
    agent = db.agents[subject.agent]
    app = optional_text(body, "app", limit=64)
    if app is not None and app not in CONNECTORS:
        raise invalid(f"app must be one of {', '.join(CONNECTORS)}", "app")
    for name in ("capability", "purpose", "client", "client_name"):
        optional_text(body, name, limit=200)
    return_url = optional_text(body, "return_url", limit=2048)
    if return_url is not None and not is_web_address(return_url):
        raise invalid("return_url must be https, or http on localhost", "return_url")
    status, reason = ("connect_app", "reconnect") if app else ("permission_needed", "permissions")
    if not subject.linked:
        status, reason = "authorization_required", "signin"
    query = (("connectors", app),) if app else ()
    link = MintedLink(
        agent.handle, query, reason, db.now() + LINK_SECONDS, external_id=subject.external_id, return_url=return_url
    )
    code = _keep(db, link)
    return {
        "status": status,
        "connect_url": _minted_url(db, agent, code),
        "expires_at": timestamp(link.expires_at),
        "instructions": "Send connect_url to the user.",
    }


def _link_query(agent: Agent, body: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    line = optional_text(body, "messageLinePhone")
    phone = canonical_phone(line) if line is not None else None
    registered = [key[1] for key, one in agent.message_lines.items() if one["status"] == "active"]
    if line is not None and phone not in registered:
        raise invalid("messageLinePhone is not a registered line", "messageLinePhone", "message_line_not_registered")
    complete_url = optional_text(body, "messageCompleteUrl")
    if complete_url is not None and not is_web_address(complete_url):
        raise invalid("messageCompleteUrl must be https, or http on localhost", "messageCompleteUrl")
    connectors = body.get("connectors") or []
    if not isinstance(connectors, list) or not set(connectors) <= set(CONNECTORS):
        raise invalid("connectors has one that is not known", "connectors")
    pairs = {
        "journey": optional_text(body, "journeyId"),
        "agent_name": optional_text(body, "displayName"),
        "agent_logo": optional_text(body, "agentLogo"),
        "delivery": "message",
        "message_line_phone": phone,
        # Shown only beside a line that was accepted.
        "message_body": optional_text(body, "messageBody") if phone is not None else None,
        "message_complete_url": complete_url,
        "connectors": ",".join(connectors),
        "theme": optional_text(body, "theme"),
    }
    return tuple((name, value) for name, value in pairs.items() if value)


def _minted_code(
    db: Database, agent: Agent, query: tuple[tuple[str, str], ...], reason: str, idempotency_key: str | None
) -> str:
    if idempotency_key is not None:
        earlier = db.minted_for.get((agent.handle, idempotency_key))
        if earlier is not None and db.now() < db.minted[earlier].expires_at:
            return earlier
    code = _keep(db, MintedLink(agent.handle, query, reason, db.now() + LINK_SECONDS))
    if idempotency_key is not None:
        db.minted_for[agent.handle, idempotency_key] = code
    return code


def _keep(db: Database, link: MintedLink) -> str:
    code = secrets.token_urlsafe(16)
    db.minted[code] = link
    return code


def _minted_url(db: Database, agent: Agent, code: str) -> str:
    return f"{db.urls.sign_in}/{quote(agent.handle, safe='')}/{code}"


def _line_key(body: dict[str, Any]) -> tuple[str, str]:
    return (optional_text(body, "channel", limit=64) or "imessage").lower(), phone_field(body)


def _active(agent: Agent) -> list[dict[str, Any]]:
    return [line for line in agent.message_lines.values() if line["status"] == "active"]


def _names_a_phone(value: object) -> bool:
    if isinstance(value, dict):
        return any("phone" in str(name).lower() or _names_a_phone(item) for name, item in value.items())
    if isinstance(value, list):
        return any(map(_names_a_phone, value))
    return isinstance(value, str) and value.startswith("+") and canonical_phone(value) is not None
