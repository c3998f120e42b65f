"""Two people, two browsers and every order of doing things: whose account it is stays true in all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from configure_auth.events import AccountLinked, AccountUnlinked, LinkFailed, LoggedIn, SignInStarted
from configure_auth.flows import Response, run
from configure_auth.flows.site import digest
from configure_auth.flows.tokens import forget_user
from configure_auth.stores import REPLAY
from configure_auth.values import STATE_LIFETIME

from ..support.examples import examples
from .world import Browser, World

LOCALS = ("u1", "u2")
PEOPLE = ("usr_1", "usr_2")
BROWSERS = (0, 1)


@dataclass
class Attempt:
    """What is known of an attempt from outside: who began it where and when, and what its callback will be."""

    intent: str
    browser: int
    user: str | None
    began: float
    start: str
    person: str | None = None
    query: str | None = None
    ended: float | None = None
    void: bool = False
    signed_in: str | None = None


@dataclass
class Step:
    """What one request did."""

    response: Response
    sent: int
    events: list[object] = field(default_factory=list)


class Accounts(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.browsers = [Browser(), Browser()]
        self.attempts: list[Attempt] = []
        self.step: Step | None = None

    # What people do

    @rule(browser=st.sampled_from(BROWSERS), user=st.sampled_from(LOCALS))
    def sign_in(self, browser: int, user: str) -> None:
        self.browsers[browser].user = user

    @rule(browser=st.sampled_from(BROWSERS))
    def sign_out(self, browser: int) -> None:
        self.browsers[browser].user = None

    @rule(seconds=st.sampled_from([1, 29, 31, 600, STATE_LIFETIME - 1, STATE_LIFETIME + 1]))
    def advance(self, seconds: float) -> None:
        self.world.now += seconds

    @rule(browser=st.sampled_from(BROWSERS), user=st.sampled_from([None, *LOCALS]), person=st.sampled_from(PEOPLE))
    def go_through(self, browser: int, user: str | None, person: str) -> None:
        """All of it in one go: a link by who is signed in, a login by who isn't."""
        self.browsers[browser].user = user
        self.start(browser, "login" if user is None else "link")
        attempt = self.attempts[-1]
        attempt.person, attempt.query = person, self.world.wire.approve(attempt.start, person)
        self._deliver(attempt, browser, attempt.query)

    @precondition(lambda self: any(attempt.ended is not None for attempt in self.attempts))
    @rule(data=st.data(), seconds=st.sampled_from([0, 29, 31]), signed_out=st.booleans())
    def reload(self, data: st.DataObject, seconds: float, signed_out: bool) -> None:
        """Back to a callback that has ended, in its own browser."""
        ended = [attempt for attempt in self.attempts if attempt.ended is not None and attempt.query is not None]
        if ended:
            attempt = data.draw(st.sampled_from(ended), label="attempt")
            self.world.now += seconds
            if signed_out:
                self.browsers[attempt.browser].user = None
            self._deliver(attempt, attempt.browser, attempt.query or "")

    @rule(browser=st.sampled_from(BROWSERS), intent=st.sampled_from(["link", "login"]))
    def start(self, browser: int, intent: str) -> None:
        user = self.browsers[browser].user
        step = self._request(intent, "sign_in", "", browser)
        assert step.sent == 0
        if (user is None) == (intent == "link"):
            # Nobody to connect to, or nobody to sign in: no attempt.
            assert step.events == []
            return
        assert [type(event) for event in step.events] == [SignInStarted]
        assert step.response.location is not None
        self.attempts.append(Attempt(intent, browser, user, self.world.now, step.response.location))

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), browser=st.sampled_from(BROWSERS), person=st.sampled_from(PEOPLE))
    def come_back(self, data: st.DataObject, browser: int, person: str) -> None:
        """With a first approval, or once more with the same callback; in whichever browser."""
        attempt = data.draw(st.sampled_from(self.attempts), label="attempt")
        if attempt.query is None:
            attempt.person = person
            attempt.query = self.world.wire.approve(attempt.start, person)
        self._deliver(attempt, browser, attempt.query)

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), browser=st.sampled_from(BROWSERS))
    def cancel(self, data: st.DataObject, browser: int) -> None:
        attempt = data.draw(st.sampled_from(self.attempts), label="attempt")
        state = attempt.start.partition("state=")[2].partition("&")[0]
        step = self._deliver(attempt, browser, f"error=access_denied&state={state}", cancelled=True)
        assert step.sent == 0

    @rule(browser=st.sampled_from(BROWSERS))
    def disconnect(self, browser: int) -> None:
        user = self.browsers[browser].user
        had = self._connected(user)
        step = self._request("link", "disconnect", "", browser)
        gone = {event.configure_user_id for event in step.events if isinstance(event, AccountUnlinked)}
        if step.response.status == 303:
            # Attempts on their way can't undo it, even where there was nothing yet.
            assert user is not None
            assert gone == had
            self._void(user)
        else:
            assert gone == set()
            assert self._connected(user) == had
        assert step.sent == 0

    @rule(user=st.sampled_from([*LOCALS, "new-1"]))
    def forget(self, user: str) -> None:
        run(forget_user(self.world.link.site, user), self.world.perform)
        assert self._connected(user) == set()
        for browser in self.browsers:
            if browser.user == user:
                browser.user = None
        self._void(user)

    # How that is judged

    def _request(self, intent: str, route: str, query: str, browser: int) -> Step:
        sent, told = len(self.world.sent), len(self.world.events)
        response = self.world.request(intent, route, query, self.browsers[browser])
        assert response.status < 500
        return Step(response, len(self.world.sent) - sent, list(self.world.events[told:]))

    def _deliver(self, attempt: Attempt, number: int, query: str, *, cancelled: bool = False) -> Step:
        world, browser = self.world, self.browsers[number]
        before, owner = browser.user, self._owners()
        expired = world.now >= attempt.began + STATE_LIFETIME
        open_still = attempt.ended is None and not expired and self._still_kept(attempt)
        step = self._request(attempt.intent, "callback", query, number)
        linked = [event for event in step.events if isinstance(event, AccountLinked | LoggedIn)]

        if number != attempt.browser or not open_still:
            # Nothing of it counts: nothing is sent, nothing is saved, nobody is connected.
            assert step.sent == 0
            assert linked == []
            if browser.user != before:
                # The one exception: the same browser's reload signs in again what it signed in before.
                assert number == attempt.browser
                assert attempt.ended is not None
                assert world.now < attempt.ended + REPLAY
                assert before is None
                assert browser.user == attempt.signed_in == owner.get(attempt.person or "")
            return step

        attempt.ended = world.now
        assert len([event for event in step.events if isinstance(event, AccountLinked | LoggedIn | LinkFailed)]) <= 1
        if cancelled:
            assert linked == []
            return step
        if attempt.intent == "link":
            self._judge_link(attempt, step, before, owner)
        else:
            self._judge_login(attempt, step, before, owner, browser)
        return step

    def _judge_link(self, attempt: Attempt, step: Step, before: str | None, owner: dict[str, str]) -> None:
        made = [event for event in step.events if isinstance(event, AccountLinked)]
        same = before == attempt.user
        assert (step.sent > 0) == same
        others = self._connected(attempt.user) - {attempt.person} if not made else set()
        may = same and not attempt.void and owner.get(attempt.person or "") in (None, attempt.user) and not others
        assert bool(made) == may
        for event in made:
            # The link's user, who started, and who finished are one.
            assert event.account.user_id == attempt.user == before
            assert event.account.configure_user_id == attempt.person

    def _judge_login(
        self, attempt: Attempt, step: Step, before: str | None, owner: dict[str, str], browser: Browser
    ) -> None:
        made = [event for event in step.events if isinstance(event, LoggedIn)]
        assert (step.sent > 0) == (before is None)
        for event in made:
            assert event.account.configure_user_id == attempt.person
            assert event.account.user_id == browser.user == owner.get(attempt.person or "", browser.user)
            attempt.signed_in = browser.user
        if before is not None:
            assert browser.user == before
        if not made and before is None:
            assert browser.user is None

    def _owners(self) -> dict[str, str]:
        found = {person: self.world.stores.accounts.owner("test-agent", person) for person in PEOPLE}
        return {person: owner[0] for person, owner in found.items() if owner is not None}

    def _everybody(self) -> list[str]:
        return [*LOCALS, *(f"new-{number + 1}" for number in range(self.world.made))]

    def _connected(self, user: str | None) -> set[str]:
        found = () if user is None else self.world.stores.accounts.find("test-agent", user)
        return {account.configure_user_id for account in found}

    def _void(self, user: str) -> None:
        for attempt in self.attempts:
            if attempt.user == user:
                attempt.void = True

    def _still_kept(self, attempt: Attempt) -> bool:
        """Not pushed out by ten newer ones of its browser, nor deleted with its user."""
        state = attempt.start.partition("state=")[2].partition("&")[0]
        cookie = self.browsers[attempt.browser].cookie or ""
        kept = self.world.stores.states.read(
            digest("state", state),
            browser_hash=digest("browser", cookie),
            intent="link" if attempt.intent == "link" else "login",
            agent="test-agent",
            now=self.world.now,
        )
        return kept is not None

    @invariant()
    def one_configure_user_has_at_most_one_local_user(self) -> None:
        if not hasattr(self, "world"):
            return
        owners: dict[str, set[str]] = {}
        for user in self._everybody():
            for person in self._connected(user):
                owners.setdefault(person, set()).add(user)
        assert all(len(users) == 1 for users in owners.values()), owners

    @invariant()
    def one_local_user_has_at_most_one_configure_user(self) -> None:
        if hasattr(self, "world"):
            assert all(len(self._connected(user)) <= 1 for user in self._everybody())

    @invariant()
    def no_code_was_sent_twice(self) -> None:
        if hasattr(self, "world"):
            assert len(self.world.wire.used) == len(set(self.world.wire.used))


TestAccounts = Accounts.TestCase
TestAccounts.settings = examples(150, stateful_step_count=30)
