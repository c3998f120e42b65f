"""Configure's page "Custom Identity Provider", for users of any issuer of JWTs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from configure_auth import AgentNoOwner
from configure_auth.flask import BearerUser
from configure_auth.stores import UserExport

from ..api.conftest import Server
from ..bearer.issuer import AUDIENCE, ISSUER, Clock, Issuer
from ..support.web import MakeWeb, Web

PATH = "/api/v1/agents/claim"
PROFILES = {"ada": {"display_name": "Ada", "avatar_url": "https://a.example/ada.png", "email": "ada@example.org"}}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Server()
    yield Issuer(server)
    server.close()


@pytest.fixture
def api(make_web: MakeWeb, issuer: Issuer) -> Web:
    """An app without sessions, whose users come with a token of their identity provider."""
    user_id = BearerUser(
        issuer=ISSUER, audience=AUDIENCE, jwks_url=issuer.url, algorithms=("RS256", "ES256"), clock=Clock()
    )
    return make_web(
        bearer=user_id,
        constructor={"session": False},
        claims={},
        profiles={"resolve": PROFILES.get, "fields": ("display_name", "avatar_url", "email")},
        link=None,
        login=None,
    )


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"authorization": f"Bearer {token}"}


def claim(web: Web, token: str | None, claim_token: str) -> tuple[int, dict[str, Any]]:
    with web.browser() as browser:
        answer = browser.http.post(PATH, json={"claimToken": claim_token}, headers=bearer(token))
        return answer.status_code, answer.json() if answer.status_code != 401 else {}


def register(web: Web, agent_id: str = "agent-1") -> str:
    with web.app.app_context():
        token: str = web.configure_auth.register_agent(agent_id).reveal()
        return token


def owner(web: Web, agent_id: str = "agent-1") -> str:
    with web.app.app_context():
        found: str = web.configure_auth.agent_owner(agent_id)
        return found


def test_a_claim_sets_the_owner(api: Web, issuer: Issuer) -> None:
    """The interface: "Server-core needs exactly one thing from your user system: the ability to set ownerUserId on
    agents.", and "Set it when a user claims an agent".
    """
    status, body = claim(api, issuer.rsa.token(sub="ada"), register(api))
    assert (status, body["ok"]) == (200, True)
    assert owner(api) == "ada"


@pytest.mark.parametrize(
    "user_id", ["00000000-0000-0000-0000-000000000000", "auth0|5f7c8ec7c33c6c004bbafe82", "x7Kq2mFirebaseUid", "42"]
)
def test_the_owner_is_an_opaque_string(api: Web, issuer: Issuer, user_id: str) -> None:
    """Key concepts: "ownerUserId is an opaque string. It could be a Supabase user ID, a Firebase UID, an Auth0 sub, or
    any unique identifier. Server-core doesn't care."
    """
    claim(api, issuer.rsa.token(sub=user_id), register(api))
    assert owner(api) == user_id


@pytest.mark.parametrize("token", [None, "not-a-jwt", "expired", "forged"])
def test_a_claim_without_a_user_is_unauthorized(api: Web, issuer: Issuer, token: str | None) -> None:
    """1. Validate JWTs and 2. Add a claim endpoint: "if (!userId) return c.json({ error: "Unauthorized" }, 401)"."""
    if token == "expired":
        token = issuer.rsa.token(sub="ada", exp=1)
    elif token == "forged":
        token = issuer.rsa.token(sub="ada")[:-8] + "AAAAAAAA"
    status, _body = claim(api, token, register(api))
    assert status == 401
    with pytest.raises(AgentNoOwner):
        owner(api)


def test_the_validated_subject_becomes_the_owner(api: Web, issuer: Issuer) -> None:
    """1. Validate JWTs: "return data.user.id; // This becomes ownerUserId"."""
    claim(api, issuer.ec.token(sub="ada"), register(api))
    assert owner(api) == "ada"


def test_only_a_pending_agent_is_claimed(api: Web, issuer: Issuer) -> None:
    """2. Add a claim endpoint: ".where("claim_token", "=", claimToken).where("status", "=", "pending_claim")"."""
    token = register(api)
    assert claim(api, issuer.rsa.token(sub="ada"), "a-token-of-nobody".ljust(43, "-"))[0] == 404
    assert claim(api, issuer.rsa.token(sub="ada"), token)[0] == 200
    assert claim(api, issuer.rsa.token(sub="bob"), token)[0] == 409
    assert owner(api) == "ada"


def test_the_app_serves_user_profiles(api: Web, issuer: Issuer) -> None:
    """3. Resolve user profiles: "Your app serves user profiles. Server-core doesn't need them", with display_name,
    avatar_url and email.
    """
    with api.browser() as browser:
        answer = browser.http.get("/api/v1/users/ada", headers=bearer(issuer.rsa.token(sub="bob")))
        assert (answer.status_code, answer.json()) == (200, PROFILES["ada"])
        assert browser.http.get("/api/v1/users/ada").status_code == 401


def test_users_are_not_looked_up(api: Web, issuer: Issuer) -> None:
    """Key concepts: "Server-core trusts the external auth provider. It never validates JWTs or checks user existence.
    Your app does that."
    """
    claim(api, issuer.rsa.token(sub="somebody-without-a-profile"), register(api))
    assert owner(api) == "somebody-without-a-profile"
    assert api.sandbox.calls == []


def test_an_unclaimed_agent_has_no_owner(api: Web, issuer: Issuer) -> None:
    """Troubleshooting: ""AgentNoOwner" error when creating app sessions: The agent's ownerUserId is null. The user
    needs to claim the agent first", and "Agents register with ownerUserId: null."
    """
    token = register(api)
    with pytest.raises(AgentNoOwner):
        owner(api)
    claim(api, issuer.rsa.token(sub="ada"), token)
    assert owner(api) == "ada"


def test_only_agents_and_their_owners_are_stored(api: Web, issuer: Issuer) -> None:
    """Key concepts: "Server-core only stores the agent-to-owner mapping." What is stored of a user is what is exported,
    and the claim brought a name and an email along.
    """
    claim(api, issuer.rsa.token(sub="ada", name="Ada", email="ada@example.org"), register(api))
    with api.app.app_context():
        export = api.configure_auth.export_user("ada")
    assert export == UserExport(accounts=(), agents=("agent-1",), sign_ins=())
