"""Two users, two browsers and two apps on one store, on bare flows, in every order, against a model of a few dicts.

The model says of each request what may come of it: which connections there are afterwards, who is signed in, whether a
code was sent. What always holds is checked after each step.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from configure_auth.errors import AgentOwned, StoreError
from configure_auth.events import (
    AccountLinked,
    AccountUnlinked,
    AgentClaimed,
    Event,
    JourneyCompleted,
    LinkFailed,
    LoggedIn,
    SignInStarted,
)
from configure_auth.flows import Response, forget_browser, run
from configure_auth.flows.agent_claims import CLAIM_LIFETIME
from configure_auth.flows.effects import Pause
from configure_auth.flows.keyed_ids import external_id
from configure_auth.flows.messages.journeys import start_journey
from configure_auth.flows.sign_in.attempts import OPEN_LIMIT
from configure_auth.flows.tokens import access_token, forget_user
from configure_auth.runtime.effects import Effect
from configure_auth.stores import REPLAY
from configure_auth.stores.memory import memory_stores
from configure_auth.ui.pages import ReloadPage
from configure_auth.values import STATE_LIFETIME

from .world import OTHER_SETTINGS, SETTINGS, Browser, Wire, World, a_token, message_identity

USERS, PEOPLE, SENDERS = ("u1", "u2"), ("usr_1", "usr_2"), ("chat:one", "chat:two")
EXCHANGE = {"link": "POST /v1/auth/sign-in/exchange", "login": "POST /oauth/token"}
KINDS = {"link": "agent", "login": "oauth"}
ELSEWHERE = "https://evil.example/"
PHONE = 2
"""A third browser, in which a user disconnects."""
FAULTS = ("states.claim", "accounts.save", "states.finish")

browsers, apps = st.sampled_from((0, 1)), st.sampled_from((0, 0, 0, 1))
people, users, senders = st.sampled_from(PEOPLE), st.sampled_from(USERS), st.sampled_from(SENDERS)
intents = st.sampled_from(("link", "login"))
tokens = st.sampled_from(("own",) * 6 + ("another agent's", "of no agent", "forged"))
nexts = st.sampled_from((None, None, "/page?a=1", ELSEWHERE, "//evil.example", "/\\evil.example"))
faults = st.sampled_from(
    (
        *(None,) * 18,
        *(("accounts.save", False),) * 3,
        *((entry, is_done) for entry in FAULTS for is_done in (False, True)),
    )
)
recent = st.sampled_from((0, 0, 0, 0, 1, 2))
"""How far from the newest one."""
near = st.sampled_from((0, 0, 0, 1))
"""Whether it is another browser, or another app, than the one of the sign-in."""
anybody = st.sampled_from(("same",) * 5 + (*USERS, "new-1"))

Given = tuple[str, dict[str, Any]]
"""A step: the name of a method, and its arguments."""

_disconnect = "disconnect", {"app": near, "user": anybody, "is_own": st.sampled_from((True, True, True, False))}
_forget = "forget", {"app": near, "user": anybody, "is_reused": st.booleans()}
_come_back = "come_back", {"which": recent, "browser": near, "person": people}
_elsewhere = (
    "come_back_elsewhere",
    {"which": recent, "browser": near, "where": st.sampled_from(("app", "intent"))},
)
_link_again = "link_again", {"person": people, "replaces": st.booleans()}


def _one_of(*some: tuple[str, dict[str, st.SearchStrategy[Any]]]) -> st.SearchStrategy[Given]:
    return st.one_of(*(st.tuples(st.just(name), st.fixed_dictionaries(given)) for name, given in some))


steps = _one_of(
    ("sign_in", {"browser": near, "app": near, "user": users}),
    ("sign_out", {"browser": near, "app": near, "is_told": st.booleans()}),
    _disconnect,
    _disconnect,
    _forget,
    ("advance", {"by": st.sampled_from((1, 600, STATE_LIFETIME + 1))}),
    ("lose_cookie", {"browser": near}),
    ("start_often", {"browser": near, "app": near}),
    _come_back,
    _elsewhere,
    _elsewhere,
    ("cancel", {"which": recent, "browser": near}),
    _link_again,
    _link_again,
)
"""What may come between the parts of a sign-in."""

overlaps = st.none() | _one_of(_disconnect, _disconnect, _forget, _come_back, _come_back, _elsewhere)
"""What may come while Configure responds."""


_SIGN_IN = st.fixed_dictionaries(
    {
        "browser": browsers,
        "app": apps,
        "person": people,
        "next": nexts,
        "switch": st.sampled_from(("stays",) * 10 + ("leaves", *USERS)),
        "delay": st.sampled_from((0,) * 8 + (STATE_LIFETIME - 1, STATE_LIFETIME + 1)),
        "before": st.none() | st.none() | steps,
        "meanwhile": overlaps,
        "fault": faults,
        "leaves": st.sampled_from(("stays", "leaves", "leaves", "says so")),
        "pause": st.sampled_from((0, 20, REPLAY + 1)),
        "after": st.none() | steps,
    }
)


@dataclass(eq=False)
class Attempt:
    """What is known of an attempt from outside: who began it where and when, and what its callback will be."""

    app: int
    intent: str
    browser: int
    cookie: str
    user: str | None
    replaces: bool
    began: float
    start: str
    person: str | None = None
    query: str | None = None
    ended: float | None = None
    status: int | None = None
    """Of the first response; None where a fault made it uncertain."""
    is_open: bool = True
    is_under_way: bool = False
    is_void: bool = False
    """Its user was disconnected or forgotten meanwhile."""
    signed_in: str | None = None
    """Whom its reload may sign in again."""
    account: str | None = None
    """Whose connection came of it."""


@dataclass
class Journey:
    app: int
    sender: str
    id: str
    used: str | None = None


@dataclass
class Step:
    """What one request did."""

    response: Response
    sent: int
    events: list[Event]


class _Waits(Exception):
    pass


class Log(logging.Handler):
    """Everything that is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Apps(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.wire, self.stores = Wire(), memory_stores()
        self.worlds = [World(settings=one, wire=self.wire, stores=self.stores) for one in (SETTINGS, OTHER_SETTINGS)]
        for world in self.worlds:
            # Whoever signs in with Configure may disconnect too, so that both kinds go.
            world.link = replace(world.link, can_disconnect=lambda user: True)
        self.agents = [world.link.site.agent for world in self.worlds]
        self.browsers = [[Browser(), Browser()] for _ in range(PHONE + 1)]
        self.cookies: list[str | None] = [f"configure_dev={a_token()}" for _ in range(PHONE + 1)]
        self.base: tuple[int, int, str | None] = (0, 0, None)
        self.apart_sent, self.apart_events = [0, 0], list[Event]()
        self.accounts: dict[tuple[int, str, str], str] = {}
        self.attempts: list[Attempt] = []
        self.posted: Attempt | None = None
        self.links: dict[tuple[int, str], str] = {}
        self.claims: dict[tuple[int, str], tuple[str, float]] = {}
        self.owners: dict[tuple[int, str], str] = {}
        self.log, self.logger = Log(), logging.getLogger("configure_auth")
        self.logger.addHandler(self.log)
        self.level = self.logger.level
        self.logger.setLevel(logging.DEBUG)

    def teardown(self) -> None:
        if hasattr(self, "logger"):
            self.logger.removeHandler(self.log)
            self.logger.setLevel(self.level)
            self.stores.close()

    # Sign-ins

    def go_through(
        self,
        browser: int,
        app: int,
        user: str | None,
        person: str,
        next: str | None,
        replaces: bool,
        switch: str,
        delay: float,
        before: Given | None,
        meanwhile: Given | None,
        fault: tuple[str, bool] | None,
        leaves: str,
        pause: float,
        after: Given | None,
    ) -> None:
        """A link, or a login by who isn't signed in, with something in between; and its callback again."""
        at = self.browsers[browser][app]
        at.user = user
        count = len(self.attempts)
        self.start(browser, app, "login" if user is None else "link", next, replaces)
        assert len(self.attempts) == count + 1
        self.base, attempt = (browser, app, user or self._owner(app, person)), self.attempts[-1]
        at.user = {"stays": user, "leaves": None}.get(switch, switch)
        self._pass(delay)
        self._do(before)
        self._deliver(attempt, browser, person, fault=fault, meanwhile=meanwhile)
        self.base = (browser, app, at.user)
        if leaves != "stays":
            self.sign_out(0, 0, leaves == "says so")
        self._pass(pause)
        self._do(after)
        self._deliver(attempt, browser, person)

    @rule(user=users, replaces=st.booleans(), given=_SIGN_IN)
    def link(self, user: str, replaces: bool, given: dict[str, Any]) -> None:
        self.go_through(user=user, replaces=replaces, **given)

    @rule(given=_SIGN_IN)
    def log_in(self, given: dict[str, Any]) -> None:
        self.go_through(user=None, replaces=False, **given)

    @rule(browser=browsers, app=apps, intent=intents, is_own=st.booleans())
    def start_at_random(self, browser: int, app: int, intent: str, is_own: bool) -> None:
        self.start(browser, app, intent, is_own=is_own)

    @rule(browser=browsers, app=apps, user=users, step=steps)
    def act(self, browser: int, app: int, user: str, step: Given) -> None:
        self.base = (browser, app, user)
        self._do(step)

    def start(
        self, browser: int, app: int, intent: str, next: str | None = None, replaces: bool = False, is_own: bool = True
    ) -> None:
        user = self.browsers[browser][app].user
        query = "&".join([*([f"next={next}"] if next else []), *(["replace=1"] if replaces else [])])
        headers = {} if is_own else {"sec-fetch-site": "cross-site"}
        step = self._request(app, intent, "sign_in", query.replace("?", "%3F"), browser, **headers)
        assert step.sent == 0
        if not is_own or (user is None) == (intent == "link"):
            # Another site asks, or there is nobody to connect to, or nobody to sign in: no attempt.
            assert step.events == []
            assert not (step.response.location or "").startswith("http")
            return
        assert [type(event) for event in step.events] == [SignInStarted]
        assert step.response.location is not None
        cookie, now = self.cookies[browser], self.worlds[app].now
        assert cookie is not None
        replaces = replaces and intent == "link"
        self.attempts.append(Attempt(app, intent, browser, cookie, user, replaces, now, step.response.location))
        waiting = [one for one in self.attempts if one.is_open and (one.app, one.cookie) == (app, cookie)]
        for surplus in waiting[:-OPEN_LIMIT]:
            surplus.is_open = False

    # Steps in between. Their browser, app and user are relative to `base`, which is those of the sign-in.

    def _do(self, step: Given | None) -> None:
        if step is not None:
            getattr(self, step[0])(**step[1])

    def _at(self, browser: int, app: int) -> tuple[int, int]:
        return self.base[0] ^ browser, self.base[1] ^ app

    def sign_in(self, browser: int, app: int, user: str) -> None:
        browser, app = self._at(browser, app)
        self.browsers[browser][app].user = user

    def sign_out(self, browser: int, app: int, is_told: bool) -> None:
        """Or the session's cookie is lost; then the package isn't told."""
        browser, app = self._at(browser, app)
        self.browsers[browser][app].user = None
        if is_told:
            world = self.worlds[app]
            request = world.build_request("link", "status", "", self._browser(browser, app))
            run(forget_browser(world.link.site, request), world.perform)
            for attempt in self.attempts:
                if attempt.app == app and attempt.cookie == self.cookies[browser]:
                    attempt.signed_in = None

    def lose_cookie(self, browser: int) -> None:
        self.cookies[self.base[0] ^ browser] = None

    def advance(self, by: float) -> None:
        self._pass(by)

    def start_often(self, browser: int, app: int) -> None:
        browser, app = self._at(browser, app)
        for _ in range(OPEN_LIMIT):
            self.start(browser, app, "login" if self.browsers[browser][app].user is None else "link")

    def link_again(self, person: str, replaces: bool) -> None:
        """The same user, perhaps with another Configure user."""
        browser, app, user = self.base
        if user is not None and not any(attempt.is_under_way for attempt in self.attempts):
            self.browsers[browser][app].user = user
            self.start(browser, app, "link", None, replaces)
            self._deliver(self.attempts[-1], browser, person)

    def come_back(self, which: int, browser: int, person: str) -> None:
        """With a first approval, or once more with the same callback; in whichever browser."""
        if attempt := self._attempt(which):
            self._deliver(attempt, attempt.browser ^ browser, person)

    def come_back_elsewhere(self, which: int, browser: int, where: str) -> None:
        """At the other app's callback, or at the other flow's."""
        attempt = self._attempt(which)
        if attempt is None:
            return
        app = attempt.app ^ (where == "app")
        intent = attempt.intent if where == "app" else {"link": "login", "login": "link"}[attempt.intent]
        with self._unchanged():
            query = attempt.query or f"state={_state(attempt)}&code=code-0"
            step = self._request(app, intent, "callback", query, attempt.browser ^ browser)
        assert 400 <= step.response.status < 500
        assert all(isinstance(event, LinkFailed) for event in step.events)

    def cancel(self, which: int, browser: int) -> None:
        """With a code beside the error, which must not count."""
        attempt = self._attempt(which)
        if attempt and attempt.ended is None and not attempt.is_under_way:
            query = f"error=access_denied&state={_state(attempt)}&code=code-0"
            with self._unchanged():
                self._deliver(attempt, attempt.browser ^ browser, None, query=query)

    def disconnect(self, app: int, user: str, is_own: bool) -> None:
        """On another device of the user."""
        app ^= self.base[1]
        name = self.base[2] if user == "same" else user
        headers = {} if is_own else {"sec-fetch-site": "cross-site"}
        self.browsers[PHONE][app].user = name
        step = self._request(app, "link", "disconnect", "", PHONE, **headers)
        gone = sorted(event.kinds[0] for event in step.events if isinstance(event, AccountUnlinked))
        assert step.sent == 0
        if name is None or not is_own:
            assert 400 <= step.response.status < 500
            assert gone == []
            return
        assert step.response.status == 303
        assert gone == sorted(kind for at, owner, kind in self.accounts if (at, owner) == (app, name))
        self._drop(app, name)

    def forget(self, app: int, user: str, is_reused: bool) -> None:
        """A user is deleted. The next one may get the same id, and have this browser."""
        app ^= self.base[1]
        world, name = self.worlds[app], self.base[2] if user == "same" else user
        if name is None:
            return
        run(forget_user(world.link.site, name), world.perform)
        for pair in self.browsers:
            if pair[app].user == name and not is_reused:
                pair[app].user = None
        self._drop(app, name)
        gone = {key for key, owner in self.owners.items() if (key[0], owner) == (app, name)}
        self.owners = {key: owner for key, owner in self.owners.items() if key not in gone}
        for attempt in self.attempts:
            if attempt.app == app and name in (attempt.user, attempt.account):
                # Nothing of theirs is left, the outcomes of their attempts neither.
                attempt.is_open, attempt.status = attempt.is_open and attempt.is_under_way, None

    def _attempt(self, which: int) -> Attempt | None:
        return self.attempts[-1 - which] if which < len(self.attempts) else None

    def _deliver(
        self,
        attempt: Attempt,
        number: int,
        person: str | None,
        *,
        query: str | None = None,
        fault: tuple[str, bool] | None = None,
        meanwhile: Given | None = None,
    ) -> None:
        if query is None and attempt.query is None:
            attempt.person, attempt.query = person, self.wire.approve(attempt.start, person or "")
        query, is_cancelled = query or attempt.query or "", query is not None
        world, browser = self.worlds[attempt.app], self.browsers[number][attempt.app]
        before, renewed, now = browser.user, browser.renewed, world.now
        is_own = self.cookies[number] == attempt.cookie
        counts = is_own and attempt.is_open and now < attempt.began + STATE_LIFETIME and not attempt.is_under_way
        if not counts:
            with self._unchanged():
                step = self._request(attempt.app, attempt.intent, "callback", query, number)
            assert not [event for event in step.events if isinstance(event, AccountLinked | LoggedIn | SignInStarted)]
            if attempt.is_under_way and is_own:
                assert step.response.status == 202
            elif not is_own:
                assert 400 <= step.response.status < 500
            elif attempt.status is not None and not attempt.is_void and now < attempt.began + STATE_LIFETIME:
                assert step.response.status == attempt.status
            self._judge_repeat(attempt, browser, before, now, is_own)
            return

        attempt.is_under_way = True
        self._meanwhile(attempt.app, EXCHANGE[attempt.intent], meanwhile)
        with self._failing(world, fault):
            step = self._request(attempt.app, attempt.intent, "callback", query, number)
        world.drop_meanwhile()
        attempt.is_under_way = False
        if fault is None or fault[0] != "states.claim" or fault[1]:
            attempt.is_open, attempt.ended = False, world.now
        ends = [event for event in step.events if isinstance(event, AccountLinked | LoggedIn | LinkFailed)]
        assert len(ends) <= 1
        assert step.sent <= 1 + 2 * (attempt.intent == "login")
        # Nothing is sent before the user is known to be the one who started, nor after a cancellation.
        assert step.sent == 0 or (before == attempt.user and not is_cancelled)
        change = None if is_cancelled else self._change(attempt, before)
        if fault is not None:
            self._judge_fault(attempt, browser, before, change, step.response.status)
            return
        attempt.status = step.response.status
        made = [event for event in ends if not isinstance(event, LinkFailed)]
        assert bool(made) == (change is not None)
        assert len(ends) == 1
        if change is None:
            assert browser.user == before or meanwhile is not None
            return
        self.accounts = change
        (event,) = made
        assert isinstance(event, AccountLinked | LoggedIn)
        account = event.account
        assert self.accounts[attempt.app, account.user_id, account.kind] == account.configure_user_id == attempt.person
        if attempt.intent == "login":
            assert browser.user == account.user_id
            assert browser.renewed > renewed
            attempt.signed_in = attempt.account = browser.user
        location = step.response.location or ""
        assert location.startswith("/")
        assert not location.startswith(("//", "/\\"))
        self._check_token(attempt.app, account.user_id, account.kind)

    def _change(self, attempt: Attempt, before: str | None) -> dict[tuple[int, str, str], str] | None:
        """The connections as they are after the callback of an open attempt in its browser; None if it must fail."""
        app, person, kind = attempt.app, attempt.person, KINDS[attempt.intent]
        if person is None or before != attempt.user or attempt.is_void:
            return None
        owner = self._owner(app, person)
        if attempt.intent == "login":
            user = owner or f"new-{self.worlds[app].made}"
            return {**self.accounts, (app, user, kind): person}
        user = attempt.user or ""
        others = {key for key, value in self.accounts.items() if key[:2] == (app, user) and value != person}
        if owner not in (None, user) or (others and not attempt.replaces):
            return None
        kept = {key: value for key, value in self.accounts.items() if key not in others}
        return {**kept, (app, user, kind): person}

    def _judge_repeat(self, attempt: Attempt, browser: Browser, before: str | None, now: float, is_own: bool) -> None:
        """The same browser's reload may sign in again, for 30 s, whom it signed in before."""
        if browser.user != before:
            assert is_own
            assert before is None
            assert attempt.ended is not None
            assert now < attempt.ended + REPLAY
            assert browser.user == attempt.signed_in == self._owner(attempt.app, attempt.person)

    def _judge_fault(
        self,
        attempt: Attempt,
        browser: Browser,
        before: str | None,
        change: dict[tuple[int, str, str], str] | None,
        status: int,
    ) -> None:
        """The store or Configure failed: either all of it happened or nothing did."""
        actual = self._actual()
        assert actual in (self.accounts, change)
        self.accounts = actual
        if attempt.intent == "login" and before is None:
            owner = self._owner(attempt.app, attempt.person)
            assert browser.user == (owner if status == 303 else None)
            attempt.signed_in = attempt.account = owner

    # The element

    @rule(
        browser=browsers,
        app=apps,
        user=st.sampled_from((*USERS, *USERS, None)),
        kind=tokens,
        person=people,
        page=st.sampled_from((None, None, None, *USERS)),
        meanwhile=overlaps,
    )
    def post_element_token(
        self,
        browser: int,
        app: int,
        user: str | None,
        kind: str,
        person: str,
        page: str | None,
        meanwhile: Given | None,
    ) -> None:
        world, self.browsers[browser][app].user = self.worlds[app], user
        self.base = (browser, app, user)
        attempt = Attempt(app, "link", browser, "", user, False, world.now, "", person=person)
        body = {"token": self._token(app, kind, person)}
        if page is not None:
            body["externalId"] = run(external_id(world.link.site, page), world.perform)
        world.posted = json.dumps(body).encode()
        self.posted = attempt
        self._meanwhile(app, "POST /v1/auth/sign-in/validate", meanwhile)
        headers = {"content-type": "application/json", "accept": "application/json"}
        headers["content-length"] = str(len(world.posted))
        step = self._request(app, "link", "session", "", browser, **headers)
        world.drop_meanwhile()
        self.posted = None
        is_good = kind == "own" and user is not None and page in (None, user)
        change = self._change(attempt, user) if is_good else None
        assert (step.response.status == 200) == (change is not None)
        assert bool([event for event in step.events if isinstance(event, AccountLinked)]) == (change is not None)
        self.accounts = change or self.accounts

    def _drop(self, app: int, user: str) -> None:
        self.accounts = {key: person for key, person in self.accounts.items() if key[:2] != (app, user)}
        for attempt in [*self.attempts, *([self.posted] if self.posted else [])]:
            attempt.is_void = attempt.is_void or (attempt.app, attempt.user) == (app, user)

    def _token(self, app: int, kind: str, person: str) -> str:
        if kind == "forged":
            return "forged"
        of = {"own": self.agents[app], "another agent's": self.agents[1 - app], "of no agent": None}[kind]
        return self.wire.issue(person, of)

    # Tokens

    @precondition(lambda self: self.accounts)
    @rule(which=st.integers(0, 3), delay=st.sampled_from((0, 3600)))
    def use_token(self, which: int, delay: float) -> None:
        """Refreshed by two workers at the same time, if it is over."""
        app, user, kind = sorted(self.accounts)[which % len(self.accounts)]
        world = self.worlds[app]
        self._pass(delay)
        world.meanwhile("POST /oauth/token", lambda: self._second_worker(world, user, kind))
        self._check_token(app, user, kind)
        world.drop_meanwhile()
        assert len(self.wire.refreshed) == len(set(self.wire.refreshed))

    def _second_worker(self, world: World, user: str, kind: str) -> None:
        """Another worker finds the lease taken, and waits for the first one."""

        def perform(effect: Effect[Any]) -> Any:
            if isinstance(effect, Pause):
                raise _Waits
            return world.perform(effect)

        with suppress(_Waits):
            run(access_token(world.login.site, user, "https://api.example", kind), perform)  # type: ignore[arg-type]
            raise AssertionError("two workers refreshed a token")

    def _check_token(self, app: int, user: str, kind: str) -> None:
        world = self.worlds[app]
        token = run(access_token(world.login.site, user, "https://api.example", kind), world.perform)  # type: ignore[arg-type]
        assert self.wire.user_of(token.reveal()) == self.accounts[app, user, kind]
        self._sync()

    # Messages and claims

    @rule(app=apps, sender=senders, kind=tokens, person=people, named=st.none() | people, where=near, again=people)
    def follow_journey(
        self, app: int, sender: str, kind: str, person: str, named: str | None, where: int, again: str
    ) -> None:
        """At either app; the body may name another user than the token's. And the same journey with another token."""
        world = self.worlds[app]
        link = run(start_journey(world.messages, sender), world.perform)
        journey = Journey(app, sender, parse_qs(urlsplit(link).query)["journey"][0])
        self._complete(journey, app ^ where, self._token(app, kind, person), kind == "own", person, named)
        self._complete(journey, app, self._token(app, "own", again), True, again, None)
        found = run(message_identity(world.messages, sender), world.perform)
        assert found.user_id == self.links[app, sender]
        assert found.token is None or self.wire.user_of(found.token.reveal()) == found.user_id

    def _complete(self, journey: Journey, app: int, token: str, is_own: bool, person: str, named: str | None) -> None:
        world, key = self.worlds[app], (app, journey.sender)
        body = {"journeyId": journey.id, "token": token} | ({} if named is None else {"userId": named})
        told = len(world.events)
        response = world.complete(json.dumps(body).encode())
        may = is_own and app == journey.app and named in (None, person) and journey.used is None
        may = may and self.links.get(key, person) == person
        assert (response.status == 200) == may, response
        assert bool([event for event in world.events[told:] if isinstance(event, JourneyCompleted)]) == may
        if may:
            journey.used, self.links[key] = token, person

    @rule(
        app=apps,
        agent_id=st.sampled_from(("a1", "a2")),
        where=near,
        user=st.none() | users,
        then=users,
        delay=st.sampled_from((0, 0, CLAIM_LIFETIME + 1)),
    )
    def claim_agent(self, app: int, agent_id: str, where: int, user: str | None, then: str, delay: float) -> None:
        """At either app, and by another user after that."""
        world = self.worlds[app]
        if (app, agent_id) in self.owners:
            with suppress(AgentOwned):
                run(world.claims.register(agent_id), world.perform)
                raise AssertionError("a claimed agent was registered again")
        else:
            token = run(world.claims.register(agent_id), world.perform)
            self.claims[app, agent_id] = token.reveal(), world.now + CLAIM_LIFETIME
        self._claim(app, agent_id, app ^ where, user)
        self._pass(delay)
        self._claim(app, agent_id, app, then)

    def _claim(self, of: int, agent_id: str, app: int, user: str | None) -> None:
        world, key = self.worlds[app], (of, agent_id)
        (token, until), told = self.claims[key], len(world.events)
        response = world.claim(json.dumps({"claimToken": token}).encode(), Browser(user))
        may = user is not None and app == of and world.now < until and self.owners.get(key, user) == user
        assert (response.status == 200) == may, response
        new = [event for event in world.events[told:] if isinstance(event, AgentClaimed)]
        assert bool(new) == (may and key not in self.owners)
        if may and user is not None:
            self.owners[key] = user

    # How that is judged

    def _browser(self, number: int, app: int) -> Browser:
        browser = self.browsers[number][app]
        browser.cookie = self.cookies[number]
        return browser

    def _request(self, app: int, intent: str, route: str, query: str, number: int, **headers: str) -> Step:
        world, browser = self.worlds[app], self._browser(number, app)
        sent, told, logged = world.calls - self.apart_sent[app], len(world.events), len(self.log.lines)
        response = world.request(intent, route, query, browser, **headers)
        if isinstance(response.page, ReloadPage):
            response = world.request(intent, route, query, browser, **{"sec-fetch-site": "same-origin"})
        self.cookies[number] = browser.cookie
        self._sync()
        world.raise_failure()
        assert response.status < 500 or response.status == 503
        shown = f"{response.json} {response.text} {response.page} {response.cookie} {self.log.lines[logged:]}"
        shown += "" if (response.location or "").startswith("http") else f"{response.location}"
        assert not [secret for secret in self.wire.secrets if secret in shown]
        events = [one for one in world.events[told:] if not any(one is other for other in self.apart_events)]
        return Step(response, world.calls - self.apart_sent[app] - sent, events)

    def _meanwhile(self, app: int, entry: str, step: Given | None) -> None:
        """Do something while Configure responds to this call. It is judged by itself."""
        world = self.worlds[app]

        def do() -> None:
            sent, told = world.calls, len(world.events)
            failing, world.fails = world.fails, {}  # the fault is that of the other request
            losing, world.loses = world.loses, {}
            self._do(step)
            world.fails, world.loses = failing, losing
            self.apart_sent[app] += world.calls - sent
            self.apart_events += world.events[told:]

        if step is not None:
            world.meanwhile(entry, do)

    @contextmanager
    def _failing(self, world: World, fault: tuple[str, bool] | None) -> Iterator[None]:
        """One operation fails, before it is done or after."""
        if fault is not None:
            entry, is_done = fault
            if is_done:
                world.loses[entry] = [StoreError("the connection is gone")]
            else:
                world.fails[entry] = StoreError("the store is locked")
        yield
        world.fails.clear()
        world.loses.clear()

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Nothing is saved and nothing sent within the block, but by what happens meanwhile."""
        used = len(self.wire.used)
        yield
        assert self._actual() == self.accounts
        assert len(self.wire.used) == used

    def _pass(self, by: float) -> None:
        for world in self.worlds:
            world.now += by

    def _sync(self) -> None:
        """A pause moves the clock of one app, and every request a little."""
        now = max(world.now for world in self.worlds) + 0.001
        for world in self.worlds:
            world.now = now

    def _owner(self, app: int, person: str | None) -> str | None:
        return next((user for (at, user, _), one in self.accounts.items() if (at, one) == (app, person)), None)

    def _actual(self) -> dict[tuple[int, str, str], str]:
        return {
            (app, one.user_id, one.kind): one.configure_user_id
            for app, agent in enumerate(self.agents)
            for one in self.stores.accounts.page(agent, after=None, limit=1000)
        }

    @invariant()
    def connections_are_those_of_the_model(self) -> None:
        if not hasattr(self, "stores"):
            return
        assert self._actual() == self.accounts
        pairs = {(app, user, person) for (app, user, _), person in self.accounts.items()}
        assert len({(app, person) for app, _, person in pairs}) == len(pairs), "a Configure user of two local users"
        assert len({(app, user) for app, user, _ in pairs}) == len(pairs), "a local user with two Configure users"


def _state(attempt: Attempt) -> str:
    return parse_qs(urlsplit(attempt.start).query)["state"][0]
