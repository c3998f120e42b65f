"""Attacks and faults of `tests/catalogue.md` that no other file is about."""

from __future__ import annotations

import base64
import logging
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest

from configure_auth import StoreError
from configure_auth.events import AccountLinked
from configure_auth.stores import Stores
from configure_auth.stores.memory import memory_stores

from ..support.reading import api_calls, ending, refused
from ..support.web import Browser, Flow, MakeWeb, Web, callback_path, query_of
from ..support.wrapping import wrapped

FLOWS: tuple[Flow, Flow] = ("link", "login")
EXCHANGE = {"link": "/v1/auth/sign-in/exchange", "login": "/oauth/token"}


@pytest.fixture
def store() -> str:
    return "memory"


def changed(url: str, **changes: str | None) -> str:
    """A URL with parameters of its query replaced, added, or left out where None."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **changes}
    return parts._replace(query=urlencode({name: value for name, value in query.items() if value is not None})).geturl()


# State


@pytest.mark.catalogue("A22")
@pytest.mark.parametrize("flow", FLOWS)
def test_state_is_256_random_bits(browser: Browser, flow: Flow) -> None:
    """None of them is always the same, as six bits of a UUID are."""
    ones, zeros, seen = 0, 0, set()
    for _ in range(24):
        state = query_of(browser.begin(flow))["state"]
        seen.add(state)
        bits = int.from_bytes(base64.urlsafe_b64decode(f"{state[:43]}="))
        ones, zeros = ones | bits, zeros | ~bits

    assert len(seen) == 24
    assert (ones & zeros).bit_count() >= 256 - 2  # the chance that three are the same 24 times is 1 in 2 million


@pytest.mark.catalogue("C1")
@pytest.mark.parametrize("flow", FLOWS)
def test_callback_without_code_ends_the_attempt(web: Web, browser: Browser, flow: Flow) -> None:
    start = browser.begin(flow)
    with refused(web):
        assert ending(browser.come_back(browser.end(start))) == (400, "invalid_request")
        assert ending(browser.come_back(browser.end(start, code="cfgsic_x"))) == (400, "invalid_request")


@pytest.mark.catalogue("B3")
def test_state_journey_and_claim_token_swapped(make_web: MakeWeb) -> None:
    web = make_web(claims={}, messages={})
    with web.browser() as browser, web.browser() as nobody:
        browser.sign_in_locally("u1")
        start = browser.start("link")
        journey = query_of(browser.http.post("/journey", json={"sender": "chat:ada"}).json()["link"])["journey"]
        state, claim = query_of(start)["state"], browser.post("/agents/a1").json()["token"]

        def complete(journey_id: str) -> int:
            body = {"journeyId": journey_id, "token": web.sandbox.issue_agent_token(web.sandbox.add_person())}
            return nobody.http.post("/configure/messages/complete", json=body).status_code

        def claimed(token: str) -> int:
            own = {"sec-fetch-site": "same-origin"}
            return browser.http.post("/api/v1/agents/claim", json={"claimToken": token}, headers=own).status_code

        with refused(web):
            for other in (journey, claim):
                answer = browser.come_back(f"{callback_path('link')}?state={other}&code=x")
                assert ending(answer) == (400, "invalid_request")
            assert [complete(other) for other in (state, claim)] == [404, 404]
            assert [claimed(other) for other in (state, journey)] == [400, 404]

        assert browser.come_back(browser.at_configure(start)).status_code == 303
        assert (complete(journey), claimed(claim)) == (200, 200)


@pytest.mark.catalogue("R5")
@pytest.mark.parametrize("flow", FLOWS)
def test_clock_set_back_extends_no_state(web: Web, browser: Browser, flow: Flow) -> None:
    start = browser.begin(flow)
    web.sandbox.advance(-240)
    assert browser.come_back(browser.end(start, error="access_denied")).status_code == 303

    late = browser.end(browser.begin(flow), code="cfgsic_x")
    web.sandbox.advance(-3600)
    with refused(web):
        assert [ending(browser.come_back(late)) for _ in range(2)] == [(400, "expired")] * 2


# Issuer, PKCE and resource


@pytest.mark.conformance("invalid-authorization-response-iss")
@pytest.mark.catalogue("C14")
@pytest.mark.parametrize("flow", FLOWS)
def test_issuer_of_another_server_is_refused_before_the_exchange(web: Web, browser: Browser, flow: Flow) -> None:
    callback = browser.at_configure(browser.begin(flow))
    own = web.sandbox.accounts_url
    with refused(web):
        for issuer in ("https://evil.example", f"{own}/", own.upper(), f"{own}.evil.example", f" {own}"):
            assert ending(browser.come_back(changed(callback, iss=issuer))) == (400, "invalid_request"), issuer

    assert browser.come_back(changed(callback, iss=own)).status_code == 303


@pytest.mark.conformance("remove-authorization-response-iss")
@pytest.mark.catalogue("C14")
@pytest.mark.parametrize("flow", FLOWS)
def test_issuer_that_is_set_must_be_there(make_web: MakeWeb, flow: Flow) -> None:
    issuer = "https://issuer.example/Configure"
    web = make_web(settings={"CONFIGURE_ISSUER": issuer})
    with web.browser() as browser:
        callback = browser.at_configure(browser.begin(flow))
        with refused(web):
            for other in (None, web.sandbox.accounts_url, f"{issuer}/", issuer.lower()):
                assert ending(browser.come_back(changed(callback, iss=other))) == (400, "invalid_request"), other

        assert browser.come_back(changed(callback, iss=issuer)).status_code == 303


@pytest.mark.catalogue("D5")
@pytest.mark.parametrize("challenge", ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", None])
def test_code_challenge_changed_in_the_browser(web: Web, browser: Browser, challenge: str | None) -> None:
    start = changed(browser.start("login"), code_challenge=challenge)
    if challenge is None:
        # Configure's own page refuses a request without one, so nobody comes back with a code.
        refused = httpx2.get(start, trust_env=False)
        assert refused.status_code == 400 or query_of(refused.headers["location"])["error"] == "invalid_request"
        return

    assert ending(browser.come_back(browser.at_configure(start))) == (400, "expired")
    assert (browser.who(), web.people.logins) == (None, [])


@pytest.mark.catalogue("D7")
def test_resource_that_configure_refuses_is_not_tried_again(web: Web, browser: Browser) -> None:
    web.sandbox.fault("/oauth/token", status=400, body={"error": "invalid_target", "error_description": "hello"})
    answer = browser.login()

    assert ending(answer) == (502, "upstream_rejected")
    assert "hello" not in answer.text
    assert api_calls(web.sandbox) == ["POST /oauth/token"]


@pytest.mark.catalogue("G17")
@pytest.mark.parametrize("flow", FLOWS)
def test_refused_credentials_are_in_the_log(
    web: Web, browser: Browser, flow: Flow, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"error": {"type": "authentication_error", "code": "api_key_invalid", "message": "hello"}}
    web.sandbox.fault(EXCHANGE[flow], status=401, body={"error": "invalid_client"} if flow == "login" else body)
    answer = browser.come_back(browser.at_configure(browser.begin(flow)))

    assert ending(answer) == (502, "upstream_rejected")
    assert api_calls(web.sandbox) == [f"POST {EXCHANGE[flow]}"]
    assert f"a call to Configure failed: POST {EXCHANGE[flow]}" in caplog.text
    assert "401" in caplog.text


# What others write into the log


@pytest.mark.catalogue("C9", "O6")
@pytest.mark.parametrize("flow", FLOWS)
def test_log_has_no_control_character_and_little_of_a_long_text(
    web: Web, browser: Browser, flow: Flow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "configure_auth")
    hostile = "x\r\nSet-Cookie: a=b\x1b[31m\N{RIGHT-TO-LEFT OVERRIDE}\N{LINE SEPARATOR}" + "y" * 200
    callback = browser.end(browser.begin(flow), code="cfgsic_x")
    browser.come_back(changed(callback, iss=hostile))
    browser.come_back(changed(callback, error=hostile, error_description="z" * 4000))

    said = [record.getMessage() for record in caplog.records if record.name.startswith("configure_auth")]
    assert any("iss=" in line for line in said)
    assert all(line.isprintable() for line in said)
    assert not any("y" * 100 in line or "zz" in line for line in said)


# The store


class Failing:
    """A store that does what `named` asks, and then fails as if its response was lost."""

    def __init__(self, inner: Any, named: list[str]) -> None:
        self._inner, self._named = inner, named

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._named:
            return found

        def lost(*args: Any, **kwargs: Any) -> None:
            self._named.remove(name)
            found(*args, **kwargs)
            raise StoreError("the response was lost")

        return lost


@pytest.fixture
def lost() -> list[str]:
    """The next operation of the store whose response is lost."""
    return []


@pytest.fixture
def losing(make_web: MakeWeb, lost: list[str]) -> Web:
    stores: Stores = wrapped(memory_stores(), lambda store, _: Failing(store, lost))
    return make_web(constructor={"store": stores})


@pytest.mark.catalogue("Q2")
@pytest.mark.parametrize("flow", FLOWS)
def test_store_that_fails_after_the_claim_sends_nothing(losing: Web, lost: list[str], flow: Flow) -> None:
    with losing.browser() as browser:
        callback = browser.at_configure(browser.begin(flow))
        lost.append("claim")
        with refused(losing):
            assert ending(browser.come_back(callback)) == (503, "store_busy")
            losing.sandbox.advance(31)
            assert ending(browser.come_back(callback)) == (409, "interrupted")

        assert browser.account() is None
        assert browser.come_back(browser.at_configure(browser.begin(flow))).status_code == 303


@pytest.mark.catalogue("Q4")
@pytest.mark.parametrize("flow", FLOWS)
def test_commit_whose_response_was_lost_is_read_again(losing: Web, lost: list[str], flow: Flow) -> None:
    with losing.browser() as browser:
        callback = browser.at_configure(browser.begin(flow, "?next=/back"))
        lost.append("save")
        answers = [browser.come_back(callback) for _ in range(2)]

        assert [(answer.status_code, answer.headers.get("location")) for answer in answers] == [(303, "/back")] * 2
        assert (browser.account() or {})["user_id"] == browser.who()
        assert api_calls(losing.sandbox).count(f"POST {EXCHANGE[flow]}") == 1
        assert lost == []


@pytest.mark.catalogue("I6")
def test_refused_connection_is_reported_and_its_token_is_not_kept(web: Web, browser: Browser) -> None:
    with web.browser() as owner:
        owner.sign_in_locally("u1")
        owner.link()
        browser.sign_in_locally("u2")
        answer = browser.link()

        assert ending(answer) == (409, "account_taken")
        assert [getattr(event, "code", None) for event in web.people.events][-1] == "account_taken"
        assert sum(isinstance(event, AccountLinked) for event in web.people.events) == 1
        assert browser.get("/token").status_code == 502
