"""Whatever a request is like, a flow answers it, and sends nothing unless it has an open attempt's state and cookie."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st

from configure_auth.events import LinkFailed, SignInStarted
from configure_auth.flows import METHODS, AgentClaims, Request, Response, Route, run, serve
from configure_auth.flows.messages.journeys import start_journey
from configure_auth.flows.response import COOKIE_NAME, LOOPBACK_COOKIE_NAME
from configure_auth.options import FEATURES

from ..support.examples import examples
from .world import ROUTES, Browser, World, a_token, signed_in

unhurried = settings(deadline=None)

# What a server can hand on: bytes, read as Latin-1.
LATIN = st.text(st.characters(max_codepoint=255), max_size=60)
NAMES = st.sampled_from(
    [
        "state",
        "code",
        "error",
        "next",
        "replace",
        "confirm",
        "moved",
        "iss",
        "error_description",
        "configure_finish",
        "x",
    ]
)
VALUES = st.one_of(
    LATIN,
    st.sampled_from(
        ["", "1", "access_denied", "server_error", "a" * 43, "//evil.example", "%00", "\\evil", "/ok?x=1#y"]
    ),
    st.builds(a_token),
)
QUERIES = st.one_of(
    LATIN,
    st.lists(st.tuples(NAMES, VALUES), max_size=6).map(
        lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
    ),
    st.integers(0, 20_000).map(lambda length: "state=" + "a" * length),
    st.integers(0, 150).map(lambda count: "&".join(["state=x"] * count)),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "accept",
            "cookie",
            "origin",
            "sec-fetch-site",
            "sec-fetch-dest",
            "sec-purpose",
            "purpose",
            "host",
            "user-agent",
        ]
    ),
    st.one_of(
        LATIN,
        st.sampled_from(
            [
                "same-origin",
                "cross-site",
                "none",
                "prefetch",
                "application/json",
                "text/html",
                "image",
                "http://localhost:3000",
                f"{LOOPBACK_COOKIE_NAME}={'a' * 43}",
                f"{LOOPBACK_COOKIE_NAME}={'a' * 43}; {LOOPBACK_COOKIE_NAME}={'b' * 43}",
                f"{COOKIE_NAME}=x",
            ]
        ),
    ),
    max_size=5,
)
HOSTS = st.one_of(
    LATIN, st.sampled_from(["localhost:3000", "127.0.0.1:3000", "evil.example", "localhost:3000:1", "[::1"])
)
INTENTS = st.sampled_from(["link", "login"])
USERS = st.sampled_from([None, "u1"])


def answered(world: World, intent: str, route: str, query: str, host: str, headers: dict[str, str]) -> Response:
    request = world.build_request(intent, route, "", world.current)
    request = replace(request, query=query, host=host, headers={**request.headers, **headers})
    response = run(serve(world.feature(intent), ROUTES[route], request), world.perform)
    assert isinstance(response, Response)
    return response


def is_fine(response: Response) -> bool:
    reply = response.render()
    is_to_a_prefetch = response == Response(status=503)
    return (reply.status < 500 or is_to_a_prefetch) and all(
        "\n" not in value and "\r" not in value for _, value in reply.headers
    )


@unhurried
@given(INTENTS, USERS, QUERIES, HOSTS, HEADERS)
def test_any_start_is_answered_and_sends_nothing(
    intent: str, user: str | None, query: str, host: str, headers: dict[str, str]
) -> None:
    world = World(current=Browser(user=user))

    assert is_fine(answered(world, intent, "sign_in", query, host, headers))
    assert world.sent == []


@unhurried
@given(INTENTS, USERS, QUERIES, HOSTS, HEADERS)
def test_any_callback_without_an_attempt_is_answered_and_sends_nothing(
    intent: str, user: str | None, query: str, host: str, headers: dict[str, str]
) -> None:
    world = World(current=Browser(user=user))
    world.came_back(intent, signed_in(intent))
    world.current = Browser(user=user)
    before = world.rows

    assert is_fine(answered(world, intent, "callback", query, host, headers))
    assert (world.sent, world.rows) == ([], before)
    # A callback without a cookie is told as a failure, of nobody's attempt.
    assert all(isinstance(event, LinkFailed) and event.user_id is None for event in world.events)


@unhurried
@given(st.sampled_from(["finish", "status", "disconnect"]), USERS, QUERIES, HOSTS, HEADERS)
def test_any_other_request_is_answered_and_sends_nothing(
    route: str, user: str | None, query: str, host: str, headers: dict[str, str]
) -> None:
    world = World(current=Browser(user=user))
    before = world.rows

    assert is_fine(answered(world, "link", route, query, host, headers))
    assert (world.sent, world.rows) == ([], before)


@unhurried
@given(INTENTS, LATIN, st.sampled_from(["before", "after"]), HEADERS)
def test_what_else_a_good_callback_carries_breaks_nothing(
    intent: str, more: str, where: str, headers: dict[str, str]
) -> None:
    world, browser = World(), signed_in(intent)
    query = world.came_back(intent, browser)
    world.current = browser
    query = f"{more}&{query}" if where == "before" else f"{query}&{more}"
    kept = {name: value for name, value in headers.items() if name != "cookie"}
    response = answered(world, intent, "callback", query, "localhost:3000", kept)

    assert is_fine(response)
    assert len(world.wire.used) <= 1
    assert bool(world.sent) == bool(world.wire.used)


# Every route, of every feature.

OPTIONS: dict[str, dict[str, Any]] = {
    "account_link": {"path": "/configure"},
    "login": {"path": "/auth/configure", "on_login": lambda identity, grant: "u1", "issue_token": str},
    "messages": {"path": "/configure/messages"},
    "agent_claims": {},
    "user_profiles": {"resolve": lambda user_id: {"name": "Ada"} if user_id == "u1" else None, "fields": ("name",)},
}
PLACES = [(name, route) for name, row in FEATURES.items() for route in row.routes]


def asked(
    world: World, place: tuple[str, Route], path: str, method: str, query: str, host: str, headers: dict[str, str]
) -> Response:
    name, route = place
    feature = FEATURES[name].feature(site=world.link.site, **OPTIONS[name])
    sent = {"sec-fetch-site": "same-origin", "content-length": str(len(world.posted)), **headers}
    rule = route.rule.replace("{user_id}", path)
    request = Request(method=method, host=host, path=f"{feature.path}{rule}", query=query, headers=sent)
    response = run(serve(feature, route, request), world.perform)
    assert isinstance(response, Response)
    return response


@examples(300)
@given(
    place=st.sampled_from(PLACES),
    path=st.sampled_from(["u1", "u2", "%00", "..", "\0", "é", "x" * 300]),
    method=st.sampled_from(METHODS),
    user=USERS,
    query=QUERIES,
    host=HOSTS,
    headers=HEADERS,
)
def test_any_request_at_any_route_is_answered_and_changes_nothing(
    place: tuple[str, Route], path: str, method: str, user: str | None, query: str, host: str, headers: dict[str, str]
) -> None:
    world = World(current=Browser(user=user))
    before = world.rows

    assert is_fine(asked(world, place, path, method, query, host, headers))
    assert world.sent == []
    changed = {table for table, rows in world.rows.items() if rows != before[table]}
    assert changed <= ({"configure_states"} if place[1].endpoint == "sign_in" else set())
    assert all(isinstance(event, LinkFailed | SignInStarted) for event in world.events)


SCALARS = st.sampled_from(
    ["JOURNEY", "CLAIM", "TOKEN", "", "x", "a b", "\0", "\ud800", "é", "x" * 9000, None, True, 0, 1e308]
)
JUNK = st.recursive(
    SCALARS | st.builds(a_token),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
READ = {
    "session": "token",
    "complete": "journeyId",
    "claim": "claimToken",
    "finish": "configure_finish",
    "token": "token",
}
"""The routes that read a body, and what each is about."""
FIELDS = st.sampled_from(["token", "journeyId", "userId", "agent", "externalId", "claimToken", "claim_token"])
BODIES = st.one_of(
    st.dictionaries(FIELDS, JUNK).map(json.dumps).map(str.encode),
    JUNK.map(json.dumps).map(str.encode),
    st.binary(max_size=60),
    st.integers(0, 20_000).map(lambda size: b"[" * size),
)
TYPES = st.sampled_from(["application/json"] * 5 + ["application/json;charset=utf-8", "text/plain", "", "é", 'a/b;c="'])


@examples(400)
@given(
    place=st.sampled_from(
        [(name, route) for name, route in PLACES if route.endpoint in READ and "POST" in route.methods]
    ),
    body=BODIES,
    about=JUNK,
    content_type=TYPES,
    query=st.sampled_from(["", "", "configure_finish=x", "token=x", "&&"]),
)
def test_any_body_is_answered(
    place: tuple[str, Route], body: bytes, about: object, content_type: str, query: str
) -> None:
    """From the app's own page, by a signed-in user: only the right token at its own route changes anything."""
    world = World(current=Browser(user="u1"))
    link = run(start_journey(world.messages, "chat:1"), world.perform)
    claims = AgentClaims(site=world.link.site)
    known = {
        "JOURNEY": dict(parse_qsl(urlsplit(link).query))["journey"],
        "CLAIM": run(claims.register("a1"), world.perform).reveal(),
        "TOKEN": world.wire.issue("usr_1"),
    }
    if body.startswith(b"{"):
        body = json.dumps({**json.loads(body), READ[place[1].endpoint]: about}).encode()
    for name, value in known.items():
        body = body.replace(f'"{name}"'.encode(), f'"{value}"'.encode())
    world.posted = body
    response = asked(world, place, "", "POST", query, "localhost:3000", {"content-type": content_type})

    assert is_fine(response)
    endpoint, good = place[1].endpoint, response.status == 200
    done = {
        "session": bool(world.stores.accounts.find("test-agent", "u1")),
        "complete": bool(world.linked),
        "claim": bool(world.stores.agents.owned_by("u1", app="test-agent")),
    }
    assert done == {name: good and name == endpoint for name in done}
    assert not good or {"session": "TOKEN", "complete": "JOURNEY", "claim": "CLAIM"}[endpoint] == about
    assert len(world.sent) <= (endpoint in ("session", "complete"))


CHANGES: dict[str, Any] = {
    "a state that differs in one letter": lambda query, cookie: (_other_letter(query), cookie),
    "a state cut short": lambda query, cookie: (query[:-1], cookie),
    "a state with something after it": lambda query, cookie: (f"{query}x", cookie),
    "another cookie": lambda query, cookie: (query, f"{LOOPBACK_COOKIE_NAME}={a_token()}"),
    "the cookie of another name": lambda query, cookie: (query, cookie.replace(LOOPBACK_COOKIE_NAME, COOKIE_NAME)),
    "the cookie twice": lambda query, cookie: (query, f"{cookie}; {cookie}"),
    "no cookie": lambda query, cookie: (query, None),
    "no state": lambda query, cookie: (query.partition("&")[0], cookie),
    "two states": lambda query, cookie: (f"{query}&state={a_token()}", cookie),
}


def _other_letter(query: str) -> str:
    return query[:-2] + ("A" if query[-2] != "A" else "B") + query[-1]


@unhurried
@given(INTENTS, st.sampled_from(sorted(CHANGES)))
def test_nothing_is_sent_unless_state_and_cookie_match(intent: str, change: str) -> None:
    world, browser = World(), signed_in(intent)
    query = world.came_back(intent, browser)
    good = browser.cookie
    changed, browser.cookie = CHANGES[change](query, good)
    before = world.rows
    response = world.request(intent, "callback", changed, browser)

    assert 400 <= response.status < 500
    assert (world.sent, world.rows) == ([], before)

    browser.cookie = good
    assert world.request(intent, "callback", query, browser).status == 303
    assert len(world.wire.used) == 1
