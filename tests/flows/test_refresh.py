"""A refresh in an outage: what is sent and when, by a clock that only pauses move."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from configure_auth.client.call import HttpResponse
from configure_auth.client.wire import error_from, read_response
from configure_auth.errors import ApiCode, ConfigureError
from configure_auth.flows import run
from configure_auth.flows.effects import Shielded
from configure_auth.flows.tokens import access_token, account
from configure_auth.values import LinkedAccount, Secret

from .world import Browser, World

TOKEN = "POST /oauth/token"
HTML = HttpResponse(status=200, headers={"content-type": "text/html"}, content=b"<html>")


def refused(status: int, body: object = None, **headers: str) -> ConfigureError:
    return error_from(HttpResponse(status=status, headers=headers, content=json.dumps(body or {}).encode()))


def broken() -> ConfigureError:
    with pytest.raises(ConfigureError) as error:
        read_response(HTML, "the refresh")
    return error.value


def lost(code: ApiCode) -> ConfigureError:
    return ConfigureError(code, "no response", retryable=True)


class App:
    """A user whose access token is over."""

    def __init__(self) -> None:
        self.world = World()
        browser = Browser()
        self.world.request("login", "callback", self.world.came_back("login", browser), browser)
        self.user = browser.user
        self.world.now += 3600
        self.world.log.clear()

    def token(self) -> Secret:
        return run(access_token(self.world.login.site, self.user, "https://api.configure.dev"), self.world.perform)

    def account(self) -> LinkedAccount:
        found = run(account(self.world.login.site, self.user), self.world.perform)
        assert found is not None
        return found

    def fails(self) -> tuple[bool, float]:
        with pytest.raises(ConfigureError) as error:
            self.token()
        assert error.value.retry_after is not None
        return error.value.retryable, round(error.value.retry_after, 3)


OUTAGES: dict[str, Callable[[], ConfigureError]] = {
    "502": lambda: refused(502),
    "504": lambda: refused(504, "<html>"),
    "503": lambda: refused(503),
    "500": lambda: refused(500),
    "a gateway's 403": lambda: refused(403, {"error": "invalid_grant"}),
    "html": lambda: broken(),
    "timeout": lambda: lost(ApiCode.TIMEOUT),
    "dropped": lambda: lost(ApiCode.NETWORK_ERROR),
}


@pytest.mark.parametrize("name", [name for name in OUTAGES if "403" not in name])
def test_an_outage_is_tried_again_with_growing_pauses_and_marks_nothing(name: str) -> None:
    app = App()
    app.world.fails[TOKEN] = OUTAGES[name]()

    began = app.world.now
    assert app.fails() == (True, 2.0)
    assert app.world.sent == [TOKEN, TOKEN]
    assert app.world.now - began >= 1.0
    assert app.fails() == (True, 2.0)
    assert app.world.sent == [TOKEN, TOKEN]

    for sends, pause in ((3, 4.0), (4, 8.0), (5, 16.0), (6, 32.0), (7, 60.0), (8, 60.0)):
        app.world.now += 61
        app.world.fails[TOKEN] = OUTAGES[name]()
        assert app.fails() == (True, pause)
        assert len(app.world.sent) == sends
    assert not app.account().needs_reconnect

    app.world.fails.clear()
    app.world.now += 61
    assert app.token()
    assert len(app.world.sent) == 9
    assert app.world.events[-1].__class__.__name__ == "TokenRefreshed"


def test_a_short_outage_ends_within_the_request() -> None:
    app = App()
    app.world.fails[TOKEN] = OUTAGES["502"]()
    perform = app.world.perform

    def pause_ends_the_outage(effect: object) -> object:
        if effect.__class__.__name__ == "Pause":
            app.world.fails.clear()
        if isinstance(effect, Shielded):
            return run(effect.flow, pause_ends_the_outage)
        return perform(effect)  # type: ignore[arg-type]

    run(access_token(app.world.login.site, app.user, "https://api.configure.dev"), pause_ends_the_outage)
    assert app.world.sent == [TOKEN, TOKEN]


@pytest.mark.parametrize(("asked", "waited"), [("30", 30.0), ("86400", 300.0)])
def test_retry_after_is_honoured_up_to_a_limit(asked: str, waited: float) -> None:
    app = App()
    app.world.fails[TOKEN] = refused(429, **{"retry-after": asked})

    assert app.fails() == (True, waited)
    assert app.world.sent == [TOKEN]
    app.world.now += waited - 2
    assert app.fails() == (True, 2.0)
    assert app.world.sent == [TOKEN]
    assert not app.account().needs_reconnect


def test_a_cool_down_does_not_outlast_a_clock_that_is_set_back() -> None:
    app = App()
    app.world.fails[TOKEN] = OUTAGES["502"]()
    app.world.now += 86_400
    assert app.fails() == (True, 2.0)

    app.world.now -= 86_400
    app.world.fails.clear()
    assert app.token()


def test_a_refusal_by_another_status_than_configures_marks_nothing() -> None:
    app = App()
    app.world.fails[TOKEN] = OUTAGES["a gateway's 403"]()

    with pytest.raises(ConfigureError):
        app.token()
    assert not app.account().needs_reconnect


@pytest.mark.parametrize("status", [400, 401])
def test_the_definite_refusal_marks_once(status: int) -> None:
    app = App()
    app.world.fails[TOKEN] = refused(status, {"error": "invalid_grant"})

    for _ in range(2):
        with pytest.raises(ConfigureError, match="connect Configure again"):
            app.token()
    assert app.world.sent == [TOKEN]
    assert app.account().needs_reconnect
    assert [event.__class__.__name__ for event in app.world.events].count("ReconnectNeeded") == 1
