"""Stores that break a sentence of the Protocols, each with the tests of the kit that say so.

One list of small classes, in the order of the Protocols: whoever adds a sentence looks here for the store that breaks
it.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from configure_auth.stores import Saved, StoredAccount, Stores
from configure_auth.testing.conformance.records import NOW, attempt
from configure_auth.values import Intent, PendingSignIn

from ..support.wrapping import wrapped
from .broken_agents import AGENTS
from .broken_journeys import JOURNEYS, PARAMETERS
from .model import MemoryAccounts, MemoryLeases, MemoryStates, memory_stores
from .two_at_once import TwoAtOnce

__all__ = ["BROKEN", "awaited"]


class ClaimsTwice(MemoryStates):
    def claim(self, state_hash: str, **given: Any) -> PendingSignIn | None:
        now = given.pop("now")
        record = self.read(state_hash, now=now, **given)
        return None if record is None or record.expires_at <= now else self._claimed(record, now)

    def _claimed(self, record: PendingSignIn, now: float) -> PendingSignIn:
        self._records[record.state_hash] = claimed = replace(record, claimed_at=now)
        return claimed


class LooksThenClaims(ClaimsTwice):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def claim(self, state_hash: str, **given: Any) -> PendingSignIn | None:
        record = self.read(state_hash, **given)
        if record is None or record.claimed_at is not None or record.expires_at <= given["now"]:
            return None
        self._two.meet()
        return self._claimed(record, given["now"])


class ClaimsForAny(MemoryStates):
    part: str

    def _mine(self, state_hash: str, browser_hash: str, intent: Intent, agent: str) -> PendingSignIn | None:
        record = self._records.get(state_hash)
        given: dict[str, Any] = {"browser_hash": browser_hash, "intent": intent, "agent": agent}
        given.pop(self.part)
        matches = record is not None and all(getattr(record, name) == value for name, value in given.items())
        return record if matches else None


class ClaimsForAnyBrowser(ClaimsForAny):
    part = "browser_hash"


class ClaimsForAnyIntent(ClaimsForAny):
    part = "intent"


class ClaimsForAnyAgent(ClaimsForAny):
    part = "agent"


class BurnsOnAMismatch(MemoryStates):
    def claim(self, state_hash: str, **given: Any) -> PendingSignIn | None:
        claimed = super().claim(state_hash, **given)
        if claimed is None:
            self._records.pop(state_hash, None)
        return claimed


class ClaimsLate(MemoryStates):
    def claim(self, state_hash: str, *, now: float, **given: Any) -> PendingSignIn | None:
        return super().claim(state_hash, now=now - 1, **given)


class ReadsForEver(MemoryStates):
    def read(self, state_hash: str, *, now: float, **given: Any) -> PendingSignIn | None:
        return super().read(state_hash, now=0.0, **given)


class ForgetsAtTheEnd(MemoryStates):
    def read(self, state_hash: str, *, now: float, **given: Any) -> PendingSignIn | None:
        record = super().read(state_hash, now=now, **given)
        return None if record is None or record.expires_at <= now else record


class FinishesTheUnclaimed(MemoryStates):
    def finish(self, state_hash: str, *, outcome: str, now: float, **given: Any) -> None:
        super().finish(state_hash, outcome=outcome, now=now, **given)
        record = self._records.get(state_hash)
        if record is not None:
            self._records[state_hash] = replace(record, outcome=outcome, finished_at=now)


class Resurrects(MemoryStates):
    """Writes an outcome whatever is there, as an upsert of a whole record would."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, PendingSignIn] = {}

    def claim(self, state_hash: str, **given: Any) -> PendingSignIn | None:
        claimed = super().claim(state_hash, **given)
        if claimed is not None:
            self._seen[state_hash] = claimed
        return claimed

    def finish(self, state_hash: str, **given: Any) -> None:
        if state_hash in self._seen:
            self._records[state_hash] = self._seen[state_hash]
        super().finish(state_hash, **given)


class LosesTheUser(MemoryStates):
    def finish(self, state_hash: str, *, user_id: str | None, **given: Any) -> None:
        super().finish(state_hash, user_id=None, **given)


class WipesTheStarter(MemoryStates):
    def finish(self, state_hash: str, *, user_id: str | None, **given: Any) -> None:
        super().finish(state_hash, user_id=user_id, **given)
        record = self._records.get(state_hash)
        if record is not None and record.claimed_at is not None:
            self._records[state_hash] = replace(record, user_id=user_id)


class KeepsNoReplay(MemoryStates):
    def finish(self, state_hash: str, *, replay: str | None, **given: Any) -> None:
        super().finish(state_hash, replay=None, **given)


class KeepsTheReplay(MemoryStates):
    def _drop_ended(self, now: float) -> int:
        replays = {key: record.replay for key, record in self._records.items()}
        gone = super()._drop_ended(now)
        self._records = {key: replace(record, replay=replays[key]) for key, record in self._records.items()}
        return gone


class PurgesNothing(MemoryStates):
    def purge(self, *, now: float) -> int:
        return 0


class PurgesForEver(MemoryStates):
    def purge(self, *, now: float) -> int:
        return super().purge(now=now) or 1


class PurgesTheLingering(MemoryStates):
    def purge(self, *, now: float) -> int:
        return super().purge(now=now + 10)


class NoCap(MemoryStates):
    def put(self, record: PendingSignIn, *, limit: int, now: float) -> None:
        super().put(record, limit=10**6, now=now)


class CapOverAll(MemoryStates):
    """Counts every browser's and every agent's."""

    def put(self, record: PendingSignIn, *, limit: int, now: float) -> None:
        mine = [one for one in self._records.values() if one.claimed_at is None]
        for one in sorted(mine, key=lambda one: one.created_at)[: max(0, len(mine) - limit + 1)]:
            del self._records[one.state_hash]
        super().put(record, limit=limit, now=now)


class CapOfTheClaimed(MemoryStates):
    def put(self, record: PendingSignIn, *, limit: int, now: float) -> None:
        mine = [one for one in self._records.values() if one.browser_hash == record.browser_hash]
        for one in sorted(mine, key=lambda one: one.created_at)[: max(0, len(mine) - limit + 1)]:
            del self._records[one.state_hash]
        super().put(record, limit=limit, now=now)


class NewestGoes(MemoryStates):
    def put(self, record: PendingSignIn, *, limit: int, now: float) -> None:
        open_ones = [one for one in self._records.values() if one.claimed_at is None and one.agent == record.agent]
        if len(open_ones) >= limit:
            del self._records[max(open_ones, key=lambda one: one.created_at).state_hash]
        super().put(record, limit=limit + 1, now=now)


class ForgetsOnlyStarters(MemoryStates):
    def forget(self, agent: str, user_id: str) -> None:
        ended = {key: record for key, record in self._records.items() if record.claimed_at is not None}
        super().forget(agent, user_id)
        self._records |= ended


class ForgetsForAllAgents(MemoryStates):
    def forget(self, agent: str, user_id: str) -> None:
        for one in {record.agent for record in self._records.values()}:
            super().forget(one, user_id)


class ExportsOthers(MemoryStates):
    def of_user(self, agent: str, user_id: str) -> tuple[PendingSignIn, ...]:
        return tuple(one for one in self._records.values() if one.user_id == user_id)


class ExportsStartersOnly(MemoryStates):
    def of_user(self, agent: str, user_id: str) -> tuple[PendingSignIn, ...]:
        return tuple(one for one in super().of_user(agent, user_id) if one.claimed_at is None)


class KeepsReplays(MemoryStates):
    def forget_replays(self, agent: str, browser_hash: str) -> None:
        """Nothing."""


class ForgetsReplaysOfAllBrowsers(MemoryStates):
    def forget_replays(self, agent: str, browser_hash: str) -> None:
        for one in {record.browser_hash for record in self._records.values()}:
            super().forget_replays(agent, one)


class ForgetsOutcomesWithReplays(MemoryStates):
    def forget_replays(self, agent: str, browser_hash: str) -> None:
        for record in [one for one in self._records.values() if (one.agent, one.browser_hash) == (agent, browser_hash)]:
            del self._records[record.state_hash]


class RoundsTimes(MemoryStates):
    def put(self, record: PendingSignIn, *, limit: int, now: float) -> None:
        super().put(replace(record, created_at=round(record.created_at, 3)), limit=limit, now=now)


class FoldsUsers(MemoryStates):
    def forget(self, agent: str, user_id: str) -> None:
        for one in {record.user_id for record in self._records.values() if record.user_id}:
            if one.strip() == user_id.strip():
                super().forget(agent, one)


class CountsTheForgotten(MemoryStates):
    def __init__(self) -> None:
        super().__init__()
        self._hidden: set[str] = set()

    def forget(self, agent: str, user_id: str) -> None:
        self._hidden |= {key for key, one in self._records.items() if (one.agent, one.user_id) == (agent, user_id)}

    def _mine(self, state_hash: str, browser_hash: str, intent: Intent, agent: str) -> PendingSignIn | None:
        return None if state_hash in self._hidden else super()._mine(state_hash, browser_hash, intent, agent)


class FinishesAll(MemoryStates):
    def finish(self, state_hash: str, **given: Any) -> None:
        for key in list(self._records):
            super().finish(key, **given)


class FinishesTheUnknown(MemoryStates):
    def finish(self, state_hash: str, **given: Any) -> None:
        known = attempt("s", state_hash=state_hash, claimed_at=NOW)
        self._records.setdefault(state_hash, known)
        super().finish(state_hash, **given)


class SameVersion(MemoryAccounts):
    def version(self, agent: str, user_id: str) -> int:
        return self._versions.setdefault((agent, user_id), 1)


class SmallVersions(MemoryAccounts):
    def version(self, agent: str, user_id: str) -> int:
        return self._versions.setdefault((agent, user_id), len(self._versions))


class NewVersions(MemoryAccounts):
    def version(self, agent: str, user_id: str) -> int:
        self._versions.pop((agent, user_id), None)
        return super().version(agent, user_id)


class ManyNewVersions(MemoryAccounts):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def version(self, agent: str, user_id: str) -> int:
        known = (agent, user_id) in self._versions
        if not known:
            self._two.meet()
            self._versions[agent, user_id] = version = secrets.randbits(62)
            return version
        return super().version(agent, user_id)


class RoundsVersions(MemoryAccounts):
    """As a store does that keeps numbers as doubles."""

    def version(self, agent: str, user_id: str) -> int:
        self._versions[agent, user_id] = version = int(float(super().version(agent, user_id)))
        return version

    def save(self, account: StoredAccount, *, version: int | None, **given: Any) -> Saved:
        return super().save(account, version=None if version is None else int(float(version)), **given)


class AnyVersion(MemoryAccounts):
    def save(self, account: StoredAccount, *, version: int | None, **given: Any) -> Saved:
        return super().save(account, version=None, **given)


class StaleOnlyWhereKnown(MemoryAccounts):
    def save(self, account: StoredAccount, *, version: int | None, **given: Any) -> Saved:
        known = (account.agent, account.user_id) in self._versions
        return super().save(account, version=version if known else None, **given)


class KeepsTheSerial(MemoryAccounts):
    def save(self, account: StoredAccount, **given: Any) -> Saved:
        saved = super().save(account, **given)
        key = account.agent, account.user_id, account.kind
        if saved.end == "saved":
            self._accounts[key] = account
        return saved


class OwnerOfAKind(MemoryAccounts):
    """One owner for each kind, as a constraint over (agent, kind, configure_user_id) would have it."""

    kind: str = ""

    def save(self, account: StoredAccount, **given: Any) -> Saved:
        self.kind = account.kind
        try:
            return super().save(account, **given)
        finally:
            self.kind = ""

    def _owner(self, agent: str, configure_user_id: str) -> str | None:
        mine = (one for one in self._accounts.values() if self.kind in ("", one.kind))
        found = (one for one in mine if (one.agent, one.configure_user_id) == (agent, configure_user_id))
        return next((one.user_id for one in found), None)


class MovesFromAnybody(MemoryAccounts):
    def save(self, account: StoredAccount, *, move_from: str | None = None, **given: Any) -> Saved:
        owner = self._owner(account.agent, account.configure_user_id)
        return super().save(account, move_from=owner if move_from else None, **given)


class MovesSilently(MemoryAccounts):
    """Doesn't raise the version of the one who loses."""

    def save(self, account: StoredAccount, **given: Any) -> Saved:
        before = dict(self._versions)
        saved = super().save(account, **given)
        self._versions |= before
        return saved


class SaysNothingOfTheUnlinked(MemoryAccounts):
    def save(self, account: StoredAccount, **given: Any) -> Saved:
        return replace(super().save(account, **given), unlinked=())


class ReplacesAlways(MemoryAccounts):
    def save(self, account: StoredAccount, *, replace: bool = False, **given: Any) -> Saved:
        return super().save(account, replace=True, **given)


class LeavesTheOtherKind(MemoryAccounts):
    def save(self, account: StoredAccount, **given: Any) -> Saved:
        before = dict(self._accounts)
        saved = super().save(account, **given)
        for key, old in before.items():
            if old.user_id == account.user_id and old.kind != account.kind:
                self._accounts[key] = old
        return saved


class LooksThenSaves(MemoryAccounts):
    """Asks for the owner first, and then saves."""

    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def save(self, account: StoredAccount, **given: Any) -> Saved:
        owner = self.owner(account.agent, account.configure_user_id)
        if owner is None:
            self._two.meet()
            key = account.agent, account.user_id, account.kind
            self._versions.setdefault(key[:2], 1)
            self._accounts[key] = account
            return Saved("saved")
        return super().save(account, **given)


class LooksAtTheUserThenSaves(MemoryAccounts):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def save(self, account: StoredAccount, **given: Any) -> Saved:
        if not self.find(account.agent, account.user_id):
            self._two.meet()
            self._accounts[account.agent, account.user_id, account.kind] = account
            return Saved("saved")
        return super().save(account, **given)


class LooksAtTheVersionThenSaves(MemoryAccounts):
    """Compares the version in one step and writes in another, after the unlink."""

    def __init__(self) -> None:
        super().__init__()
        self._gone = threading.Event()

    def save(self, account: StoredAccount, *, version: int | None, **given: Any) -> Saved:
        if version is not None and self.version(account.agent, account.user_id) != version:
            return Saved("stale")
        self._gone.wait(5)
        return super().save(account, version=None, **given)

    def unlink(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        gone = super().unlink(agent, user_id)
        self._gone.set()
        return gone


class UpdatesAnySerial(MemoryAccounts):
    def update(self, account: StoredAccount, *, serial: str) -> bool:
        present = self._accounts.get((account.agent, account.user_id, account.kind))
        return present is not None and super().update(account, serial=present.serial)


class UpdatesWhatIsGone(MemoryAccounts):
    def update(self, account: StoredAccount, *, serial: str) -> bool:
        self._accounts.setdefault((account.agent, account.user_id, account.kind), replace(account, serial=serial))
        return super().update(account, serial=serial)


class LooksThenUpdates(MemoryAccounts):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def update(self, account: StoredAccount, *, serial: str) -> bool:
        key = account.agent, account.user_id, account.kind
        if self._accounts[key].serial != serial:
            return False
        self._two.meet()
        self._accounts[key] = account
        return True


class LooksThenUnlinks(MemoryAccounts):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def _seen(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        seen = self.find(agent, user_id)
        if seen:
            self._two.meet()
        return seen

    def unlink(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        seen = self._seen(agent, user_id)
        super().unlink(agent, user_id)
        return seen

    def forget(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        seen = self._seen(agent, user_id)
        super().forget(agent, user_id)
        return seen


class UnlinksSilently(MemoryAccounts):
    def unlink(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        before = dict(self._versions)
        gone = super().unlink(agent, user_id)
        self._versions |= before
        return gone


class UnlinksOneKind(MemoryAccounts):
    def unlink(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        login = self._accounts.get((agent, user_id, "oauth"))
        gone = super().unlink(agent, user_id)
        if login is not None:
            self._accounts[agent, user_id, "oauth"] = login
        return gone


class ForgetsNoVersion(MemoryAccounts):
    def forget(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        before = dict(self._versions)
        gone = super().forget(agent, user_id)
        self._versions |= before
        return gone


class ForgetsNoConnection(MemoryAccounts):
    def forget(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        self._versions.pop((agent, user_id), None)
        return self.find(agent, user_id)


class LoginFirst(MemoryAccounts):
    def find(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        return super().find(agent, user_id)[::-1]


class PagesOfAllAgents(MemoryAccounts):
    def page(self, agent: str, **given: Any) -> tuple[StoredAccount, ...]:
        every = {one.agent for one in self._accounts.values()}
        return tuple(account for one in sorted(every) for account in super(PagesOfAllAgents, self).page(one, **given))


class PagesByUser(MemoryAccounts):
    """Goes on after a user, not after one of their connections."""

    def page(self, agent: str, *, after: tuple[str, str] | None, limit: int) -> tuple[StoredAccount, ...]:
        return super().page(agent, after=None if after is None else (after[0], "z"), limit=limit)


class FoldsCase(MemoryAccounts):
    def version(self, agent: str, user_id: str) -> int:
        return super().version(agent, user_id.lower())


class LosesScopes(MemoryAccounts):
    def save(self, account: StoredAccount, **given: Any) -> Saved:
        return super().save(replace(account, scopes=tuple(sorted(account.scopes))), **given)


class UpdatesNothing(MemoryAccounts):
    def update(self, account: StoredAccount, *, serial: str) -> bool:
        return False


class StaleAlways(MemoryAccounts):
    def save(self, account: StoredAccount, *, version: int | None, **given: Any) -> Saved:
        return Saved("stale") if version is not None else super().save(account, version=None, **given)


class MovesOrReplaces(MemoryAccounts):
    def save(
        self, account: StoredAccount, *, replace: bool = False, move_from: str | None = None, **given: Any
    ) -> Saved:
        return super().save(account, replace=replace, move_from=None if replace else move_from, **given)


class MovesFromItself(MemoryAccounts):
    def save(self, account: StoredAccount, *, move_from: str | None = None, **given: Any) -> Saved:
        saved = super().save(account, move_from=move_from, **given)
        if saved.end == "saved" and move_from == account.user_id:
            self.unlink(account.agent, move_from)
        return saved


class MovesWhatNobodyOwns(MemoryAccounts):
    def save(self, account: StoredAccount, *, move_from: str | None = None, **given: Any) -> Saved:
        saved = super().save(account, move_from=move_from, **given)
        if saved.end == "saved" and move_from not in (None, account.user_id):
            self.unlink(account.agent, str(move_from))
        return saved


class RenewsNothing(MemoryAccounts):
    def save(self, account: StoredAccount, **given: Any) -> Saved:
        pairs = [(one.kind, one.configure_user_id) for one in self.find(account.agent, account.user_id)]
        return Saved("saved") if (account.kind, account.configure_user_id) in pairs else super().save(account, **given)


class OneAgent(MemoryAccounts):
    def _owner(self, agent: str, configure_user_id: str) -> str | None:
        found = (one for one in self._accounts.values() if one.configure_user_id == configure_user_id)
        return next((one.user_id for one in found), None)


class OwnerByAnyId(MemoryAccounts):
    def owner(self, agent: str, configure_user_id: str) -> tuple[str, int] | None:
        found = super().find(agent, configure_user_id)
        return super().owner(agent, found[0].configure_user_id if found else configure_user_id)


class RaisesAll(MemoryAccounts):
    def unlink(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        gone = super().unlink(agent, user_id)
        self._versions = {key: version + 1 for key, version in self._versions.items()}
        return gone


class ForgetsAll(MemoryAccounts):
    def forget(self, agent: str, user_id: str) -> tuple[StoredAccount, ...]:
        return tuple(gone for key in list(self._versions) for gone in super(ForgetsAll, self).forget(*key))


class KeepsTheOwner(MemoryAccounts):
    def __init__(self) -> None:
        super().__init__()
        self._owners: dict[str, str] = {}

    def save(self, account: StoredAccount, **given: Any) -> Saved:
        owner = self._owners.setdefault(account.configure_user_id, account.user_id)
        return super().save(account, **given) if owner == account.user_id else Saved("taken", owner=owner)


class LeasesTwice(MemoryLeases):
    def acquire(self, name: str, *, owner: str, until: float, now: float) -> bool:
        self._held.pop(name, None)
        return super().acquire(name, owner=owner, until=until, now=now)


class LeasesAgainToItsOwner(MemoryLeases):
    def acquire(self, name: str, *, owner: str, until: float, now: float) -> bool:
        self.release(name, owner=owner)
        return super().acquire(name, owner=owner, until=until, now=now)


class LeasesForEver(MemoryLeases):
    def acquire(self, name: str, *, owner: str, until: float, now: float) -> bool:
        return super().acquire(name, owner=owner, until=until, now=0.0)


class AnybodyReleases(MemoryLeases):
    def release(self, name: str, *, owner: str) -> None:
        self._held.pop(name, None)


class NeverReleases(MemoryLeases):
    def release(self, name: str, *, owner: str) -> None:
        return None


class OneLease(MemoryLeases):
    def acquire(self, name: str, **given: Any) -> bool:
        return super().acquire(name.lower(), **given)


class LooksThenLeases(MemoryLeases):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def acquire(self, name: str, *, owner: str, until: float, now: float) -> bool:
        held = self._held.get(name)
        if held is not None and held[1] > now:
            return False
        if owner != "o":  # who comes alone
            self._two.meet()
        self._held[name] = owner, until
        return True


class _Awaited:
    """A store whose methods are awaited, and let others in before they begin."""

    def __init__(self, store: object) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def step(*given: Any, **named: Any) -> Any:
            await asyncio.sleep(0)
            return method(*given, **named)

        return step


class LooksThenClaimsAwaited(_Awaited):
    async def claim(self, state_hash: str, **given: Any) -> PendingSignIn | None:
        record: PendingSignIn | None = await self.read(state_hash, **given)
        if record is None or record.claimed_at is not None:
            return None
        await asyncio.sleep(0)
        await self.finish(state_hash, outcome="", replay=None, user_id=None, now=0.0)
        return replace(record, claimed_at=given["now"])


def awaited(stores: Stores) -> Stores:
    async def close() -> None:
        stores.close()

    return replace(wrapped(stores, lambda store, _name: _Awaited(store)), close=close)


def _with(**stores: Any) -> Any:
    return lambda: replace(memory_stores(), **{name: store() for name, store in stores.items()})


def _awaited_race() -> Stores:
    memory = awaited(memory_stores())
    states: Any = LooksThenClaimsAwaited(MemoryStates())
    return replace(memory, states=states)


_STATES: dict[type[MemoryStates], tuple[str, ...]] = {
    ClaimsTwice: ("an_attempt_is_claimed_once",),
    LooksThenClaims: ("one_of_many_claims_an_attempt",),
    ClaimsForAnyBrowser: ("a_claim_that_does_not_match_changes_nothing", "an_attempt_is_read_by_its_own_browser_only"),
    ClaimsForAnyIntent: ("a_claim_that_does_not_match_changes_nothing", "an_attempt_is_read_by_its_own_browser_only"),
    ClaimsForAnyAgent: ("a_claim_that_does_not_match_changes_nothing", "an_attempt_is_read_by_its_own_browser_only"),
    BurnsOnAMismatch: ("a_claim_that_does_not_match_changes_nothing", "an_attempt_is_claimed_once"),
    ClaimsLate: ("an_attempt_can_be_claimed_until_it_ends",),
    ReadsForEver: ("an_attempt_is_read_until_it_has_lingered",),
    ForgetsAtTheEnd: ("an_attempt_is_read_until_it_has_lingered", "an_outcome_is_remembered_with_its_user"),
    FinishesTheUnclaimed: ("an_unclaimed_attempt_is_not_finished",),
    Resurrects: ("a_forgotten_attempt_does_not_come_back_when_it_is_finished",),
    LosesTheUser: ("an_outcome_is_remembered_with_its_user", "the_attempts_of_a_user_are_forgotten"),
    WipesTheStarter: ("an_outcome_without_a_user_leaves_it_whose_it_was",),
    KeepsNoReplay: ("a_replay_is_there_for_a_while",),
    KeepsTheReplay: ("a_replay_goes_with_a_later_write_and_the_outcome_stays",),
    PurgesNothing: ("what_has_ended_is_purged_and_nothing_else",),
    PurgesForEver: ("nothing_is_purged_that_lingers", "what_has_ended_is_purged_and_nothing_else"),
    PurgesTheLingering: ("nothing_is_purged_that_lingers",),
    NoCap: (
        "the_oldest_open_attempts_of_a_browser_go",
        "no_more_attempts_of_a_browser_than_may_be_are_left_after_many_at_once",
    ),
    CapOverAll: ("the_attempts_of_another_browser_and_agent_neither_count_nor_go",),
    CapOfTheClaimed: ("claimed_attempts_neither_count_nor_go",),
    NewestGoes: ("the_oldest_open_attempts_of_a_browser_go",),
    ForgetsOnlyStarters: ("the_attempts_of_a_user_are_forgotten",),
    ForgetsForAllAgents: ("the_attempts_of_nobody_else_are_forgotten",),
    ExportsOthers: ("the_attempts_of_a_user_are_listed",),
    ExportsStartersOnly: ("the_attempts_of_a_user_are_listed",),
    KeepsReplays: ("the_replays_of_a_browser_are_forgotten",),
    ForgetsReplaysOfAllBrowsers: ("the_replays_of_a_browser_are_forgotten",),
    ForgetsOutcomesWithReplays: ("the_replays_of_a_browser_are_forgotten",),
    RoundsTimes: ("an_attempt_is_read_and_claimed_as_it_was_put",),
    CountsTheForgotten: ("an_attempt_that_was_forgotten_does_not_count",),
    FinishesAll: ("an_outcome_is_of_one_attempt_alone",),
    FinishesTheUnknown: ("an_unknown_attempt_is_not_finished",),
    FoldsUsers: ("attempts_of_odd_users_are_told_apart",),
}

_ACCOUNTS: dict[type[MemoryAccounts], tuple[str, ...]] = {
    SameVersion: ("a_version_is_random_and_stays",),
    SmallVersions: ("versions_have_room_for_chance",),
    NewVersions: ("a_version_is_random_and_stays",),
    ManyNewVersions: ("many_are_told_the_same_new_version",),
    RoundsVersions: ("a_save_at_another_version_is_stale",),
    AnyVersion: (
        "a_save_at_another_version_is_stale",
        "a_save_in_flight_brings_nothing_back",
        "a_stale_save_takes_nothing_over",
    ),
    StaleOnlyWhereKnown: ("a_save_at_the_version_of_nobody_is_stale", "a_save_in_flight_brings_nothing_back"),
    KeepsTheSerial: ("the_same_save_twice_has_two_serials", "a_connection_is_found_as_it_was_saved"),
    OwnerOfAKind: ("a_configure_user_of_another_user_is_taken", "one_of_many_users_gets_a_configure_user"),
    MovesFromAnybody: ("a_configure_user_of_another_user_is_taken",),
    MovesSilently: ("a_configure_user_moves_from_its_owner",),
    SaysNothingOfTheUnlinked: ("a_configure_user_moves_from_its_owner", "another_configure_user_may_take_the_place"),
    ReplacesAlways: (
        "a_user_of_another_configure_user_is_connected",
        "one_of_many_configure_users_gets_a_user",
        "who_is_connected_moves_nothing_without_replace",
    ),
    LeavesTheOtherKind: ("another_configure_user_may_take_the_place",),
    LooksThenSaves: ("one_of_many_users_gets_a_configure_user",),
    LooksAtTheUserThenSaves: ("one_of_many_configure_users_gets_a_user",),
    LooksAtTheVersionThenSaves: ("of_saves_and_an_unlink_at_once_the_unlink_wins",),
    UpdatesAnySerial: ("a_connection_that_changed_is_not_changed_by_its_old_serial", "of_two_kinds_one_is_changed"),
    UpdatesWhatIsGone: ("a_connection_that_changed_is_not_changed_by_its_old_serial",),
    LooksThenUpdates: ("one_of_many_changes_a_connection",),
    LooksThenUnlinks: ("of_many_who_unlink_a_user_one_gets_the_connections",),
    UnlinksSilently: ("a_save_in_flight_brings_nothing_back", "of_saves_and_an_unlink_at_once_the_unlink_wins"),
    UnlinksOneKind: ("a_user_is_unlinked",),
    ForgetsNoVersion: ("whoever_gets_a_forgotten_users_id_inherits_nothing", "a_save_in_flight_brings_nothing_back"),
    ForgetsNoConnection: ("whoever_gets_a_forgotten_users_id_inherits_nothing",),
    LoginFirst: ("both_kinds_of_one_pair_are_found_the_link_first",),
    PagesOfAllAgents: ("an_agents_connections_are_paged_in_order",),
    PagesByUser: ("an_agents_connections_are_paged_in_order",),
    FoldsCase: ("odd_users_are_told_apart",),
    UpdatesNothing: ("a_connection_is_changed_by_its_serial",),
    StaleAlways: ("a_connection_is_saved_at_its_users_version",),
    MovesOrReplaces: ("a_move_may_take_the_place_of_another",),
    MovesFromItself: ("a_renewal_moves_nothing",),
    MovesWhatNobodyOwns: ("nothing_needs_to_move_where_nobody_is_the_owner",),
    RenewsNothing: ("the_same_pair_is_renewed",),
    OneAgent: ("of_two_agents_neither_meets_the_other",),
    OwnerByAnyId: ("nobody_owns_an_unknown_configure_user",),
    RaisesAll: ("only_the_unlinked_users_version_is_raised",),
    ForgetsAll: ("to_forget_a_stranger_is_nothing",),
    KeepsTheOwner: ("what_was_unlinked_can_be_connected_by_another",),
    LosesScopes: ("a_connection_is_found_as_it_was_saved",),
}

_LEASES: dict[type[MemoryLeases], tuple[str, ...]] = {
    LeasesTwice: ("a_lease_is_one_holders",),
    LeasesAgainToItsOwner: ("a_lease_is_one_holders",),
    LeasesForEver: ("a_lease_whose_time_is_over_is_free",),
    AnybodyReleases: ("a_lease_is_given_back_by_its_owner_only", "one_of_many_gets_a_lease"),
    NeverReleases: ("a_lease_that_is_given_back_is_free",),
    OneLease: ("leases_of_odd_names_are_told_apart",),
    LooksThenLeases: ("one_of_many_gets_a_lease",),
}

BROKEN: Final[dict[str, tuple[Callable[[], Stores], tuple[str, ...]]]] = {
    **{kind.__name__: (_with(states=kind), tests) for kind, tests in _STATES.items()},
    **{kind.__name__: (_with(accounts=kind), tests) for kind, tests in _ACCOUNTS.items()},
    **{kind.__name__: (_with(leases=kind), tests) for kind, tests in _LEASES.items()},
    **{kind.__name__: (_with(journeys=kind), tests) for kind, tests in JOURNEYS.items()},
    **{kind.__name__: (_with(parameters=kind), tests) for kind, tests in PARAMETERS.items()},
    **{kind.__name__: (_with(agents=kind), tests) for kind, tests in AGENTS.items()},
    LooksThenClaimsAwaited.__name__: (_awaited_race, ("one_of_many_claims_an_attempt",)),
}
