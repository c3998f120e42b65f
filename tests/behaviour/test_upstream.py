"""Configure misbehaves: nobody gets signed in or linked, nothing hangs, and none of its words reach a page."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.reading import api_calls, ending
from ..support.web import Browser, Flow, Web

FLOWS: tuple[Flow, Flow] = ("link", "login")
EXCHANGE = "/v1/auth/sign-in/exchange"
TOKEN = "/oauth/token"
ENDPOINTS: dict[str, Flow] = {EXCHANGE: "link", TOKEN: "login", "/oauth/introspect": "login", "/v1/profile": "login"}
REJECTED, AWAY, LATE = (502, "upstream_rejected"), (503, "upstream_unavailable"), (504, "upstream_timeout")

FAULTS: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "HTML": ({"body": "<html>hello</html>", "content_type": "text/html"}, REJECTED),
    "JSON called HTML": ({"body": "{}", "content_type": "text/html"}, REJECTED),
    "an empty body": ({"body": b"", "status": 200}, REJECTED),
    "no content": ({"status": 204}, REJECTED),
    "a list": ({"body": "[]"}, REJECTED),
    "null": ({"body": "null"}, REJECTED),
    "a string": ({"body": '"x"'}, REJECTED),
    "a number": ({"body": "5"}, REJECTED),
    "half an object": ({"body": '{"token":"x"'}, REJECTED),
    "a key twice": ({"body": '{"a":1,"a":2}'}, REJECTED),
    "a byte order mark": ({"body": b"\xef\xbb\xbf{}"}, REJECTED),
    "bad UTF-8": ({"body": b'{"a":"\xff"}'}, REJECTED),
    "UTF-16": ({"body": "{}".encode("utf-16")}, REJECTED),
    "not a number": ({"body": '{"a":NaN}'}, REJECTED),
    "deep nesting": ({"body": '{"a":' + "[" * 5000 + "]" * 5000 + "}"}, REJECTED),
    "a huge body": ({"body": '{"a":"' + "x" * 300_000 + '"}'}, REJECTED),
    "a compressed body": ({"body": "{}", "headers": {"Content-Encoding": "gzip"}}, REJECTED),
    "401": ({"status": 401, "body": {"error": {"type": "authentication_error", "code": "hello"}}}, REJECTED),
    "401 in a word": ({"status": 401, "body": {"error": "hello"}}, REJECTED),
    "402": ({"status": 402, "body": {"error": {"type": "rate_limit_error", "code": "quota_exceeded"}}}, REJECTED),
    "403": ({"status": 403, "body": {"error": {"type": "permission_error", "code": "hello"}}}, REJECTED),
    "402 without an error": ({"status": 402, "body": {"message": "hello", "access_token": "a"}}, REJECTED),
    "429": ({"status": 429}, AWAY),
    "500": ({"status": 500}, AWAY),
    "502 as HTML": ({"status": 502, "body": "<h1>Bad gateway</h1>", "content_type": "text/html"}, AWAY),
    "503": ({"status": 503}, AWAY),
    "a dropped connection": ({"drop": True}, AWAY),
    "an answer lost on its way": ({"drop": True, "handled": True}, AWAY),
    "a cut body": ({"body": '{"a":"' + "x" * 500 + '"}', "cut": 20}, AWAY),
}


@pytest.fixture
def store() -> str:
    """One is enough: nothing of what is judged here depends on it."""
    return "memory"


def nobody_came_in(web: Web, browser: Browser) -> bool:
    return browser.account() is None and web.people.logins == [] and browser.who() in (None, "u1")


@pytest.mark.catalogue("G1", "G2", "G3", "G7", "G17", "H3", "H9")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_answer_ends_on_a_page_and_connects_nobody(
    web: Web, browser: Browser, endpoint: str, name: str
) -> None:
    fault, end = FAULTS[name]
    web.sandbox.fault(endpoint, **fault)

    answer = browser.come_back(browser.at_configure(browser.begin(ENDPOINTS[endpoint])))

    assert ending(answer) == end
    assert "hello" not in answer.text
    assert "gateway" not in answer.text.lower()
    assert nobody_came_in(web, browser)


@pytest.mark.catalogue("G10")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(web: Web, browser: Browser, endpoint: str, status: int) -> None:
    trap = f"{web.sandbox.api_url}/trap"
    web.sandbox.fault(endpoint, status=status, headers={"Location": trap})

    assert ending(browser.come_back(browser.at_configure(browser.begin(ENDPOINTS[endpoint])))) == REJECTED
    assert not [call for call in api_calls(web.sandbox) if call.endswith("/trap")]
    assert nobody_came_in(web, browser)


@pytest.mark.catalogue("G9", "R1")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endless_wait_ends_at_the_deadline(web: Web, browser: Browser, endpoint: str) -> None:
    web.hurry(0.3)
    callback = browser.at_configure(browser.begin(ENDPOINTS[endpoint]))
    with web.sandbox.hold(endpoint):
        assert ending(browser.come_back(callback)) == LATE
    assert nobody_came_in(web, browser)


@pytest.mark.catalogue("G9", "R1")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_answer_that_drips_ends_at_the_deadline(web: Web, browser: Browser, endpoint: str) -> None:
    web.hurry(0.3)
    web.sandbox.fault(endpoint, drip=0.1)

    assert ending(browser.come_back(browser.at_configure(browser.begin(ENDPOINTS[endpoint])))) == LATE
    assert nobody_came_in(web, browser)


@pytest.mark.catalogue("G18")
@pytest.mark.parametrize("flow", FLOWS)
def test_a_code_that_configure_no_longer_takes_has_expired(web: Web, browser: Browser, flow: Flow) -> None:
    answer = browser.come_back(browser.end(browser.begin(flow), code="cfgsic_used"))

    assert ending(answer) == (400, "expired")
    assert len(api_calls(web.sandbox)) == 1


@pytest.mark.catalogue("G12", "G13", "G14")
@pytest.mark.parametrize(
    ("variant", "value", "end"),
    [
        ("exchange_agent", "another-agent", REJECTED),
        ("exchange_agent", None, REJECTED),
        ("exchange_user_id", None, REJECTED),
        ("exchange_user_id", "", REJECTED),
        ("exchange_user_id", "x" * 256, REJECTED),
        ("exchange_user_id", "a\nb", REJECTED),
        ("exchange_approved", False, (403, "not_approved")),
        ("exchange_approved", "true", REJECTED),
        ("exchange_token_use", "user", (400, "not_an_agent_token")),
        ("exchange_token_use", "AGENT", (400, "not_an_agent_token")),
    ],
)
def test_a_grant_that_is_not_ours_links_nobody(
    web: Web, browser: Browser, variant: str, value: object, end: tuple[int, str]
) -> None:
    setattr(web.sandbox.variants, variant, value)
    browser.sign_in_locally("u1")

    assert ending(browser.link()) == end
    assert browser.account() is None


@pytest.mark.parametrize("variant", ["exchange_approved", "exchange_token_use"])
def test_what_the_only_known_reader_does_without_may_be_absent(web: Web, browser: Browser, variant: str) -> None:
    setattr(web.sandbox.variants, variant, None)
    browser.sign_in_locally("u1")

    assert browser.link().status_code == 303


def test_either_spelling_of_the_fields_is_read(web: Web, browser: Browser) -> None:
    web.sandbox.variants.casing = "snake"
    browser.sign_in_locally("u1")

    assert browser.link().status_code == 303


@pytest.mark.catalogue("G12", "H1", "H2", "H4", "H5", "H6", "H7")
@pytest.mark.parametrize(
    ("variant", "value"),
    [
        ("introspection_active", False),
        ("introspection_active", "true"),
        ("introspection_active", 1),
        ("introspection_active", None),
        ("introspection_sub", None),
        ("introspection_sub", ""),
        ("introspection_sub", "x" * 256),
        ("introspection_sub", "a\0b"),
        ("introspection_client_id", "oc_somebody_elses"),
        pytest.param(
            "profile_user_id",
            "somebody-else",
            marks=pytest.mark.conformance("userinfo-invalid-sub"),
        ),
        ("identity_sub", "somebody-else"),
        ("token_type", "mac"),
    ],
)
def test_a_token_that_is_not_the_persons_signs_nobody_in(
    web: Web, browser: Browser, variant: str, value: object
) -> None:
    setattr(web.sandbox.variants, variant, value)

    assert ending(browser.login()) == REJECTED
    assert nobody_came_in(web, browser)


@pytest.mark.catalogue("G6")
@pytest.mark.parametrize("told", ["3600", "abc", -5, 10**12])
def test_a_malformed_lifetime_ends_no_sign_in(web: Web, browser: Browser, told: str | int) -> None:
    """The code is used up: it can't be asked for again."""
    web.sandbox.variants.token_expires_in = told

    assert browser.login().status_code == 303
    assert len(web.people.logins) == 1


@pytest.mark.catalogue("G4")
def test_a_token_of_a_wrong_shape_signs_nobody_in(web: Web, browser: Browser) -> None:
    for token in ("", 5, True, ["x"], {"a": 1}, "a b", "a\nb", "\N{SNOWMAN}", "x" * 8193, None):
        web.sandbox.fault(TOKEN, body={"access_token": token, "token_type": "Bearer"}, times=1)
        web.sandbox.fault(EXCHANGE, body={"token": token, "userId": "x", "agent": web.sandbox.agent}, times=1)

        assert ending(browser.login()) == REJECTED, token
        browser.sign_in_locally("u1")
        assert ending(browser.link()) == REJECTED, token
        assert nobody_came_in(web, browser)
        browser.sign_out()


@pytest.mark.catalogue("H8")
def test_a_token_that_ended_already_signs_nobody_in(web: Web, browser: Browser) -> None:
    web.sandbox.fault("/oauth/introspect", body={"active": True, "sub": "someone", "exp": 1})

    assert ending(browser.login()) == REJECTED
    assert nobody_came_in(web, browser)


@pytest.mark.catalogue("H6")
def test_identity_fields_never_say_who_it_is(web: Web, browser: Browser) -> None:
    person = web.sandbox.add_person(name="Ada")
    web.sandbox.fault(
        "/v1/profile",
        body={"identity": {"name": "Ada", "email": "a@example.com", "emailVerified": "true", "local_user_id": "admin"}},
    )
    browser.login()

    identity, _ = web.people.logins[0]
    assert (identity.user_id, identity.local_user_id) == (person.user_id, None)
    assert (identity.email, identity.email_verified) == ("a@example.com", False)


@pytest.mark.catalogue("H11")
def test_hostile_names_are_cut_or_dropped(web: Web, browser: Browser) -> None:
    for sent, kept in (
        ("x" * 100_000, None),
        ("x" * 1000, "x" * 256),
        ("a\0b", None),
        ("Ada\N{RIGHT-TO-LEFT OVERRIDE}", "Ada"),
        ("<script>", "<script>"),
        (["Ada"], None),
        (7, None),
    ):
        web.sandbox.fault("/v1/profile", body={"identity": {"name": sent}}, times=1)
        browser.login()
        assert web.people.logins[-1][0].name == kept
        browser.sign_out()


@pytest.mark.catalogue("R1")
def test_the_app_goes_on_while_configure_is_down(web: Web, browser: Browser) -> None:
    for endpoint in ENDPOINTS:
        web.sandbox.fault(endpoint, drop=True)
    browser.come_back(browser.end(browser.begin("link"), code="cfgsic_x"))

    assert browser.get("/").status_code == 200
    assert browser.who() == "u1"
    assert browser.get("/configure/status").json() == {"connected": False, "accounts": []}
