"""What apps call on any client of an Authlib registry works on Configure's too."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import anyio
import pytest

from configure_auth.client.oauth_registry import ConfigureOAuthError

from ..support.reading import api_calls, no_calls
from ..support.web import query_of
from .conftest import STORES, Make, Person, failure

STATE = "eyJhbGciOiJIUzI1NiJ9.eyJuZXh0IjpbIi8iXX0.a+b/c=d e~" + "x" * 400


def press(person: Person, **more: Any) -> Any:
    return person.get(f"/start/configure?{urlencode({'back': person.app.callback, 'more': json.dumps(more)})}")


def test_parameters_are_sent_as_they_are(person: Person) -> None:
    sent = query_of(press(person, prompt="login", login_hint="ada@example.com", audience="x y").headers["location"])

    assert (sent["prompt"], sent["login_hint"], sent["audience"]) == ("login", "ada@example.com", "x y")
    assert len(sent["code_challenge"]) == 43


@pytest.mark.parametrize("scope", ["profile.search", ["profile.search"]])
def test_scope_replaces_the_clients_for_one_sign_in(person: Person, scope: object) -> None:
    start = press(person, scope=scope).headers["location"]
    assert query_of(start)["scope"] == "profile.search"

    token = person.come_back(person.at_configure(start)).json()
    assert token["scope"] == "profile.search"
    assert token["userinfo"].keys() == {"sub"}
    assert "GET /v1/profile" not in api_calls(person.web.sandbox)
    assert person.token()["scope"] == "profile.read profile.search"


@pytest.mark.parametrize("name", ["client_id", "code_verifier", "response_mode", "resource", "code_challenge"])
def test_parameters_of_the_client_are_refused_by_name(person: Person, name: str) -> None:
    answer = press(person, **{name: "x"})

    assert failure(answer) == "misconfigured"
    assert name in answer.json()["description"]


@pytest.mark.parametrize("store", [None, *STORES.values()])
def test_state_of_the_app_travels_verbatim(make: Make, store: str | None) -> None:
    with Person(make(store=store)) as person:
        start = press(person, state=STATE).headers["location"]
        assert query_of(start)["state"] == STATE
        callback = person.at_configure(start)
        assert query_of(callback)["state"] == STATE
        assert person.come_back(callback).status_code == 200


@pytest.mark.parametrize("store", STORES.values())
def test_state_of_the_app_is_good_once(make: Make, store: str) -> None:
    with Person(make(store=store)) as person:
        start = press(person, state=STATE).headers["location"]
        assert failure(press(person, state=STATE)) == "invalid_request"  # one like it is open
        assert person.come_back(person.at_configure(start)).status_code == 200
        assert failure(press(person, state=STATE)) == "invalid_request"  # one like it was used


@pytest.mark.parametrize("store", [None, *STORES.values()])
def test_state_of_the_app_is_of_one_browser(make: Make, store: str | None) -> None:
    provided = make(store=store)
    with Person(provided) as person, Person(provided) as other:
        callback = person.at_configure(press(person, state=STATE).headers["location"])
        other.away()
        with no_calls(person.web.sandbox):
            assert failure(other.come_back(callback)) == "wrong_browser"
        # An attacker who knows the state can neither take it up nor block it.
        assert press(other, state=STATE).status_code == 303
        assert person.come_back(callback).status_code == 200


@pytest.mark.parametrize("state", ["", "x" * 2049, "a\nb", 7])
def test_state_of_the_app_is_checked(person: Person, state: object) -> None:
    assert failure(press(person, state=state)) == "misconfigured"


@pytest.mark.parametrize("store", [None, *STORES.values()])
def test_authorization_by_hand(make: Make, store: str | None) -> None:
    provided = make(store=store)
    with Person(provided) as person, Person(provided) as other:
        begun = person.get(f"/by-hand?back={quote(provided.callback)}")
        callback = person.at_configure(begun.headers["location"])
        other.away()
        assert failure(other.come_back(callback)) == "wrong_browser"
        assert person.come_back(callback).status_code == 200


def test_options_for_id_tokens_have_no_effect(person: Person) -> None:
    more = json.dumps({"claims_options": {"iss": {"essential": True}}, "leeway": 60})
    assert person.come_back(person.returning(), x_more=more).status_code == 200

    refused = person.come_back(person.returning(), x_more=json.dumps({"code_verifier": "x"}))
    assert (failure(refused), "code_verifier" in refused.text) == ("misconfigured", True)


def test_token_says_how_long_it_is_good(person: Person) -> None:
    token = person.token()

    assert abs(token["expires_in"] - (token["expires_at"] - person.web.sandbox.clock())) <= 2


def test_attributes_of_a_client(person: Person) -> None:
    client, sandbox = person.app.provider, person.web.sandbox

    assert client is person.app.registry.configure
    assert (client.name, client.client_id) == ("configure", sandbox.credentials.client_id)
    assert client.client_kwargs["scope"] == "profile.read profile.search"
    assert client.server_metadata["token_endpoint"] == f"{sandbox.api_url}/oauth/token"
    assert client.server_metadata["authorization_endpoint"] == f"{sandbox.accounts_url}/oauth/authorize"
    loaded = client.load_server_metadata()
    assert (loaded if isinstance(loaded, dict) else anyio.run(lambda: loaded)) == client.server_metadata
    with pytest.raises(ConfigureOAuthError, match="no ID token"):
        client.parse_id_token({}, nonce="x")


def test_calls_to_the_api_with_a_token(person: Person) -> None:
    token = person.token(name="Ada")
    for url in ("v1/profile", f"{person.web.sandbox.api_url}/v1/profile"):
        called = person.http.post(f"/call?url={quote(url)}", json=token).json()
        assert called["status"] == 200, called


@pytest.mark.parametrize("url", ["https://evil.example/v1/profile", "//evil.example/"])
def test_a_token_is_sent_to_configure_only(person: Person, url: str) -> None:
    token = person.token()
    with no_calls(person.web.sandbox):
        answer = person.http.post(f"/call?url={quote(url)}", json=token)
    assert failure(answer) == "invalid_request"
    assert token["access_token"] not in answer.text


def test_a_call_without_a_token_is_refused(person: Person) -> None:
    assert failure(person.http.post("/call?url=v1/profile", json={})) == "invalid_request"
