"""Stores of agents that break a sentence of their Protocol, each with the tests that say so."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from configure_auth.values import ClaimedAgent

from .model import MemoryAgents
from .two_at_once import TwoAtOnce

__all__ = ["AGENTS"]


class ClaimsForWhoeverComesLast(MemoryAgents):
    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        found = super().claim(claim_hash, user_id, app=app, now=now)
        if found is None:
            return None
        self._owners[app, found.agent_id] = user_id
        return replace(found, owner_user_id=user_id)


class LooksThenClaimsAnAgent(MemoryAgents):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        for (mine, agent_id), (known, until) in list(self._claims.items()):
            if mine == app and known == claim_hash and until > now and (app, agent_id) not in self._owners:
                self._two.meet()
                self._owners[app, agent_id] = user_id
                return ClaimedAgent(agent_id=agent_id, owner_user_id=user_id, is_new=True)
        return super().claim(claim_hash, user_id, app=app, now=now)


class AlwaysNew(MemoryAgents):
    def claim(self, claim_hash: str, user_id: str, **given: Any) -> ClaimedAgent | None:
        found = super().claim(claim_hash, user_id, **given)
        return None if found is None else replace(found, is_new=found.owner_user_id == user_id)


class NeverNew(MemoryAgents):
    def claim(self, claim_hash: str, user_id: str, **given: Any) -> ClaimedAgent | None:
        found = super().claim(claim_hash, user_id, **given)
        return None if found is None else replace(found, is_new=False)


class UsesATokenUp(MemoryAgents):
    """So that its owner is told of no agent when asking again."""

    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        found = super().claim(claim_hash, user_id, app=app, now=now)
        if found is not None:
            del self._claims[app, found.agent_id]
        return found


class ClaimsByAnyToken(MemoryAgents):
    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        known = [kept for (mine, _), (kept, _) in self._claims.items() if mine == app]
        meant = claim_hash if claim_hash in known else next(iter(known), claim_hash)
        return super().claim(meant, user_id, app=app, now=now)


class ClaimsByAPattern(MemoryAgents):
    def claim(self, claim_hash: str, user_id: str, **given: Any) -> ClaimedAgent | None:
        start = claim_hash.lower().removesuffix("%")
        found = [known for known, _ in self._claims.values() if known.startswith(start)]
        return super().claim(found[0] if found else claim_hash, user_id, **given)


class BurnsOnAnUnknownToken(MemoryAgents):
    def claim(self, claim_hash: str, user_id: str, **given: Any) -> ClaimedAgent | None:
        found = super().claim(claim_hash, user_id, **given)
        if found is None:
            self._claims.clear()
        return found


class ClaimsAllThatWait(MemoryAgents):
    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        found = super().claim(claim_hash, user_id, app=app, now=now)
        if found is not None:
            for key in self._claims:
                self._owners.setdefault(key, user_id)
        return found


class ClaimsForEver(MemoryAgents):
    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        return super().claim(claim_hash, user_id, app=app, now=0.0)


class ClaimsAtTheEnd(MemoryAgents):
    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        return super().claim(claim_hash, user_id, app=app, now=now - 0.001)


class RoundsTheEnd(MemoryAgents):
    def register(self, agent_id: str, claim_hash: str, *, until: float, **given: Any) -> bool:
        return super().register(agent_id, claim_hash, until=float(int(until)), **given)


class TellsTheOwnerForEver(MemoryAgents):
    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        owned = {known for key, (known, _) in self._claims.items() if key in self._owners}
        return super().claim(claim_hash, user_id, app=app, now=0.0 if claim_hash in owned else now)


class KeepsTheFirstToken(MemoryAgents):
    def register(self, agent_id: str, claim_hash: str, *, app: str, **given: Any) -> bool:
        known = self._claims.get((app, agent_id))
        kept = super().register(agent_id, claim_hash, app=app, **given)
        if known is not None:
            self._claims[app, agent_id] = known
        return kept


class KeepsTheFirstEnd(MemoryAgents):
    def register(self, agent_id: str, claim_hash: str, *, app: str, until: float, now: float) -> bool:
        _, end = self._claims.get((app, agent_id), ("", until))
        return super().register(agent_id, claim_hash, app=app, until=end, now=now)


class KeepsEveryToken(MemoryAgents):
    def __init__(self) -> None:
        super().__init__()
        self._all: dict[tuple[str, str], tuple[str, str]] = {}

    def register(self, agent_id: str, claim_hash: str, *, app: str, **given: Any) -> bool:
        kept = super().register(agent_id, claim_hash, app=app, **given)
        if kept:
            self._all[app, claim_hash] = app, agent_id
        return kept

    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        newest, _ = self._claims.get(self._all.get((app, claim_hash), ("", "")), (claim_hash, 0.0))
        return super().claim(newest, user_id, app=app, now=now)


class RegistersOnce(MemoryAgents):
    def register(self, agent_id: str, claim_hash: str, *, app: str, **given: Any) -> bool:
        return (app, agent_id) not in self._claims and super().register(agent_id, claim_hash, app=app, **given)


class TakesTheOwnerAway(MemoryAgents):
    def register(self, agent_id: str, claim_hash: str, *, app: str, **given: Any) -> bool:
        self._owners.pop((app, agent_id), None)
        return super().register(agent_id, claim_hash, app=app, **given)


class RenewsAnOwnedOne(MemoryAgents):
    """Says that somebody has it, and replaces its token all the same."""

    def register(self, agent_id: str, claim_hash: str, *, app: str, until: float, now: float) -> bool:
        self._claims[app, agent_id] = claim_hash, until
        return (app, agent_id) not in self._owners


class TakesTheOwnerAwayAtTheEnd(MemoryAgents):
    def register(self, agent_id: str, claim_hash: str, *, app: str, until: float, now: float) -> bool:
        if self._claims.get((app, agent_id), ("", now))[1] <= now:
            self._owners.pop((app, agent_id), None)
        return super().register(agent_id, claim_hash, app=app, until=until, now=now)


class LooksThenRegisters(MemoryAgents):
    """Adds a row where it saw none, as without a constraint."""

    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def register(self, agent_id: str, claim_hash: str, *, app: str, until: float, now: float) -> bool:
        if (app, agent_id) in self._claims:
            return super().register(agent_id, claim_hash, app=app, until=until, now=now)
        self._two.meet()
        number = sum(known.rstrip("\0") == agent_id for _, known in self._claims)
        self._claims[app, agent_id + "\0" * number] = claim_hash, until
        return True

    def claim(self, claim_hash: str, user_id: str, **given: Any) -> ClaimedAgent | None:
        found = super().claim(claim_hash, user_id, **given)
        return None if found is None else replace(found, agent_id=found.agent_id.rstrip("\0"))


class LooksAtTheOwnerThenRegisters(MemoryAgents):
    """The owner of a moment ago: whoever claims meanwhile is claimed from."""

    def __init__(self) -> None:
        super().__init__()
        self._looked = threading.Event()
        self._was_claimed = threading.Event()

    def register(self, agent_id: str, claim_hash: str, *, app: str, until: float, now: float) -> bool:
        if (app, agent_id) not in self._claims:
            return super().register(agent_id, claim_hash, app=app, until=until, now=now)
        if (app, agent_id) in self._owners:
            return False
        self._looked.set()
        self._was_claimed.wait(5)
        self._claims[app, agent_id] = claim_hash, until
        return True

    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        self._looked.wait(5)
        found = super().claim(claim_hash, user_id, app=app, now=now)
        self._was_claimed.set()
        return found


class OwnedByTheLetter(MemoryAgents):
    """Takes ids for patterns, and one case for the other."""

    def owner(self, agent_id: str, *, app: str) -> str | None:
        found = [user for (mine, known), user in self._owners.items() if mine == app and _alike(known, agent_id)]
        return found[0] if found else None

    def owned_by(self, user_id: str, *, app: str) -> tuple[str, ...]:
        found = (known for (mine, known), user in self._owners.items() if mine == app and _alike(user, user_id))
        return tuple(sorted(found))


def _alike(one: str, other: str) -> bool:
    return other == "%" or one.strip().lower() == other.strip().lower()


class OwnsWhatWaits(MemoryAgents):
    def owner(self, agent_id: str, *, app: str) -> str | None:
        return super().owner(agent_id, app=app) or ("" if (app, agent_id) in self._claims else None)


class OwnedInTheOrderOfClaims(MemoryAgents):
    def owned_by(self, user_id: str, *, app: str) -> tuple[str, ...]:
        return tuple(agent for (mine, agent), owner in self._owners.items() if (mine, owner) == (app, user_id))


class OwnedInTheOrderOfALanguage(MemoryAgents):
    """As a database's collation has it."""

    def owned_by(self, user_id: str, *, app: str) -> tuple[str, ...]:
        return tuple(sorted(super().owned_by(user_id, app=app), key=str.casefold))


class ForgetsNoAgent(MemoryAgents):
    def forget(self, app: str, user_id: str) -> None:
        return None


class ForgetsTheOwnerOnly(MemoryAgents):
    """So that the old token brings the agent back to whoever gets the user's id."""

    def forget(self, app: str, user_id: str) -> None:
        before = dict(self._claims)
        super().forget(app, user_id)
        self._claims |= before


class ForgetsAndHolds(MemoryAgents):
    """Leaves the agent to nobody, for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._gone: set[tuple[str, str]] = set()

    def forget(self, app: str, user_id: str) -> None:
        self._gone |= {key for key, owner in self._owners.items() if key[0] == app and owner == user_id}
        super().forget(app, user_id)

    def register(self, agent_id: str, claim_hash: str, *, app: str, **given: Any) -> bool:
        return (app, agent_id) not in self._gone and super().register(agent_id, claim_hash, app=app, **given)


class ForgetsWhatWaits(MemoryAgents):
    def forget(self, app: str, user_id: str) -> None:
        super().forget(app, user_id)
        self._claims = {key: claim for key, claim in self._claims.items() if key in self._owners}


class ForgetsInAllApps(MemoryAgents):
    def forget(self, app: str, user_id: str) -> None:
        for one in {mine for mine, _ in self._owners}:
            super().forget(one, user_id)


class ForgetsAlike(MemoryAgents):
    def forget(self, app: str, user_id: str) -> None:
        for one in {owner for owner in self._owners.values() if _alike(owner, user_id)}:
            super().forget(app, one)


class AgentsOfOneApp(MemoryAgents):
    def register(self, agent_id: str, claim_hash: str, *, app: str, until: float, now: float) -> bool:
        return super().register(agent_id, claim_hash, app="", until=until, now=now)

    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        return super().claim(claim_hash, user_id, app="", now=now)

    def owner(self, agent_id: str, *, app: str) -> str | None:
        return super().owner(agent_id, app="")

    def owned_by(self, user_id: str, *, app: str) -> tuple[str, ...]:
        return super().owned_by(user_id, app="")

    def forget(self, app: str, user_id: str) -> None:
        super().forget("", user_id)


class ClaimsInAnyApp(MemoryAgents):
    def claim(self, claim_hash: str, user_id: str, *, app: str, now: float) -> ClaimedAgent | None:
        apps = [mine for (mine, _), (known, _) in self._claims.items() if known == claim_hash]
        return super().claim(claim_hash, user_id, app=apps[0] if apps else app, now=now)


class OwnsInAnyApp(MemoryAgents):
    def owner(self, agent_id: str, *, app: str) -> str | None:
        return next((owner for (_, known), owner in self._owners.items() if known == agent_id), None)


class FoldsAgents(MemoryAgents):
    def register(self, agent_id: str, claim_hash: str, **given: Any) -> bool:
        return super().register(agent_id.strip(), claim_hash, **given)


AGENTS: dict[type[MemoryAgents], tuple[str, ...]] = {
    ClaimsForWhoeverComesLast: (
        "an_agent_is_its_first_claimers",
        "an_agent_that_somebody_has_is_not_registered_again",
        "one_of_many_users_claims_an_agent",
    ),
    LooksThenClaimsAnAgent: ("one_of_many_users_claims_an_agent",),
    AlwaysNew: ("an_agent_is_its_first_claimers", "one_of_many_users_claims_an_agent"),
    NeverNew: ("an_agent_is_its_first_claimers",),
    UsesATokenUp: ("an_agent_is_its_first_claimers", "one_of_many_users_claims_an_agent"),
    ClaimsByAnyToken: ("another_token_gets_nothing",),
    ClaimsByAPattern: ("another_token_gets_nothing",),
    BurnsOnAnUnknownToken: ("another_token_gets_nothing",),
    ClaimsAllThatWait: ("a_claim_is_of_one_agent_alone",),
    ClaimsForEver: ("a_token_is_good_until_its_end",),
    ClaimsAtTheEnd: ("a_token_is_good_until_its_end",),
    RoundsTheEnd: ("a_token_is_good_until_its_end",),
    TellsTheOwnerForEver: ("a_token_is_good_until_its_end",),
    KeepsTheFirstToken: (
        "an_agent_that_waits_gets_another_token",
        "of_two_apps_neither_meets_the_others_agents",
    ),
    KeepsTheFirstEnd: ("an_agent_that_waits_gets_another_token",),
    KeepsEveryToken: ("an_agent_that_waits_gets_another_token", "of_many_registrations_at_once_one_token_is_good"),
    RegistersOnce: ("an_agent_that_waits_gets_another_token", "of_many_registrations_at_once_one_token_is_good"),
    TakesTheOwnerAway: ("an_agent_that_somebody_has_is_not_registered_again",),
    RenewsAnOwnedOne: ("an_agent_that_somebody_has_is_not_registered_again",),
    TakesTheOwnerAwayAtTheEnd: ("an_agent_that_somebody_has_is_not_registered_again",),
    LooksThenRegisters: ("of_many_registrations_at_once_one_token_is_good",),
    LooksAtTheOwnerThenRegisters: ("of_a_claim_and_a_registration_at_once_one_comes_too_late",),
    OwnedByTheLetter: ("nobody_has_an_unknown_agent", "odd_agents_and_their_users_are_told_apart"),
    OwnsWhatWaits: ("an_agent_waits_to_be_claimed",),
    OwnedInTheOrderOfClaims: ("the_agents_of_a_user_are_in_order",),
    OwnedInTheOrderOfALanguage: ("the_agents_of_a_user_are_in_order",),
    ForgetsNoAgent: ("the_agents_of_a_user_are_forgotten", "an_agent_that_was_forgotten_can_be_registered_again"),
    ForgetsTheOwnerOnly: ("the_agents_of_a_user_are_forgotten",),
    ForgetsAndHolds: ("an_agent_that_was_forgotten_can_be_registered_again",),
    ForgetsWhatWaits: ("the_agents_of_a_user_are_forgotten", "to_forget_a_user_without_agents_is_nothing"),
    ForgetsInAllApps: ("of_two_apps_neither_meets_the_others_agents",),
    ForgetsAlike: ("to_forget_a_user_without_agents_is_nothing", "odd_agents_and_their_users_are_told_apart"),
    AgentsOfOneApp: ("of_two_apps_neither_meets_the_others_agents",),
    ClaimsInAnyApp: ("of_two_apps_neither_meets_the_others_agents",),
    OwnsInAnyApp: ("of_two_apps_neither_meets_the_others_agents",),
    FoldsAgents: ("odd_agents_and_their_users_are_told_apart",),
}
