"""Starts that a script of the page makes: prefetches, page libraries that follow links by fetch, and frames."""

from __future__ import annotations

import logging

import pytest

from ..support.reading import ending, links_of
from ..support.web import Browser, Flow, Web, callback_path, planted, start_path

FLOWS: tuple[Flow, Flow] = ("link", "login")
HTML = {"sec_fetch_mode": "cors", "sec_fetch_dest": "empty", "accept": "text/html, application/xhtml+xml"}
FETCH = {"sec_fetch_mode": "cors", "sec_fetch_dest": "empty", "accept": "*/*"}

both_flows = pytest.mark.parametrize("flow", FLOWS)


@pytest.fixture(autouse=True)
def signed_in(browser: Browser, request: pytest.FixtureRequest) -> None:
    if getattr(request.node, "callspec", None) and request.node.callspec.params.get("flow") == "link":
        browser.sign_in_locally("u1")


@both_flows
@pytest.mark.parametrize(
    "headers",
    [
        {"x_sec_purpose": "prefetch", **HTML},
        {"next_router_prefetch": "1", "rsc": "1", **FETCH},
        {"next_router_segment_prefetch": "/_tree", **FETCH},
        {"hx_request": "true", "hx_preloaded": "true", **FETCH},
        {"sec_purpose": "prefetch;prerender"},
    ],
)
def test_a_prefetch_makes_no_attempt(web: Web, browser: Browser, flow: Flow, headers: dict[str, str]) -> None:
    answer = browser.get(start_path(flow), **headers)

    assert answer.status_code == 503
    assert planted(answer) == []
    assert web.people.events == []


@both_flows
@pytest.mark.parametrize("mode", ["cors", "same-origin", None])
def test_htmx_is_told_to_navigate(web: Web, browser: Browser, flow: Flow, mode: str | None) -> None:
    """htmx 2 fetches a boosted link with mode cors, htmx 4 with same-origin; neither can follow the redirect."""
    headers = {"accept": "*/*", "hx_request": "true", "hx_boosted": "true"}
    if mode is not None:
        headers |= {"sec_fetch_mode": mode, "sec_fetch_dest": "empty"}
    answer = browser.get(f"{start_path(flow)}?next=/settings%3Fx=1", **headers)

    assert (answer.status_code, answer.text) == (200, "")
    assert web.people.events == []
    start = browser.get(answer.headers["hx-redirect"], sec_fetch_mode="navigate", sec_fetch_dest="document")
    end = browser.come_back(browser.at_configure(start.headers["location"]))
    assert (end.status_code, end.headers["location"]) == (303, "/settings?x=1")


@both_flows
def test_inertia_is_told_to_navigate(web: Web, browser: Browser, flow: Flow) -> None:
    answer = browser.get(start_path(flow), **HTML, x_inertia="true", x_requested_with="XMLHttpRequest")

    assert answer.status_code == 409
    assert answer.headers["x-inertia-location"] == start_path(flow)
    assert web.people.events == []


@both_flows
@pytest.mark.parametrize(
    "headers",
    [
        HTML,
        FETCH,
        {"sec_fetch_mode": "same-origin", "sec_fetch_dest": "empty", "accept": "text/html"},
        {"sec_fetch_mode": "no-cors", "sec_fetch_dest": "empty", "accept": "*/*"},
        {"site": None, "x_requested_with": "XMLHttpRequest", "accept": "text/html, */*; q=0.01"},
    ],
)
def test_a_fetch_that_follows_a_link_starts_nothing(
    web: Web, browser: Browser, flow: Flow, headers: dict[str, str]
) -> None:
    """Turbo navigates by itself where the response to its fetch is no HTML."""
    answer = browser.get(start_path(flow), **headers)

    assert answer.status_code == 406
    assert "html" not in answer.headers["content-type"]
    assert planted(answer) == []
    assert web.people.events == []


@both_flows
def test_a_webview_that_names_its_app_navigates(browser: Browser, flow: Flow) -> None:
    referer = f"{browser.web.url}/"
    answer = browser.get(start_path(flow), site=None, x_requested_with="com.example.app", referer=referer)

    assert answer.status_code == 303


@both_flows
@pytest.mark.parametrize("frame", ["iframe", "frame", "fencedframe"])
def test_a_start_in_a_frame_breaks_out(
    web: Web, browser: Browser, flow: Flow, frame: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "configure_auth"):
        answer = browser.get(f"{start_path(flow)}?next=/settings", sec_fetch_mode="navigate", sec_fetch_dest=frame)

    assert answer.status_code == 200
    assert "x-frame-options" not in answer.headers
    assert "frame-ancestors *" in answer.headers["content-security-policy"]
    assert planted(answer) == []
    assert links_of(answer) == [f"{start_path(flow)}?next=%2Fsettings"]
    assert 'target="_top"' in answer.text
    assert web.people.events == []
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert frame in record.getMessage()


@both_flows
def test_another_sites_frame_is_refused(web: Web, browser: Browser, flow: Flow) -> None:
    answer = browser.get(start_path(flow), site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="iframe")

    assert ending(answer) == (400, "invalid_request")
    assert answer.headers["x-frame-options"] == "DENY"
    assert web.people.events == []


@both_flows
def test_callbacks_stay_unframable(browser: Browser, flow: Flow) -> None:
    answer = browser.get(f"{callback_path(flow)}?state={'a' * 65}&code=x", sec_fetch_dest="iframe")

    assert answer.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
