"""Two users, two browsers and two agents on one store, in real apps against the sandbox, in every order.

What always holds is checked after each step: who started is who finished, one Configure user belongs to one local user,
a stored token is of its agent and its user, no code is sent twice, no secret is in a response, no step is a bare 500.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from starlette.testclient import TestClient

from configure_auth import StoreError
from configure_auth.events import AccountLinked, LoggedIn
from configure_auth.sandbox import Sandbox
from configure_auth.stores import Stores
from configure_auth.stores.memory import memory_stores
from configure_auth.values import STATE_LIFETIME

from ..support import flask_web, starlette_web
from ..support.examples import examples
from ..support.stores import first
from ..support.web import Flow, Options, People, callback_path, query_of, start_path
from ..support.wrapping import wrapped

URLS = ("http://localhost:3100", "http://localhost:3101")
PEOPLE = ("+15550100001", "+15550100002")
USERS = ("u1", "u2")
SENDERS = ("chat:one", "chat:two")
OURS = "configure_dev"
CODES = ("/v1/auth/sign-in/exchange", "/oauth/token")
KEYS = "a key of the app to seal its tokens with"

apps, browsers = st.sampled_from((0, 1)), st.sampled_from((0, 1))
people, users, senders = st.sampled_from(PEOPLE), st.sampled_from(USERS), st.sampled_from(SENDERS)
flows = st.sampled_from(("link", "login"))
tokens = st.sampled_from(("own", "another agent's", "of no agent", "forged"))


@dataclass
class Attempt:
    """What is known of an attempt from outside."""

    app: int
    flow: Flow
    browser: int
    user: str | None
    start: str
    began: float
    phone: str | None = None
    callback: str | None = None
    ended: float | None = None
    void: bool = False
    signed_in: str | None = None


class Failing:
    """A store whose next operation of a name fails, before it is done or after."""

    def __init__(self, inner: Any, faults: list[tuple[str, bool]]) -> None:
        self._inner, self._faults = inner, faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not self._faults or self._faults[0][0] != name:
            return found

        def failing(*args: Any, **kwargs: Any) -> None:
            _, done = self._faults.pop()
            if done:
                found(*args, **kwargs)
            raise StoreError("the store is out of reach")

        return failing


class Apps(RuleBasedStateMachine):
    def __init__(self, adapter: str, sandbox: Sandbox, folder: Path) -> None:
        super().__init__()
        module: Any = flask_web if adapter == "flask" else starlette_web
        self.adapter, self.sandbox = adapter, sandbox
        self.stores: Stores = memory_stores()
        self.faults: list[tuple[str, bool]] = []
        failing = wrapped(self.stores, lambda store, _: Failing(store, self.faults))
        self.agents = (sandbox.agent, "other-agent")
        self.people = (People(), People())
        self.clients: list[Any] = []
        self._open = ExitStack()
        for number, url in enumerate(URLS):
            settings = {**sandbox.environment(url, agent=self.agents[number]), "CONFIGURE_TOKEN_KEYS": KEYS}
            options = Options(stores={"store": failing}, claims={}, messages={"on_unproven": "accept"})
            app, auth = module.build(settings, options, self.people[number], folder, sandbox.clock)
            self._open.callback(module.close, app, auth)
            client = (
                httpx2.Client(transport=httpx2.WSGITransport(app=app), base_url=url)
                if adapter == "flask"
                else TestClient(app, base_url=url)
            )
            self.clients.append(self._open.enter_context(client))
        self.ids = {phone: sandbox.add_person(phone).user_id for phone in PEOPLE}
        self.cookies: list[dict[str, str]] = [{}, {}]
        self.attempts: list[Attempt] = []
        self.journeys: list[tuple[int, str, str]] = []
        self.claims: dict[tuple[int, str], str] = {}
        self.owners: dict[tuple[int, str], str | None] = {}
        self.senders: dict[tuple[int, str], str] = {}
        self.turn = 0
        self.first_call = len(sandbox.calls)
        for browser in (0, 1):  # so that both have a cookie, and an attempt to bring to the other
            self.start(browser, 0, "login")

    def teardown(self) -> None:
        self._open.close()
        self.stores.close()

    # Requests

    def ask(self, browser: int | None, app: int, method: str, path: str, **headers: str) -> httpx2.Response:
        """A request of a browser, or of a program; what it has in `json_` is sent as its body."""
        client, body = self.clients[app], headers.pop("json_", None)
        named = {"accept": "text/html", "sec-fetch-site": "same-origin"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named |= {"content-type": "application/json", "accept": "application/json"}
        client.cookies.clear()
        if browser is not None:
            # Ports don't separate cookies; the two apps have sessions of other names.
            jar = self.cookies[browser]
            sent = {"session": jar.get(f"session {app}"), OURS: jar.get(OURS)}
            named["cookie"] = "; ".join(f"{name}={value}" for name, value in sent.items() if value)
        response: httpx2.Response = client.request(
            method, path, headers=named, content=None if body is None else body.encode(), follow_redirects=False
        )
        for line in response.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                key = name if name == OURS else f"session {app}"
                if browser is not None:
                    self.cookies[browser][key] = "" if morsel["max-age"] == "0" else morsel.value
        client.cookies.clear()
        assert response.status_code < 500 or response.status_code in (502, 503), (path, response.text)
        if not path.startswith(("/token", "/message", "/agents")):
            shown = f"{response.text} {dict(response.headers)}"
            assert not [token for token in self.sandbox.tokens if token.token in shown], path
        return response

    def user(self, browser: int, app: int) -> str | None:
        found: str | None = self.ask(browser, app, "GET", "/who").json()["user_id"]
        return found

    def codes(self) -> list[str]:
        """Every code that was sent to Configure."""
        calls = [call for call in self.sandbox.calls[self.first_call :] if call.path in CODES]
        return [call.json["code"] if call.path == CODES[0] else call.form.get("code", "") for call in calls]

    def connections(self) -> set[tuple[int, str, str, str]]:
        """App, local user, kind and Configure user of each connection."""
        names = [*USERS, *self.people[0].names, *self.people[1].names]
        found = ((app, self.stores.accounts.find(self.agents[app], name)) for app in (0, 1) for name in names)
        return {(app, one.user_id, one.kind, one.configure_user_id) for app, accounts in found for one in accounts}

    @contextmanager
    def unchanged(self, *, calls: bool = True) -> Iterator[None]:
        """Within the block no connection changes, and no code is sent."""
        before, sent = self.connections(), len(self.codes())
        yield
        assert self.connections() == before
        assert not calls or len(self.codes()) == sent

    # Steps

    @rule(browser=browsers, app=apps, user=users)
    def sign_in(self, browser: int, app: int, user: str) -> None:
        self.ask(browser, app, "POST", f"/in/{user}")

    @rule(browser=browsers, app=apps)
    def sign_out(self, browser: int, app: int) -> None:
        self.faults.clear()
        self.ask(browser, app, "POST", "/out")
        for attempt in self.attempts:
            if (attempt.app, attempt.browser) == (app, browser):
                attempt.signed_in = None

    @rule(seconds=st.sampled_from([1, 31, 600, STATE_LIFETIME + 1]))
    def advance(self, seconds: float) -> None:
        self.sandbox.advance(seconds)

    @rule(name=st.sampled_from(["claim", "save", "finish", "put", "find", "version"]), done=st.booleans())
    def store_fails(self, name: str, done: bool) -> None:
        """At its next use."""
        self.faults[:] = [(name, done)]

    @rule(browser=browsers, app=apps, flow=flows)
    def start(self, browser: int, app: int, flow: Flow) -> None:
        user = self.user(browser, app)
        with self.unchanged():
            response = self.ask(browser, app, "GET", start_path(flow))
        location = response.headers.get("location", "")
        if location.startswith("http") and response.status_code == 303:
            assert (user is None) == (flow == "login")
            self.attempts.append(Attempt(app, flow, browser, user, location, self.sandbox.now()))

    @rule(browser=browsers, app=apps, user=st.none() | users, phone=people)
    def go_through(self, browser: int, app: int, user: str | None, phone: str) -> None:
        """The whole of a link or a login, without another step in between."""
        self.sign_out(browser, app)
        if user is not None:
            self.sign_in(browser, app, user)
        count = len(self.attempts)
        self.start(browser, app, "login" if user is None else "link")
        if len(self.attempts) > count:
            self.deliver(self.attempts[-1], phone, browser)

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), phone=people, browser=browsers)
    def come_back(self, data: st.DataObject, phone: str, browser: int) -> None:
        """With a first approval or again, in whichever browser."""
        self.deliver(data.draw(st.sampled_from(self.attempts), label="attempt"), phone, browser)

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), browser=browsers, app=apps, flow=flows)
    def come_back_elsewhere(self, data: st.DataObject, browser: int, app: int, flow: Flow) -> None:
        """At another app's callback, or at the other flow's."""
        attempt = data.draw(st.sampled_from(self.attempts), label="attempt")
        if (attempt.app, attempt.flow) != (app, flow):
            state = query_of(attempt.start)["state"]
            with self.unchanged():
                self.ask(
                    browser, app, "GET", f"{callback_path(flow)}?state={state}&code=x", sec_fetch_site="cross-site"
                )

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), browser=browsers)
    def cancel(self, data: st.DataObject, browser: int) -> None:
        """With a code beside the error, which must not count."""
        attempt = data.draw(st.sampled_from(self.attempts), label="attempt")
        query = f"?state={query_of(attempt.start)['state']}&error=access_denied&code=cfgsic_x"
        if attempt.ended is None:
            with self.unchanged():
                self.ask(browser, attempt.app, "GET", callback_path(attempt.flow) + query, sec_fetch_site="cross-site")
            if browser == attempt.browser:
                attempt.ended = self.sandbox.now()

    def deliver(self, attempt: Attempt, phone: str, browser: int) -> None:
        if attempt.callback is None:
            attempt.phone, attempt.callback = phone, self.sandbox.sign_in(attempt.start, phone)
        before, connected = self.user(browser, attempt.app), self.connections()
        sent, told = len(self.codes()), len(self.people[attempt.app].events)
        is_own, now = browser == attempt.browser, self.sandbox.now()
        parts = urlsplit(attempt.callback)
        faulty = bool(self.faults)
        self.ask(browser, attempt.app, "GET", f"{parts.path}?{parts.query}", sec_fetch_site="cross-site")

        assert connected <= self.connections(), "somebody lost a connection"
        after, new = self.user(browser, attempt.app), self.connections() - connected
        exchanges = len(self.codes()) - sent
        is_open = attempt.ended is None and now < attempt.began + STATE_LIFETIME
        if not is_own or not is_open:
            assert (exchanges, new) == (0, set())
            if after != before and attempt.signed_in is None:
                raise AssertionError("a callback that counts no more signed somebody in")
            if after != before:
                assert is_own
                assert (after, attempt.ended is not None) == (attempt.signed_in, True)
                assert now < (attempt.ended or 0) + 30
            return
        attempt.ended = now
        assert exchanges <= 1
        assert len(new) <= 1
        may = before == attempt.user and not attempt.void if attempt.flow == "link" else before is None
        assert exchanges == 0 or before == attempt.user
        for app, user_id, kind, configure_user_id in new:
            assert may
            assert (app, configure_user_id) == (attempt.app, self.ids[attempt.phone or ""])
            assert kind == {"link": "agent", "login": "oauth"}[attempt.flow]
            assert faulty or after == user_id
            assert attempt.flow == "login" or user_id == attempt.user
        if attempt.flow == "login" and after is not None and before is None:
            attempt.signed_in = after
        for event in self.people[attempt.app].events[told:]:
            if isinstance(event, AccountLinked | LoggedIn):
                assert event.account.user_id == after

    @rule(browser=browsers, app=apps)
    def disconnect(self, browser: int, app: int) -> None:
        self.faults.clear()
        user, before = self.user(browser, app), self.connections()
        response = self.ask(browser, app, "POST", "/configure/disconnect")
        mine = {one for one in before if one[:2] == (app, user)}
        assert before - self.connections() == (mine if response.status_code == 303 else set())
        if response.status_code == 303:
            self.void(app, user)

    @rule(app=apps, user=users)
    def forget(self, app: int, user: str) -> None:
        self.faults.clear()
        self.ask(None, app, "POST", f"/forget/{user}")
        assert not [one for one in self.connections() if one[:2] == (app, user)]
        self.void(app, user)
        self.owners = {key: None if (key[0], owner) == (app, user) else owner for key, owner in self.owners.items()}

    def void(self, app: int, user: str | None) -> None:
        for attempt in self.attempts:
            attempt.void = attempt.void or (attempt.app, attempt.user) == (app, user)

    def token(self, app: int, kind: str, phone: str) -> str:
        person = self.sandbox.add_person(phone)
        if kind == "of no agent":
            return self.sandbox.issue_user_token(person)
        agent = self.agents[app if kind == "own" else 1 - app]
        return "forged" if kind == "forged" else self.sandbox.issue_agent_token(person, agent=agent)

    @rule(browser=browsers, app=apps, kind=tokens, phone=people)
    def post_element_token(self, browser: int, app: int, kind: str, phone: str) -> None:
        before, user = self.connections(), self.user(browser, app)
        body = f'{{"token": "{self.token(app, kind, phone)}"}}'
        response = self.ask(browser, app, "POST", "/configure/session", json_=body)
        new = self.connections() - before
        assert before <= self.connections()
        assert new <= {(app, user, "agent", self.ids[phone])}
        assert kind == "own" or (new == set() and response.status_code != 200)

    # Messages and claims

    @rule(app=apps, sender=senders)
    def begin_journey(self, app: int, sender: str) -> None:
        self.faults.clear()
        link = self.ask(None, app, "POST", "/journey", json_=f'{{"sender": "{sender}"}}').json()["link"]
        self.journeys.append((app, sender, query_of(link)["journey"]))

    @precondition(lambda self: self.journeys)
    @rule(data=st.data(), app=apps, kind=tokens, phone=people, named=st.none() | people)
    def complete(self, data: st.DataObject, app: int, kind: str, phone: str, named: str | None) -> None:
        """At either app; the body may name another user than the token's."""
        self.faults.clear()
        made_at, sender, journey = data.draw(st.sampled_from(self.journeys), label="journey")
        body = f'{{"journeyId": "{journey}", "token": "{self.token(app, kind, phone)}"'
        body += "}" if named is None else f', "userId": "{self.ids[named]}"}}'
        response = self.ask(None, app, "POST", "/configure/messages/complete", json_=body)
        if response.status_code == 200:
            assert (app, kind, named or phone) == (made_at, "own", phone)
            known = self.senders.setdefault((app, sender), self.ids[phone])
            assert known == self.ids[phone]

    @rule(app=apps, agent_id=st.sampled_from(["a1", "a2"]))
    def register_agent(self, app: int, agent_id: str) -> None:
        response = self.ask(None, app, "POST", f"/agents/{agent_id}")
        if response.status_code == 200:
            self.claims[app, agent_id] = response.json()["token"]

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), browser=browsers, app=apps)
    def claim(self, data: st.DataObject, browser: int, app: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.claims)), label="agent")
        user = self.user(browser, app)
        body = f'{{"claimToken": "{self.claims[key]}"}}'
        response = self.ask(browser, app, "POST", "/api/v1/agents/claim", json_=body)
        if response.status_code == 200:
            assert app == key[0]
            assert user is not None
            assert self.owners.get(key) in (None, user)
            self.owners[key] = user

    # What always holds

    @invariant()
    def nobody_is_two(self) -> None:
        pairs = self.connections()
        for app in (0, 1):
            mine = {(user, configure_user) for at, user, _, configure_user in pairs if at == app}
            assert len({configure_user for _, configure_user in mine}) == len(mine), "of two local users"
            assert len({user for user, _ in mine}) == len(mine), "has two Configure users"

    @invariant()
    def tokens_are_of_their_agent_and_user(self) -> None:
        """Of one browser at one app after each step, in turn."""
        self.turn = (self.turn + 1) % 4
        browser, app = divmod(self.turn, 2)
        held, self.faults[:] = list(self.faults), []
        if (user := self.user(browser, app)) is not None:
            for kind in {kind for at, owner, kind, _ in self.connections() if (at, owner) == (app, user)}:
                response = self.ask(browser, app, "GET", f"/token?kind={kind}")
                if response.status_code == 200:
                    token = self.sandbox.token(response.json()["token"])
                    assert token is not None
                    assert (app, user, kind, token.user_id) in self.connections()
                    assert token.agent == self.agents[app] or token.client_id is not None
        self.faults[:] = held

    @invariant()
    def no_code_was_sent_twice(self) -> None:
        codes = [code for code in self.codes() if code]
        assert len(codes) == len(set(codes))

    @invariant()
    def an_agent_keeps_its_owner(self) -> None:
        for (app, agent_id), owner in self.owners.items():
            assert owner is None or self.stores.agents.owner(agent_id, app=self.agents[app]) == owner


@pytest.mark.parametrize(("adapter", "count"), first([("flask", 20), ("flask", 200), ("starlette", 100)], rows=True))
def test_any_order(adapter: str, count: int, configure_sandbox: Sandbox, tmp_path: Path) -> None:
    configure_sandbox.add_agent("other-agent")
    for number, url in enumerate(URLS):
        agent = (configure_sandbox.agent, "other-agent")[number]
        configure_sandbox.register_return_to(f"{url}/configure/callback", agent=agent)
        configure_sandbox.register_redirect_uri(f"{url}/auth/configure/callback", agent=agent)

    # Shrinking takes minutes: the steps of the first failure are told as they are.
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    chosen = examples(count, stateful_step_count=25, phases=phases, report_multiple_bugs=False)
    machine: Any = partial(Apps, adapter, configure_sandbox, tmp_path)
    run_state_machine_as_test(machine, settings=chosen)
