"""Stores of journeys and of parameters that break a sentence of their Protocol, each with the tests that say so.

One list of small classes, as `broken` is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from configure_auth.stores import Completed, StoredSubject
from configure_auth.values import Journey

from .model import MemoryJourneys, MemoryParameters
from .two_at_once import TwoAtOnce

__all__ = ["JOURNEYS", "PARAMETERS"]


class RoundsJourneys(MemoryJourneys):
    def put(self, journey: Journey, *, limit: int, now: float) -> None:
        super().put(replace(journey, expires_at=round(journey.expires_at)), limit=limit, now=now)


class LosesTheSender(MemoryJourneys):
    def read(self, journey_hash: str, **given: Any) -> Journey | None:
        found = super().read(journey_hash, **given)
        return None if found is None else replace(found, sender=None)


class JourneysOfAnyAgent(MemoryJourneys):
    def _present(self, journey_hash: str, agent: str, now: float) -> Journey | None:
        journey = self._journeys.get(journey_hash)
        return super()._present(journey_hash, journey.agent if journey else agent, now)


class JourneysForEver(MemoryJourneys):
    def _present(self, journey_hash: str, agent: str, now: float) -> Journey | None:
        return super()._present(journey_hash, agent, 0.0)


class NoCapOfJourneys(MemoryJourneys):
    def put(self, journey: Journey, *, limit: int, now: float) -> None:
        super().put(journey, limit=10**6, now=now)


class NewestJourneyGoes(MemoryJourneys):
    def put(self, journey: Journey, *, limit: int, now: float) -> None:
        mine = [one for one in self._of(journey.agent, journey.subject) if one.token_hash is None]
        if len(mine) >= limit:
            del self._journeys[max(mine, key=lambda one: one.created_at).journey_hash]
        super().put(journey, limit=limit, now=now)


class CapOfTheCompleted(MemoryJourneys):
    def put(self, journey: Journey, *, limit: int, now: float) -> None:
        mine = sorted(self._of(journey.agent, journey.subject), key=lambda one: one.created_at)
        for one in mine[: max(0, len(mine) - limit + 1)]:
            del self._journeys[one.journey_hash]
        super().put(journey, limit=limit, now=now)


class CapOverAllSenders(MemoryJourneys):
    def _of(self, agent: str, subject: str) -> list[Journey]:
        return list(self._journeys.values())


class CountsNoTries(MemoryJourneys):
    def attempt(self, journey_hash: str, *, limit: int, **given: Any) -> bool:
        return super().attempt(journey_hash, limit=10**6, **given)


class CountsTriesOfTheCompleted(MemoryJourneys):
    def attempt(self, journey_hash: str, *, agent: str, limit: int, now: float) -> bool:
        journey = self._present(journey_hash, agent, now)
        if journey is None or journey.tries >= limit:
            return False
        self._journeys[journey_hash] = replace(journey, tries=journey.tries + 1)
        return True


class LooksThenCounts(MemoryJourneys):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def attempt(self, journey_hash: str, *, agent: str, limit: int, now: float) -> bool:
        journey = self._present(journey_hash, agent, now)
        if journey is None or journey.tries >= limit:
            return False
        self._two.meet()
        self._journeys[journey_hash] = replace(journey, tries=journey.tries + 1)
        return True


class CompletesAsFarAsItGoes(MemoryJourneys):
    """Uses the journey up, and only then sees that its link can't be."""

    def complete(self, journey_hash: str, *, link: StoredSubject, token_hash: str, now: float) -> Completed:
        end = super().complete(journey_hash, link=link, token_hash=token_hash, now=now)
        if end == "taken":
            journey = self._journeys[journey_hash]
            self._journeys[journey_hash] = replace(journey, token_hash=token_hash, sender=None)
        return end


class SavesNoLink(MemoryJourneys):
    def complete(self, journey_hash: str, *, link: StoredSubject, **given: Any) -> Completed:
        before = self._links.get((link.agent, link.subject))
        end = super().complete(journey_hash, link=link, **given)
        if end == "linked" and before is not None:
            self._links[link.agent, link.subject] = before
        return end


class KeepsTheSender(MemoryJourneys):
    def complete(self, journey_hash: str, **given: Any) -> Completed:
        before = self._journeys.get(journey_hash)
        end = super().complete(journey_hash, **given)
        if end == "linked" and before is not None:
            self._journeys[journey_hash] = replace(self._journeys[journey_hash], sender=before.sender)
        return end


class SavesALinkOfItsOwn(MemoryJourneys):
    """Makes up a serial, as for an account."""

    def complete(self, journey_hash: str, *, link: StoredSubject, **given: Any) -> Completed:
        return super().complete(journey_hash, link=replace(link, serial="made up"), **given)

    def save(self, link: StoredSubject, *, serial: str | None) -> bool:
        return super().save(replace(link, serial="made up"), serial=serial)


class CompletesAgain(MemoryJourneys):
    """For the same token, as an upsert would."""

    def complete(self, journey_hash: str, *, link: StoredSubject, token_hash: str, now: float) -> Completed:
        end = super().complete(journey_hash, link=link, token_hash=token_hash, now=now)
        if end == "repeated":
            self._links[link.agent, link.subject] = link
        return end


class CompletesByAnyToken(MemoryJourneys):
    def complete(self, journey_hash: str, *, link: StoredSubject, token_hash: str, now: float) -> Completed:
        journey = self._present(journey_hash, link.agent, now)
        if journey is not None and journey.token_hash not in (None, token_hash):
            self._journeys[journey_hash] = replace(journey, token_hash=None)
        return super().complete(journey_hash, link=link, token_hash=token_hash, now=now)


class CompletesForAnySender(MemoryJourneys):
    def complete(self, journey_hash: str, *, link: StoredSubject, token_hash: str, now: float) -> Completed:
        journey = self._present(journey_hash, link.agent, now)
        if journey is not None and journey.subject != link.subject:
            self._journeys[journey_hash] = replace(journey, subject=link.subject)
        return super().complete(journey_hash, link=link, token_hash=token_hash, now=now)


class CompletesLate(MemoryJourneys):
    def complete(self, journey_hash: str, *, now: float, **given: Any) -> Completed:
        return super().complete(journey_hash, now=now - 1, **given)


class TakesOver(MemoryJourneys):
    def complete(self, journey_hash: str, *, link: StoredSubject, token_hash: str, now: float) -> Completed:
        present = self._links.pop((link.agent, link.subject), None)
        end = super().complete(journey_hash, link=link, token_hash=token_hash, now=now)
        if end != "linked" and present is not None:
            self._links[link.agent, link.subject] = present
        return end


class RefusesARenewal(MemoryJourneys):
    def complete(self, journey_hash: str, *, link: StoredSubject, **given: Any) -> Completed:
        present = (link.agent, link.subject) in self._links
        journey = self._journeys.get(journey_hash)
        if present and journey is not None and journey.token_hash is None:
            return "taken"
        return super().complete(journey_hash, link=link, **given)


class OneSenderEach(MemoryJourneys):
    """A Configure user is one sender, as a constraint would have it."""

    def complete(self, journey_hash: str, *, link: StoredSubject, **given: Any) -> Completed:
        return "taken" if self._is_other(link) else super().complete(journey_hash, link=link, **given)

    def save(self, link: StoredSubject, *, serial: str | None) -> bool:
        return not self._is_other(link) and super().save(link, serial=serial)

    def _is_other(self, link: StoredSubject) -> bool:
        return any(
            (one.agent, one.configure_user_id) == (link.agent, link.configure_user_id) and one.subject != link.subject
            for one in self._links.values()
        )


class LooksThenCompletes(MemoryJourneys):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def complete(self, journey_hash: str, *, link: StoredSubject, token_hash: str, now: float) -> Completed:
        journey = self._present(journey_hash, link.agent, now)
        if journey is None or journey.token_hash is not None:
            return super().complete(journey_hash, link=link, token_hash=token_hash, now=now)
        self._two.meet()
        self._journeys[journey_hash] = replace(journey, token_hash=token_hash, sender=None)
        self._links[link.agent, link.subject] = link
        return "linked"


class LooksAtTheSenderThenCompletes(MemoryJourneys):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def complete(self, journey_hash: str, *, link: StoredSubject, token_hash: str, now: float) -> Completed:
        if self.find(link.agent, link.subject) is None:
            self._two.meet()
            self._links.pop((link.agent, link.subject), None)
        return super().complete(journey_hash, link=link, token_hash=token_hash, now=now)


class SavesOver(MemoryJourneys):
    def save(self, link: StoredSubject, *, serial: str | None) -> bool:
        if serial is None:
            self._links.pop((link.agent, link.subject), None)
        return super().save(link, serial=serial)


class SavesByAnySerial(MemoryJourneys):
    def save(self, link: StoredSubject, *, serial: str | None) -> bool:
        present = self.find(link.agent, link.subject)
        return super().save(link, serial=None if present is None else serial and present.serial)


class SavesNothing(MemoryJourneys):
    def save(self, link: StoredSubject, *, serial: str | None) -> bool:
        return serial is None and super().save(link, serial=None)


class SavesWhatIsGone(MemoryJourneys):
    def save(self, link: StoredSubject, *, serial: str | None) -> bool:
        return super().save(link, serial=None if self.find(link.agent, link.subject) is None else serial)


class LooksThenAdds(MemoryJourneys):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def save(self, link: StoredSubject, *, serial: str | None) -> bool:
        if serial is None and self.find(link.agent, link.subject) is None:
            self._two.meet()
            self._links.pop((link.agent, link.subject), None)
        return super().save(link, serial=serial)


class LooksThenReplaces(MemoryJourneys):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def save(self, link: StoredSubject, *, serial: str | None) -> bool:
        present = self.find(link.agent, link.subject)
        if serial is not None and present is not None and present.serial == serial:
            self._two.meet()
            self._links[link.agent, link.subject] = link
            return True
        return super().save(link, serial=serial)


class RemovesAnySerial(MemoryJourneys):
    def remove(self, agent: str, subject: str, *, serial: str) -> bool:
        return self._links.pop((agent, subject), None) is not None


class RemovesTheJourneysToo(MemoryJourneys):
    def remove(self, agent: str, subject: str, *, serial: str) -> bool:
        gone = super().remove(agent, subject, serial=serial)
        if gone:
            self.forget(agent, subject)
        return gone


class LooksThenRemoves(MemoryJourneys):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def remove(self, agent: str, subject: str, *, serial: str) -> bool:
        present = self.find(agent, subject)
        if present is None or present.serial != serial:
            return False
        self._two.meet()
        self._links.pop((agent, subject), None)
        return True


class UnlinksTheLinkOnly(MemoryJourneys):
    def unlink(self, opt_out: StoredSubject) -> StoredSubject | None:
        present = self._links.get((opt_out.agent, opt_out.subject))
        self._links[opt_out.agent, opt_out.subject] = opt_out
        return present


class UnlinksSilently(MemoryJourneys):
    def unlink(self, opt_out: StoredSubject) -> StoredSubject | None:
        super().unlink(opt_out)
        return None


class UnlinksWithoutAWish(MemoryJourneys):
    def unlink(self, opt_out: StoredSubject) -> StoredSubject | None:
        return self.forget(opt_out.agent, opt_out.subject)


class UnlinksForAllAgents(MemoryJourneys):
    def unlink(self, opt_out: StoredSubject) -> StoredSubject | None:
        for one in {known for known, _ in self._links} - {opt_out.agent}:
            self.forget(one, opt_out.subject)
        return super().unlink(opt_out)


class TakesAWishForALink(MemoryJourneys):
    def complete(self, journey_hash: str, *, link: StoredSubject, token_hash: str, now: float) -> Completed:
        present = self._links.get((link.agent, link.subject))
        if present is not None and present.is_opt_out:
            return "taken"
        return super().complete(journey_hash, link=link, token_hash=token_hash, now=now)


class ForgetsOpenJourneysOnly(MemoryJourneys):
    def forget(self, agent: str, subject: str) -> StoredSubject | None:
        completed = {one.journey_hash: one for one in self._of(agent, subject) if one.token_hash is not None}
        gone = super().forget(agent, subject)
        self._journeys |= completed
        return gone


class ForgetsTheLinkOnly(MemoryJourneys):
    def forget(self, agent: str, subject: str) -> StoredSubject | None:
        return self._links.pop((agent, subject), None)


class LooksThenForgets(MemoryJourneys):
    """Asks for the link first, and then deletes it, or puts an opt-out in its place."""

    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def forget(self, agent: str, subject: str) -> StoredSubject | None:
        seen = self.find(agent, subject)
        if seen is not None:
            self._two.meet()
        super().forget(agent, subject)
        return seen

    def unlink(self, opt_out: StoredSubject) -> StoredSubject | None:
        seen = self.find(opt_out.agent, opt_out.subject)
        if seen is not None and not seen.is_opt_out:
            self._two.meet()
        super().unlink(opt_out)
        return seen


class ForgetsSilently(MemoryJourneys):
    def forget(self, agent: str, subject: str) -> StoredSubject | None:
        super().forget(agent, subject)
        return None


class ForgetsWhereThereIsALink(MemoryJourneys):
    def forget(self, agent: str, subject: str) -> StoredSubject | None:
        return super().forget(agent, subject) if (agent, subject) in self._links else None


class ForgetsSendersOfAllAgents(MemoryJourneys):
    def forget(self, agent: str, subject: str) -> StoredSubject | None:
        for one in {known for known, _ in self._links} - {agent}:
            super().forget(one, subject)
        return super().forget(agent, subject)


class ForgetsThenCompletes(MemoryJourneys):
    """A completion that has seen its journey ends, whatever was forgotten meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, Journey] = {}

    def put(self, journey: Journey, *, limit: int, now: float) -> None:
        super().put(journey, limit=limit, now=now)
        self._seen[journey.journey_hash] = journey

    def complete(self, journey_hash: str, **given: Any) -> Completed:
        if journey_hash in self._seen:
            self._journeys.setdefault(journey_hash, self._seen[journey_hash])
        return super().complete(journey_hash, **given)


class PagesLinksOfAllAgents(MemoryJourneys):
    def page(self, agent: str, **given: Any) -> tuple[StoredSubject, ...]:
        every = sorted({known for known, _ in self._links})
        return tuple(link for one in every for link in super(PagesLinksOfAllAgents, self).page(one, **given))


class PagesFromTheBeginning(MemoryJourneys):
    """Where the last one seen is gone."""

    def page(self, agent: str, *, after: str | None, limit: int) -> tuple[StoredSubject, ...]:
        return super().page(agent, after=after if (agent, after) in self._links else None, limit=limit)


class PagesWithoutLimit(MemoryJourneys):
    def page(self, agent: str, *, after: str | None, limit: int) -> tuple[StoredSubject, ...]:
        return super().page(agent, after=after, limit=10**6)


class PurgesNoJourney(MemoryJourneys):
    def purge(self, *, now: float) -> int:
        return 0


class PurgesJourneysForEver(MemoryJourneys):
    def purge(self, *, now: float) -> int:
        return super().purge(now=now) or 1


class PurgesOpenJourneys(MemoryJourneys):
    def purge(self, *, now: float) -> int:
        return super().purge(now=now + 10)


class PurgesLinks(MemoryJourneys):
    def purge(self, *, now: float) -> int:
        gone = super().purge(now=now)
        if gone:
            self._links.clear()
        return gone


class FoldsSenders(MemoryJourneys):
    def save(self, link: StoredSubject, *, serial: str | None) -> bool:
        return super().save(replace(link, subject=link.subject.lower()), serial=serial)


class LinksOfAnyAgent(MemoryJourneys):
    def find(self, agent: str, subject: str) -> StoredSubject | None:
        return next((one for one in self._links.values() if one.subject == subject), None)


class KeepsTheLast(MemoryParameters):
    def keep(self, name: str, value: str) -> str:
        self._values[name] = value
        return value


class KeepsNothingEmpty(MemoryParameters):
    def keep(self, name: str, value: str) -> str:
        return super().keep(name, value or "-")


class FoldsNames(MemoryParameters):
    def keep(self, name: str, value: str) -> str:
        return super().keep(name.strip(), value)

    def read(self, name: str) -> str | None:
        return super().read(name.strip())


class LooksThenKeeps(MemoryParameters):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def keep(self, name: str, value: str) -> str:
        found = self.read(name)
        if found is None:
            self._two.meet()
            self._values[name] = value
        return value if found is None else found


class ReplacesNothing(MemoryParameters):
    def replace(self, name: str, *, old: str, new: str) -> bool:
        return False


class ReplacesAnything(MemoryParameters):
    def replace(self, name: str, *, old: str, new: str) -> bool:
        self._values[name] = new
        return True


class ReplacesEverywhere(MemoryParameters):
    def replace(self, name: str, *, old: str, new: str) -> bool:
        replaced = super().replace(name, old=old, new=new)
        if replaced:
            self._values = {known: new if value == old else value for known, value in self._values.items()}
        return replaced


class RemovesNothing(MemoryParameters):
    def remove(self, name: str) -> None:
        return None


class RemovesByAnyCase(MemoryParameters):
    def remove(self, name: str) -> None:
        for one in [known for known in self._values if known.lower() == name.lower()]:
            super().remove(one)


class LooksThenReplacesAValue(MemoryParameters):
    def __init__(self) -> None:
        super().__init__()
        self._two = TwoAtOnce()

    def replace(self, name: str, *, old: str, new: str) -> bool:
        if self.read(name) != old:
            return False
        self._two.meet()
        self._values[name] = new
        return True


JOURNEYS: dict[type[MemoryJourneys], tuple[str, ...]] = {
    RoundsJourneys: ("a_journey_is_read_as_it_was_put",),
    LosesTheSender: ("a_journey_is_read_as_it_was_put",),
    JourneysOfAnyAgent: ("a_journey_is_read_by_its_own_agent_only", "a_try_is_of_an_open_journey"),
    JourneysForEver: (
        "a_journey_is_read_until_its_end",
        "a_try_is_of_an_open_journey",
        "a_completion_that_does_not_match_changes_nothing",
    ),
    NoCapOfJourneys: (
        "the_oldest_open_journeys_of_a_sender_go",
        "no_more_journeys_of_a_sender_than_may_be_are_left_after_many_at_once",
    ),
    NewestJourneyGoes: ("the_oldest_open_journeys_of_a_sender_go",),
    CapOfTheCompleted: ("completed_journeys_neither_count_nor_go",),
    CapOverAllSenders: ("the_journeys_of_another_sender_and_agent_neither_count_nor_go", "nobody_else_is_forgotten"),
    CountsNoTries: ("tries_are_counted_up_to_their_limit", "many_tries_at_once_are_counted_up_to_their_limit"),
    CountsTriesOfTheCompleted: ("a_try_is_of_an_open_journey",),
    LooksThenCounts: ("many_tries_at_once_are_counted_up_to_their_limit",),
    CompletesAsFarAsItGoes: ("a_sender_of_another_configure_user_is_taken", "of_many_journeys_one_gets_a_sender"),
    SavesNoLink: ("a_link_to_the_same_configure_user_is_renewed",),
    KeepsTheSender: ("a_completion_uses_the_journey_up_and_saves_its_link",),
    SavesALinkOfItsOwn: (
        "a_completion_uses_the_journey_up_and_saves_its_link",
        "a_link_is_found_as_it_was_saved",
        "a_link_is_replaced_by_its_serial",
    ),
    CompletesAgain: ("the_same_token_again_repeats_and_changes_nothing", "of_many_tokens_one_completes_a_journey"),
    CompletesByAnyToken: ("another_token_comes_too_late", "of_many_tokens_one_completes_a_journey"),
    CompletesForAnySender: ("a_completion_that_does_not_match_changes_nothing",),
    CompletesLate: ("a_completion_that_does_not_match_changes_nothing",),
    TakesOver: ("a_sender_of_another_configure_user_is_taken", "of_many_journeys_one_gets_a_sender"),
    RefusesARenewal: ("a_link_to_the_same_configure_user_is_renewed",),
    OneSenderEach: ("one_configure_user_may_be_several_senders",),
    LooksThenCompletes: ("of_many_tokens_one_completes_a_journey",),
    LooksAtTheSenderThenCompletes: ("of_many_journeys_one_gets_a_sender",),
    SavesOver: ("a_link_is_added_where_there_is_none", "one_of_many_saves_a_link"),
    SavesByAnySerial: ("a_link_is_replaced_by_its_serial", "one_of_many_saves_a_link"),
    SavesNothing: ("a_link_is_replaced_by_its_serial", "one_of_many_saves_a_link"),
    SavesWhatIsGone: ("a_link_that_is_gone_is_not_replaced",),
    LooksThenAdds: ("one_of_many_saves_a_link",),
    LooksThenReplaces: ("one_of_many_saves_a_link",),
    RemovesAnySerial: ("a_link_is_removed_by_its_serial",),
    RemovesTheJourneysToo: ("a_link_is_removed_by_its_serial",),
    LooksThenRemoves: ("of_two_who_remove_a_link_one_did",),
    UnlinksTheLinkOnly: (
        "a_wish_takes_the_place_of_a_link_and_of_journeys",
        "of_completions_and_a_forgetting_at_once_no_link_is_left",
    ),
    UnlinksForAllAgents: ("a_wish_is_of_one_sender_alone",),
    UnlinksSilently: ("a_wish_takes_the_place_of_a_link_and_of_journeys",),
    UnlinksWithoutAWish: ("a_wish_takes_the_place_of_a_link_and_of_journeys", "a_wish_is_over_with_a_new_link_only"),
    TakesAWishForALink: ("a_wish_is_over_with_a_new_link_only",),
    ForgetsOpenJourneysOnly: ("all_there_is_of_a_sender_is_forgotten",),
    ForgetsTheLinkOnly: (
        "all_there_is_of_a_sender_is_forgotten",
        "the_journeys_of_a_sender_without_a_link_are_forgotten",
        "of_completions_and_a_forgetting_at_once_no_link_is_left",
    ),
    LooksThenForgets: ("of_many_who_forget_a_sender_one_gets_the_link",),
    ForgetsSilently: ("all_there_is_of_a_sender_is_forgotten", "odd_senders_are_told_apart"),
    ForgetsWhereThereIsALink: ("the_journeys_of_a_sender_without_a_link_are_forgotten",),
    ForgetsSendersOfAllAgents: ("nobody_else_is_forgotten", "of_two_agents_neither_meets_the_others_senders"),
    ForgetsThenCompletes: (
        "all_there_is_of_a_sender_is_forgotten",
        "of_completions_and_a_forgetting_at_once_no_link_is_left",
    ),
    PagesLinksOfAllAgents: ("an_agents_links_are_paged",),
    PagesFromTheBeginning: ("an_agents_links_are_paged",),
    PagesWithoutLimit: ("an_agents_links_are_paged",),
    PurgesNoJourney: ("journeys_at_their_end_are_purged_and_nothing_else",),
    PurgesJourneysForEver: ("journeys_at_their_end_are_purged_and_nothing_else", "no_journey_is_purged_before_its_end"),
    PurgesOpenJourneys: ("no_journey_is_purged_before_its_end",),
    PurgesLinks: ("journeys_at_their_end_are_purged_and_nothing_else",),
    FoldsSenders: ("odd_senders_are_told_apart",),
    LinksOfAnyAgent: ("of_two_agents_neither_meets_the_others_senders",),
}

PARAMETERS: dict[type[MemoryParameters], tuple[str, ...]] = {
    KeepsTheLast: ("what_is_kept_first_stays", "many_are_told_the_same_first_value"),
    KeepsNothingEmpty: ("a_parameter_is_told_as_it_was_kept",),
    FoldsNames: ("parameters_of_odd_names_are_told_apart",),
    LooksThenKeeps: ("many_are_told_the_same_first_value",),
    ReplacesNothing: ("a_value_that_is_still_there_is_replaced", "one_of_many_replaces_a_value"),
    ReplacesAnything: ("a_value_that_is_there_no_more_is_not_replaced", "one_of_many_replaces_a_value"),
    ReplacesEverywhere: ("a_value_that_is_still_there_is_replaced",),
    LooksThenReplacesAValue: ("one_of_many_replaces_a_value",),
    RemovesNothing: ("nothing_is_kept_under_a_name_that_was_removed",),
    RemovesByAnyCase: ("nothing_is_kept_under_a_name_that_was_removed",),
}
