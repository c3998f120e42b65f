"""Responses after a code or a refresh token was used up: strict where it decides who signs in, else liberal."""

from __future__ import annotations

import json
import math
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configure_auth.client.call import HttpResponse
from configure_auth.client.oauth import exchange_authorization_code, introspect, refresh_tokens
from configure_auth.client.profile import Subject, read_profile
from configure_auth.client.sign_in import SignInCalls
from configure_auth.errors import ConfigureError
from configure_auth.settings import Settings
from configure_auth.values import Secret

SETTINGS = Settings(api_key="sk_key", agent="acme", oauth_client_id="oc_client", oauth_client_secret="ocs_secret")
TOKENS = (
    exchange_authorization_code(
        SETTINGS, code="c", redirect_uri="https://a.example/cb", code_verifier="v" * 43, resource=None, scopes=("a",)
    ),
    refresh_tokens(SETTINGS, refresh_token="rt", resource=None, scopes=("a",)),
)
EXCHANGE = SignInCalls(SETTINGS).exchange_sign_in_code("cfgsic_x")
INTROSPECT = introspect(SETTINGS, "at")
PROFILE = read_profile(SETTINGS, Subject(token="at"))

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
shapes = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
names = st.text(st.sampled_from(string.ascii_letters), min_size=1, max_size=12)


def reply(body: dict[str, Any]) -> HttpResponse:
    return HttpResponse(status=200, headers={"content-type": "application/json"}, content=json.dumps(body).encode())


def others(strict: str) -> st.SearchStrategy[dict[str, Any]]:
    """Fields beside the strict ones, in any shape."""
    taken = {"".join(part) for name in strict.split() for part in (name, name.title().replace("_", ""))}
    taken |= {name[0].lower() + name[1:] for name in taken}
    known = st.sampled_from(
        ["refresh_token", "refreshToken", "expires_in", "expiresIn", "id_token", "exp", "client_id"]
    )
    return st.dictionaries((names | known).filter(lambda name: name not in taken), shapes, max_size=6)


@pytest.mark.catalogue("G16")
@given(others("access_token token_type scope"), st.sampled_from(TOKENS))
def test_tokens_are_read_whatever_else_the_response_has(more: dict[str, Any], call: Any) -> None:
    read = call.parse(reply({"access_token": "at", "scope": "a b"} | more))

    assert (read.access_token, read.scopes) == (Secret("at"), ("a", "b"))
    assert read.refresh_token is None or isinstance(read.refresh_token.reveal(), str)
    assert read.expires_in is None or (read.expires_in >= 0 and math.isfinite(read.expires_in))


@pytest.mark.catalogue("G16")
@given(others("active sub agent"))
def test_an_introspection_is_read_whatever_else_the_response_has(more: dict[str, Any]) -> None:
    read = INTROSPECT.parse(reply({"active": True, "sub": "u1", "agent": "acme"} | more))

    assert (read.active, read.sub, read.agent) == (True, "u1", "acme")


@pytest.mark.catalogue("G16")
@given(others("token user_id agent token_use approved"))
def test_a_grant_is_read_whatever_else_the_response_has(more: dict[str, Any]) -> None:
    read = EXCHANGE.parse(reply({"token": "t", "userId": "u1", "agent": "acme"} | more))

    assert (read.token, read.user_id, read.agent) == (Secret("t"), "u1", "acme")


@given(others("user_id"), shapes)
def test_an_identity_is_read_whatever_shape_it_has(more: dict[str, Any], identity: object) -> None:
    read = PROFILE.parse(reply({"user_id": "u1", **more, "identity": identity}))

    assert read.user_id == "u1"
    for name in ("name", "email", "phone_last4", "occupation", "location", "bio"):
        assert isinstance(getattr(read.identity, name), str | None)


@given(
    st.sampled_from(
        [
            (call, good, name)
            for call, good, strict in (
                *((call, {"access_token": "at"}, ("access_token", "token_type", "scope")) for call in TOKENS),
                (INTROSPECT, {"active": True, "sub": "u1"}, ("active", "sub", "agent")),
                (EXCHANGE, {"token": "t", "user_id": "u1", "agent": "acme"}, ("token", "user_id", "approved")),
                (PROFILE, {"identity": {}}, ("user_id",)),
            )
            for name in strict
        ]
    ),
    (
        st.lists(shapes, max_size=2)
        | st.dictionaries(st.text(max_size=4), shapes, max_size=2)
        | st.floats(allow_nan=False, allow_infinity=False)
    ),
)
def test_what_decides_who_signs_in_is_strict(case: tuple[Any, dict[str, Any], str], wrong: object) -> None:
    call, good, name = case
    with pytest.raises(ConfigureError, match=f"missing or invalid {name}"):
        call.parse(reply(good | {name: wrong}))
