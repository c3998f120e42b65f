"""What keeps a store small and its keys few: done now and then, by a command or a job."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, replace

from ..errors import SettingsError
from ..stores import StoredAccount
from .effects import Flow, use, whole
from .site import Clock, Site
from .tokens import place_of, under_lease

__all__ = ["Resealed", "purge", "reseal"]

log = logging.getLogger("configure_auth")

PAGE = 100
"""Connections that are read at once."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many connections were sealed anew; how many could not be: in use just then, or sealed with an unknown key."""

    sealed: int
    left: int

    def __str__(self) -> str:
        if self.left:
            return f"sealed {self.sealed} connections with the first key; {self.left} are left, run it again"
        return f"sealed {self.sealed} connections with the first key; the others were already"


def purge(clock: Clock) -> Flow[int]:
    """Delete every attempt that has ended, in small steps; how many it were."""
    deleted = 0
    while step := (yield from use(lambda stores: stores.states.purge(now=clock()))):
        deleted += step
    return deleted


def reseal(site: Site) -> Flow[Resealed]:
    """Seal every connection of the agent with the first of the keys, so that the others can be given up.

    Attempts that are open keep theirs for 17 minutes.
    """
    sealed = left = 0
    after: tuple[str, str] | None = None
    while page := (yield from _page(site, after)):
        for account in page:
            if not site.sealer.is_current(account.token):
                # Under the lease of the refresh, which would else find its account changed, and lose the new tokens.
                done = bool((yield from whole(under_lease(site, account, _resealed(site, account)))))
                sealed, left = sealed + done, left + (not done)
        after = page[-1].user_id, page[-1].kind
    return Resealed(sealed, left)


def _page(site: Site, after: tuple[str, str] | None) -> Flow[tuple[StoredAccount, ...]]:
    return (yield from use(lambda stores: stores.accounts.page(site.agent, after=after, limit=PAGE)))


def _resealed(site: Site, seen: StoredAccount) -> Flow[bool]:
    found = yield from use(lambda stores: stores.accounts.find(site.agent, seen.user_id))
    present = next((one for one in found if one.kind == seen.kind), None)
    if present is None or site.sealer.is_current(present.token):
        return True
    try:
        plain = site.sealer.open(present.token, *place_of(present))
    except SettingsError as error:
        log.error("a connection could not be sealed anew: %s", error)
        return False
    fresh = replace(present, token=site.sealer.seal(plain, *place_of(present)), serial=secrets.token_hex(8))
    return (yield from use(lambda stores: stores.accounts.update(fresh, serial=present.serial)))
