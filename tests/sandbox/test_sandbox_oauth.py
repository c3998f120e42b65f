"""Authorize, token, introspect."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx2
import pytest

from configure_auth.sandbox import Sandbox, SignInFailed

if TYPE_CHECKING:
    from tests.sandbox.conftest import Developer

CALLBACK = "http://localhost:3000/auth/configure/callback"


def test_a_whole_sign_in(developer: Developer, sandbox: Sandbox) -> None:
    person = sandbox.add_person("+15550100001", name="Ada Lovelace")
    back = sandbox.sign_in(developer.authorize_url(state="a b&c=/~"), phone="(555) 010-0001")
    assert back.startswith(f"{CALLBACK}?code=")
    assert back.endswith("&state=a+b%26c%3D%2F~")

    tokens = developer.tokens()
    assert tokens["expires_in"] == 3600
    assert tokens["token_type"] == "Bearer"
    assert tokens["scope"] == "profile.read profile.search profile.remember profile.commit"
    introspected = developer.introspect(tokens["access_token"])
    assert introspected["active"] is True
    assert introspected["sub"] == person.user_id
    assert introspected["client_id"] == sandbox.credentials.client_id


def test_a_first_time_phone_makes_a_person(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.sign_in(developer.authorize_url(), phone="+49 30 901820")
    assert [(p.phone, p.name) for p in sandbox.people] == [("+4930901820", None)]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "oc_local_other"}, "invalid_client"),
        ({"client_id": None}, "invalid_client"),
        ({"redirect_uri": f"{CALLBACK}/"}, "invalid_request"),
        ({"redirect_uri": CALLBACK.replace("localhost", "127.0.0.1")}, "invalid_request"),
        ({"redirect_uri": CALLBACK.replace("localhost", "LOCALHOST")}, "invalid_request"),
        ({"redirect_uri": f"{CALLBACK}?next=/"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"scope": "profile.read openid"}, "invalid_scope"),
        ({"scope": "profile.read,profile.search"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "too-short"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"resource": "https://api.configure.dev"}, "invalid_target"),
    ],
)
@pytest.mark.parametrize("origin", ["accounts", "api"])
def test_a_wrong_authorization_request_is_an_error_body_and_no_redirect(
    developer: Developer, sandbox: Sandbox, changes: dict[str, str | None], error: str, origin: str
) -> None:
    base = sandbox.accounts_url if origin == "accounts" else sandbox.api_url
    params = developer.authorize_params(**changes)
    response = developer.http.get(f"{base}/oauth/authorize", params=params)
    assert response.status_code == 400
    assert response.json()["error"] == error
    if "redirect_uri" in changes:
        assert "redirect_uri" in response.json()["error_description"]
    page = developer.http.get(f"{base}/oauth/authorize", params=params, headers={"Accept": "text/html"})
    assert page.status_code == 400
    assert page.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "state", "scope", "resource"])
def test_a_repeated_authorize_parameter_is_refused(developer: Developer, name: str, sandbox: Sandbox) -> None:
    params = developer.authorize_params(resource=sandbox.api_url)
    pairs = [*params.items(), (name, params[name])]
    response = developer.http.get(f"{sandbox.accounts_url}/oauth/authorize?{urlencode(pairs)}")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_a_valid_authorization_request_is_answered_directly(developer: Developer, sandbox: Sandbox) -> None:
    for base in (sandbox.accounts_url, sandbox.api_url):
        response = developer.http.get(
            f"{base}/oauth/authorize", params=developer.authorize_params(resource=sandbox.api_url)
        )
        assert response.status_code == 200
        assert "Sandbox" in response.text


def test_a_client_gets_no_more_scopes_than_it_registered(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.register_scopes("profile.read")
    with pytest.raises(SignInFailed, match="invalid_scope"):
        sandbox.sign_in(developer.authorize_url())
    assert developer.tokens(scope="profile.read")["scope"] == "profile.read"


def test_cancel_goes_back_with_access_denied_and_the_state(developer: Developer, sandbox: Sandbox) -> None:
    back = sandbox.sign_in(developer.authorize_url(), cancel=True)
    assert back.startswith(f"{CALLBACK}?error=access_denied&")
    assert back.endswith("&state=the+state")
    assert sandbox.grants == ()


def test_a_wrong_code_stops_at_the_fifth_try(developer: Developer, sandbox: Sandbox) -> None:
    page = developer.http.get(developer.authorize_url()).text
    interaction = page.partition('name="interaction" value="')[2].partition('"')[0]
    action = f"{sandbox.accounts_url}/oauth/authorize"

    def send(do: str, **values: str) -> httpx2.Response:
        return developer.http.post(action, data={"interaction": interaction, "do": do, **values})

    assert send("allow").status_code == 200
    assert send("phone", phone="+15550100001").status_code == 200
    assert "Allow" not in send("allow").text
    for _ in range(4):
        assert send("code", code="123456").status_code == 422
    assert send("code", code="123456").status_code == 429
    assert send("code", code="000000").status_code == 429
    assert sandbox.people == ()


def test_what_is_no_phone_is_refused(developer: Developer, sandbox: Sandbox) -> None:
    with pytest.raises(SignInFailed, match="look like a phone"):
        sandbox.sign_in(developer.authorize_url(), phone="12")


def test_a_visit_ends_after_fifteen_minutes(developer: Developer, sandbox: Sandbox) -> None:
    page = developer.http.get(developer.authorize_url()).text
    interaction = page.partition('name="interaction" value="')[2].partition('"')[0]
    sandbox.advance(901)
    data = {"interaction": interaction, "do": "phone", "phone": "+15550100001"}
    response = developer.http.post(f"{sandbox.accounts_url}/oauth/authorize", data=data)
    assert response.status_code == 400
    assert "out of date" in response.text


def test_a_known_browser_goes_straight_to_the_consent(developer: Developer, sandbox: Sandbox) -> None:
    page = developer.http.get(developer.authorize_url()).text
    interaction = page.partition('name="interaction" value="')[2].partition('"')[0]
    action = f"{sandbox.accounts_url}/oauth/authorize"
    developer.http.post(action, data={"interaction": interaction, "do": "phone", "phone": "+15550100001"})
    response = developer.http.post(action, data={"interaction": interaction, "do": "code", "code": "000000"})
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("configure_sandbox_accounts=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    again = developer.http.get(developer.authorize_url()).text
    assert 'value="allow"' in again
    assert "Use another phone" in again
    assert 'autocomplete="tel"' not in again


# The token endpoint


def test_a_code_is_good_once_and_its_second_use_revokes_the_first_ones_tokens(
    developer: Developer, sandbox: Sandbox
) -> None:
    code = developer.code()
    tokens = developer.exchange(code).json()
    second = developer.exchange(code)
    assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")
    assert developer.introspect(tokens["access_token"]) == {"active": False}
    assert developer.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_code_expires_after_five_minutes(developer: Developer, sandbox: Sandbox) -> None:
    early, late = developer.code(), developer.code()
    sandbox.advance(280)
    assert developer.exchange(early).status_code == 200
    sandbox.advance(20)
    assert developer.exchange(late).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": f"{CALLBACK}/"}, "invalid_grant"),
        ({"code_verifier": "v" * 43}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"resource": "https://api.configure.dev"}, "invalid_target"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": None}, "invalid_request"),
        ({"code": None}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"code_verifier": None}, "invalid_request"),
        ({"client_secret": "ocs_"}, "invalid_request"),
    ],
)
def test_a_wrong_exchange_is_refused(developer: Developer, changes: dict[str, str | None], error: str) -> None:
    response = developer.exchange(developer.code(), **changes)
    assert (response.status_code, response.json()["error"]) == (400, error)


def test_a_failed_exchange_spends_the_code(developer: Developer) -> None:
    code = developer.code()
    developer.exchange(code, code_verifier="v" * 43)
    assert developer.exchange(code).json()["error"] == "invalid_grant"


def test_resource_is_optional_but_bound_when_authorized(developer: Developer, sandbox: Sandbox) -> None:
    assert developer.exchange(developer.code(), resource=None).status_code == 200
    assert developer.exchange(developer.code(resource=sandbox.api_url)).status_code == 200


def test_a_repeated_token_parameter_is_refused(developer: Developer) -> None:
    code = developer.code()
    fields = {k: v for k, v in developer.exchange_fields(code).items() if v is not None}
    content = urlencode([*fields.items(), ("code", code)]).encode()
    response = developer.token_request({}, content=content)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert developer.exchange(code).status_code == 200


def test_the_token_endpoint_takes_forms_only(developer: Developer, sandbox: Sandbox) -> None:
    fields = developer.exchange_fields(developer.code())
    response = developer.http.post(f"{sandbox.api_url}/oauth/token", json=fields)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_the_client_authenticates_with_basic_and_names_nobody_else_in_the_body(developer: Developer) -> None:
    client_id, secret = developer.keys.client_id, developer.keys.client_secret
    code = developer.code()
    wrong: list[tuple[str, str] | None] = [None, (client_id, "ocs_wrong"), ("oc_wrong", secret)]
    for basic in wrong:
        response = developer.token_request(developer.exchange_fields(code), basic=basic)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
        assert response.headers["www-authenticate"].startswith("Basic")
    for other in ("oc_wrong", ""):
        response = developer.exchange(code, client_id=other)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    tokens = developer.exchange(code, client_id=None).json()
    assert developer.introspect(tokens["access_token"])["client_id"] == client_id
    assert developer.token_request(developer.exchange_fields(developer.code(), client_id=None), basic=None).is_error


def test_the_code_is_resolved_before_the_client(developer: Developer) -> None:
    basic = (developer.keys.client_id, "ocs_wrong")
    response = developer.token_request(developer.exchange_fields("made up"), basic=basic)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


def test_a_code_of_another_client_is_refused(developer: Developer, sandbox: Sandbox) -> None:
    other = sandbox.add_agent("other-agent")
    fields = developer.exchange_fields(developer.code(), client_id=other.client_id)
    response = developer.token_request(fields, basic=(other.client_id, other.client_secret))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


# Refreshing


def test_refresh_rotates(developer: Developer, sandbox: Sandbox) -> None:
    first = developer.tokens()
    second = developer.refresh(first["refresh_token"], resource=sandbox.api_url).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert developer.introspect(second["access_token"])["active"] is True


def test_reuse_after_the_grace_revokes_the_family(developer: Developer, sandbox: Sandbox) -> None:
    first = developer.tokens()
    second = developer.refresh(first["refresh_token"]).json()
    sandbox.advance(61)
    assert developer.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert developer.introspect(second["access_token"]) == {"active": False}
    assert developer.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_lost_refresh_answer_can_be_asked_for_again_within_a_minute(developer: Developer, sandbox: Sandbox) -> None:
    first = developer.tokens()
    sandbox.fault("/oauth/token", drop=True, handled=True, times=1)
    with pytest.raises(httpx2.RemoteProtocolError):
        developer.refresh(first["refresh_token"])
    sandbox.advance(45)
    again = developer.refresh(first["refresh_token"])
    assert again.status_code == 200
    assert developer.refresh(again.json()["refresh_token"]).status_code == 200


def test_two_refreshers_at_once_end_in_a_revoked_family(developer: Developer) -> None:
    first = developer.tokens()
    one = developer.refresh(first["refresh_token"]).json()
    two = developer.refresh(first["refresh_token"]).json()
    assert developer.refresh(one["refresh_token"]).json()["error"] == "invalid_grant"
    assert developer.introspect(two["access_token"]) == {"active": False}


def test_a_retry_is_reuse_once_the_answer_was_used(developer: Developer) -> None:
    first = developer.tokens()
    second = developer.refresh(first["refresh_token"]).json()
    developer.refresh(second["refresh_token"])
    assert developer.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert developer.introspect(second["access_token"]) == {"active": False}


def test_refresh_needs_the_client_and_the_right_resource(developer: Developer) -> None:
    token = developer.tokens()["refresh_token"]
    assert developer.refresh(token, resource="https://api.configure.dev").json()["error"] == "invalid_target"
    assert developer.refresh(token, client_id="oc_wrong").json()["error"] == "invalid_client"
    assert developer.refresh(token, scope="openid").json()["error"] == "invalid_scope"
    fields = {"grant_type": "refresh_token", "refresh_token": token, "client_id": developer.keys.client_id}
    assert developer.token_request(fields, basic=None).status_code == 401
    again = developer.refresh(token, scope="profile.read", client_id=None).json()
    assert again["scope"] == "profile.read"


# Introspection


def test_access_tokens_expire_after_an_hour(developer: Developer, sandbox: Sandbox) -> None:
    tokens = developer.tokens()
    sandbox.advance(3600)
    assert developer.introspect(tokens["access_token"]) == {"active": False}
    assert developer.refresh(tokens["refresh_token"]).status_code == 200


def test_introspection_knows_access_tokens_only(developer: Developer, sandbox: Sandbox) -> None:
    tokens = developer.tokens()
    for token in (tokens["refresh_token"], developer.agent_token(), "unknown"):
        assert developer.introspect(token) == {"active": False}
    assert sandbox.revoke_token(tokens["access_token"])
    assert developer.introspect(tokens["access_token"]) == {"active": False}
    response = developer.http.post(f"{sandbox.api_url}/oauth/introspect", data={"token": "as a form"})
    assert response.status_code == 400
