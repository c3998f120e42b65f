"""Configure's page "Server-Side Users (Advanced)"."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from flask import session

from configure_auth import Configure, ConfigureError, Settings
from configure_auth.client.connect import ConnectResponse
from configure_auth.sandbox import Sandbox

from ..support.web import MakeWeb

PHONE = "+15550100001"
ID = "your-internal-user-id"


def verify_phone(sandbox: Sandbox, external_id: str | None, phone: str = PHONE) -> str:
    """What <configure-auth> does in a page with this external-id; the agent token that it gives out."""
    page = {"x-api-key": sandbox.credentials.publishable_key, "x-agent": sandbox.agent}
    with httpx2.Client(base_url=sandbox.api_url, headers=page, trust_env=False) as http:
        assert http.post("/v1/auth/otp/start", json={"phone": phone}).status_code == 200
        proof = {"phone": phone, "code": "000000", "agent": sandbox.agent}
        proof |= {} if external_id is None else {"external_id": external_id}
        verified = http.post("/v1/auth/otp/verify", json=proof)
        assert verified.status_code == 200, verified.text
        bearer = {"authorization": f"Bearer {verified.json()['token']}"}
        approved = http.post("/v1/embed/approve", json={"agent": sandbox.agent}, headers=bearer)
        assert approved.status_code == 200, approved.text
        token: str = approved.json()["token"]
        return token


def texts(configure: Configure, **subject: Any) -> list[str]:
    profile = configure.profile(**subject)
    return [memory.text for memory in profile.search("*").results]


# Unfederated profiles


def test_other_developers_agents_cannot_see_the_profile(configure: Configure, configure_sandbox: Sandbox) -> None:
    """Unfederated profiles: "Their profiles are only visible to your agents — other developers' agents cannot access
    them".
    """
    configure_sandbox.add_agent("other-agent")
    configure.profile(external_id=ID).remember("Prefers dark mode")
    other = Configure(Settings.from_mapping(configure_sandbox.environment(agent="other-agent")))
    assert texts(configure, external_id=ID) == ["Prefers dark mode"]
    assert texts(other, external_id=ID) == []


def test_cross_agent_sharing_is_disabled(configure: Configure) -> None:
    """Unfederated profiles: "... and cross-agent profile sharing is disabled." """
    assert configure.profile(external_id=ID).read().portable is False


def test_verifying_the_phone_unlocks_federation(configure: Configure, configure_sandbox: Sandbox) -> None:
    """Unfederated profiles: "To unlock federation, have the user verify their phone via <configure-auth>." """
    assert configure.profile(token=verify_phone(configure_sandbox, ID)).read().portable is True


def test_configure_creates_the_link_that_verifies_the_phone(configure: Configure, configure_sandbox: Sandbox) -> None:
    """Unfederated profiles, without a page of the app's own: `connect` for a user who has no frontend."""
    made: ConnectResponse = configure.profile(external_id=ID).connect()
    assert made.connect_url is not None
    configure_sandbox.sign_in(made.connect_url, PHONE)
    assert configure.profile(external_id=ID).read().portable is True


# Pass your own user ID


def test_calls_are_scoped_to_the_apps_own_id(configure: Configure, configure_sandbox: Sandbox) -> None:
    """Pass your own user ID: "No token needed — all calls are scoped to this user", and the sample."""
    profile = configure.profile(external_id=ID)
    profile.read()
    profile.remember("Prefers dark mode")
    calls = configure_sandbox.calls
    assert [call.headers["x-user-id"] for call in calls] == [ID, ID]
    assert all("authorization" not in call.headers for call in calls)
    assert texts(configure, external_id="another-user") == []


def test_a_profile_is_created_on_first_contact(configure: Configure) -> None:
    """Pass your own user ID: "Configure auto-creates a profile on first contact, scoped to your developer account." """
    profile = configure.profile(external_id="never-seen-before").read()
    assert (profile.identity.name, profile.portable) == (None, False)


@pytest.mark.parametrize("user_id", ["ada@example.com", "42", "00000000-0000-0000-0000-000000000000", "discord:ada#1"])
def test_the_id_can_be_any_stable_string(configure: Configure, user_id: str) -> None:
    """Pass your own user ID: "The userId can be any stable string — an email, database ID, or UUID from your
    system."
    """
    configure.profile(external_id=user_id).remember("Prefers dark mode")
    assert texts(configure, external_id=user_id) == ["Prefers dark mode"]


# Limitations


@pytest.mark.parametrize("federated", [True, False])
def test_profile_reads_and_writes(configure: Configure, configure_sandbox: Sandbox, federated: bool) -> None:
    """Limitations: "Profile reads/writes" and "Memory extraction": yes for both kinds of users."""
    subject: dict[str, Any] = {"token": verify_phone(configure_sandbox, None)} if federated else {"external_id": ID}
    with configure.profile(**subject) as profile:
        profile.read()
        profile.remember("Prefers dark mode")
        profile.note(messages=[{"role": "user", "content": "I like tea"}], memories=["Likes tea"])
    assert sorted(texts(configure, **subject)) == ["Likes tea", "Prefers dark mode"]
    assert configure_sandbox.commits_owed == (1 if federated else 0)  # of the search


def test_a_refusal_for_want_of_a_linked_person_says_so(configure: Configure, configure_sandbox: Sandbox) -> None:
    """Limitations: "Connected tools (Gmail, Calendar, etc.)": "No — requires user OAuth consent"."""
    refusal = {"error": {"type": "tool_error", "code": "tool_not_connected", "message": "m"}}
    configure_sandbox.fault("/v1/profile/search", status=400, body=refusal)
    with pytest.raises(ConfigureError, match="this profile isn't linked to a person"):
        configure.profile(external_id=ID).search("mail")


# Upgrading to federated


def test_the_element_has_the_same_identifier(make_web: MakeWeb) -> None:
    """Upgrading to federated: "... add <configure-auth> with the external-id attribute set to the same user identifier
    you passed to ConfigureClient".
    """
    web = make_web()
    with web.app.test_request_context():
        session["user_id"] = "u1"
        markup = str(web.configure_auth.element())
        external_id = web.configure_auth.external_id_for("u1")
    assert "<configure-auth" in markup
    assert f'external-id="{external_id}"' in markup
    assert f'api-key="{web.sandbox.credentials.publishable_key}"' in markup


def test_all_memories_transfer(configure: Configure, configure_sandbox: Sandbox) -> None:
    """Upgrading to federated: "When the user completes phone verification, Configure automatically merges their
    unfederated profile into their new federated identity", "All memories, preferences, and context transfer".
    """
    configure.profile(external_id=ID).remember("Prefers dark mode")
    token = verify_phone(configure_sandbox, ID)
    assert texts(configure, token=token) == ["Prefers dark mode"]


def test_the_merge_is_one_way_and_once(configure: Configure, configure_sandbox: Sandbox) -> None:
    """Upgrading to federated: "The old unfederated profile is consumed — this is a one-way, one-time merge"."""
    configure.profile(external_id=ID).remember("Prefers dark mode")
    first = verify_phone(configure_sandbox, ID)
    second = verify_phone(configure_sandbox, ID, "+15550100002")
    assert texts(configure, token=first) == ["Prefers dark mode"]
    assert texts(configure, token=second) == []


def test_without_external_id_nothing_is_merged(configure: Configure, configure_sandbox: Sandbox) -> None:
    """external-id is optional: "If you omit the external-id attribute, phone verification works normally but creates a
    fresh federated profile with no merge."
    """
    configure.profile(external_id=ID).remember("Prefers dark mode")
    token = verify_phone(configure_sandbox, None)
    assert texts(configure, token=token) == []
    assert texts(configure, external_id=ID) == ["Prefers dark mode"]


def test_after_federation_every_approved_agent_sees_the_profile(
    configure: Configure, configure_sandbox: Sandbox
) -> None:
    """Upgrading to federated: "After federation, the user has a single profile visible to any agent they authorize."
    Limitations: "Visible to other developers' agents".
    """
    configure_sandbox.add_agent("other-agent")
    configure.profile(external_id=ID).remember("Prefers dark mode")
    verify_phone(configure_sandbox, ID)

    other = Configure(Settings.from_mapping(configure_sandbox.environment(agent="other-agent")))
    theirs = configure_sandbox.issue_agent_token(configure_sandbox.people[0], agent="other-agent")

    assert texts(other, token=theirs) == ["Prefers dark mode"]
