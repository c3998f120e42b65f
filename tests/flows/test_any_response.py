"""Whatever Configure responds to a call, each flow ends in a response or error of ours, and connects nobody by mistake.

The bytes of a response, and connections that break off, are the transport's: `tests/api`.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from configure_auth.client.call import HttpResponse
from configure_auth.errors import ApiCode, ConfigureError
from configure_auth.flows import LINK_ROUTES, Response, run
from configure_auth.flows.tokens import access_token

from ..support.examples import examples
from .test_message_order import KEY, PHONE, completion
from .world import APP, Browser, World, message_identity, signed_in

EXCHANGE, TOKEN, INTROSPECT, PROFILE = "/v1/auth/sign-in/exchange", "/oauth/token", "/oauth/introspect", "/v1/profile"
VALIDATE, RECOGNIZE = "/v1/auth/sign-in/validate", "/v1/auth/sign-in/recognize-phone"
(SESSION,) = (route for route in LINK_ROUTES if route.endpoint == "session")

MISSING = object()


@dataclass(frozen=True)
class Change:
    """What is different from a good response."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    cut: int | None = None
    error: ApiCode | None = None

    def __call__(self, good: HttpResponse) -> HttpResponse:
        if self.error is not None:
            raise ConfigureError(self.error, "no response", retryable=True, sent=True)
        fields = {
            name: value for name, value in (json.loads(good.content) | self.fields).items() if value is not MISSING
        }
        content = json.dumps(fields).encode() if self.content is None else self.content
        return replace(
            good,
            status=self.status or good.status,
            headers={**good.headers, **self.headers},
            content=content if self.cut is None else content[: min(self.cut, len(content) - 1)],
        )


STATUSES = [*range(200, 207), *range(301, 309), *range(400, 419), 429, 451, *range(500, 505)]
NAMES = [
    *("token", "user_id", "userId", "agent", "approved", "token_use", "tokenUse", "valid", "recognized", "matched"),
    *("access_token", "refresh_token", "expires_in", "scope", "token_type", "error", "error_description"),
    *("active", "sub", "aud", "client_id", "exp", "identity", "name", "email", "retry_after"),
]
scalars = st.sampled_from(
    ["", "x", "usr_1", "usr_2", "test-agent", "another", "Bearer", "mac", "true", "invalid_grant", "<b>", "a\nb", "\0"]
) | st.sampled_from([None, True, False, 0, 1, -1, 10**12, 1e308, "x" * 9000])
values = st.recursive(
    scalars | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.dictionaries(st.sampled_from(NAMES), values | st.just(MISSING), max_size=4)
DECIDING = st.sampled_from(["agent", "approved", "tokenUse", "valid", "active", "sub", "userId", "token", "recognized"])
WRONG = [False, MISSING, "another", "", None]
CHANGES = st.one_of(
    st.builds(Change, fields=FIELDS),
    st.builds(Change, fields=st.dictionaries(DECIDING, st.sampled_from(WRONG), min_size=1, max_size=1)),
    st.builds(
        Change,
        status=st.sampled_from(STATUSES),
        fields=FIELDS,
        headers=st.dictionaries(
            st.sampled_from(["content-type", "retry-after", "location", "x-request-id", "www-authenticate"]),
            st.sampled_from(
                ["", "0", "7", "soon", "-1", "text/html", "application/json; charset=utf-16", "//evil.example"]
            ),
            max_size=2,
        ),
    ),
    st.builds(Change, cut=st.integers(0, 60)),
    st.builds(
        Change,
        status=st.sampled_from([None, *STATUSES]),
        content=st.binary(max_size=40)
        | st.sampled_from([b"null", b"[]", b'"x"', b"<html>", b"[" * 9000, b'{"a":1,"a":2}']),
    ),
    st.builds(Change, error=st.sampled_from([ApiCode.TIMEOUT, ApiCode.NETWORK_ERROR, ApiCode.SERVER_ERROR])),
)
FINE = {200, 303, *range(400, 500), 502, 503, 504}


def changing(*paths: str) -> st.SearchStrategy[dict[str, Change]]:
    return st.dictionaries(st.sampled_from(paths), CHANGES, min_size=1)


SIGN_INS = st.one_of(
    st.tuples(st.just("link"), changing(EXCHANGE)),
    st.tuples(st.just("login"), changing(TOKEN, INTROSPECT, PROFILE)),
)


def confirms(change: Change, **good: object) -> bool:
    """Whether a response still has the good values of these fields."""
    whole = change.content is None and change.cut is None and change.error is None
    return whole and all(change.fields.get(name, value) == value for name, value in good.items())


def check(response: Response, secrets: list[str]) -> int:
    made = response.render()
    assert made.status in FINE
    assert not any(secret in f"{made.headers} {made.body}" for secret in secrets)
    return made.status


def connected(world: World, *users: str) -> int:
    return sum(len(world.stores.accounts.find("test-agent", user)) for user in users)


@pytest.mark.catalogue("G1", "G2", "G3", "G4", "G12", "G13", "G14", "G19", "H1", "H2", "H3", "H4", "H5", "H9")
@examples(200)
@example(("link", {EXCHANGE: Change(fields={"agent": "another"})}))
@example(("link", {EXCHANGE: Change(fields={"approved": False})}))
@example(("login", {INTROSPECT: Change(fields={"active": False})}))
@given(case=SIGN_INS)
def test_any_response_during_a_sign_in(case: tuple[str, dict[str, Change]]) -> None:
    intent, changes = case
    world, browser = World(), signed_in(intent)
    query = world.came_back(intent, browser)
    world.wire.changes.update(changes)
    status = check(world.request(intent, "callback", query, browser), world.wire.used)

    assert len(world.wire.used) == 1
    assert connected(world, "u1", "new-1") == (status == 303)
    assert browser.user == {"link": "u1", "login": "new-1" if status == 303 else None}[intent]
    if status == 303:
        if EXCHANGE in changes:
            assert confirms(changes[EXCHANGE], agent="test-agent")
            assert changes[EXCHANGE].fields.get("approved", True) in (True, MISSING)
        assert TOKEN not in changes or confirms(changes[TOKEN])
        assert INTROSPECT not in changes or confirms(changes[INTROSPECT], active=True)

    world.wire.changes.clear()
    assert check(world.request(intent, "callback", query, browser), world.wire.used) == status


@pytest.mark.catalogue("K2", "K3", "K15", "H13")
@examples(100)
@example(Change(fields={"agent": MISSING}))
@example(Change(fields={"approved": MISSING}))
@example(Change(fields={"tokenUse": "oauth"}))
@example(Change(fields={"valid": False}))
@given(change=CHANGES)
def test_any_response_about_a_token_from_outside(change: Change) -> None:
    """What it doesn't confirm wholly connects nobody."""
    world = World()
    world.wire.changes[VALIDATE] = change
    confirmed = confirms(change, valid=True, approved=True, tokenUse="agent", agent="test-agent")
    world.current = Browser(user="u1")
    token = world.wire.issue("usr_1")
    posted = world.post(world.link, SESSION, json.dumps({"token": token}).encode(), origin=APP)
    is_connected = check(posted, [token]) == 200
    assert connected(world, "u1") == is_connected <= confirmed

    is_linked = check(world.complete(completion(world)), [token]) == 200
    assert len(world.linked) == is_linked <= confirmed


@examples(100)
@given(change=CHANGES)
def test_any_response_about_a_phone(change: Change) -> None:
    world = World()
    world.wire.phones[PHONE] = "usr_1"
    world.wire.changes[RECOGNIZE] = change

    found = run(message_identity(world.messages, KEY, phone_candidates=(PHONE,)), world.perform)

    assert (found.token is not None) == found.linked <= confirms(change, approved=True)
    assert not (found.linked and change.fields.get("recognized") is False)


@pytest.mark.catalogue("G6")
@examples(100)
@given(change=CHANGES)
def test_any_response_to_a_refresh(change: Change) -> None:
    world, browser = World(), Browser()
    world.request("login", "callback", world.came_back("login", browser), browser)
    world.now += 4000
    world.wire.changes[TOKEN] = change
    with suppress(ConfigureError):
        assert run(access_token(world.login.site, browser.user, "https://api.example"), world.perform).reveal()
        assert confirms(change)

    assert connected(world, browser.user or "") == 1
