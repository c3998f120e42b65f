"""More sign-ins than may be under way, and a Configure that doesn't respond: callbacks wait without losing anything."""

from __future__ import annotations

import logging
import re

import pytest

from configure_auth import SettingsError

from ..support.reading import ending, meanwhile, no_calls
from ..support.web import Flow, MakeWeb

EXCHANGE: dict[Flow, str] = {"link": "/v1/auth/sign-in/exchange", "login": "/oauth/token"}


@pytest.mark.catalogue("R7")
@pytest.mark.parametrize("flow", ["link", "login"])
def test_a_callback_beyond_the_limit_waits_and_then_succeeds(make_web: MakeWeb, flow: Flow) -> None:
    web = make_web(constructor={"max_calls": 1})
    with web.browser() as first, web.browser() as second:
        callbacks = [one.at_configure(one.begin(flow), phone) for one, phone in ((first, "+15550100001"),)]
        second.sign_in_locally("u2")
        if flow == "login":
            second.sign_out()
        callbacks.append(second.at_configure(second.start(flow), "+15550100002"))
        with web.sandbox.hold(EXCHANGE[flow]) as held, meanwhile(lambda: first.come_back(callbacks[0])) as ended:
            held.arrived.wait()
            with no_calls(web.sandbox):
                page = second.come_back(callbacks[1])
                script = second.come_back(callbacks[1], accept="application/json")
                assert second.start(flow)
            held.release()
            assert ended().status_code == 303

        assert (ending(page), ending(script)) == ((503, "busy"), (503, "busy"))
        refresh = re.search(r'<meta http-equiv="refresh" content="(\d+)">', page.text)
        assert refresh is not None
        assert 2 <= int(refresh[1]) <= 5
        assert int(script.headers["retry-after"]) >= 2
        assert web.people.errors == []
        assert second.come_back(callbacks[1]).status_code == 303


@pytest.mark.catalogue("R4")
def test_a_configure_that_does_not_respond_is_left_alone_until_a_probe_succeeds(
    make_web: MakeWeb, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    web = make_web()
    with web.browser() as browser:
        web.sandbox.fault("/oauth/token", drop=True, times=4)
        for _ in range(3):
            assert ending(browser.login()) == (503, "upstream_unavailable")

        callback = browser.at_configure(browser.start("login"))
        with no_calls(web.sandbox):
            assert ending(browser.come_back(callback)) == (503, "busy")
            assert ending(browser.come_back(callback, accept="application/json")) == (503, "busy")
            probe = browser.at_configure(browser.start("login"))
        web.sandbox.advance(6)
        assert ending(browser.come_back(probe)) == (503, "upstream_unavailable")
        with no_calls(web.sandbox):
            assert ending(browser.come_back(callback)) == (503, "busy")
        web.sandbox.advance(6)
        assert browser.come_back(callback).status_code == 303
        assert browser.who() is not None

    said = [record.getMessage() for record in caplog.records]
    assert sum("didn't respond 3 times in a row" in line for line in said) == 1
    assert sum("Configure responds again, after 1" in line for line in said) == 1


def test_while_a_probe_is_under_way_others_wait(make_web: MakeWeb) -> None:
    web = make_web()
    with web.browser() as browser:
        web.sandbox.fault("/oauth/token", drop=True, times=3)
        for _ in range(3):
            browser.login()
        callbacks = [browser.at_configure(browser.start("login")) for _ in range(2)]
        web.sandbox.advance(6)
        with web.sandbox.hold("/oauth/token") as held, meanwhile(lambda: browser.come_back(callbacks[0])) as ended:
            held.arrived.wait()
            with browser.copy() as tab:
                assert ending(tab.come_back(callbacks[1])) == (503, "busy")
            held.release()
            assert ended().status_code == 303


@pytest.mark.parametrize("limit", [0, True, "4"])
def test_a_limit_that_is_none_is_refused(make_web: MakeWeb, limit: object) -> None:
    with pytest.raises(SettingsError, match="max_calls"):
        make_web(constructor={"max_calls": limit})
