"""The simplest stores that do what the Protocols say: the ones that break a sentence are made from them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import replace as changed
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from configure_auth.stores import OUTCOME_TTL, REPLAY, Completed, Saved, StoredAccount, StoredSubject, Stores
from configure_auth.values import ClaimedAgent, Intent, Journey, PendingSignIn

__all__ = [
    "MemoryAccounts",
    "MemoryAgents",
    "MemoryJourneys",
    "MemoryLeases",
    "MemoryParameters",
    "MemoryStates",
    "memory_stores",
]

P = ParamSpec("P")
T = TypeVar("T")


def _alone(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    @wraps(method)
    def locked(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._lock:
            return method(self, *args, **kwargs)

    return locked


class MemoryStates:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, PendingSignIn] = {}

    @_alone
    def put(self, record: PendingSignIn, *, limit: int, now: float) -> None:
        self._drop_ended(now)
        mine = [
            other
            for other in self._records.values()
            if other.browser_hash == record.browser_hash and other.agent == record.agent and other.claimed_at is None
        ]
        for other in sorted(mine, key=lambda other: other.created_at)[: max(0, len(mine) - limit + 1)]:
            del self._records[other.state_hash]
        self._records[record.state_hash] = record

    @_alone
    def claim(
        self, state_hash: str, *, browser_hash: str, intent: Intent, agent: str, now: float
    ) -> PendingSignIn | None:
        record = self._mine(state_hash, browser_hash, intent, agent)
        if record is None or record.claimed_at is not None or record.expires_at <= now:
            return None
        self._records[state_hash] = claimed = changed(record, claimed_at=now)
        return claimed

    @_alone
    def read(
        self, state_hash: str, *, browser_hash: str, intent: Intent, agent: str, now: float
    ) -> PendingSignIn | None:
        record = self._mine(state_hash, browser_hash, intent, agent)
        return None if record is None or record.expires_at + OUTCOME_TTL <= now else record

    @_alone
    def finish(self, state_hash: str, *, outcome: str, replay: str | None, user_id: str | None, now: float) -> None:
        self._drop_ended(now)
        record = self._records.get(state_hash)
        if record is not None and record.claimed_at is not None:
            self._records[state_hash] = changed(
                record, outcome=outcome, replay=replay, user_id=user_id or record.user_id, finished_at=now
            )

    @_alone
    def forget(self, agent: str, user_id: str) -> None:
        for record in [r for r in self._records.values() if r.agent == agent and r.user_id == user_id]:
            del self._records[record.state_hash]

    @_alone
    def of_user(self, agent: str, user_id: str) -> tuple[PendingSignIn, ...]:
        mine = (one for one in self._records.values() if (one.agent, one.user_id) == (agent, user_id))
        return tuple(sorted(mine, key=lambda one: one.created_at))

    @_alone
    def forget_replays(self, agent: str, browser_hash: str) -> None:
        for key, record in self._records.items():
            if (record.agent, record.browser_hash) == (agent, browser_hash):
                self._records[key] = changed(record, replay=None)

    @_alone
    def purge(self, *, now: float) -> int:
        return self._drop_ended(now)

    def _mine(self, state_hash: str, browser_hash: str, intent: Intent, agent: str) -> PendingSignIn | None:
        record = self._records.get(state_hash)
        if record is None or (record.browser_hash, record.intent, record.agent) != (browser_hash, intent, agent):
            return None
        return record

    def _drop_ended(self, now: float) -> int:
        ended = [key for key, record in self._records.items() if record.expires_at + OUTCOME_TTL <= now]
        for key in ended:
            del self._records[key]
        for key, record in self._records.items():
            if record.replay is not None and record.finished_at is not None and record.finished_at + REPLAY <= now:
                self._records[key] = changed(record, replay=None)
        return len(ended)


class MemoryAccounts:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[tuple[str, str], int] = {}
        self._accounts: dict[tuple[str, str, str], StoredAccount] = {}

    @_alone
    def version(self, agent: str, user_id: str) -> int:
        return self._versions.setdefault((agent, user_id), secrets.randbits(62))

    @_alone
    def owner(self, agent: str, configure_user_id: str) -> tuple[str, int] | None:
        user_id = self._owner(agent, configure_user_id)
        return None if user_id is None else (user_id, self._versions[agent, user_id])

    @_alone
    def find(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        return self._of(agent, user_id)

    @_alone
    def page(self, agent: str, *, after: tuple[str, str] | None, limit: int) -> tuple[StoredAccount, ...]:
        def place(account: StoredAccount) -> tuple[str, str]:
            return account.user_id, account.kind

        mine = sorted((a for a in self._accounts.values() if a.agent == agent), key=place)
        return tuple(account for account in mine if after is None or place(account) > after)[:limit]

    @_alone
    def save(
        self, account: StoredAccount, *, version: int | None, replace: bool = False, move_from: str | None = None
    ) -> Saved:
        agent, user_id = account.agent, account.user_id
        current = self._versions.setdefault((agent, user_id), secrets.randbits(62)) if version is None else version
        if self._versions.get((agent, user_id)) != current:
            return Saved("stale")
        owner = self._owner(agent, account.configure_user_id)
        if owner not in (None, user_id, move_from):
            return Saved("taken", owner=owner)
        others = tuple(
            other for other in self._of(agent, user_id) if other.configure_user_id != account.configure_user_id
        )
        if others and not replace:
            return Saved("connected")
        unlinked: tuple[StoredAccount, ...] = ()
        if owner is not None and owner != user_id:
            unlinked = self._unlink(agent, owner, account.configure_user_id)
        for other in others:
            del self._accounts[agent, other.user_id, other.kind]
        self._accounts[agent, user_id, account.kind] = changed(account, serial=secrets.token_hex(8))
        return Saved("saved", unlinked=unlinked + others)

    @_alone
    def update(self, account: StoredAccount, *, serial: str) -> bool:
        key = (account.agent, account.user_id, account.kind)
        present = self._accounts.get(key)
        if present is None or present.serial != serial:
            return False
        self._accounts[key] = account
        return True

    @_alone
    def unlink(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        return self._unlink(agent, user_id)

    @_alone
    def forget(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        gone = self._unlink(agent, user_id)
        self._versions.pop((agent, user_id), None)
        return gone

    def _owner(self, agent: str, configure_user_id: str) -> str | None:
        for account in self._accounts.values():
            if (account.agent, account.configure_user_id) == (agent, configure_user_id):
                return account.user_id
        return None

    def _of(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        found = (self._accounts.get((agent, user_id, kind)) for kind in ("agent", "oauth"))
        return tuple(account for account in found if account is not None)

    def _unlink(self, agent: str, user_id: str, configure_user_id: str | None = None) -> tuple[StoredAccount, ...]:
        gone = tuple(a for a in self._of(agent, user_id) if configure_user_id in (None, a.configure_user_id))
        for account in gone:
            del self._accounts[agent, user_id, account.kind]
        self._versions[agent, user_id] = secrets.randbits(62)
        return gone


class MemoryLeases:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, float]] = {}

    @_alone
    def acquire(self, name: str, *, owner: str, until: float, now: float) -> bool:
        held = self._held.get(name)
        if held is not None and held[1] > now:
            return False
        self._held[name] = (owner, until)
        return True

    @_alone
    def release(self, name: str, *, owner: str) -> None:
        if self._held.get(name, ("", 0.0))[0] == owner:
            del self._held[name]


class MemoryJourneys:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._journeys: dict[str, Journey] = {}
        self._links: dict[tuple[str, str], StoredSubject] = {}

    @_alone
    def put(self, journey: Journey, *, limit: int, now: float) -> None:
        self._drop_ended(now)
        mine = [other for other in self._of(journey.agent, journey.subject) if other.token_hash is None]
        for other in sorted(mine, key=lambda other: other.created_at)[: max(0, len(mine) - limit + 1)]:
            del self._journeys[other.journey_hash]
        self._journeys[journey.journey_hash] = journey

    @_alone
    def read(self, journey_hash: str, *, agent: str, now: float) -> Journey | None:
        return self._present(journey_hash, agent, now)

    @_alone
    def attempt(self, journey_hash: str, *, agent: str, limit: int, now: float) -> bool:
        journey = self._present(journey_hash, agent, now)
        if journey is None or journey.token_hash is not None or journey.tries >= limit:
            return False
        self._journeys[journey_hash] = changed(journey, tries=journey.tries + 1)
        return True

    @_alone
    def complete(self, journey_hash: str, *, link: StoredSubject, token_hash: str, now: float) -> Completed:
        journey = self._present(journey_hash, link.agent, now)
        if journey is None or journey.subject != link.subject:
            return "over"
        if journey.token_hash is not None:
            return "repeated" if journey.token_hash == token_hash else "over"
        present = self._links.get((link.agent, link.subject))
        if present is not None and present.configure_user_id not in ("", link.configure_user_id):
            return "taken"
        self._journeys[journey_hash] = changed(journey, token_hash=token_hash, sender=None)
        self._links[link.agent, link.subject] = link
        return "linked"

    @_alone
    def find(self, agent: str, subject: str) -> StoredSubject | None:
        return self._links.get((agent, subject))

    @_alone
    def save(self, link: StoredSubject, *, serial: str | None) -> bool:
        present = self._links.get((link.agent, link.subject))
        if serial != (None if present is None else present.serial):
            return False
        self._links[link.agent, link.subject] = link
        return True

    @_alone
    def remove(self, agent: str, subject: str, *, serial: str) -> bool:
        present = self._links.get((agent, subject))
        if present is None or present.serial != serial:
            return False
        del self._links[agent, subject]
        return True

    @_alone
    def unlink(self, opt_out: StoredSubject) -> StoredSubject | None:
        present = self._forget(opt_out.agent, opt_out.subject)
        self._links[opt_out.agent, opt_out.subject] = opt_out
        return present

    @_alone
    def forget(self, agent: str, subject: str) -> StoredSubject | None:
        return self._forget(agent, subject)

    @_alone
    def page(self, agent: str, *, after: str | None, limit: int) -> tuple[StoredSubject, ...]:
        mine = sorted((link for link in self._links.values() if link.agent == agent), key=lambda link: link.subject)
        return tuple(link for link in mine if after is None or link.subject > after)[:limit]

    @_alone
    def purge(self, *, now: float) -> int:
        return self._drop_ended(now)

    def _forget(self, agent: str, subject: str) -> StoredSubject | None:
        for journey in self._of(agent, subject):
            del self._journeys[journey.journey_hash]
        return self._links.pop((agent, subject), None)

    def _present(self, journey_hash: str, agent: str, now: float) -> Journey | None:
        journey = self._journeys.get(journey_hash)
        return None if journey is None or journey.agent != agent or journey.expires_at <= now else journey

    def _of(self, agent: str, subject: str) -> list[Journey]:
        return [one for one in self._journeys.values() if (one.agent, one.subject) == (agent, subject)]

    def _drop_ended(self, now: float) -> int:
        ended = [key for key, journey in self._journeys.items() if journey.expires_at <= now]
        for key in ended:
            del self._journeys[key]
        return len(ended)


class MemoryAgents:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: dict[tuple[str, str], tuple[str, float]] = {}
        self._owners: dict[tuple[str, str], str] = {}

    @_alone
    def register(self, agent_id: str, claim_hash: str, *, app: str, until: float, now: float) -> bool:
        if (app, agent_id) in self._owners:
            return False
        self._claims[app, agent_id] = claim_hash, until
        return True

    @_alone
    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        for (mine, agent_id), (known, until) in self._claims.items():
            if mine == app and known == claim_hash and until > now:
                is_new = (app, agent_id) not in self._owners
                owner = self._owners.setdefault((app, agent_id), user_id)
                return ClaimedAgent(agent_id=agent_id, owner_user_id=owner, is_new=is_new)
        return None

    @_alone
    def owner(self, agent_id: str, *, app: str) -> str | None:
        return self._owners.get((app, agent_id))

    @_alone
    def owned_by(self, user_id: str, *, app: str) -> tuple[str, ...]:
        return tuple(sorted(agent for (mine, agent), owner in self._owners.items() if (mine, owner) == (app, user_id)))

    @_alone
    def forget(self, app: str, user_id: str) -> None:
        for key in [key for key, owner in self._owners.items() if key[0] == app and owner == user_id]:
            del self._owners[key]
            self._claims.pop(key, None)


class MemoryParameters:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, str] = {}

    @_alone
    def read(self, name: str) -> str | None:
        return self._values.get(name)

    @_alone
    def keep(self, name: str, value: str) -> str:
        return self._values.setdefault(name, value)

    @_alone
    def replace(self, name: str, *, old: str, new: str) -> bool:
        if self._values.get(name) != old:
            return False
        self._values[name] = new
        return True

    @_alone
    def remove(self, name: str) -> None:
        self._values.pop(name, None)


def memory_stores() -> Stores:
    """A new, empty set of stores."""
    return Stores(
        MemoryStates(), MemoryAccounts(), MemoryLeases(), MemoryJourneys(), MemoryAgents(), MemoryParameters()
    )
