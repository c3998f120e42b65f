"""Memories of the subjects, and the commits that linked reads owe. Has nothing to do with HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

ScopesBlocking = Literal["none", "same", "other"]
"""Which pending commits block a read that names its scope: none, those of that scope, or of the others."""

CommitSettles = Literal["scope", "read"]
"""What a commit that names a scope and a read of it completes: the whole scope, or that read."""


@dataclass(frozen=True, slots=True)
class SavedMemory:
    id: str
    text: str
    agent: str
    kind: str | None
    saved_at: float

    @property
    def saved_on(self) -> str:
        return datetime.fromtimestamp(self.saved_at, UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class ProfileOwner:
    """The owner of a profile: a linked person, or an external id within one developer's account."""

    agent: str
    user_id: str | None
    external_id: str | None

    @property
    def linked(self) -> bool:
        return self.user_id is not None

    @property
    def key(self) -> str:
        return f"user:{self.user_id}" if self.linked else f"external:{self.agent}:{self.external_id}"


@dataclass(frozen=True, slots=True)
class Read:
    """A read that waits for its commit."""

    read_id: str
    session_id: str
    runtime_scope_id: str
    subject: str
    agent: str


@dataclass(slots=True)
class Profiles:
    now: Callable[[], float]
    memories: dict[str, list[SavedMemory]] = field(default_factory=dict)
    owed: list[Read] = field(default_factory=list)

    def remember(self, subject: ProfileOwner, text: str, kind: str | None = None) -> SavedMemory:
        memory = SavedMemory(f"mem_{secrets.token_hex(8)}", text, subject.agent, kind, self.now())
        self.memories.setdefault(subject.key, []).append(memory)
        return memory

    def forget(self, subject: ProfileOwner, matches: Callable[[SavedMemory], bool]) -> list[SavedMemory]:
        kept: list[SavedMemory] = []
        gone: list[SavedMemory] = []
        for memory in self.memories.get(subject.key, []):
            (gone if matches(memory) else kept).append(memory)
        self.memories[subject.key] = kept
        return gone

    def merge(self, unlinked: ProfileOwner, linked: ProfileOwner) -> None:
        """Move the memories of an external id to a person."""
        moved = self.memories.pop(unlinked.key, [])
        self.memories.setdefault(linked.key, []).extend(moved)

    def search(self, subject: ProfileOwner, query: str, limit: int) -> list[SavedMemory]:
        words = query.casefold().split()
        everything = query in {"", "*"}
        found = [
            memory
            for memory in reversed(self.memories.get(subject.key, []))
            if everything or any(word in memory.text.casefold() for word in words)
        ]
        return found[:limit]

    def blocked(
        self, subject: ProfileOwner, session_id: str | None, runtime_scope_id: str | None, by: ScopesBlocking
    ) -> bool:
        """Whether a pending commit blocks another read of the session.

        A read that names no scope waits for all of the session; one that does for those of the scopes in `by`.
        """
        session = (subject.key, subject.agent, session_id)
        open_scopes = [r.runtime_scope_id for r in self.owed if (r.subject, r.agent, r.session_id) == session]
        if runtime_scope_id is None:
            return bool(open_scopes)
        return by != "none" and any((scope == runtime_scope_id) == (by == "same") for scope in open_scopes)

    def read(self, subject: ProfileOwner, session_id: str | None, runtime_scope_id: str | None, *, owes: bool) -> Read:
        read = Read(
            f"read_{secrets.token_hex(8)}",
            session_id or f"session_{secrets.token_hex(16)}",
            runtime_scope_id or f"scope_{secrets.token_hex(16)}",
            subject.key,
            subject.agent,
        )
        if owes:
            self.owed.append(read)
        return read

    def commit(
        self,
        subject: ProfileOwner,
        *,
        read_id: str | None,
        session_id: str | None,
        runtime_scope_id: str | None,
        settles: CommitSettles,
    ) -> list[str]:
        """Complete the reads that the ids name, all of this agent's without any. Returns their ids.

        `settles` says what becomes of the other reads in a scope that is named beside a read of it.
        """

        def of_scope(read: Read) -> bool:
            return (
                (read.subject, read.agent) == (subject.key, subject.agent)
                and (session_id is None or read.session_id == session_id)
                and (runtime_scope_id is None or read.runtime_scope_id == runtime_scope_id)
            )

        settled = [r for r in self.owed if of_scope(r) and read_id in {None, r.read_id}]
        if settled and runtime_scope_id is not None and settles == "scope":
            settled = [read for read in self.owed if of_scope(read)]
        self.owed = [read for read in self.owed if read not in settled]
        return [read.read_id for read in settled]
