"""What a callback may carry, and what becomes of the rest."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from ..support.reading import api_calls, ending, refused
from ..support.web import Browser, Flow, Web, callback_path, query_of

FLOWS: tuple[Flow, Flow] = ("link", "login")


@pytest.fixture
def store() -> str:
    """One is enough: what is judged here is judged before a store is asked."""
    return "memory"


def state_of(browser: Browser, flow: Flow) -> str:
    return query_of(browser.begin(flow))["state"]


@pytest.mark.catalogue("A3", "C2", "C3")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(
    "query",
    [
        "code=a&code=b&state={state}",
        "code=a&state={state}&state={state}",
        "code=a&state={state}&iss=a&iss=b",
        "error=a&error=b&state={state}",
        "code=a&state={state}&error_description=a&error_description=b",
        "code=&code=a&state={state}",
        "code=%61&c%6fde=b&state={state}",
        "code={long}&state={state}",
        "code=a&state={state}{long}",
        "error={long}&state={state}",
        "error=a&error_description={long}{long}&state={state}",
        "iss={long}&code=a&state={state}",
        "code=a&state={state}&x={long}{long}{long}{long}{long}{long}{long}{long}",
        "code=a&state={state}&{many}",
    ],
)
def test_a_repeated_or_oversized_parameter_changes_nothing(web: Web, browser: Browser, flow: Flow, query: str) -> None:
    start = browser.begin(flow)
    filled = query.format(state=query_of(start)["state"], long="a" * 2049, many="&".join("y" * 101))
    with refused(web):
        assert ending(browser.come_back(f"{callback_path(flow)}?{filled}")) == (400, "invalid_request")

    assert browser.come_back(browser.at_configure(start)).status_code == 303


@pytest.mark.catalogue("A3")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: "",
        lambda state: state[:-1],
        lambda state: f"{state}AA",  # by one A, one that begins with a p would have the shape of a popup's
        lambda state: f"{state} ",
        lambda state: f"{state}\0",
        lambda state: f"{state}\n",
        lambda state: f"{state[:-1]}\N{LATIN SMALL LETTER E WITH ACUTE}",
        lambda state: f"{state[:-1]}\N{FULLWIDTH DIGIT ONE}",
        lambda state: f"{state[:-1]}'",
    ],
)
def test_a_state_of_another_shape_is_refused(web: Web, browser: Browser, flow: Flow, spoil: object) -> None:
    assert callable(spoil)
    state = spoil(state_of(browser, flow))
    with refused(web):
        answer = browser.come_back(f"{callback_path(flow)}?code=a&state={quote(state)}")

    assert ending(answer) == (400, "invalid_request")


@pytest.mark.conformance("ensure-authorization-response-with-invalid-state-fails")
@pytest.mark.catalogue("A2", "A3")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("spoil", [str.swapcase, lambda state: ("A" if state[0] != "A" else "B") + state[1:]])
def test_a_state_with_other_letters_is_unknown(web: Web, browser: Browser, flow: Flow, spoil: object) -> None:
    assert callable(spoil)
    state = spoil(state_of(browser, flow))
    with refused(web):
        answer = browser.come_back(f"{callback_path(flow)}?code=a&state={state}")

    assert ending(answer) == (400, "wrong_browser")


@pytest.mark.parametrize("flow", FLOWS)
def test_a_callback_without_any_parameter_is_refused(web: Web, browser: Browser, flow: Flow) -> None:
    state_of(browser, flow)
    with refused(web):
        assert ending(browser.come_back(callback_path(flow))) == (400, "invalid_request")


@pytest.mark.catalogue("C1", "C3")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("code", ["", " ", "a b", "a\nb", "a\0", "\x7f", "\N{SNOWMAN}", "a\r\nX: y", "\ud800"])
def test_a_malformed_code_is_refused_and_ends_the_attempt(web: Web, browser: Browser, flow: Flow, code: str) -> None:
    state = state_of(browser, flow)
    with refused(web):
        broken = f"{callback_path(flow)}?state={state}&code={quote(code, errors='surrogatepass')}"
        assert ending(browser.come_back(broken)) == (400, "invalid_request")
        again = browser.come_back(f"{callback_path(flow)}?state={state}&code=cfgsic_good")
        assert ending(again) == (400, "invalid_request")


@pytest.mark.catalogue("C3")
@pytest.mark.parametrize("code", ["a&b=c", "a#b", 'a"b', "a\\b", "%00", "../x"])
def test_a_strange_code_goes_to_configure_as_one_value(web: Web, browser: Browser, code: str) -> None:
    state = state_of(browser, "link")

    answer = browser.come_back(f"{callback_path('link')}?state={state}&code={quote(code, safe='')}")

    assert ending(answer) == (400, "expired")
    assert [call.json for call in web.sandbox.calls_to("POST", "/v1/auth/sign-in/exchange")] == [{"code": code}]


@pytest.mark.catalogue("C3")
@pytest.mark.parametrize("code", ["a&b=c", "a#b", 'a"b', "a\\b", "%00", "a+b"])
def test_a_strange_oauth_code_goes_to_configure_as_one_value(web: Web, browser: Browser, code: str) -> None:
    state = state_of(browser, "login")

    browser.come_back(f"{callback_path('login')}?state={state}&code={quote(code, safe='')}")

    assert [call.form["code"] for call in web.sandbox.calls_to("POST", "/oauth/token")] == [code]


@pytest.mark.catalogue("C8")
@pytest.mark.parametrize("flow", FLOWS)
def test_an_error_wins_over_a_code_beside_it(web: Web, browser: Browser, flow: Flow) -> None:
    state = state_of(browser, flow)
    with refused(web):
        answer = browser.come_back(f"{callback_path(flow)}?state={state}&code=a&error=invalid_scope")

    assert ending(answer) == (502, "upstream_rejected")


@pytest.mark.catalogue("C9", "C10")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("server_error", (503, "upstream_unavailable")),
        ("temporarily_unavailable", (503, "upstream_unavailable")),
        ("invalid_request", (502, "upstream_rejected")),
        ("login_required", (502, "upstream_rejected")),
        ("<script>alert(1)</script>", (502, "upstream_rejected")),
        ("\r\nSet-Cookie: a=b", (502, "upstream_rejected")),
        ("\N{RIGHT-TO-LEFT OVERRIDE}\x1b[31m", (502, "upstream_rejected")),
    ],
)
def test_an_error_from_configure_has_a_page_without_its_words(
    web: Web, browser: Browser, flow: Flow, error: str, code: tuple[int, str]
) -> None:
    state = state_of(browser, flow)
    said = f"error={quote(error)}&error_description=%3Cscript%3Ehello&error_uri=https://evil.example/help"
    with refused(web):
        answer = browser.come_back(f"{callback_path(flow)}?state={state}&{said}")

    assert ending(answer) == code
    assert "script" not in answer.text
    assert "evil.example" not in answer.text
    # On localhost a code of OAuth's own is shown as the cause.
    assert error.isidentifier() or error not in answer.text
    assert browser.account() is None


@pytest.mark.catalogue("C11")
@pytest.mark.parametrize("flow", FLOWS)
def test_unknown_parameters_are_ignored_however_often_they_come(web: Web, browser: Browser, flow: Flow) -> None:
    callback = browser.at_configure(browser.begin(flow))

    assert browser.come_back(f"{callback}&session_state=1&x=1&x=2&user_id=u2&next=/elsewhere").status_code == 303
    assert (browser.account() or {})["user_id"] == browser.who() != "u2"


@pytest.mark.parametrize("flow", FLOWS)
def test_an_issuer_beside_the_code_is_no_obstacle(web: Web, browser: Browser, flow: Flow) -> None:
    web.sandbox.variants.callback_iss = True

    assert browser.come_back(browser.at_configure(browser.begin(flow))).status_code == 303


@pytest.mark.conformance("ensure-authorization-response-with-invalid-missing-state-fails")
@pytest.mark.catalogue("A1")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("reading", ["missing", "changed", "repeated"])
def test_configure_losing_the_state_connects_nobody(web: Web, browser: Browser, flow: Flow, reading: str) -> None:
    web.sandbox.variants.callback_state = reading  # type: ignore[assignment]  # one of its literals
    callback = browser.at_configure(browser.begin(flow))
    with refused(web):
        assert ending(browser.come_back(callback)) == (400, "invalid_request")


def test_no_code_reaches_configure_twice(web: Web, browser: Browser) -> None:
    state = state_of(browser, "link")
    for code in ("first", "second"):
        browser.come_back(f"{callback_path('link')}?state={state}&code={code}")

    assert api_calls(web.sandbox) == ["POST /v1/auth/sign-in/exchange"]
