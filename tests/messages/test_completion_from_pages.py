"""Who may post a completion, and read what becomes of it: the page of Configure's own origin, and any server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import httpx2
import pytest
from flask_wtf import CSRFProtect
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ..support.reading import no_calls
from ..support.web import MakeWeb, Web
from .completions import PATH, good, linked_to, nothing_done, status_of, token_of
from .conftest import BOB, KEY, Platform

METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE")


@pytest.fixture
def store() -> str:
    """One is enough: nothing of what is judged here depends on it."""
    return "memory"


def granted(answer: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


def ask(platform: Platform, origin: str | None, **headers: str) -> httpx2.Response:
    """The preflight of a page that is about to post JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type", **named}
    return platform.browser.http.options(PATH, headers=asked | ({"origin": origin} if origin else {}))


def others(web: Web) -> list[str]:
    origin = web.sandbox.sign_in_url
    near = [f"{origin}/", f"{origin}.evil.example", origin.upper(), origin.replace("http:", "https:"), f"{origin}0"]
    known = [web.url, web.sandbox.api_url, web.sandbox.accounts_url, "http://localhost", "https://sign-in.me"]
    return [*near, *known, "null", "*", "https://evil.example", f"{origin}, {origin}", f"https://evil.example {origin}"]


@pytest.mark.catalogue("K17")
def test_the_page_of_configure_may_post_and_without_cookies(platform: Platform) -> None:
    origin = platform.sandbox.sign_in_url

    answer = ask(platform, origin)

    assert (answer.status_code, answer.text) == (204, "")
    assert granted(answer) == {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "content-type",
        "access-control-max-age": "600",
    }
    assert answer.headers["vary"] == "Origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers


def test_the_page_may_post_to_the_persons_own_machine_where_the_browser_asks(platform: Platform) -> None:
    origin, name = platform.sandbox.sign_in_url, "access-control-allow-private-network"

    assert ask(platform, origin, access_control_request_private_network="true").headers[name] == "true"
    for said in ("false", "", "1"):
        assert name not in ask(platform, origin, access_control_request_private_network=said).headers


@pytest.mark.catalogue("K17")
def test_no_other_page_may_post(platform: Platform) -> None:
    with nothing_done(platform):
        for origin in (None, *others(platform.web)):
            answer = ask(platform, origin, access_control_request_private_network="true")
            assert status_of(answer) == 403, origin
            assert granted(answer) == {}, origin


def test_what_became_of_it_is_for_that_page_to_read_alone(platform: Platform) -> None:
    origin, link = platform.sandbox.sign_in_url, platform.connect()
    completion = good(platform, link)
    posts: list[tuple[Any, dict[str, str], int]] = [
        (b"", {"content_type": "text/plain"}, 415),
        (b"{", {}, 400),
        (b" " * 20_000, {}, 413),
        ({**completion, "journeyId": "x"}, {}, 404),
        ({**completion, "token": "forged"}, {}, 401),
        (completion, {}, 200),
    ]

    for body, headers, status in posts:
        read = platform.post(body, origin=origin, **headers)
        assert status_of(read) == status
        assert granted(read) == {"access-control-allow-origin": origin}
        assert read.headers["vary"] == "Origin"
        for other in others(platform.web):
            unread = platform.post(body, origin=other, **headers)
            assert (status_of(unread), granted(unread)) == (status, {}), other
        assert granted(platform.post(body, **headers)) == {}


@pytest.mark.catalogue("K17")
def test_other_methods_are_refused_and_the_right_ones_named(platform: Platform) -> None:
    completion = good(platform, platform.connect())
    with nothing_done(platform), platform.web.browser() as nobody:
        for method in METHODS:
            query = {"token": completion["token"], "journeyId": completion["journeyId"]}
            answer = nobody.http.request(method, PATH, params=query, json=None if method == "HEAD" else completion)
            assert answer.status_code == 405
            assert method == "HEAD" or status_of(answer) == 405
            assert answer.headers["allow"] == "POST, OPTIONS"


def test_a_completion_is_read_from_the_body_alone(platform: Platform) -> None:
    completion = good(platform, platform.connect())
    query = {"token": completion["token"], "journeyId": completion["journeyId"]}
    with nothing_done(platform), platform.web.browser() as nobody:
        assert status_of(nobody.http.post(PATH, params=query, json={})) == 400
        assert status_of(nobody.http.post(PATH, params=query, data=query)) == 415


@pytest.mark.catalogue("K17")
def test_cookies_origins_and_more_fields_grant_nothing(platform: Platform) -> None:
    link, sandbox = platform.connect(), platform.sandbox
    bob = sandbox.add_person(BOB)
    more = {"ownerUserId": bob.user_id, "subject": "chat:bob", "linked": True, "approved": True, "valid": True}
    with platform.web.browser() as browser:
        browser.sign_in_locally("u1")
        browser.link()
        headers = {"origin": sandbox.sign_in_url, "authorization": f"Bearer {token_of(platform)}"}

        def post(body: dict[str, Any]) -> int:
            return status_of(browser.http.post(PATH, json={**more, **body}, headers=headers))

        with nothing_done(platform, calls=1):
            assert post(platform.completion(link, token="forged")) == 401
        with nothing_done(platform):
            assert post({"token": token_of(platform)}) == 400
            assert post({**good(platform, link), "journeyId": "x"}) == 404

        completion = good(platform, link)
        assert post(completion) == 200

    assert linked_to(platform) == completion["userId"]
    assert linked_to(platform, "chat:bob") is None
    assert [key for key, _ in platform.linked] == [KEY]


@pytest.mark.parametrize(
    "changes",
    [{}, {"agent": None, "userId": None}, {"agent": "", "userId": ""}, {"user_id": "x"}],
    ids=["both", "neither", "empty", "the-usual-spelling-first"],
)
def test_what_the_body_says_of_agent_and_user_may_be_left_out(platform: Platform, changes: dict[str, Any]) -> None:
    assert status_of(platform.post({**good(platform, platform.connect()), **changes})) == 200


def test_the_other_spelling_of_the_fields_is_read_too(platform: Platform) -> None:
    completion = good(platform, platform.connect())
    snake = {"journey_id": completion.pop("journeyId"), "user_id": completion.pop("userId"), **completion}

    with nothing_done(platform, calls=1):
        assert status_of(platform.post({**snake, "user_id": "somebody else"})) == 401
    assert status_of(platform.post(snake)) == 200


# An app that turns away whoever is signed out, on every route: Configure is signed in nowhere.


class _Guard:
    """Turns away whoever is signed out, but at the paths that it is told."""

    def __init__(self, app: ASGIApp, exempt: tuple[str, ...]) -> None:
        self._app = app
        self._exempt = ("/in/", *exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        welcome = scope["session"].get("user_id") is not None or scope["path"].startswith(self._exempt)
        await (self._app if welcome else PlainTextResponse("sign in first", 401))(scope, receive, send)


def guard(app: Any, *, exempt: bool) -> None:
    if not isinstance(app, flask.Flask):
        # Behind the session's own middleware.
        app.user_middleware.append(Middleware(_Guard, exempt=("/configure/messages/complete",) if exempt else ()))
        return
    csrf = CSRFProtect(app)
    for view in ("sign_in", "forms", "subjects"):
        csrf.exempt(app.view_functions[view])
    endpoints = ("sign_in", "configure_messages.complete") if exempt else ("sign_in",)

    @app.before_request
    def login_required() -> None:
        if flask.session.get("user_id") is None and flask.request.endpoint not in endpoints:
            flask.abort(401)


@pytest.fixture(params=[True, False], ids=["exempt", "guarded"])
def exempt(request: pytest.FixtureRequest) -> bool:
    chosen: bool = request.param
    return chosen


@pytest.fixture
def guarded(make_web: MakeWeb, exempt: bool) -> Iterator[Platform]:
    platform = Platform(make_web(messages={}, customise=lambda app, _: guard(app, exempt=exempt)))
    with platform.browser:
        platform.browser.sign_in_locally("u1")
        yield platform


@pytest.mark.parametrize("exempt", [False], indirect=True)
def test_a_guard_of_every_route_turns_configure_away(guarded: Platform) -> None:
    link = guarded.connect()

    with no_calls(guarded.sandbox):
        assert guarded.post(good(guarded, link)).status_code == 401
        with guarded.web.browser() as nobody:
            origin = {"origin": guarded.sandbox.sign_in_url}
            assert nobody.http.options(PATH, headers=origin).status_code == 401
    guarded.sandbox.variants.completion_sender = "server"
    guarded.sandbox.sign_in(link)

    assert [one.status for one in guarded.sandbox.completions] == [401]
    assert guarded.linked == []


@pytest.mark.parametrize("exempt", [True], indirect=True)
def test_a_guard_lets_configure_in_by_the_routes_name_and_no_csrf_token_is_asked(guarded: Platform) -> None:
    assert ask(guarded, guarded.sandbox.sign_in_url).status_code == 204

    guarded.follow(guarded.connect())

    assert [key for key, _ in guarded.linked] == [KEY]
    with guarded.web.browser() as nobody:
        assert nobody.http.get("/who").status_code == 401
