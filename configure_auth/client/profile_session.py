"""The session of one profile client: its scope, its uncommitted reads, and the notes for the next commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from ..errors import ApiCode, ConfigureError
from ..runtime.frozen import dataclass
from ..runtime.verbs import Verbs, verb
from ..settings import Settings
from .call import HttpCall, HttpResponse
from .commit_content import CommitContent
from .profile import ProfileResponse, RuntimeScope, Subject, read_profile
from .wire import ResponseBody, api_call, invalid, is_token

T = TypeVar("T")

_LONGEST_ID = 128
_MOST_IDS = 20
_MOST_OWED = 100
# Refusals that a linked person could undo: the tools, and the permissions, are theirs.
_FOR_THE_LINKED: Final = frozenset(
    {
        "access_token_scope_insufficient",
        "insufficient_permissions",
        "insufficient_scope",
        "provider_account_missing",
        "provider_scope_missing",
        "tool_not_connected",
    }
)


@dataclass(frozen=True, kw_only=True)
class CommitObligation:
    """A read that must be followed by a commit, as Configure counts it. Not every read is given an id."""

    scope: RuntimeScope
    read_id: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that tie a call to the read."""
        return self.scope.headers | ({"X-Configure-Read-Id": self.read_id} if self.read_id else {})


class ProfileSession:
    """State shared by the calls of one profile client: its scope, uncommitted reads and notes. It is thread-safe.

    The values in it are frozen; only which of them hold changes, under a lock that is never held during a call.
    """

    def __init__(self, settings: Settings, subject: Subject) -> None:
        self.settings = settings
        self.subject = subject
        self._lock = threading.Lock()
        self._scope = RuntimeScope()
        self._owed: tuple[CommitObligation, ...] = ()
        self._notes: CommitContent | None = None

    @property
    def linked(self) -> bool:
        """Whether the profile is a linked person's."""
        return self.subject.token is not None

    @property
    def scope(self) -> RuntimeScope:
        """The scope that a read is made in now."""
        return self._scope

    @property
    def owed(self) -> tuple[CommitObligation, ...]:
        """The commits that are owed, the oldest first."""
        return self._owed

    # What calls leave behind.

    def call(
        self,
        method: str,
        path: str,
        parse: Callable[[ResponseBody], T],
        what: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpCall[T]:
        """`api_call` about the subject, whose refusals say what an unlinked profile lacks."""
        named = self.subject.headers | dict(headers or {})
        return self.explaining(api_call(self.settings, method, path, parse, what, body=body, headers=named))

    def explaining(self, call: HttpCall[T]) -> HttpCall[T]:
        """A call whose refusals say what an unlinked profile lacks."""

        def parse(response: HttpResponse) -> T:
            try:
                return call.parse(response)
            except ConfigureError as error:
                self._explain(error)
                raise

        return replace(call, parse=parse)

    def tracking(self, call: HttpCall[T], scope: RuntimeScope) -> HttpCall[T]:
        """A call that may leave a commit owed in a scope. An earlier read that is still open is named with it."""
        read_id = next((one.read_id for one in self._owed if one.read_id and one.scope == scope), None)
        headers = {**call.headers, "X-Configure-Read-Id": read_id} if read_id else call.headers

        def parse(response: HttpResponse) -> T:
            if 200 <= response.status < 300:
                # Before the response is validated: a malformed one leaves a commit to make too.
                self._owe(response, scope)
            try:
                return call.parse(response)
            except ConfigureError as error:
                if error.code is ApiCode.COMMIT_REQUIRED:
                    self._find_blocked(scope)
                raise

        return self.explaining(replace(call, headers=headers, parse=parse))

    def covered_by(self, obligation: CommitObligation) -> Collection[CommitObligation]:
        """Return the obligations that a commit for one of them covers: without a read's id, all of its scope."""
        return [obligation] if obligation.read_id else [one for one in self._owed if one.scope == obligation.scope]

    def mark_committed(self, covered: Collection[CommitObligation], named: Collection[str]) -> None:
        """Remove the obligations that an accepted commit covers, and those whose ids the response names.

        The one place that decides it: a commit that Configure accepted, be it "processing" or "completed", commits its
        reads. Once none is left, the next read has a new scope.
        """
        with self._lock:
            self._owed = tuple(one for one in self._owed if one not in covered and one.read_id not in named)
            if not self._owed:
                self._scope = replace(self._scope, runtime_scope_id=RuntimeScope().runtime_scope_id)

    def _owe(self, response: HttpResponse, scope: RuntimeScope) -> None:
        # A linked read that is given an id owes a commit, whether Configure says so or not; an unlinked one only if it
        # says so.
        told = response.headers.get("x-configure-read-id") or response.headers.get("x-configure-read-ids") or ""
        ids = [one for part in told.split(",") if is_token(one := part.strip(), _LONGEST_ID)][:_MOST_IDS]
        if response.headers.get("x-configure-commit-required") != "1" and not (self.linked and ids):
            return
        counted = RuntimeScope(
            session_id=_id(response, "x-configure-session-id") or scope.session_id,
            runtime_scope_id=_id(response, "x-configure-runtime-scope-id") or scope.runtime_scope_id,
        )
        self._add([CommitObligation(scope=counted, read_id=one) for one in ids] or [CommitObligation(scope=counted)])

    def _find_blocked(self, scope: RuntimeScope) -> None:
        # Where nothing is owed that we know of, a read's response was lost, or is on its way. A commit for all of the
        # scope settles it, without its id.
        with self._lock:
            self._owed = self._owed or (CommitObligation(scope=scope),)

    def _add(self, owed: list[CommitObligation]) -> None:
        with self._lock:
            known = self._owed
            self._owed = (*known, *(one for one in dict.fromkeys(owed) if one not in known))[-_MOST_OWED:]

    def _explain(self, error: ConfigureError) -> None:
        if error.code is ApiCode.COMMIT_REQUIRED and error.suggested_action is None:
            error.suggested_action = "commit_profile"
        tools = error.code in (ApiCode.TOOL_NOT_CONNECTED, ApiCode.TOOL_ERROR)
        if error.code is ApiCode.AUTH_REQUIRED and self.subject.on_refused is not None:
            self.subject.on_refused()
        if not self.linked and (tools or error.backend_code in _FOR_THE_LINKED):
            error.args = (f"{error}; this profile isn't linked to a person: let the person connect Configure first",)

    # What is noted within a block.

    def open(self) -> None:
        """Begin a block.

        Raises:
            ConfigureError: INVALID_INPUT where one is open. Of two blocks on one profile, the end of the first would
                commit, or drop, the notes of the other.
        """
        with self._lock:
            opened = self._notes is None
            if opened:
                self._notes = CommitContent()
        if not opened:
            raise invalid("a block of this profile is open; make a profile for each")

    def close(self) -> CommitContent:
        """End the block; its notes."""
        with self._lock:
            notes, self._notes = self._notes or CommitContent(), None
        return notes

    def add_notes(self, notes: CommitContent) -> None:
        """Keep more for the end of the block.

        Raises:
            ConfigureError: INVALID_INPUT where no block is open, or more than one commit holds; then nothing is kept.
        """
        with self._lock:
            opened = self._notes is not None
            if self._notes is not None:
                self._notes = self._notes + notes
        if not opened:
            raise invalid("note() is for the inside of a `with` block of the profile; else use commit()")


def _id(response: HttpResponse, name: str) -> str | None:
    value = response.headers.get(name)
    return value if is_token(value, _LONGEST_ID) else None


class ProfileCalls(Verbs):
    """Calls about one subject. On its own it returns them, for a flow to await; a profile sends them."""

    def __init__(self, session: ProfileSession) -> None:
        self._session = session


class ReadCalls(ProfileCalls):
    """Reads of a profile."""

    @verb
    def read(self, *, sections: Sequence[str] | None = None) -> HttpCall[ProfileResponse]:
        """Read the profile. A read of a linked profile owes a commit, and the next may be refused until it is made.

        Args:
            sections: of identity, preferences, integrations, imports, agents, summary, soul and context; all that
                Configure gives by default if absent.

        Raises:
            ConfigureError: INVALID_INPUT for a section name that can't be one; COMMIT_REQUIRED where an earlier read
                still owes a commit; else Configure's refusal (`insufficient_scope` in `backend_code` where the person
                didn't grant `profile.read`).
        """
        scope = self._session.scope
        call = read_profile(self._session.settings, self._session.subject, sections=sections, scope=scope)
        return self._session.tracking(call, scope)

    def owes_commit(self) -> bool:
        """Whether Configure waits for a commit after what was read here; the next read may be refused until then."""
        return bool(self._session.owed)
