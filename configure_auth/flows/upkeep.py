"""Maintenance of the store, by a command or a job: purge what has expired, and rotate keys."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from ..errors import SettingsError, StoreError
from ..runtime.frozen import dataclass
from ..stores import StoredAccount, StoredSubject, Stores
from .effects import Observe, Pause, Shielded, UseStore
from .keyed_ids import id_key_name, id_key_seal_context
from .messages.journeys import link_seal_context
from .site import Clock, Site
from .tokens import seal_context, with_lease

log: logging.Logger = logging.getLogger(__name__)

ResealEnd = Literal["sealed", "current", "in use", "unreadable", "gone"]

PAUSE = 0.01
"""Least seconds between two steps of a purge, in which the store is free for sign-ins. After a step that took longer it
is twice its time, so that a purge takes a third of a busy store at most."""


@dataclass(frozen=True)
class Health:
    """What `health` found.

    Args:
        store: "ok"; "unreachable", for now; "refused", until a setting is changed or the tables are upgraded: its
            schema and the keys that it was sealed with are checked.
        circuit: "open" while Configure doesn't respond and callbacks wait; starts and the rest of the app go on.
        detail: what is wrong with the store, for the developer.
    """

    store: Literal["ok", "unreachable", "refused"]
    circuit: Literal["closed", "open"]
    detail: str | None = None

    @property
    def ok(self) -> bool:
        """Whether this process can serve; an outage of Configure is no reason to restart it."""
        return self.store == "ok"


async def health() -> Health:
    """Look at the store and the circuit; nothing is sent to Configure."""
    circuit: Literal["closed", "open"] = "open" if (await Observe()).is_circuit_open else "closed"
    try:
        await UseStore(lambda stores: stores.parameters.read("schema"))
    except StoreError as error:
        return Health("unreachable", circuit, str(error))
    except SettingsError as error:
        return Health("refused", circuit, str(error))
    return Health("ok", circuit)


PAGE = 100
"""Connections read in one operation."""


@dataclass(frozen=True)
class Resealed:
    """The result of `reseal`: numbers of stored secrets.

    Args:
        sealed: encrypted again, with the first key.
        current: encrypted with the first key before.
        in_use: left as they were because something else changed them; the next run may succeed.
        unreadable: left as they were because their key is missing.
    """

    sealed: int
    current: int
    in_use: int
    unreadable: int

    @property
    def is_complete(self) -> bool:
        """Whether every secret is encrypted with the first key, so that the others can be removed."""
        return not (self.in_use or self.unreadable)

    def __str__(self) -> str:
        if not (self.sealed or self.current or self.in_use or self.unreadable):
            return "nothing is encrypted here for this agent"
        said = [f"encrypted {self.sealed} stored secrets with the first key, which {self.current} others had before"]
        if self.in_use:
            said.append(f"{self.in_use} were in use, run it again")
        if self.unreadable:
            said.append(f"{self.unreadable} have a key that is not in the list, put it back first")
        if self.is_complete:
            said.append("all have the first key now")
        return "; ".join(said)


async def purge(clock: Clock) -> int:
    """Delete every expired attempt and journey in small steps. Return their number.

    Expired replays are deleted too, and not counted.
    """
    steps: tuple[Callable[[Stores], int], ...] = (
        lambda stores: stores.states.purge(now=clock()),
        lambda stores: stores.journeys.purge(now=clock()),
    )
    deleted, spent = 0, 0.0
    for step in steps:
        while count := await UseStore(step):
            deleted += count
            before, spent = spent, (await Observe()).store
            await Pause(max(PAUSE, 2 * (spent - before)))
    return deleted


async def reseal(site: Site) -> Resealed:
    """Seal every connection of the agent with the first key, so that the others can be removed.

    Open attempts keep the old key until they are deleted, `STATE_LIFETIME` and 2 minutes after their start.
    """
    ends: Counter[ResealEnd | None] = Counter()
    after: tuple[str, str] | None = None
    while page := await _page(site, after):
        for account in page:
            if site.sealer.is_current(account.token):
                ends["current"] += 1
            else:
                # Under the lease of the refresh, which would else find its account changed, and lose the new tokens.
                ends[await Shielded(with_lease(site, account, partial(_resealed, site, account)))] += 1
        after = page[-1].user_id, page[-1].kind
    await _reseal_links(site, ends)
    ends[await _reseal_id_key(site)] += 1
    return Resealed(ends["sealed"], ends["current"], ends["in use"] + ends[None], ends["unreadable"])


async def _reseal_links(site: Site, ends: Counter[ResealEnd | None]) -> None:
    after: str | None = None
    while page := await _links(site, after):
        for link in page:
            if not link.is_opt_out:
                is_current = site.sealer.is_current(link.token)
                ends["current" if is_current else await _resealed_link(site, link)] += 1
        after = page[-1].subject


async def _links(site: Site, after: str | None) -> tuple[StoredSubject, ...]:
    return await UseStore(lambda stores: stores.journeys.page(site.agent, after=after, limit=PAGE))


async def _resealed_link(site: Site, link: StoredSubject) -> ResealEnd:
    token = _anew(site, link.token, link_seal_context(link))
    if token is None:
        return "unreadable"
    fresh = replace(link, token=token, serial=secrets.token_hex(8))
    kept = await UseStore(lambda stores: stores.journeys.save(fresh, serial=link.serial))
    return "sealed" if kept else "in use"


async def _reseal_id_key(site: Site) -> ResealEnd:
    """Reseal the key of the ids, which itself does not change."""
    name = id_key_name(site)
    kept = await UseStore(lambda stores: stores.parameters.read(name))
    if kept is None:
        return "gone"
    if site.sealer.is_current(kept):
        return "current"
    fresh = _anew(site, kept, id_key_seal_context(site))
    if fresh is None:
        return "unreadable"
    replaced = await UseStore(lambda stores: stores.parameters.replace(name, old=kept, new=fresh))
    return "sealed" if replaced else "in use"


def _anew(site: Site, sealed: str, place: tuple[str, ...]) -> str | None:
    try:
        return site.sealer.seal(site.sealer.open(sealed, *place), *place)
    except SettingsError as error:
        log.error("a stored secret could not be resealed: %s", error)
        return None


async def _page(site: Site, after: tuple[str, str] | None) -> tuple[StoredAccount, ...]:
    return await UseStore(lambda stores: stores.accounts.page(site.agent, after=after, limit=PAGE))


async def _resealed(site: Site, seen: StoredAccount) -> ResealEnd:
    found = await UseStore(lambda stores: stores.accounts.find(site.agent, seen.user_id))
    present = next((one for one in found if one.kind == seen.kind), None)
    if present is None or site.sealer.is_current(present.token):
        return "gone"
    token = _anew(site, present.token, seal_context(present))
    if token is None:
        return "unreadable"
    fresh = replace(present, token=token, serial=secrets.token_hex(8))
    kept = await UseStore(lambda stores: stores.accounts.update(fresh, serial=present.serial))
    return "sealed" if kept else "in use"
