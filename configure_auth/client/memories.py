"""The memories of a profile, one by one: search, remember, forget."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import date as Date
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, TypeVar

from ..runtime.frozen import dataclass
from ..runtime.verbs import verb
from .call import HttpCall
from .commit_content import require_multiline_text
from .profile_session import ProfileCalls, ProfileSession
from .texts import first, found, names, objects, whole
from .wire import ResponseBody, api_call, form, invalid, is_number, require_text

T = TypeVar("T")

MemoryKind: TypeAlias = Literal["context", "claim", "status", "finding", "decision", "question", "blocker"]
"""What a memory is. A question and a blocker stay open until another memory resolves them."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DETAILS: Final = ("compact", "full")
_SCOPES: Final = ("imports", "saved", "all")
_REASONS: Final = ("correction", "user_request")
_MOST_RESULTS: Final = 1000
_LONGEST_QUERY: Final = 2048
_LONGEST_FACT: Final = 16_000


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory of a profile, as a search returns it. What Configure leaves out is None or empty.

    Attributes:
        text: cut to a snippet unless the search was for `detail="full"`.
        source: what the memory came from, such as an agent or an import.
        source_type: "agent" or "import"; `provider` is where an import came from, such as "chatgpt".
        written_by: the agent that wrote it.
        saved_on: a date (YYYY-MM-DD), or a time from an older server.
    """

    id: str | None = None
    text: str = field(default="", repr=False)
    title: str | None = field(default=None, repr=False)
    snippet: str | None = field(default=None, repr=False)
    source: str | None = None
    source_type: str | None = None
    provider: str | None = None
    written_by: str | None = None
    imported_by_agent: str | None = None
    saved_on: str | None = None
    updated_at: str | None = None
    event_at: str | None = None
    score: float | None = None
    type: str | None = None
    kind: str | None = None
    path: str | None = None
    markers: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)


@dataclass(frozen=True, kw_only=True)
class SearchResponse:
    """Response to a search.

    Attributes:
        results: the memories found, the best first.
        guidance: Configure's sentence about the search, such as why nothing was found.
        status: Configure's word for that: `no_matches`, `filtered_by_permissions`, ...
        visible_sources: the sources that the search covers; `source_counts` is what Configure says of each.
        truncated: whether there are more results.
    """

    results: tuple[Memory, ...] = field(repr=False)
    guidance: str | None = None
    status: str | None = None
    visible_sources: tuple[str, ...] = ()
    source_counts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    truncated: bool = False


@dataclass(frozen=True, kw_only=True)
class RememberResponse:
    """Response to `remember`.

    Attributes:
        saved: false for a fact that the user asked never to save again.
        app: the agent that it is filed under.
        memory: the memory as saved; None where Configure leaves it out.
    """

    saved: bool
    fact: str | None = field(default=None, repr=False)
    app: str | None = None
    memory: Memory | None = None
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class ForgetResponse:
    """Response to `forget`.

    Attributes:
        deleted: false for the preview of a `match`, and where there was nothing to delete.
        id: of a single deleted memory, as are `path` and `source`.
        deleted_count: how many memories were deleted.
        deleted_ids: their ids, as far as Configure says them.
        matched: for a preview: how many memories match.
        matches: for a preview: which ones, as far as Configure says.
        suppressed: whether what was deleted won't be saved or imported again.
        suppressed_copies: how many copies of it elsewhere are hidden with it.
        message: Configure's sentence about the deletion.
    """

    deleted: bool
    id: str | None = None
    deleted_count: int = 0
    deleted_ids: tuple[str, ...] = ()
    matched: int | None = None
    matches: tuple[Memory, ...] = field(default=(), repr=False)
    path: str | None = None
    source: str | None = None
    suppressed: bool = False
    suppressed_copies: int | None = None
    message: str | None = None


class MemoryCalls(ProfileCalls):
    """The memories of a profile."""

    @verb
    def search(
        self,
        query: str = "*",
        *,
        source: str | None = None,
        box: str | None = None,
        date_from: Date | str | None = None,
        date_to: Date | str | None = None,
        limit: int | None = None,
        detail: Literal["compact", "full"] | None = None,
    ) -> HttpCall[SearchResponse]:
        """Search what the person lets our agent see. Like a read, it may leave a commit owed.

        Args:
            query: words, up to 2048 characters; "*" lists everything.
            source: only memories of one source, such as "chatgpt" or an agent's handle.
            box: only memories filed in one box.
            date_from: only those saved on this day (YYYY-MM-DD) or later.
            date_to: only those saved on this day or earlier.
            limit: how many at most, 1 to 1000; Configure has a default and a cap of its own.
            detail: "full" for whole texts; Configure cuts them otherwise.

        Raises:
            ConfigureError: INVALID_INPUT before anything is sent; COMMIT_REQUIRED where an earlier read still owes a
                commit; else Configure's refusal.
        """
        require_multiline_text("query", query, _LONGEST_QUERY)
        _require_texts(source=source, box=box)
        _require_one_of("detail", detail, _DETAILS)
        if limit is not None and (
            not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= _MOST_RESULTS
        ):
            raise invalid(f"limit must be 1 to {_MOST_RESULTS}")
        parameters = {
            "query": query,
            "box": box,
            "source": source,
            "from": _day("date_from", date_from),
            "to": _day("date_to", date_to),
            "limit": None if limit is None else str(limit),
            "detail": detail,
        }
        query_string = form((name, value) for name, value in parameters.items() if value is not None)
        scope, path = self._session.scope, f"/v1/profile/search?{query_string}"
        headers = self._session.subject.headers | scope.headers
        call = api_call(self._session.settings, "GET", path, _found, "the profile search", headers=headers)
        return self._session.tracking(call, scope)

    @verb
    def remember(
        self,
        fact: str,
        *,
        box: str | None = None,
        kind: MemoryKind | None = None,
        reply_to: str | None = None,
        resolves: str | None = None,
    ) -> HttpCall[RememberResponse]:
        """Keep one fact that the person stated.

        Args:
            fact: a sentence of its own; Configure refuses what is too long for one.
            box: where to file it; a new name makes a new box.
            kind: what it is, among notes of a shared project.
            reply_to: the id of a memory in the same box that this one answers.
            resolves: the id of a question or blocker in the same box that this one closes.

        Raises:
            ConfigureError: INVALID_INPUT for what can't be sent; later Configure's refusal.
        """
        require_multiline_text("fact", fact, _LONGEST_FACT)
        _require_texts(box=box, kind=kind, reply_to=reply_to, resolves=resolves)
        body = {"fact": fact, "box": box, "kind": kind, "reply_to": reply_to, "resolves": resolves}
        return _write(self._session, "remember", body, _remembered)

    @verb
    def forget(
        self,
        *,
        id: str | None = None,
        match: str | None = None,
        confirm: bool | None = None,
        import_id: str | None = None,
        scope: Literal["imports", "saved", "all"] | None = None,
        date: Date | str | None = None,
        reason: Literal["correction", "user_request"] | None = None,
    ) -> HttpCall[ForgetResponse]:
        """Delete memories that our agent wrote; exactly one of `id`, `match`, `import_id` and `scope` says which.

        What other agents wrote stays, and so does the profile itself.

        Args:
            id: one memory.
            match: words that are in the memories; a preview that deletes nothing, unless `confirm` is true.
            confirm: for `match` alone.
            import_id: all that one import brought.
            scope: all of our agent's imports, all that it saved, or both.
            date: the day that the memory was saved (YYYY-MM-DD), which makes it quicker to find.
            reason: "user_request" also keeps it from being saved or imported again; a correction if absent.

        Raises:
            ConfigureError: INVALID_INPUT before anything is sent; later Configure's refusal.
        """
        if sum(way is not None for way in (id, match, import_id, scope)) != 1:
            raise invalid("give exactly one of id=, match=, import_id= and scope=")
        _require_texts(id=id, import_id=import_id)
        _require_one_of("scope", scope, _SCOPES)
        _require_one_of("reason", reason, _REASONS)
        if match is not None:
            require_multiline_text("match", match, _LONGEST_QUERY)
        if confirm is not None and (match is None or not isinstance(confirm, bool)):
            raise invalid("confirm is true or false, and only for match=")
        body = {
            "id": id,
            "match": match,
            "confirm": confirm,
            "import_id": import_id,
            "scope": scope,
            "date": _day("date", date),
            "reason": reason,
        }
        return _write(self._session, "forget", body, _forgotten)


def _found(body: ResponseBody) -> SearchResponse:
    fields = body.fields
    guidance = found(fields, "guidance", "diagnostic")
    counts = found(fields, "source_counts", "sourceCounts")
    told = guidance if isinstance(guidance, dict) else {"message": guidance}
    return SearchResponse(
        results=_memories(found(fields, "results", "memories")),
        guidance=first(told, "message", read=whole),
        status=first(told, "status"),
        visible_sources=names(found(fields, "visible_sources", "visibleSources")),
        source_counts=MappingProxyType(dict(counts) if isinstance(counts, dict) else {}),
        truncated=fields.get("truncated") is True,
    )


def _remembered(body: ResponseBody) -> RememberResponse:
    saved = body.required_boolean("saved")
    fields = body.fields
    memory = fields.get("memory")
    return RememberResponse(
        saved=saved,
        fact=first(fields, "fact", read=whole),
        app=first(fields, "app"),
        memory=_memory(memory) if isinstance(memory, dict) else None,
        message=first(fields, "message"),
    )


def _forgotten(body: ResponseBody) -> ForgetResponse:
    deleted = body.boolean("deleted")
    matched = body.number("matched")
    count = body.number("deleted_count")
    if deleted is None and matched is None:
        body.refuse("deleted")
    fields = body.fields
    one = first(fields, "id")
    ids = names(found(fields, "deleted_ids", "deletedIds"), 1000) or ((one,) if deleted and one else ())
    copies = _number(found(fields, "suppressed_copies", "suppressedCopies"))
    return ForgetResponse(
        deleted=deleted is True,
        id=one,
        deleted_count=len(ids) if count is None else int(count),
        deleted_ids=ids,
        matched=None if matched is None else int(matched),
        matches=_memories(found(fields, "matches", "memories", "results")),
        path=first(fields, "path"),
        source=first(fields, "source"),
        suppressed=fields.get("suppressed") is True,
        suppressed_copies=None if copies is None else int(copies),
        message=first(fields, "message", read=whole),
    )


def _write(
    session: ProfileSession, path: str, body: Mapping[str, object], read: Callable[[ResponseBody], T]
) -> HttpCall[T]:
    fields = {name: value for name, value in body.items() if value is not None}
    return session.call("POST", f"/v1/profile/{path}", read, f"the call to {path}", body=fields)


def _memories(value: object) -> tuple[Memory, ...]:
    return tuple(map(_memory, objects(value)))


def _memory(fields: Mapping[str, Any]) -> Memory:
    provenance = fields.get("provenance")
    return Memory(
        id=first(fields, "id"),
        text=first(fields, "text", "content", "snippet", read=whole) or "",
        title=first(fields, "title"),
        snippet=first(fields, "snippet", read=whole),
        source=first(fields, "source", "agent"),
        source_type=first(fields, "source_type", "sourceType"),
        provider=first(fields, "provider"),
        written_by=first(fields, "written_by", "writtenBy"),
        imported_by_agent=first(fields, "imported_by_agent", "importedByAgent"),
        saved_on=first(fields, "saved_on", "savedOn", "created_at", "createdAt"),
        updated_at=first(fields, "updated_at", "updatedAt"),
        event_at=first(fields, "event_at", "eventAt", "date"),
        score=_number(fields.get("score")),
        type=first(fields, "type"),
        kind=first(fields, "kind"),
        path=first(fields, "path"),
        markers=names(fields.get("markers")),
        provenance=MappingProxyType(dict(provenance) if isinstance(provenance, dict) else {}),
    )


def _number(value: Any) -> float | None:
    return float(value) if is_number(value) else None


def _day(name: str, value: Date | str | None) -> str | None:
    if isinstance(value, Date):
        # Not `value.isoformat()`: a datetime would bring its time along.
        return Date.isoformat(value)
    if value is not None and not (isinstance(value, str) and _DATE.fullmatch(value)):
        raise invalid(f"{name} must be a date, such as 2026-01-31")
    return value


def _require_texts(**values: str | None) -> None:
    for name, value in values.items():
        if value is not None:
            require_text(name, value, 255)


def _require_one_of(name: str, value: str | None, allowed: Sequence[str]) -> None:
    if value is not None and value not in allowed:
        raise invalid(f"{name} must be one of {', '.join(allowed)}")
