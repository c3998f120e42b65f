"""The events: frozen values, a signal or handler for each, and handlers that can break nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import inspect
from datetime import UTC, datetime
from typing import Any

import pytest

from configure_auth import LinkedAccount, Settings, SettingsError, events
from configure_auth.errors import Code
from configure_auth.events import EVENTS, AccountLinked, Event, LoggedIn, SignInStarted
from configure_auth.flask import signals
from configure_auth.flask.signals import SIGNALS
from configure_auth.sandbox import Sandbox
from configure_auth.starlette import ConfigureAuth

from ..behaviour.conftest import make_web
from ..support.adapters import either
from ..support.web import MakeWeb

__all__ = ["either", "make_web"]

ACCOUNT = LinkedAccount(
    user_id="u1", configure_user_id="usr_1", kind="agent", scopes=(), linked_at=datetime(2026, 1, 1, tzinfo=UTC)
)
VALUES: dict[str, Any] = {
    "account": ACCOUNT,
    "intent": "link",
    "user_id": "u1",
    "code": Code.CANCELLED,
    "configure_user_id": "usr_1",
    "kinds": ("agent",),
    "why": "invalid",
    "agent_id": "agent-1",
    "sender": "chat:ada",
    "request_id": "req_1",
}


def example(event: type[Event]) -> Event:
    absent = dataclasses.MISSING
    needed = [one.name for one in dataclasses.fields(event) if one.default is one.default_factory is absent]
    make: Any = event
    made: Event = make(**{name: VALUES[name] for name in needed})
    return made


@pytest.fixture
def store() -> str:
    return "memory"


def test_the_one_list_has_every_event() -> None:
    defined = {
        value for value in vars(events).values() if inspect.isclass(value) and value.__module__ == events.__name__
    }

    assert set(EVENTS) == defined - {Event}
    assert all(issubclass(event, Event) for event in EVENTS)
    assert {signal.name for signal in SIGNALS.values()} <= signals.__annotations__.keys()


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_frozen_and_takes_keywords_only(event: type[Event]) -> None:
    made = example(event)
    first = dataclasses.fields(made)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, first, None)
    with pytest.raises((AttributeError, TypeError)):
        setattr(made, "extra", 1)  # noqa: B010  # that it has no such attribute is what is tested
    make: Any = event
    with pytest.raises(TypeError, match="positional"):
        make("positional")
    assert made == example(event)
    assert hash(made) == hash(example(event))
    assert inspect.getdoc(event)


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_a_signal_on_flask_named_after_it(event: type[Event]) -> None:
    name = SIGNALS[event].name

    assert name.replace("_", "") == event.__name__.lower()
    assert getattr(signals, name) is SIGNALS[event]


def test_no_two_events_share_a_signal() -> None:
    assert len({id(signal) for signal in SIGNALS.values()}) == len(EVENTS)


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.mark.catalogue("Q12")
@pytest.mark.parametrize("failure", [RuntimeError, asyncio.CancelledError])
@pytest.mark.parametrize("flow", ["link", "login"])
def test_handlers_that_raise_change_nothing(
    make_web: MakeWeb, heard: list[Event], flow: Any, failure: type[BaseException]
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise failure("a handler of the app is broken")

    def hear(_app: Any, event: Event) -> None:
        heard.append(event)

    connected: list[Any] = []

    def customise(app: Any, configure_auth: Any) -> None:
        for event in EVENTS:
            if hasattr(configure_auth, "on"):
                configure_auth.on(event)(fail)
                configure_auth.on(event)(heard.append)
            else:
                SIGNALS[event].connect(fail, sender=app, weak=False)
                SIGNALS[event].connect(hear, sender=app, weak=False)
        connected.append(app)

    web = make_web(customise=customise)
    with web.browser() as browser:
        if flow == "link":
            browser.sign_in_locally("u1")
        answer = browser.link() if flow == "link" else browser.login()
        account = browser.account()
        assert browser.post("/unlink").json() == {"unlinked": 1}

    assert answer.status_code == 303
    assert account is not None
    done = AccountLinked if flow == "link" else LoggedIn
    assert [type(event) for event in heard] == [SignInStarted, done, events.AccountUnlinked]
    assert [type(event) for event in web.people.events] == [type(event) for event in heard]


def test_an_event_tells_the_account_but_never_a_token(make_web: MakeWeb) -> None:
    web = make_web()
    with web.browser() as browser:
        browser.login()
    tokens = [token.token for token in web.sandbox.tokens]

    assert tokens
    for event in web.people.events:
        assert not any(token in repr(event) for token in tokens)


def test_what_is_no_event_has_no_handler(configure_sandbox: Sandbox) -> None:
    keys = {"CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with"}
    settings = Settings.from_mapping(configure_sandbox.environment() | keys)
    configure_auth = ConfigureAuth(settings, store="memory://", user_id=lambda request: None)

    with pytest.raises(SettingsError, match=r"configure_auth\.events"):
        configure_auth.on(dict)


def test_async_and_locally_defined_handlers_are_called(make_web: MakeWeb, heard: list[Event]) -> None:
    def customise(app: Any, configure_auth: Any) -> None:
        async def hear(event: Event) -> None:
            heard.append(event)

        if hasattr(configure_auth, "on"):
            configure_auth.on(LoggedIn)(hear)
            configure_auth.on(LoggedIn)(lambda event: hear(event))
            return

        @signals.logged_in.connect
        async def hear_it(app: Any, event: Event) -> None:
            await hear(event)

        signals.logged_in.connect(lambda _app, event: hear(event), sender=app)

    web = make_web(customise=customise)
    gc.collect()
    with web.browser() as browser:
        browser.login()

    assert [type(event) for event in heard] == [LoggedIn, LoggedIn]


def test_a_misspelt_signal_is_an_error() -> None:
    with pytest.raises(AttributeError, match="acount_linked"):
        signals.acount_linked  # type: ignore[attr-defined]  # noqa: B018
