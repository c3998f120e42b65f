"""One app at several addresses, and proxies that change what the app sees of them."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from configure_auth import Settings, SettingsError, ensure_callback

from ..support.reading import ending
from ..support.web import Flow, MakeWeb, callback_path, query_of, start_path

FIRST, SECOND = "tenant-a.example.org", "tenant-b.example.org"
BOTH = {"CONFIGURE_APP_URL": f"https://{FIRST}, https://{SECOND}", "CONFIGURE_TOKEN_KEYS": secrets.token_urlsafe(32)}


@pytest.fixture
def store() -> str:
    """No store matters here."""
    return "memory"


def callback_of(started: Any) -> str:
    sent = query_of(started.headers["location"])
    return sent.get("return_to") or sent["redirect_uri"]


@pytest.mark.parametrize("flow", ["link", "login"])
@pytest.mark.parametrize("host", [FIRST, SECOND])
def test_a_sign_in_ends_at_the_host_where_it_began(make_web: MakeWeb, flow: Flow, host: str) -> None:
    web = make_web(settings=BOTH, constructor={"user_id": lambda: "u1"} if flow == "link" else {})
    web.sandbox.register_return_to(f"https://{host}{callback_path('link')}")
    web.sandbox.register_redirect_uri(f"https://{host}{callback_path('login')}")
    with web.browser() as browser:
        started = browser.get(start_path(flow), host=host)
        assert callback_of(started) == f"https://{host}{callback_path(flow)}"

        callback = browser.at_configure(started.headers["location"]).removeprefix(f"https://{host}")
        cookie = started.headers["set-cookie"].partition(";")[0]
        other = ({FIRST, SECOND} - {host}).pop()
        assert browser.come_back(callback, host=other, cookie=cookie).status_code == 400

        started = browser.get(start_path(flow), host=host)
        callback = browser.at_configure(started.headers["location"]).removeprefix(f"https://{host}")
        cookie = started.headers["set-cookie"].partition(";")[0]
        ended = browser.come_back(callback, host=host, cookie=cookie)

    assert (ended.status_code, ended.headers["location"]) == (303, {"link": "/settings", "login": "/"}[flow])


@pytest.mark.parametrize("host", ["evil.example", f"{FIRST}.evil.example", f"{FIRST}:8443", f"a@{FIRST}", ""])
def test_another_host_is_led_to_the_first(make_web: MakeWeb, host: str) -> None:
    with make_web(settings=BOTH).browser() as browser:
        moved = browser.get(start_path("login"), host=host)

    assert moved.headers["location"].startswith(f"https://{FIRST}{start_path('login')}?moved=1")


@pytest.mark.parametrize("host", [f"{SECOND}:443", f"{SECOND}.", f"{SECOND.upper()}.:443"])
def test_a_default_port_or_a_final_dot_is_no_other_host(make_web: MakeWeb, host: str) -> None:
    with make_web(settings=BOTH).browser() as browser:
        assert callback_of(browser.get(start_path("login"), host=host)).startswith(f"https://{SECOND}/")


@pytest.mark.parametrize("adapter", ["flask"])
def test_ensure_callback_registers_all_of_them(make_web: MakeWeb) -> None:
    sso = f"https://{FIRST}{callback_path('login')}"
    web = make_web(settings={**BOTH, "CONFIGURE_SSO_REDIRECT_URI": sso})

    done = ensure_callback(web.configure_auth)

    assert [(one.end, one.callback) for one in done] == [
        ("registered", f"https://{host}{callback_path(flow)}") for flow in ("link", "login") for host in (FIRST, SECOND)
    ]


@pytest.mark.parametrize("second", ["http://localhost:3000", f"https://{SECOND}/shop", "app.example.org"])
def test_addresses_that_differ_in_more_than_the_host_are_refused(second: str) -> None:
    with pytest.raises(SettingsError, match="CONFIGURE_APP_URL"):
        Settings(app_url=[f"https://{FIRST}", second])


def test_one_address_off_this_machine_makes_an_app_public() -> None:
    assert not Settings(app_url="https://localhost:3000,https://app.example.org").is_local
    assert Settings(app_url=("http://localhost:3000", "http://127.0.0.1:3000")).is_local


def test_a_proxy_that_strips_the_prefix_gets_its_own_advice(make_web: MakeWeb) -> None:
    errors: list[Any] = []
    options = {"on_error": errors.append, "after_link": "/banana/settings"}
    web = make_web(settings={"CONFIGURE_APP_URL": "{url}/banana"}, link=options, login=None)
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        assert ending(browser.get("/configure/sign-in")) == (500, "misconfigured")

    assert "a proxy strips '/banana'" in str(errors[0])
    assert "ProxyFix(x_prefix=1)" in str(errors[0])
    assert "add the prefix" not in str(errors[0])
