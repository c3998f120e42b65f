"""POST /session: the agent token that Configure's element gave a page becomes the session user's connection.

Nothing else does: not the raw token of a one-time password, not another agent's, not one of which anything is left out.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from configure_auth.errors import Code
from configure_auth.events import AccountLinked, AccountUnlinked, LinkFailed
from configure_auth.sandbox import Sandbox
from configure_auth.ui import element

from ..secrecy.conftest import Evidence, listening_to_everything, plant_what_configure_knows, see_files
from ..support.reading import api_calls, ending, meanwhile, no_calls, together
from ..support.server_side import pages
from ..support.web import Browser, MakeWeb, Web

SESSION, ELEMENT = "/configure/session", "/configure/element.js"
VALIDATE = "/v1/auth/sign-in/validate"
ADA, BOB = "+15550100001", "+15550100002"
REFUSED = (400, "not_an_agent_token")


def told(code: Code) -> LinkFailed:
    return LinkFailed(intent="link", code=code, user_id="u1")


in_memory = pytest.mark.parametrize("store", ["memory"])
"""Where nothing that is judged comes as far as a store, or it is the same on all of them."""


def agent_token(sandbox: Sandbox, phone: str = ADA, agent: str | None = None) -> str:
    return sandbox.issue_agent_token(sandbox.add_person(phone, name="Ada"), agent=agent)


def oauth_token(web: Web) -> str:
    with web.browser() as somebody:
        somebody.login(ADA)
    return next(token.token for token in web.sandbox.tokens if token.kind == "access")


def post(
    browser: Browser, body: str | bytes | Iterator[bytes], *, site: str | None = "same-origin", **headers: str
) -> httpx2.Response:
    """What a page's script posts; a header that is "" is left out."""
    named = {"content-type": "application/json", "accept": "application/json", "sec-fetch-dest": "empty"}
    named |= {"sec-fetch-site": site} if site is not None else {}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    return browser.http.post(SESSION, content=body, headers={name: value for name, value in named.items() if value})


def hand_over(browser: Browser, token: str, *, site: str | None = "same-origin", **headers: str) -> httpx2.Response:
    return post(browser, json.dumps({"token": token}), site=site, **headers)


@pytest.fixture
def browser(web: Web) -> Iterator[Browser]:
    """u1's."""
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        yield browser


# ── what is taken ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("casing", ["camel", "snake"])
def test_an_agent_token_connects_the_session_user(web: Web, browser: Browser, casing: Any) -> None:
    web.sandbox.variants.casing = casing
    token = agent_token(web.sandbox)
    before = len(api_calls(web.sandbox))

    answer = hand_over(browser, token)

    assert (answer.status_code, answer.json()) == (200, {"connected": True, "next": "/settings"})
    assert answer.headers["cache-control"] == "no-store"
    assert api_calls(web.sandbox)[before:] == [f"POST {VALIDATE}"]
    account = browser.account()
    assert account is not None
    assert (account["user_id"], account["kind"], account["needs_reconnect"]) == ("u1", "agent", False)
    assert account["configure_user_id"] == web.sandbox.people[0].user_id
    assert [browser.get("/profile").json()["name"] for _ in range(2)] == ["Ada"] * 2
    (event,) = web.people.events
    assert isinstance(event, AccountLinked)
    assert (event.account.user_id, event.moved_from) == ("u1", None)


@pytest.mark.parametrize("store", ["sqlite"])
def test_it_is_stored_sealed(web: Web, browser: Browser) -> None:
    token = agent_token(web.sandbox)

    assert hand_over(browser, token).status_code == 200

    assert browser.get("/token").json()["token"] == token
    files = [path.read_bytes() for path in web.folder.rglob("*") if path.is_file()]
    assert any(b"u1" in content for content in files)
    assert not any(token.encode() in content for content in files)


def test_the_same_person_again_renews_the_token(web: Web, browser: Browser) -> None:
    tokens = [agent_token(web.sandbox) for _ in range(2)]

    assert [hand_over(browser, token).status_code for token in tokens] == [200, 200]

    assert browser.get("/token").json()["token"] == tokens[1]
    assert len(browser.get("/configure/status").json()["accounts"]) == 1


def test_two_at_once_are_one_connection(web: Web, browser: Browser) -> None:
    tokens = [agent_token(web.sandbox) for _ in range(4)]
    tabs = [browser.copy() for _ in tokens]
    jobs = zip(tabs, tokens, strict=True)

    answers = together([lambda tab=tab, token=token: hand_over(tab, token) for tab, token in jobs])  # type: ignore[misc]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert browser.get("/token").json()["token"] in tokens
    assert len(browser.get("/configure/status").json()["accounts"]) == 1
    for tab in tabs:
        tab.close()


def test_it_goes_by_the_same_disconnect(web: Web, browser: Browser) -> None:
    hand_over(browser, agent_token(web.sandbox))

    assert browser.post("/configure/disconnect", accept="application/json").json() == {"disconnected": True}
    assert browser.account() is None
    assert hand_over(browser, agent_token(web.sandbox)).status_code == 200


def test_where_the_page_goes_on_to_is_the_link_s(make_web: MakeWeb) -> None:
    web = make_web(link={"after_link": "/welcome"})
    with web.browser() as browser:
        browser.sign_in_locally("u1")

        assert hand_over(browser, agent_token(web.sandbox)).json()["next"] == "/welcome"


# ── what isn't ────────────────────────────────────────────────────────────────────────────────────────────────────────

OTHERS: dict[str, Callable[[Web], str]] = {
    "the raw token of a one-time password": lambda web: web.sandbox.issue_user_token(web.sandbox.add_person(ADA)),
    "an OAuth token": oauth_token,
    "another agent's token": lambda web: agent_token(web.sandbox, agent=web.sandbox.add_agent("other-agent").agent),
    "a token that was revoked": lambda web: (token := agent_token(web.sandbox), web.sandbox.revoke_token(token))[0],
    "a return code": lambda web: web.sandbox.issue_return_code(web.sandbox.add_person(ADA)),
    "the app's own secret key": lambda web: web.sandbox.credentials.api_key,
    "garbage": lambda web: "garbage",
}


@in_memory
def test_any_other_token_is_refused_and_changes_nothing(web: Web, browser: Browser) -> None:
    others = {kind: make(web) for kind, make in OTHERS.items()}
    hand_over(browser, agent_token(web.sandbox, BOB))
    before, events = browser.get("/token").json(), list(web.people.events)

    for kind, token in others.items():
        answer = hand_over(browser, token)
        assert ending(answer) == REFUSED, kind
        assert token not in answer.text

    assert browser.get("/token").json() == before
    assert web.people.events == [*events, *[told(Code.NOT_AN_AGENT_TOKEN)] * len(others)]


VARIANTS: tuple[tuple[str, Any], ...] = (
    ("valid", False),
    ("token_use", None),
    ("token_use", "user"),
    ("approved", False),
    ("approved", None),
    ("agent", None),
    ("agent", "other-agent"),
    ("user_id", None),
    ("user_id", ""),
)


@in_memory
def test_whatever_configure_leaves_out_or_denies_speaks_against_it(web: Web, browser: Browser) -> None:
    token, variants = agent_token(web.sandbox), web.sandbox.variants
    for name, value in VARIANTS:
        said = getattr(variants, f"validate_{name}")
        setattr(variants, f"validate_{name}", value)
        assert ending(hand_over(browser, token)) == REFUSED, (name, value)
        setattr(variants, f"validate_{name}", said)

    assert (browser.account(), web.people.events) == (None, [told(Code.NOT_AN_AGENT_TOKEN)] * len(VARIANTS))
    assert hand_over(browser, token).status_code == 200


@in_memory
@pytest.mark.parametrize(("name", "value"), [("valid", None), ("valid", "true"), ("approved", "true")])
def test_an_answer_that_is_no_yes_and_no_no_is_none_at_all(web: Web, browser: Browser, name: str, value: Any) -> None:
    setattr(web.sandbox.variants, f"validate_{name}", value)

    assert ending(hand_over(browser, agent_token(web.sandbox))) == (502, "upstream_rejected")
    assert (browser.account(), web.people.events) == (None, [told(Code.UPSTREAM_REJECTED)])


@pytest.mark.catalogue("H13")
@in_memory
def test_an_oauth_token_is_none_even_where_configure_takes_it_for_valid(web: Web, browser: Browser) -> None:
    web.sandbox.variants.validate_takes_oauth_tokens = True
    web.sandbox.variants.validate_token_use = "access"

    assert ending(hand_over(browser, oauth_token(web))) == REFUSED


@in_memory
def test_a_refusal_to_look_at_it_is_read_as_one(web: Web, browser: Browser) -> None:
    for status in (400, 404):
        web.sandbox.fault(VALIDATE, status=status, times=1)
        assert ending(hand_over(browser, agent_token(web.sandbox))) == REFUSED
    assert browser.account() is None


# ── whose it is ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def other(web: Web) -> Iterator[Browser]:
    """u2's, who has connected Ada."""
    with web.browser() as other:
        other.sign_in_locally("u2")
        assert hand_over(other, agent_token(web.sandbox)).status_code == 200
        yield other


def test_a_configure_user_of_somebody_else_is_refused(web: Web, browser: Browser, other: Browser) -> None:
    before = other.get("/token").json()

    assert ending(hand_over(browser, agent_token(web.sandbox))) == (409, "account_taken")

    assert browser.account() is None
    assert other.get("/token").json() == before


def test_a_second_configure_user_for_one_account_is_refused(web: Web, other: Browser) -> None:
    before = other.get("/token").json()

    assert ending(hand_over(other, agent_token(web.sandbox, BOB))) == (409, "already_connected")

    assert other.get("/token").json() == before


@pytest.mark.parametrize("verdict", ["move", "reject"])
def test_the_app_s_hook_decides_as_for_the_link(make_web: MakeWeb, verdict: str) -> None:
    asked: list[tuple[str, str]] = []

    def decide(account: Any, owner_user_id: str) -> str:
        asked.append((account.user_id, owner_user_id))
        return verdict

    web = make_web(link={"on_conflict": decide})
    with web.browser() as one, web.browser() as two:
        one.sign_in_locally("u1")
        two.sign_in_locally("u2")
        hand_over(two, agent_token(web.sandbox))
        answer = hand_over(one, agent_token(web.sandbox))

        assert asked == [("u1", "u2")]
        moved = verdict == "move"
        assert ending(answer) == ((200, None) if moved else (409, "account_taken"))
        assert [browser.account() is not None for browser in (one, two)] == [moved, not moved]
    events = web.people.events[1:]
    if moved:
        assert [type(event) for event in events] == [AccountUnlinked, AccountLinked]
        assert getattr(events[-1], "moved_from", None) == "u2"
    else:
        assert events == [told(Code.ACCOUNT_TAKEN)]


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_page_that_was_made_for_another_user_connects_nobody(make_web: MakeWeb) -> None:
    web = make_web(customise=pages())
    token = agent_token(web.sandbox)

    def made_for(browser: Browser, external_id: object) -> httpx2.Response:
        return post(browser, json.dumps({"token": token, "externalId": external_id}))

    with web.browser() as browser:
        own, other = (browser.get(f"/external-id/{user_id}").json()["external_id"] for user_id in ("u1", "u2"))
        browser.sign_in_locally("u1")
        with no_calls(web.sandbox):
            for external_id in (other, f"{own} ", "", "u1"):
                assert ending(made_for(browser, external_id)) == (403, "wrong_user"), external_id
        assert browser.account() is None
        assert [made_for(browser, external_id).status_code for external_id in (own, None)] == [200, 200]


def test_nobody_signed_in_has_no_account_to_connect(web: Web) -> None:
    token = agent_token(web.sandbox)
    with web.browser() as stranger, no_calls(web.sandbox):
        assert ending(hand_over(stranger, token)) == (401, "signed_out")


# ── how it must come ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.catalogue("N1")
@in_memory
def test_what_another_site_makes_the_browser_send_is_refused(web: Web, browser: Browser) -> None:
    token = agent_token(web.sandbox)
    with no_calls(web.sandbox):
        for site in ("cross-site", "same-site", "none", "", "SAME-ORIGIN", None):
            assert ending(hand_over(browser, token, site=site)) == (403, "cross_site"), site
    assert browser.account() is None


@in_memory
def test_a_browser_without_fetch_metadata_is_known_by_its_origin(web: Web, browser: Browser) -> None:
    token = agent_token(web.sandbox)

    with no_calls(web.sandbox):
        for origin in ("null", "https://app.elsewhere.example", f"{web.url}0"):
            assert ending(hand_over(browser, token, site=None, origin=origin)) == (403, "cross_site")
    assert hand_over(browser, token, site=None, origin=web.url).status_code == 200


@pytest.mark.catalogue("N2")
@in_memory
def test_a_form_of_another_site_could_send_no_json(web: Web, browser: Browser) -> None:
    token = agent_token(web.sandbox)
    with no_calls(web.sandbox):
        for kind in ("", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"):
            assert ending(hand_over(browser, token, content_type=kind)) == (415, "invalid_request"), kind


@in_memory
def test_a_body_has_at_most_16_kib_however_it_comes(web: Web, browser: Browser) -> None:
    padded = json.dumps({"token": agent_token(web.sandbox), "more": ""})
    longest = padded.replace('""', f'"{"x" * (16 * 1024 - len(padded))}"')

    with no_calls(web.sandbox):
        for body in (f"{longest} ".encode(), iter([longest.encode(), b" "])):
            assert ending(post(browser, body)) == (413, "invalid_request")
    assert post(browser, longest).status_code == 200


BODIES = (
    b"",
    b"{",
    b"[]",
    b'"token"',
    b"{}",
    b'{"token": null}',
    b'{"token": 5}',
    b'{"token": ""}',
    b'{"token": "two words"}',
    b'{"token": "line\\nbreak"}',
    b'{"token": ["a"]}',
    b'{"token": "a", "externalId": 5}',
    b'{"token": "a", "token": "b"}',
    b'{"token": "\xff"}',
    b'{"Token": "a"}',
)


@in_memory
def test_a_body_without_one_token_is_refused(web: Web, browser: Browser) -> None:
    with no_calls(web.sandbox):
        for body in BODIES:
            assert ending(post(browser, body)) == (400, "invalid_request"), body


@in_memory
def test_a_token_in_the_address_is_none(web: Web, browser: Browser) -> None:
    with no_calls(web.sandbox):
        answer = browser.post(f"{SESSION}?token={agent_token(web.sandbox)}", accept="application/json")

    assert ending(answer) == (415, "invalid_request")


@in_memory
@pytest.mark.parametrize(("route", "allowed"), [(SESSION, {"POST"}), (ELEMENT, {"GET"})])
def test_a_wrong_method_is_refused_with_a_code(web: Web, browser: Browser, route: str, allowed: set[str]) -> None:
    wrong = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - allowed
    with no_calls(web.sandbox):
        for method in wrong:
            answer = browser.request(method, route, site="same-origin", accept="application/json")
            assert ending(answer) == (405, "invalid_request"), method
            assert set(answer.headers["allow"].split(", ")) == allowed, method


# ── meanwhile, and in trouble ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/configure/disconnect", "/forget/u1"])
@pytest.mark.parametrize("connected", [True, False])
def test_what_was_ended_meanwhile_is_not_brought_back(web: Web, browser: Browser, path: str, connected: bool) -> None:
    if connected:
        hand_over(browser, agent_token(web.sandbox))
    token = agent_token(web.sandbox)
    with (
        browser.copy() as tab,
        web.sandbox.hold(VALIDATE) as held,
        meanwhile(lambda: hand_over(tab, token)) as handed_over,
    ):
        held.arrived.wait()
        assert browser.post(path, accept="application/json").status_code == 200
        held.release()
        assert ending(handed_over()) == (409, "interrupted")

    assert browser.account() is None


AWAY, REJECTED = (503, "upstream_unavailable"), (502, "upstream_rejected")
FAULTS: tuple[tuple[dict[str, Any], tuple[int, str]], ...] = (
    ({"status": 503}, AWAY),
    ({"status": 500}, AWAY),
    ({"status": 429}, AWAY),
    ({"drop": True}, AWAY),
    ({"status": 401, "body": {"error": {"type": "authentication_error", "code": "hello"}}}, REJECTED),
    ({"body": "<h1>hello</h1>", "content_type": "text/html"}, REJECTED),
    ({"body": "[]"}, REJECTED),
)


@in_memory
def test_configure_in_trouble_is_told_by_a_code(web: Web, browser: Browser) -> None:
    token = agent_token(web.sandbox)
    for fault, end in FAULTS:
        web.sandbox.fault(VALIDATE, times=1, **fault)
        answer = hand_over(browser, token)
        assert ending(answer) == end, fault
        assert "hello" not in answer.text
        assert set(answer.json()) - {"cause"} == {"error", "message"}, "the cause is for localhost"

    assert browser.account() is None
    assert hand_over(browser, token).status_code == 200


@in_memory
def test_a_configure_that_never_answers_is_not_waited_for(web: Web, browser: Browser) -> None:
    web.hurry(0.2)
    with web.sandbox.hold(VALIDATE):
        assert ending(hand_over(browser, agent_token(web.sandbox))) == (504, "upstream_timeout")
    assert browser.account() is None


# ── other apps ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_an_app_without_a_session_knows_the_user_by_the_bearer(make_web: MakeWeb) -> None:
    web = make_web(bearer=True, constructor={"session": False}, login=None)
    token = agent_token(web.sandbox)
    with web.browser() as browser:
        assert ending(hand_over(browser, token)) == (401, "signed_out")
        assert ending(hand_over(browser, token, site="cross-site", authorization="Bearer u1")) == (403, "cross_site")
        assert hand_over(browser, token, authorization="Bearer u1").status_code == 200

        accounts = [browser.get("/account", authorization=f"Bearer {user}").json()["account"] for user in ("u1", "u2")]
    assert [account and account["user_id"] for account in accounts] == ["u1", None]


@in_memory
def test_behind_a_guard_with_csrf_tokens_it_needs_none(make_web: MakeWeb) -> None:
    web = make_web(guard=True)
    with web.browser() as browser:
        browser.sign_in_locally("u1")

        assert hand_over(browser, agent_token(web.sandbox)).status_code == 200


@in_memory
def test_the_app_s_own_page_is_shown_for_a_refusal(make_web: MakeWeb) -> None:
    seen: list[str] = []

    def on_error(error: Any) -> Any:
        seen.append(error.code)
        return "Our page", 418

    web = make_web(link={"on_error": on_error})
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        answer = hand_over(browser, "garbage")

    assert (answer.status_code, answer.text, seen) == (418, "Our page", ["not_an_agent_token"])


# ── the script ────────────────────────────────────────────────────────────────────────────────────────────────────────


@in_memory
def test_the_script_that_hands_over_is_served_by_the_app_itself(web: Web) -> None:
    with web.browser() as stranger, no_calls(web.sandbox):
        got = stranger.get(ELEMENT, accept="*/*")
        head = stranger.request("HEAD", ELEMENT, site="same-origin")

    for answer in (got, head):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in answer.headers
    assert (got.text, head.text) == (element.ELEMENT_SCRIPT, "")


# ── what nobody gets to see ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def evidence() -> Iterator[Evidence]:
    with listening_to_everything() as ear:
        yield Evidence(ear)


@pytest.mark.parametrize("store", ["sqlite"])
def test_no_token_is_in_a_log_an_error_an_answer_or_a_file(make_web: MakeWeb, evidence: Evidence) -> None:
    def on_error(error: Any) -> None:
        evidence.see_error("on_error", error)

    def look(answer: httpx2.Response, status: int) -> None:
        assert answer.status_code == status, answer.text
        evidence.see("answer", answer.text, *answer.headers.values())

    web = make_web(link={"on_error": on_error})
    sandbox = web.sandbox
    tokens = [agent_token(sandbox), agent_token(sandbox, BOB), OTHERS["the raw token of a one-time password"](web)]
    with web.browser() as browser:
        look(hand_over(browser, tokens[0]), 401)
        browser.sign_in_locally("u1")
        look(hand_over(browser, tokens[0], site="cross-site"), 403)
        look(hand_over(browser, tokens[0], content_type="text/plain"), 415)
        look(post(browser, json.dumps({"token": tokens[0]}) + "}"), 400)
        look(post(browser, json.dumps({"token": f" {tokens[0]}"})), 400)
        look(post(browser, json.dumps({"token": tokens[0], "more": "x" * 20_000})), 413)
        look(hand_over(browser, tokens[2]), 400)
        refusal = {"type": "invalid_request_error", "code": "invalid_token"}
        said: tuple[tuple[dict[str, Any], int], ...] = (
            ({"status": 400, "body": {"error": refusal | {"message": " ".join(tokens)}}}, 400),
            ({"status": 400, "body": {"error": " ".join(tokens), "code": tokens[0]}}, 502),
            ({"status": 503, "body": " ".join(tokens)}, 503),
            ({"status": 200, "body": {"valid": tokens, "agent": tokens[0], "user_id": [tokens[0]]}}, 502),
            ({"drop": True}, 503),
        )
        for fault, status in said:
            sandbox.fault(VALIDATE, times=1, **fault)
            look(hand_over(browser, tokens[0]), status)
        look(hand_over(browser, tokens[0]), 200)
        look(hand_over(browser, tokens[1]), 409)
    evidence.see("events", *(repr(event) for event in web.people.events))

    plant_what_configure_knows(evidence, sandbox)
    assert len([name for name in evidence.known if "token" in name]) >= 3
    assert logging.getLogger().isEnabledFor(logging.DEBUG)
    assert see_files(evidence, web.folder)["configure.db"]
    assert evidence.leaks() == []
