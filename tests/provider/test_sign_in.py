"""From `authorize_redirect` to the token, as an app written for Authlib sees it."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.oauth2.rfc6749 import OAuth2Token
from authlib.oidc.core import UserInfo

from configure_auth import Identity
from configure_auth.client.oauth_registry import ConfigureOAuthError

from ..support.reading import api_calls, no_calls
from ..support.web import query_of
from .conftest import Make, Person

TOKEN, INTROSPECT, PROFILE = "/oauth/token", "/oauth/introspect", "/v1/profile"


def test_the_person_goes_to_the_accounts_origin_with_everything_that_pkce_and_resource_ask(person: Person) -> None:
    url = person.away()
    sandbox = person.web.sandbox
    sent = query_of(url)

    assert url.startswith(f"{sandbox.accounts_url}/oauth/authorize?")
    assert sent == {
        "response_type": "code",
        "client_id": sandbox.credentials.client_id,
        "redirect_uri": person.app.callback,
        "scope": "profile.read profile.search",
        "code_challenge": sent["code_challenge"],
        "code_challenge_method": "S256",
        "state": sent["state"],
        "resource": sandbox.api_url,
    }
    assert re.fullmatch(r"[A-Za-z0-9_-]{65}", sent["state"])
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", sent["code_challenge"])


def test_no_parameter_is_sent_twice(person: Person) -> None:
    names = re.findall(r"[?&]([a-z_]+)=", person.away())

    assert sorted(names) == sorted(set(names))


def test_state_and_challenge_are_new_at_every_start(person: Person) -> None:
    starts = [query_of(person.away()) for _ in range(5)]

    assert len({sent["state"] for sent in starts}) == 5
    assert len({sent["code_challenge"] for sent in starts}) == 5


def test_scopes_and_resource_are_the_apps_to_choose(make: Make) -> None:
    provided = make(scopes=("profile.read",), resource="https://api.example.com")
    with Person(provided) as person:
        sent = query_of(person.away())

    assert (sent["scope"], sent["resource"]) == ("profile.read", "https://api.example.com")


def test_a_start_tells_configure_nothing_and_forbids_caches(person: Person) -> None:
    with no_calls(person.web.sandbox):
        answer = person.press()

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_token_says_who_it_is_and_what_was_granted(person: Person) -> None:
    token = person.token(name="Ada Lovelace", email="ada@example.com")
    sandbox = person.web.sandbox
    (ada,) = sandbox.people

    assert token["userinfo"] == {
        "sub": ada.user_id,
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "email_verified": False,
        "configure_phone_last4": "0001",
    }
    assert token["token_type"] == "Bearer"
    assert token["scope"] == "profile.read profile.search"
    assert sandbox.is_live(token["access_token"])
    assert sandbox.is_live(token["refresh_token"])
    held = sandbox.token(token["access_token"])
    assert held is not None
    assert isinstance(token["expires_at"], int)
    assert abs(token["expires_at"] - (held.expires_at or 0)) < 60


def test_claims_that_a_person_hides_or_lacks_are_left_out(person: Person) -> None:
    person.web.sandbox.add_person("+15550100001", name="Ada", email="ada@example.com", hidden=("name", "email"))

    assert person.token()["userinfo"].keys() == {"sub", "configure_phone_last4"}


def test_an_email_is_verified_where_configure_says_so(person: Person) -> None:
    person.web.sandbox.add_person("+15550100001", email="ada@example.com", email_verified=True)

    assert person.token()["userinfo"]["email_verified"] is True


def test_an_app_makes_claims_of_its_own(make: Make) -> None:
    seen: list[Identity] = []

    def map_profile(identity: Identity) -> dict[str, Any]:
        seen.append(identity)
        return {"sub": f"configure|{identity.user_id}", "nickname": identity.name}

    with Person(make(map_profile=map_profile)) as person:
        token = person.token(name="Ada")
        again = person.send("/userinfo", token).json()

    assert token["userinfo"] == again == {"sub": f"configure|{seen[0].user_id}", "nickname": "Ada"}


def test_without_the_scope_for_it_the_profile_is_not_read(make: Make) -> None:
    with Person(make(scopes=("profile.search",))) as person:
        token = person.token(name="Ada")

        assert token["userinfo"].keys() == {"sub"}
        assert f"GET {PROFILE}" not in api_calls(person.web.sandbox)


def test_it_is_authlibs_token_and_userinfo_but_prints_neither(person: Person) -> None:
    person.token(name="Ada")
    (token,) = person.app.tokens

    assert isinstance(token, OAuth2Token)
    assert isinstance(token["userinfo"], UserInfo)
    assert token["userinfo"].sub == token["userinfo"]["sub"]
    assert not token.is_expired()
    for shown in (repr(token), str(token), f"{token}", repr([token]), "%s" % token):  # noqa: UP031  # a log's way
        assert token["access_token"] not in shown
        assert token["refresh_token"] not in shown
        assert "Ada" not in shown


def test_the_code_is_proved_by_secret_and_verifier_and_the_secret_stays_in_its_header(person: Person) -> None:
    start = person.away()
    person.come_back(person.at_configure(start))
    sandbox = person.web.sandbox
    (call,) = sandbox.calls_to("POST", TOKEN)

    mine = f"{sandbox.credentials.client_id}:{sandbox.credentials.client_secret}"
    assert call.headers["authorization"] == f"Basic {base64.b64encode(mine.encode()).decode()}"
    assert sandbox.credentials.client_secret not in call.body.decode()
    challenge = hashlib.sha256(call.form["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(challenge).decode().rstrip("=") == query_of(start)["code_challenge"]
    assert call.form["redirect_uri"] == person.app.callback
    assert call.form["resource"] == sandbox.api_url


def test_one_exchange_and_then_introspection_and_profile(person: Person) -> None:
    callback = person.returning()
    before = len(api_calls(person.web.sandbox))
    person.come_back(callback)
    exchange, *others = api_calls(person.web.sandbox)[before:]

    assert exchange == f"POST {TOKEN}"
    assert sorted(others) == [f"GET {PROFILE}", f"POST {INTROSPECT}"]


def test_everything_goes_over_the_one_pool_and_never_over_authlibs_own_sessions(person: Person) -> None:
    first = person.token()
    sandbox = person.web.sandbox
    ours = {TOKEN, INTROSPECT, PROFILE}
    for _ in range(3):
        person.token()
    renewed = person.send("/refresh", first).json()
    person.send("/userinfo", renewed)

    calls = [call for call in sandbox.calls if call.path in ours]
    assert len(calls) == 4 * 3 + 1 + 2
    assert len({call.connection for call in calls}) <= 2
    assert {call.origin for call in calls} == {"api"}
    assert len({call.headers["user-agent"] for call in calls}) == 1
    assert not any("authlib" in call.headers["user-agent"].lower() for call in calls)


def test_a_refresh_asks_for_the_same_resource_and_rotates(person: Person) -> None:
    token = person.token()
    sandbox = person.web.sandbox
    renewed = person.send("/refresh", token).json()
    call = sandbox.calls_to("POST", TOKEN)[-1]

    assert call.form["grant_type"] == "refresh_token"
    assert call.form["resource"] == sandbox.api_url
    assert renewed["access_token"] != token["access_token"]
    assert renewed["refresh_token"] != token["refresh_token"]
    assert sandbox.is_live(renewed["access_token"])
    assert renewed["scope"] == token["scope"]
    assert renewed.keys() == token.keys() - {"userinfo"}


def test_a_refresh_keeps_the_old_refresh_token_where_configure_gives_none(person: Person) -> None:
    token = person.token()
    answer = {"access_token": "new", "token_type": "Bearer", "expires_in": 60}
    person.web.sandbox.fault(TOKEN, status=200, body=answer)

    renewed = person.send("/refresh", token).json()
    assert (renewed["access_token"], renewed["refresh_token"]) == ("new", token["refresh_token"])
    assert renewed["scope"] == token["scope"]


def test_userinfo_of_a_token_is_what_the_token_came_with(person: Person) -> None:
    token = person.token(name="Ada", email="ada@example.com")

    assert person.send("/userinfo", token).json() == token["userinfo"]


@pytest.mark.parametrize(("path", "part"), [("/refresh", "refresh_token"), ("/userinfo", "access_token")])
def test_a_token_without_its_part_is_refused_before_anything_is_sent(person: Person, path: str, part: str) -> None:
    with no_calls(person.web.sandbox):
        answer = person.send(path, {"token_type": "Bearer"})

    assert answer.json()["error"] == "invalid_request"
    assert part in answer.json()["description"]


def test_a_used_up_refresh_token_is_rejected(person: Person) -> None:
    token = person.token()
    person.send("/refresh", token)
    person.web.sandbox.advance(61)

    assert person.send("/refresh", token).json()["error"] == "upstream_rejected"


def test_a_revoked_token_has_no_userinfo(person: Person) -> None:
    token = person.token()
    person.web.sandbox.revoke_token(token["access_token"])

    assert person.send("/userinfo", token).json()["error"] == "upstream_rejected"


def test_the_profile_of_somebody_else_is_nobodys_userinfo(person: Person) -> None:
    person.web.sandbox.fault(PROFILE, status=200, body={"user_id": "usr_other", "identity": {"name": "Eve"}})
    answer = person.come_back(person.returning())

    assert answer.json()["error"] == "upstream_rejected"
    assert person.app.tokens == []


def test_errors_are_authlibs() -> None:
    assert issubclass(ConfigureOAuthError, OAuthError)


@pytest.mark.parametrize(
    "back",
    [
        "http://app.example.com/callback",
        "http://192.0.2.1/callback",
        "/callback",
        "myapp://callback",
        "https://user@app.example.com/callback",
        "https://app.example.com/callback#x",
        "https://app.example.com/call back",
        "",
    ],
)
def test_a_redirect_uri_that_is_no_https_or_loopback_url_is_refused(person: Person, back: str) -> None:
    answer = person.press(back=back) if back else person.get("/start/configure?back=")

    assert answer.status_code == 400
    assert answer.json()["error"] == "misconfigured"
    assert "redirect_uri" in answer.json()["description"]
    assert "set-cookie" not in answer.headers


def test_no_redirect_uri_is_taken_from_the_host_header(person: Person) -> None:
    answer = person.get(f"/start/configure?back={person.app.callback}", host="evil.example")

    assert query_of(answer.headers["location"])["redirect_uri"] == person.app.callback
