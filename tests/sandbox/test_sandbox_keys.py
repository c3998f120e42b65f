"""Keys and secrets that are rotated, and the keys of Configure's test mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from configure_auth.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.sandbox.conftest import Developer

CLIENTS = "/v1/developer/oauth/clients"


def code_for(developer: Developer, api_key: str) -> tuple[int, str]:
    answer = developer.get("/v1/profile", {"X-API-Key": api_key})
    return answer.status_code, answer.json()["error"]["code"]


def test_after_a_rotation_only_the_new_key_is_known(developer: Developer, sandbox: Sandbox) -> None:
    before = sandbox.credentials
    after = sandbox.rotate_api_key()

    assert after == sandbox.credentials
    assert after.api_key.startswith("sk_")
    assert sandbox.environment()["CONFIGURE_API_KEY"] == after.api_key
    assert code_for(developer, before.api_key) == (401, "api_key_invalid")
    assert code_for(developer, after.api_key) == (400, "missing_field")
    assert after.client_secret == before.client_secret


def test_after_a_rotation_only_the_new_secret_exchanges_a_code(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.register_redirect_uri("http://localhost:3000/auth/configure/callback")
    before = sandbox.credentials
    code = developer.code()
    after = sandbox.rotate_client_secret()

    assert (after.client_id, after.api_key) == (before.client_id, before.api_key)
    fields = developer.exchange_fields(code)
    refused = developer.token_request(fields, basic=(before.client_id, before.client_secret))
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert developer.token_request(fields, basic=(after.client_id, after.client_secret)).status_code == 200


def test_another_agent_keeps_its_keys(sandbox: Sandbox) -> None:
    own, other = sandbox.credentials, sandbox.add_agent("other-agent")
    rotated = sandbox.rotate_client_secret(agent="other-agent")

    assert sandbox.credentials == own
    assert rotated.client_secret != other.client_secret
    assert sandbox.environment(agent="other-agent")["CONFIGURE_OAUTH_CLIENT_SECRET"] == rotated.client_secret


def test_a_reset_brings_the_first_keys_back(sandbox: Sandbox) -> None:
    first = sandbox.credentials
    sandbox.rotate_api_key()
    sandbox.rotate_client_secret()
    sandbox.reset()

    assert sandbox.credentials == first


def test_test_mode_has_keys_and_no_oauth_client(developer: Developer, sandbox: Sandbox) -> None:
    keys = sandbox.add_agent("trial-agent", test_mode=True)
    headers = {"X-API-Key": keys.api_key}

    assert (keys.api_key[:8], keys.publishable_key[:8]) == ("sk_test_", "pk_test_")
    assert {"CONFIGURE_API_KEY", "CONFIGURE_PUBLISHABLE_KEY", "CONFIGURE_AGENT"} == {
        name for name in sandbox.environment(agent="trial-agent") if not name.endswith("_URL")
    }
    assert code_for(developer, keys.api_key) == (400, "missing_field")
    assert developer.get(CLIENTS, headers).json() == {"clients": []}
    without = developer.authorize_params(client_id="")
    refused = developer.http.get(f"{sandbox.api_url}/oauth/authorize", params=without)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client")


@pytest.mark.parametrize("body", [{}, {"client_id": ""}])
def test_an_agent_without_an_oauth_client_is_nobody_at_the_token_endpoint(
    developer: Developer, sandbox: Sandbox, body: dict[str, str]
) -> None:
    sandbox.add_agent("trial-agent", test_mode=True)
    refused = developer.token_request(
        {"grant_type": "refresh_token", "refresh_token": "made up", **body}, basic=("", "")
    )

    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
