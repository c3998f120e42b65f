"""The profile: read, search, remember, forget, commit."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from .authentication import bearer, subject_of
from .database import Database
from .http_messages import ApiError, ApiRequest, invalid, json_response, missing, optional_text, text_field
from .profiles import ProfileOwner, Read, SavedMemory
from .sign_in_endpoints import timestamp
from .values import Person

SECTIONS: Final = ("identity", "preferences", "integrations", "imports", "agents", "summary", "soul", "context")
KINDS: Final = ("context", "claim", "status", "finding", "decision", "question", "blocker")
_ID = re.compile(r"[!-~]{1,128}")


def read(db: Database, incoming: ApiRequest) -> Response:
    params = incoming.params
    subject = subject_of(db, incoming, params, "profile.read")
    sections = _sections(params.get("sections"))
    owed = _open_read(db, incoming, subject)
    user_id = (db.variants.profile_of or subject.user_id) if subject.linked else None
    person = db.people.get(user_id) if user_id is not None else None
    connected = {c for g in db.issuer.grants if g.user_id == subject.user_id for c in g.connectors}
    parts: dict[str, object] = {
        "identity": _identity(db, person),
        "preferences": list(person.preferences) if person else [],
        "integrations": {name: {"connected": True} for name in sorted(connected)},
        "imports": {},
        "agents": {},
        "summary": person.summary if person else None,
    }
    body: dict[str, object] = {name: part for name, part in parts.items() if name in sections}
    body |= {"linked": subject.linked, "portable": subject.linked, "filtered": False, "hidden_sources": []}
    if db.variants.profile_user_id is not None:
        body["user_id"] = db.variants.profile_user_id
    return json_response(body, headers=_read_headers(db, owed, subject))


def search(db: Database, incoming: ApiRequest) -> Response:
    """Search memories. Guess: a search owes a commit as a read does."""
    params = incoming.params
    subject = subject_of(db, incoming, params, "profile.search")
    limit_text = params.get("limit", "10")
    if not re.fullmatch(r"[0-9]{1,3}", limit_text) or not 1 <= int(limit_text) <= 100:
        raise invalid("limit must be 1 to 100", "limit")
    owed = _open_read(db, incoming, subject)
    hits = db.profiles.search(subject, params.get("query", "*"), int(limit_text))
    body: dict[str, object] = {"results": [_hit(memory) for memory in hits], "visible_sources": ["memories"]}
    if not hits:
        body["guidance"] = {"status": "no_matches", "message": "nothing matched"}
    return json_response(body, headers=_read_headers(db, owed, subject))


def remember(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    body = incoming.json()
    subject = subject_of(db, incoming, body, "profile.remember")
    fact = text_field(body, "fact", limit=1000)
    kind = optional_text(body, "kind")
    if kind is not None and kind not in KINDS:
        raise invalid(f"kind must be one of {', '.join(KINDS)}", "kind")
    memory = db.profiles.remember(subject, fact, kind)
    return {"saved": True, "app": subject.agent, "fact": fact, "memory": _hit(memory)}


def forget(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    """Delete memories. Strict: it needs profile.remember, and a match needs its confirm."""
    body = incoming.json()
    subject = subject_of(db, incoming, body, "profile.remember")
    ways = [name for name in ("id", "match", "import_id", "scope") if body.get(name) not in (None, "")]
    if len(ways) != 1:
        raise invalid("exactly one of id, match, import_id and scope is required", "id")
    if (reason := body.get("reason")) not in (None, "correction", "user_request"):
        raise invalid(f"reason {reason!r} is not known", "reason")
    wanted = text_field(body, ways[0], limit=1000)
    if ways[0] == "scope" and wanted not in {"imports", "saved", "all"}:
        raise invalid("scope must be imports, saved or all", "scope")
    if ways[0] == "match" and body.get("confirm") is not True:
        matching = db.profiles.search(subject, wanted, 100)
        return {"deleted": False, "matched": len(matching), "matches": [_hit(m) for m in matching]}

    def matches(memory: SavedMemory) -> bool:
        if ways[0] == "id":
            return memory.id == wanted
        if ways[0] == "match":
            return wanted.casefold() in memory.text.casefold()
        return ways[0] == "scope" and wanted in {"saved", "all"}

    gone = db.profiles.forget(subject, matches)
    if ways[0] == "id" and not gone:
        raise ApiError(404, "invalid_request_error", "memory_not_found", "there is no such memory", param="id")
    if ways[0] == "id":
        return {"deleted": True, "id": wanted, "source": "memories"}
    return {"deleted": bool(gone), "deleted_count": len(gone), "deleted_ids": [memory.id for memory in gone]}


def commit(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    body = incoming.json()
    subject = subject_of(db, incoming, body, "profile.commit")
    memories = _texts(body.get("memories"), "memories", 20, 1000)
    messages = _messages(body.get("messages"))
    if not memories and not messages and not body.get("toolResults"):
        raise missing("messages")
    if sum(map(len, memories + messages)) > 50_000:
        raise invalid("a commit holds at most 50000 characters", "messages")
    settled = db.profiles.commit(
        subject,
        read_id=_correlation(incoming, body, "read_id"),
        session_id=_correlation(incoming, body, "session_id"),
        runtime_scope_id=_correlation(incoming, body, "runtime_scope_id"),
        settles=db.variants.commit_settles,
    )
    written = [db.profiles.remember(subject, text) for text in memories]
    return {
        "status": "completed" if body.get("sync") is True else "processing",
        "facts_written": [],
        "memories_written": [
            {
                "id": memory.id,
                "path": f"/agents/{subject.agent}/{memory.id}",
                "source": "memories",
                "written_by": memory.agent,
                "created_at": timestamp(memory.saved_at),
            }
            for memory in written
        ],
        "obligations_committed": settled,
        "rejected_memories": [],
    }


def _sections(text: str | None) -> frozenset[str]:
    if text is None:
        return frozenset(SECTIONS)
    names = text.split(",")
    for name in names:
        if name not in SECTIONS:
            raise invalid(f"section {name!r} is not known", "sections")
    return frozenset(names)


def _correlation(incoming: ApiRequest, body: Mapping[str, object], name: str) -> str | None:
    header = f"x-configure-{name.replace('_', '-')}"
    values = incoming.headers.getlist(header)
    given = optional_text(body, name) or (values[0] if values else None)
    if len(values) > 1 or (given is not None and not _ID.fullmatch(given)):
        raise invalid(f"{header} must be one id", header)
    return given


def _open_read(db: Database, incoming: ApiRequest, subject: ProfileOwner) -> Read:
    session_id = _correlation(incoming, {}, "session_id") or _session_of(bearer(incoming))
    runtime_scope_id = _correlation(incoming, {}, "runtime_scope_id")
    owes = subject.linked and db.variants.read_owes_commit
    if owes and db.profiles.blocked(subject, session_id, runtime_scope_id, db.variants.scopes_blocking):
        raise ApiError(
            409,
            "permission_error",
            "commit_required",
            "an earlier read of this profile still owes a commit",
            suggested_action="commit_profile",
        )
    return db.profiles.read(subject, session_id, runtime_scope_id, owes=owes)


def _session_of(token: str | None) -> str | None:
    """Return the session of a request that names none: that of its token, because each sign-in reads again."""
    return None if token is None else f"session_{hashlib.sha256(token.encode()).hexdigest()[:32]}"


def _read_headers(db: Database, read: Read, subject: ProfileOwner) -> dict[str, str]:
    headers = {
        "X-Configure-Read-Id": read.read_id,
        "X-Configure-Session-Id": read.session_id,
        "X-Configure-Runtime-Scope-Id": read.runtime_scope_id,
    }
    if subject.linked and db.variants.read_owes_commit:
        headers["X-Configure-Commit-Required"] = "1"
    return headers


def _identity(db: Database, person: Person | None) -> dict[str, object]:
    """Return the identity: only what the person has and doesn't hide, never the whole phone number."""
    if person is None:
        return {}
    variants = db.variants
    scalars: dict[str, str | None] = {
        "name": person.name,
        "email": person.email,
        "phone_last4": person.phone_last4,
        "occupation": person.occupation,
        "location": person.location,
        "bio": person.bio,
    }
    shown = {k: v for k, v in scalars.items() if v is not None and k not in person.hidden}
    identity: dict[str, object] = (
        {k: {"value": v} for k, v in shown.items()} if variants.identity_as == "object" else dict(shown)
    )
    if person.email_verified is not None and "email" in shown:
        identity["email_verified"] = person.email_verified
    if person.interests and "interests" not in person.hidden:
        identity["interests"] = list(person.interests)
    if variants.identity_sub is not None:
        identity["sub"] = variants.identity_sub
    return identity


def _hit(memory: SavedMemory) -> dict[str, Any]:
    hit: dict[str, Any] = {
        "id": memory.id,
        "text": memory.text,
        "source": "memories",
        "written_by": memory.agent,
        "saved_on": memory.saved_on,
    }
    if memory.kind is not None:
        hit["kind"] = memory.kind
    return hit


def _texts(value: object, name: str, most: int, longest: int) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > most:
        raise invalid(f"{name} must be a list of up to {most}", name)
    texts = [item.get("text") if isinstance(item, dict) else item for item in value]
    if not all(isinstance(text, str) and 0 < len(text) <= longest for text in texts):
        raise invalid(f"each of {name} must have 1 to {longest} characters", name)
    return [str(text) for text in texts]


def _messages(value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid("messages must be a list", "messages")
    for message in value:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise invalid("a message has a role and a content", "messages")
    return _texts([message.get("content") for message in value], "messages", 20, 16_000)
