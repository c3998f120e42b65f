"""Whose attempt it is and how often it counts: in the session without a store, strictly with one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import pytest

from configure_auth.flows.response import COOKIE_NAME, LOOPBACK_COOKIE_NAME
from configure_auth.flows.sign_in.attempts import OPEN_LIMIT
from configure_auth.stores.memory import memory_stores
from configure_auth.values import STATE_LIFETIME

from ..support.reading import api_calls, meanwhile, no_calls, together
from ..support.web import Options, callback_path, query_of, running, start_path
from .apps import Provided
from .conftest import STORES, Make, Person, failure

TOKEN = "/oauth/token"
EXCHANGE = f"POST {TOKEN}"


# Without a store


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_tabs_finish_in_either_order(person: Person, order: tuple[int, int]) -> None:
    callbacks = [person.returning("+15550100001"), person.returning("+15550100002")]
    answers = [person.come_back(callbacks[tab]) for tab in order]

    assert [answer.status_code for answer in answers] == [200, 200]
    last4 = [answer.json()["userinfo"]["configure_phone_last4"] for answer in answers]
    assert last4 == [("0001", "0002")[tab] for tab in order]


def test_a_state_is_gone_from_the_session_once_it_was_used(person: Person) -> None:
    callback = person.returning()
    person.come_back(callback)

    with no_calls(person.web.sandbox):
        assert failure(person.come_back(callback)) == "expired"
    assert not any(person.get("/session").json().values())


def test_abandoned_starts_leave_the_session_cookie_small(person: Person) -> None:
    for _ in range(20):
        answer = person.press()
        assert all(len(line) < 4093 for line in answer.headers.get_list("set-cookie"))

    assert person.come_back(person.returning()).status_code == 200


def test_the_session_holds_neither_state_nor_verifier_nor_redirect_uri_in_the_clear(person: Person) -> None:
    start = person.away()
    kept = person.get("/session").text

    assert query_of(start)["state"] not in kept
    assert query_of(start)["code_challenge"] not in kept
    assert "redirect_uri" not in kept
    assert "verifier" not in kept


def test_what_else_is_in_the_session_stays(person: Person) -> None:
    person.press("google")
    before = person.get("/session").json()
    person.token()

    assert before
    assert before.items() <= person.get("/session").json().items()


# With a store


@pytest.fixture
def holder(stored: Provided) -> Iterator[Person]:
    with Person(stored) as person:
        yield person


def test_a_reload_in_the_same_browser_gets_the_same_token_without_a_second_exchange(holder: Person) -> None:
    callback = holder.returning(name="Ada")
    first = holder.come_back(callback)
    holder.web.sandbox.advance(15)
    with no_calls(holder.web.sandbox):
        again = holder.come_back(callback)

    assert first.status_code == 200
    assert again.json() == {**first.json(), "expires_in": first.json()["expires_in"] - 15}


@pytest.mark.parametrize("start", ["/start/configure", "/by-hand"])
def test_reload_after_sign_out_gets_no_token(holder: Person, start: str) -> None:
    """An attempt is bound to our cookie, or made by hand to the app's session; `forget_browser` covers both."""
    away = holder.http.get(start, params={"back": holder.web.url + "/callback"})
    callback = holder.at_configure(away.headers["location"])
    assert holder.come_back(callback).status_code == 200
    before = list(holder.http.cookies.jar)
    assert holder.http.post("/sign-out").status_code == 204
    for cookie in before:  # a copy of the session from before
        holder.http.cookies.jar.set_cookie(cookie)
    with no_calls(holder.web.sandbox):
        assert failure(holder.come_back(callback)) == "already_used"


@pytest.mark.parametrize("seconds", [31, 880])
def test_later_a_state_is_already_used(holder: Person, seconds: float) -> None:
    callback = holder.returning()
    holder.come_back(callback)
    holder.web.sandbox.advance(seconds)
    with no_calls(holder.web.sandbox):
        assert failure(holder.come_back(callback)) == "already_used"


@pytest.mark.catalogue("A18")
def test_a_copy_of_the_cookies_from_before_can_not_use_a_state_twice(holder: Person) -> None:
    callback = holder.returning()
    with holder.twin() as before:
        holder.come_back(callback)
        holder.web.sandbox.advance(31)
        with no_calls(holder.web.sandbox):
            assert failure(before.come_back(callback)) == "already_used"


def test_another_browser_gets_nothing_and_burns_nothing(holder: Person) -> None:
    callback = holder.returning()
    with Person(holder.app) as other, no_calls(holder.web.sandbox):
        assert failure(other.come_back(callback)) == "cookie_missing"
        other.press()
        assert failure(other.come_back(callback)) == "wrong_browser"

    assert holder.come_back(callback).status_code == 200


def test_another_browser_learns_nothing_of_a_sign_in_that_ended(holder: Person) -> None:
    callback = holder.returning()
    holder.come_back(callback)
    with Person(holder.app) as other:
        other.press()
        foreign = other.come_back(callback)
        made_up = other.come_back(f"/callback?code=x&state={secrets.token_urlsafe(32)}{secrets.token_hex(11)}")

    assert failure(foreign) == "wrong_browser"
    assert foreign.json() == made_up.json()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_tabs_finish_in_either_order_with_a_store(holder: Person, order: tuple[int, int]) -> None:
    callbacks = [holder.returning("+15550100001"), holder.returning("+15550100002")]
    answers = [holder.come_back(callbacks[tab]) for tab in order]

    last4 = [answer.json()["userinfo"]["configure_phone_last4"] for answer in answers]
    assert last4 == [("0001", "0002")[tab] for tab in order]


def test_of_more_attempts_than_a_browser_may_have_open_the_oldest_goes(holder: Person) -> None:
    callbacks = [holder.end(holder.away(), error="access_denied") for _ in range(OPEN_LIMIT + 1)]

    assert failure(holder.come_back(callbacks[0])) == "expired"
    assert failure(holder.come_back(callbacks[1])) == "cancelled"


@pytest.mark.catalogue("A15")
def test_many_callbacks_at_once_make_one_exchange_and_one_token(holder: Person) -> None:
    callback = holder.returning()
    with ExitStack() as stack:
        tabs = [stack.enter_context(holder.twin()) for _ in range(4)]  # more are `busy` on Flask
        answers = together([lambda tab=tab: tab.come_back(callback) for tab in tabs])  # type: ignore[misc]  # bound now

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["access_token"] for answer in answers}) == 1
    assert api_calls(holder.web.sandbox).count(EXCHANGE) == 1


def test_the_loser_of_a_race_is_told_to_load_again(holder: Person) -> None:
    callback = holder.returning()
    with (
        holder.twin() as winner,
        holder.web.sandbox.hold(TOKEN) as held,
        meanwhile(lambda: winner.come_back(callback)) as won,
    ):
        held.arrived.wait()
        assert failure(holder.come_back(callback)) == "interrupted"
        held.release()
        token = won().json()

    assert holder.come_back(callback).json() == token


def test_nothing_is_kept_in_the_session(holder: Person) -> None:
    holder.token()

    assert holder.get("/session").json() == {}


def https_start(holder: Person) -> tuple[str, str]:
    """A start for an https callback: the query of its callback, and the cookie's value."""
    back = "https://app.example.com/callback"
    holder.web.sandbox.register_redirect_uri(back)
    answer = holder.press(back=back)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE_NAME}=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    callback = holder.at_configure(answer.headers["location"])
    assert callback.startswith(f"{back}?")
    return callback.partition("?")[2], cookie.partition("=")[2].partition(";")[0]


def test_a_cookie_that_http_could_have_set_does_not_finish_an_https_attempt(holder: Person) -> None:
    query, value = https_start(holder)
    with no_calls(holder.web.sandbox):
        assert (
            failure(holder.come_back(f"/callback?{query}", cookie=f"{LOOPBACK_COOKIE_NAME}={value}")) == "wrong_browser"
        )

    assert holder.come_back(f"/callback?{query}", cookie=f"{COOKIE_NAME}={value}").status_code == 200


def test_a_planted_http_cookie_does_not_hide_the_https_one(holder: Person) -> None:
    query, value = https_start(holder)
    both = f"{LOOPBACK_COOKIE_NAME}={secrets.token_urlsafe(32)}; {COOKIE_NAME}={value}"

    assert holder.come_back(f"/callback?{query}", cookie=both).status_code == 200


@pytest.mark.catalogue("B1")
def test_a_state_of_the_login_routes_is_not_the_providers_nor_the_reverse(make: Make) -> None:
    shared = memory_stores()
    provided = make(store=shared)
    web = provided.web
    options = Options(constructor={"store": shared})
    with running(web.adapter, web.sandbox, web.folder / "login", options) as routes, Person(provided) as person:
        cookie = f"{LOOPBACK_COOKIE_NAME}={secrets.token_urlsafe(32)}"
        with routes.browser() as browser:
            start = browser.get(start_path("login"), cookie=cookie).headers["location"]
            from_login = query_of(browser.at_configure(start))
            started = person.press(cookie=cookie).headers["location"]
            from_provider = person.at_configure(started).partition("?")[2]

            with no_calls(web.sandbox):
                crossed = person.come_back(f"/callback?{httpx2.QueryParams(from_login)}", cookie=cookie)
                assert failure(crossed) == "wrong_browser"
                crossed = browser.come_back(f"{callback_path('login')}?{from_provider}", cookie=cookie)
                assert "wrong_browser" in crossed.text

            assert browser.come_back(browser.end(start, **from_login), cookie=cookie).status_code == 303
        assert person.come_back(f"/callback?{from_provider}", cookie=cookie).status_code == 200


def test_two_agents_in_one_store_do_not_take_each_others_states(make: Make) -> None:
    shared = memory_stores()
    first = make(store=shared)
    other = first.web.sandbox.add_agent("other-agent")
    second = make(
        store=shared,
        settings={
            "CONFIGURE_AGENT": other.agent,
            "CONFIGURE_API_KEY": other.api_key,
            "CONFIGURE_OAUTH_CLIENT_ID": other.client_id,
            "CONFIGURE_OAUTH_CLIENT_SECRET": other.client_secret,
        },
    )
    with Person(first) as person, Person(second) as beside:
        callback = person.returning()
        beside.http.cookies.update(person.http.cookies)
        with no_calls(first.web.sandbox):
            assert failure(beside.come_back(f"/callback?{callback.partition('?')[2]}")) == "wrong_browser"
        assert person.come_back(callback).status_code == 200


@pytest.mark.parametrize("store", [None, *STORES.values()])
def test_after_fifteen_minutes_an_attempt_no_longer_counts(make: Make, store: str | None) -> None:
    with Person(make(store=store)) as person:
        callback = person.end(person.away(), code="x")
        person.web.sandbox.advance(STATE_LIFETIME)
        with no_calls(person.web.sandbox):
            assert failure(person.come_back(callback)) == "expired"


@pytest.mark.parametrize("store", [None, *STORES.values()])
def test_shortly_before_an_attempt_still_counts(make: Make, store: str | None) -> None:
    with Person(make(store=store)) as person:
        start = person.away()
        person.web.sandbox.advance(880)

        assert person.come_back(person.at_configure(start)).status_code == 200


SIGNS: list[tuple[str, dict[str, str]]] = [
    ("HEAD", {}),
    ("GET", {"sec_purpose": "prefetch"}),
    ("GET", {"sec_purpose": "prefetch;prerender"}),
    ("GET", {"purpose": "prefetch"}),
]


@pytest.mark.catalogue("A26")
@pytest.mark.parametrize("store", [None, "sqlite:///provider.db"])
@pytest.mark.parametrize(("method", "headers"), SIGNS)
def test_head_and_prefetch_of_the_callback_touch_nothing(
    make: Make, store: str | None, method: str, headers: dict[str, str]
) -> None:
    with Person(make(store=store)) as person:
        callback = person.returning()
        with no_calls(person.web.sandbox):
            assert person.request(method, callback, site="cross-site", **headers).status_code == 400

        assert person.come_back(callback).status_code == 200


@pytest.mark.parametrize("store", [None, "sqlite:///provider.db"])
@pytest.mark.parametrize(("method", "headers"), SIGNS)
def test_head_and_prefetch_of_the_start_touch_nothing(
    make: Make, store: str | None, method: str, headers: dict[str, str]
) -> None:
    with Person(make(store=store)) as person:
        callback = person.returning()
        kept = person.get("/session").json()
        start = f"/start/configure?back={person.app.callback}"
        for _ in range(OPEN_LIMIT + 1):
            answer = person.request(method, start, site="same-origin", **headers)
            status = 204 if method == "HEAD" else 503
            assert (answer.status_code, answer.headers.get("location")) == (status, None)

        assert person.get("/session").json() == kept
        assert person.come_back(callback).status_code == 200
