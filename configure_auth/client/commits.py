"""Commits: what is kept of a turn, which reads of a linked profile must be followed by."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Final, TypeAlias

from ..errors import ConfigureError
from ..runtime.frozen import dataclass
from ..runtime.verbs import verb
from .call import HttpCall
from .commit_content import CommitContent, pack, require_multiline_text
from .profile import Subject
from .profile_session import CommitObligation, ProfileCalls, ProfileSession
from .texts import first, found, names, objects, whole
from .wire import ResponseBody, invalid

log: logging.Logger = logging.getLogger(__name__)

_CRITERIA: Final = "Lasting facts, preferences and intentions of the person, and nothing else."

_CLOSING: Final = pack(
    messages=[{"role": "assistant", "content": "The profile was read for this turn; nothing more of it is to be kept."}]
)
"""What settles a read of which nothing was noted. A commit may not be empty, and Configure tells agents to settle such
a read with one line; messages and results of tools are what counts there, memories alone may not. This one says nothing
of the person, so that nothing can be made of it."""


@dataclass(frozen=True, kw_only=True)
class WrittenMemory:
    """A memory that a commit wrote. What Configure leaves out is None; `saved_on` is a date or a time."""

    id: str | None = None
    path: str | None = None
    source: str | None = None
    written_by: str | None = None
    saved_on: str | None = None
    type: str | None = None
    marker: str | None = None


@dataclass(frozen=True, kw_only=True)
class RejectedMemory:
    """A memory that Configure didn't keep, and why."""

    memory: str = field(repr=False)
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class CommitResponse:
    """Response to a commit.

    Attributes:
        status: "completed", or "processing": then Configure has accepted the commit and writes it later. The reads are
            committed in both cases, so that the next one isn't refused; with "processing" the memories of this
            commit may not be found by a search yet, and the fields below may be empty.
        facts_written: what Configure found in the messages.
        memories_written: the memories that were given.
        obligations_committed: ids of the reads that are committed by it.
        rejected_memories: the memories that Configure didn't keep.
        user_summary: Configure's new summary of the user.
    """

    status: str
    facts_written: tuple[str, ...] = field(default=(), repr=False)
    memories_written: tuple[WrittenMemory, ...] = field(default=(), repr=False)
    obligations_committed: tuple[str, ...] = ()
    rejected_memories: tuple[RejectedMemory, ...] = field(default=(), repr=False)
    user_summary: str | None = field(default=None, repr=False)


class CommitCalls(ProfileCalls):
    """Commits to a profile."""

    @verb
    def commit(
        self,
        *,
        messages: Sequence[object] | None = None,
        memories: Sequence[str] | None = None,
        tool_results: Sequence[Mapping[str, Any]] | None = None,
        sync: bool | None = None,
        memory_criteria: str | None = None,
    ) -> HttpCall[CommitResponse]:
        """Commit what happened in a turn, and with it the oldest read that isn't committed yet.

        At most 50 000 characters in all, and not nothing. Give messages or results of tools: a commit with memories
        alone may leave the read uncommitted at Configure. With `status="processing"` the read counts as committed,
        though the memories are still to be written.

        Args:
            messages: up to 20, each with a `role` (user, assistant or tool), a `content` of up to 16 000 characters,
                and perhaps a `tool_name`. Nothing else of them is sent. Those of OpenAI's, LangChain's and
                Pydantic AI's libraries are taken as they are; system prompts, calls of tools and messages without text
                are left out.
            memories: up to 20 facts of up to 1000 characters, to keep as they are.
            tool_results: each with a `tool_name` and a `content`, which is a string or what JSON can carry.
            sync: true waits until everything is written.
            memory_criteria: what Configure is to look for in the messages, up to 1000 characters; lasting facts if
                absent.

        Raises:
            ConfigureError: INVALID_INPUT before anything is sent, for something beyond these limits; later Configure's
                refusal (`insufficient_scope` in `backend_code` for an OAuth token without `profile.commit`).
        """
        content = pack(messages, memories, tool_results)
        if not content:
            raise invalid("a commit needs messages, memories or tool_results")
        if sync is not None and not isinstance(sync, bool):
            raise invalid("sync must be true or false")
        if memory_criteria is not None:
            require_multiline_text("memory_criteria", memory_criteria, 1000)
        return _call(self._session, content, next(iter(self._session.owed), None), sync, memory_criteria)

    def note(
        self,
        *,
        messages: Sequence[object] | None = None,
        memories: Sequence[str] | None = None,
        tool_results: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Add something to the commit at the end of the profile's `with` block. Nothing is sent yet.

        The arguments, and the limits of all that is noted in one block, are those of `commit`.

        Raises:
            ConfigureError: INVALID_INPUT for something beyond these limits, which isn't kept then, and outside of a
                block.
        """
        self._session.add_notes(pack(messages, memories, tool_results))


Pending: TypeAlias = tuple[CommitContent, CommitObligation | None]
"""What a commit holds, and the read that it settles."""

_MOST_PENDING = 1000


class Unsettled:
    """Commits of one client that failed and may succeed later, by subject: the next block of the subject sends them.

    At most 20 of each of the 1000 latest subjects are kept, in memory. Threads may share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Subject, tuple[Pending, ...]] = {}

    def take(self, subject: Subject) -> tuple[Pending, ...]:
        with self._lock:
            return self._kept.pop(subject, ())

    def keep(self, subject: Subject, pending: Sequence[Pending]) -> None:
        if not pending:
            return
        with self._lock:
            self._kept[subject] = (*self._kept.pop(subject, ()), *pending)[-20:]
            while len(self._kept) > _MOST_PENDING:
                del self._kept[next(iter(self._kept))]


async def leave(
    session: ProfileSession, unsettled: Unsettled, *, failed: bool, strict: bool = False
) -> ConfigureError | None:
    """Commit at the end of a block: once with what was noted, and once for each read that is still uncommitted.

    Nothing is sent where every read is committed and nothing was noted. After a failure the notes are dropped.

    Returns:
        the retryable failure after which the rest is kept for the next block.

    Raises:
        ConfigureError: another failure, or any with `strict`; never after a failure of the block itself.
    """
    noted, subject = session.close(), session.subject
    content = CommitContent() if failed else noted
    waiting = list(unsettled.take(subject)) if content or session.owed else []
    oldest: CommitObligation | None = None
    try:
        while waiting:
            await _call(session, *waiting[0])
            del waiting[0]
        oldest = next(iter(session.owed), None)
        if oldest is not None and not (content.messages or content.tool_results):
            content += _CLOSING
        if content:
            await _call(session, content, oldest)
            content = CommitContent()
        for owed in session.owed:
            if owed in session.owed:
                await _call(session, _CLOSING, owed)
    except ConfigureError as error:
        rest = [(content, oldest)] if content else []
        if not failed and (strict or not error.retryable or subject.is_unknown):
            unsettled.keep(subject, waiting)
            raise
        others = [(_CLOSING, owed) for owed in session.owed if owed != oldest]
        unsettled.keep(subject, [*waiting, *rest, *others])
        log.warning("a commit failed (%s); the next block of this profile repeats it", error.code)
        return error
    return None


def _call(
    session: ProfileSession,
    content: CommitContent,
    owed: CommitObligation | None,
    sync: bool | None = None,
    memory_criteria: str | None = None,
) -> HttpCall[CommitResponse]:
    settles = owed or CommitObligation(scope=session.scope)
    named = {
        "read_id": settles.read_id,
        "session_id": settles.scope.session_id,
        "runtime_scope_id": settles.scope.runtime_scope_id,
        "memory_criteria": memory_criteria or _CRITERIA,
        "sync": sync,
    }
    covered = session.covered_by(settles)
    body = content.fields | {name: value for name, value in named.items() if value is not None}

    def parse(response: ResponseBody) -> CommitResponse:
        committed = _committed(response)
        session.mark_committed(covered, committed.obligations_committed)
        return committed

    return session.call("POST", "/v1/profile/commit", parse, "the commit", body=body, headers=settles.headers)


def _committed(body: ResponseBody) -> CommitResponse:
    # First what may be refused, so that no frame of the error has a memory in it.
    status = body.required_text("status", 64)
    fields = body.fields
    return CommitResponse(
        status=status,
        facts_written=names(found(fields, "facts_written", "factsWritten"), read=whole),
        memories_written=tuple(map(_written, objects(found(fields, "memories_written", "memoriesWritten")))),
        obligations_committed=names(found(fields, "obligations_committed", "obligationsCommitted")),
        rejected_memories=tuple(map(_rejected, objects(found(fields, "rejected_memories", "rejectedMemories")))),
        user_summary=first(fields, "user_summary", "userSummary", read=whole),
    )


def _written(fields: Mapping[str, Any]) -> WrittenMemory:
    return WrittenMemory(
        id=first(fields, "id"),
        path=first(fields, "path"),
        source=first(fields, "source"),
        written_by=first(fields, "written_by", "writtenBy"),
        saved_on=first(fields, "saved_on", "savedOn", "created_at", "createdAt"),
        type=first(fields, "type"),
        marker=first(fields, "marker"),
    )


def _rejected(fields: Mapping[str, Any]) -> RejectedMemory:
    return RejectedMemory(memory=first(fields, "memory", read=whole) or "", reason=first(fields, "reason"))
