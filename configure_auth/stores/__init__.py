"""What is kept between requests, behind small Protocols. Whatever has the methods is a store.

Each method is one atomic step in a short transaction of its own and raises `StoreError` when it can't be done now.
An asynchronous store has the same methods, awaited. `agent` keeps two agents, or two apps, apart in one store.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, Protocol

from ..runtime.frozen import dataclass
from ..values import ClaimedAgent, Intent, Journey, Kind, LinkedAccount, PendingSignIn

__all__ = [
    "OUTCOME_TTL",
    "REPLAY",
    "AccountStore",
    "AgentStore",
    "Completed",
    "Ended",
    "JourneyStore",
    "Leases",
    "ParameterStore",
    "Saved",
    "SenderExport",
    "StateStore",
    "StoredAccount",
    "StoredSubject",
    "Stores",
    "UserExport",
]

OUTCOME_TTL = 120.0
"""Seconds that an ended attempt is kept, so that a late reload still finds its outcome."""

REDIS_SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys")

REPLAY = 30.0
"""Seconds after its end that a login may be played again for the same browser; then its `replay` is wiped."""


@dataclass(frozen=True, kw_only=True)
class StoredAccount:
    """A connection with its sealed token. `serial` is new with every change, for compare-and-set.

    Times are Unix seconds. `refresh_sends` counts the refreshes since the last definite answer of Configure.
    `refresh_sent_at` is when the last one failed, or later where Configure said how long to wait.
    """

    agent: str
    kind: Kind
    user_id: str
    configure_user_id: str
    token: str = field(repr=False)
    expires_at: float | None
    scopes: tuple[str, ...]
    linked_at: float
    needs_reconnect: bool = False
    refresh_sent_at: float | None = None
    refresh_sends: int = 0
    serial: str = ""

    @property
    def public(self) -> LinkedAccount:
        return LinkedAccount(
            user_id=self.user_id,
            configure_user_id=self.configure_user_id,
            kind=self.kind,
            scopes=self.scopes,
            linked_at=datetime.fromtimestamp(self.linked_at, UTC),
            needs_reconnect=self.needs_reconnect,
        )


@dataclass(frozen=True, kw_only=True)
class StoredSubject:
    """The link of a message's sender, with its sealed token. `subject` is the keyed hash that stands for the sender.

    `proven` is false from the end of a journey until Configure recognizes a phone of a message as the linked user's.
    `serial` is new with every change. Without user and token (both are "") it is the opt-out of a sender who
    disconnected, not to be recognised by phone.
    """

    agent: str
    subject: str
    configure_user_id: str
    token: str = field(repr=False)
    linked_at: float
    proven: bool
    serial: str = ""

    @property
    def is_opt_out(self) -> bool:
        return not self.token

    @property
    def public(self) -> LinkedAccount:
        return LinkedAccount(
            user_id=self.subject,
            configure_user_id=self.configure_user_id,
            kind="agent",
            scopes=(),
            linked_at=datetime.fromtimestamp(self.linked_at, UTC),
        )


Completed = Literal["linked", "repeated", "over", "taken"]
"""How the completion of a journey ended; only "linked" changed anything.

"repeated": the same token completed it before. "over": it's unknown, at its end, or was completed by another token.
"taken": the sender is linked to another Configure user.
"""


@dataclass(frozen=True)
class Saved:
    """How a save ended; only "saved" changed anything.

    "stale": the user's version was raised since (an unlink, a deleted user). "taken": `owner` has this Configure user.
    "connected": this local user has another Configure user. `unlinked` are the rows that a save removed.
    `is_finished`: the attempt was finished in the same transaction (`Stores.finishes`).
    """

    end: Literal["saved", "stale", "taken", "connected"]
    owner: str | None = None
    unlinked: tuple[StoredAccount, ...] = ()
    is_finished: bool = False


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How an attempt ended: the arguments of `StateStore.finish`."""

    state_hash: str
    outcome: str = field(repr=False)
    replay: str | None = field(repr=False)
    user_id: str | None
    now: float


@dataclass(frozen=True, kw_only=True)
class UserExport:
    """What is stored of a user of the app, without what is sealed.

    Attributes:
        accounts: the connections, with `token` empty.
        agents: the agents that the user has claimed.
        sign_ins: attempts of the last 17 minutes, with `verifier`, `code`, `outcome` and `replay` None.
    """

    accounts: tuple[StoredAccount, ...]
    agents: tuple[str, ...]
    sign_ins: tuple[PendingSignIn, ...]


@dataclass(frozen=True)
class SenderExport:
    """What is stored of a message sender for longer than an open link (`STATE_LIFETIME`), without the token.

    Attributes:
        account: the link; None after a disconnect.
        disconnected_at: when the sender disconnected, which keeps them from being recognised by phone; else None.
    """

    account: LinkedAccount | None = None
    disconnected_at: datetime | None = None


class StateStore(Protocol):
    """The open and the ended attempts, by the hash of their state."""

    def put(self, record: PendingSignIn, *, limit: int, now: float) -> None:
        """Keep a new attempt; of the same browser and agent the oldest open ones beyond `limit` go."""

    def claim(
        self, state_hash: str, *, browser_hash: str, intent: Intent, agent: str, now: float
    ) -> PendingSignIn | None:
        """Take an open attempt that matches all of these and has not ended; exactly one caller ever gets it."""

    def read(
        self, state_hash: str, *, browser_hash: str, intent: Intent, agent: str, now: float
    ) -> PendingSignIn | None:
        """Return the attempt of its own browser; None if it is unknown, or ended `OUTCOME_TTL` ago."""

    def finish(self, state_hash: str, *, outcome: str, replay: str | None, user_id: str | None, now: float) -> None:
        """Remember how a claimed attempt ended, and for whom; `replay` goes `REPLAY` s later, with the next write."""

    def forget(self, agent: str, user_id: str) -> None:
        """Delete every attempt of a local user."""

    def of_user(self, agent: str, user_id: str) -> tuple[PendingSignIn, ...]:
        """The attempts of a local user, the oldest first."""

    def forget_replays(self, agent: str, browser_hash: str) -> None:
        """Wipe the `replay` of every ended attempt of a browser."""

    def purge(self, *, now: float) -> int:
        """Delete some of what has ended; the number of records deleted, 0 when none is left."""


class AccountStore(Protocol):
    """Who is connected to whom. One Configure user has one local user, and the reverse for each kind."""

    def version(self, agent: str, user_id: str) -> int:
        """The user's version, made at random where there is none yet."""

    def owner(self, agent: str, configure_user_id: str) -> tuple[str, int] | None:
        """The local user of a Configure user, with that user's version at the same moment."""

    def find(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        """The user's connections, "agent" before "oauth"."""

    def page(self, agent: str, *, after: tuple[str, str] | None, limit: int) -> tuple[StoredAccount, ...]:
        """Some of an agent's connections in an order of the store's own; `after` is the (user_id, kind) of one seen."""

    def save(
        self, account: StoredAccount, *, version: int | None, replace: bool = False, move_from: str | None = None
    ) -> Saved:
        """Insert or renew a connection, if the user's version is still `version` (None: whatever it is).

        `replace` lets another Configure user take the place of the present one. `move_from` names the local user who
        may lose this Configure user, if it's still the owner; that user is unlinked in the same transaction.
        """

    def update(self, account: StoredAccount, *, serial: str) -> bool:
        """Replace a connection that still has this serial; False where it changed or is gone."""

    def unlink(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        """Delete the user's connections and raise the version; what was deleted."""

    def forget(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        """Delete all there is of the user, the version too; the connections deleted."""


class Leases(Protocol):
    """Who may do a thing alone, for a while."""

    def acquire(self, name: str, *, owner: str, until: float, now: float) -> bool:
        """Take the lease if nobody holds it, or its time is over."""

    def release(self, name: str, *, owner: str) -> None:
        """Give it back, if it's still the owner's."""


class JourneyStore(Protocol):
    """The journeys of message senders, and the links that came of them: both in one, for they change together."""

    def put(self, journey: Journey, *, limit: int, now: float) -> None:
        """Keep a new journey; of the same sender the oldest open ones beyond `limit` go."""

    def read(self, journey_hash: str, *, agent: str, now: float) -> Journey | None:
        """The journey, open or completed; None where it's at its end, or unknown."""

    def attempt(self, journey_hash: str, *, agent: str, limit: int, now: float) -> bool:
        """Count one more try to complete an open journey; False where it had `limit` already, or isn't open."""

    def complete(self, journey_hash: str, *, link: StoredSubject, token_hash: str, now: float) -> Completed:
        """Use a journey of the link's agent and sender up and save its link, both or neither.

        The journey's `sender` is wiped. A link of the same sender to the same Configure user is renewed, and an opt-out
        ends.
        """

    def find(self, agent: str, subject: str) -> StoredSubject | None:
        """The sender's link."""

    def save(self, link: StoredSubject, *, serial: str | None) -> bool:
        """Replace the link that still has this serial, or add one where there is none (None); False otherwise."""

    def remove(self, agent: str, subject: str, *, serial: str) -> bool:
        """Delete the link that still has this serial."""

    def unlink(self, opt_out: StoredSubject) -> StoredSubject | None:
        """Put an opt-out in the place of its sender's link, and delete open journeys; what was there before."""

    def forget(self, agent: str, subject: str) -> StoredSubject | None:
        """Delete all there is of a sender, open journeys too; the link deleted."""

    def page(self, agent: str, *, after: str | None, limit: int) -> tuple[StoredSubject, ...]:
        """Some of an agent's links in an order of the store's own; `after` is the subject of one seen."""

    def purge(self, *, now: float) -> int:
        """Delete some of the journeys that are at their end; how many it were, 0 when none is left."""


class AgentStore(Protocol):
    """The agents that an app's users claim. `app` is the agent at Configure, which keeps apps apart."""

    def register(self, agent_id: str, claim_hash: str, *, app: str, until: float, now: float) -> bool:
        """Keep an agent that waits to be claimed, or give one that still waits another token; False if it's owned."""

    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        """Give the agent of an unspent token its owner, unless it has one; as it is then. None for any other token."""

    def owner(self, agent_id: str, *, app: str) -> str | None:
        """The user whom an agent belongs to."""

    def owned_by(self, user_id: str, *, app: str) -> tuple[str, ...]:
        """The agents of a user, in order."""

    def forget(self, app: str, user_id: str) -> None:
        """Delete the agents of a user."""


class ParameterStore(Protocol):
    """What an app must find again that no setting says."""

    def read(self, name: str) -> str | None:
        """What is kept under a name."""

    def keep(self, name: str, value: str) -> str:
        """What is kept under a name: this value, unless there is one already. Both have at most 255 characters."""

    def replace(self, name: str, *, old: str, new: str) -> bool:
        """Put another value in the place of one that is still there."""

    def remove(self, name: str) -> None:
        """Keep nothing under a name any more."""


@dataclass(frozen=True)
class Stores:
    """The stores of one app.

    `close` closes every connection that they opened, and may be called again; where the stores are awaited it is too.
    `path` is the file of an SQLite store, which may not exist before its first use. `by_default`: neither the app nor
    the settings named a store.
    """

    states: StateStore
    accounts: AccountStore
    leases: Leases
    journeys: JourneyStore
    agents: AgentStore
    parameters: ParameterStore
    close: Callable[[], object] = field(default=lambda: None, repr=False)
    path: Path | None = None
    by_default: bool = False

    @property
    def finishes(self) -> bool:
        """Whether one database has attempts and accounts, and `accounts.save(..., ended=...)` ends an attempt too."""
        database = getattr(self.accounts, "database", None)
        return database is not None and database is getattr(self.states, "database", None)

    @classmethod
    def of_attempts(cls, states: StateStore, close: Callable[[], object] = lambda: None) -> Stores:
        """Return stores for what keeps attempts alone: a sign-in finds no user who is connected already."""
        accounts: Any = SimpleNamespace(owner=lambda agent, configure_user_id: None)
        missing: Any = None
        return cls(states, accounts, missing, missing, missing, missing, close)

    async def aclose(self) -> None:
        """`close`, whichever kind of stores these are."""
        closed = self.close()
        if inspect.isawaitable(closed):
            await closed
