"""What an operator sees: one line for each attempt, its reference on the page, the health, and spans."""

from __future__ import annotations

import logging
import re
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from configure_auth import Settings
from configure_auth.events import LinkFailed
from configure_auth.runtime import tracing
from configure_auth.starlette import ConfigureAuth

from ..support.web import Browser, MakeWeb, Web

REFERENCE = r"[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{2}"


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "configure_auth")


def ends(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines that tell the end of an attempt, and clear the log."""
    lines = [one.getMessage() for one in caplog.records if one.levelname == "INFO" and "reference" in one.getMessage()]
    caplog.clear()
    return lines


def reference_on(text: str) -> str:
    found = re.search(rf"For support: <code>\w+</code>, ({REFERENCE})</p>", text)
    assert found is not None, text
    return found[1]


def test_a_success_is_one_line_with_the_user_and_the_times(
    web: Web, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    browser.login()

    (line,) = ends(caplog)
    times = r"\d+ ms at Configure, \d+ ms in the store"
    assert re.fullmatch(rf"login succeeded, reference {REFERENCE}, user {browser.who()}, {times}", line)


def test_a_failure_is_one_line_whose_reference_is_on_its_page_also_later(
    web: Web, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    web.sandbox.fault("/oauth/token", status=503, times=1)
    callback = browser.at_configure(browser.start("login"))
    page, again = browser.come_back(callback).text, browser.come_back(callback).text

    said = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert any(re.search(r"POST /oauth/token: .*HTTP 503, request req_\w+", line) for line in said)
    (line,) = ends(caplog)
    assert line.startswith(f"login ended: upstream_unavailable, reference {reference_on(page)}, user unknown, ")
    assert reference_on(page) == reference_on(again)
    assert reference_on(page) not in callback


def test_a_timeout_names_its_endpoint(web: Web, browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    web.sandbox.fault("/oauth/token", drop=True, times=1)
    browser.login()

    assert "a call to Configure failed: POST /oauth/token: Configure can't be reached" in caplog.text


def test_a_callback_that_fits_no_attempt_is_told_and_logged(
    web: Web, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    late, other = browser.at_configure(browser.start("login")), browser.at_configure(browser.start("login"))
    with web.browser() as stranger:
        stranger.start("login")
        pages = [stranger.come_back(other), browser.get(other.partition("?")[0], site="cross-site")]
    browser.http.cookies.clear()
    pages.append(browser.come_back(late))

    codes = ["wrong_browser", "invalid_request", "cookie_missing"]
    lines = ends(caplog)
    assert [line.split()[2].rstrip(",") for line in lines] == codes
    assert [re.findall(REFERENCE, line)[0] for line in lines] == [reference_on(page.text) for page in pages]
    assert [event.code for event in web.people.events if isinstance(event, LinkFailed)] == codes


def test_a_refused_token_of_the_element_is_an_end(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    headers = {"sec-fetch-site": "same-origin", "accept": "application/json"}
    answer = browser.http.post("/configure/session", json={"token": "cfg_none"}, headers=headers)

    assert answer.status_code == 400
    assert web.people.events[-1] == LinkFailed(intent="link", code=answer.json()["error"], user_id="u1")


def test_the_log_at_debug_has_no_secret(web: Web, browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    start = browser.start("login")
    callback = browser.at_configure(start)
    browser.come_back(callback)

    ours = "\n".join(one.getMessage() for one in caplog.records if one.name.startswith("configure_auth"))
    for secret in re.findall(r"(?:code|state)=([^&]+)", callback):
        assert secret not in ours
    assert not any(token.token in ours for token in web.sandbox.tokens)
    assert "the user is the one who started" in ours


def healthy(web: Web) -> Any:
    made = web.configure_auth
    if web.adapter != "flask":
        return anyio.run(made.health)
    with web.app.app_context():
        return made.health()


def test_health_sees_the_store_and_the_circuit(make_web: MakeWeb) -> None:
    web = make_web()
    assert (healthy(web).ok, healthy(web).store, healthy(web).circuit) == (True, "ok", "closed")
    with web.browser() as browser:
        web.sandbox.fault("/oauth/token", drop=True, times=3)
        for _ in range(3):
            browser.login()
    assert (healthy(web).ok, healthy(web).circuit) == (True, "open")


def test_health_tells_a_store_that_is_gone(configure_sandbox: Any) -> None:
    settings = Settings.from_mapping({**configure_sandbox.environment(), "CONFIGURE_TOKEN_KEYS": "k" * 32})
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    health = anyio.run(ConfigureAuth(settings, store=nowhere, user_id=lambda request: None).health)

    assert (health.ok, health.store) == (False, "unreachable")
    assert health.detail


def test_spans_of_routes_and_calls(web: Web, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    tracing._tracer.cache_clear()
    try:
        web.sandbox.fault("/oauth/token", status=503, times=1)
        browser.login()
        browser.login()
    finally:
        tracing._tracer.cache_clear()

    spans = exporter.get_finished_spans()
    assert [one.name for one in spans if one.parent is None] == [
        "configure_auth sign_in",
        "configure_auth callback",
    ] * 2
    calls = [one for one in spans if one.name.partition(" ")[0] in ("GET", "POST")]
    assert [one.name for one in calls][:2] == ["POST /oauth/token"] * 2
    assert {one.name for one in calls[2:]} == {"POST /oauth/introspect", "GET /v1/profile"}
    assert (calls[0].attributes or {})["error.type"] == "SERVER_ERROR"
    tops = {one.context.span_id for one in spans if one.name == "configure_auth callback"}
    assert {one.parent.span_id for one in calls if one.parent} <= tops
