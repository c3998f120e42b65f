"""Message agents without a completion: plain links, links that Configure creates, and blank evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from configure_auth import AsyncMessageAgent, MessageAgent, Settings
from configure_auth.errors import SettingsError
from configure_auth.sandbox import Sandbox

from ..support.web import query_of
from .conftest import ADA, BOB

KEYS = {"CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with"}


def settings(sandbox: Sandbox, **changes: str | None) -> Settings:
    return Settings.from_mapping({**sandbox.environment(), **KEYS, "CONFIGURE_APP_URL": None, **changes})


@pytest.fixture
def agent(configure_sandbox: Sandbox) -> Iterator[MessageAgent]:
    with MessageAgent(settings(configure_sandbox), store="memory://", message_body="done") as agent:
        yield agent


def test_without_app_url_a_sender_is_recognized_by_the_next_message(
    agent: MessageAgent, configure_sandbox: Sandbox
) -> None:
    before = agent.message_identity("chat:ada", phone_candidates=[ADA])
    assert not before.linked

    configure_sandbox.sign_in(agent.message_sign_in_url(), ADA)

    after = agent.message_identity("chat:ada", phone_candidates=[ADA])
    assert (after.linked, after.source, after.external_id) == (True, "phone_recognition", before.external_id)
    assert agent.message_identity("chat:ada").source == "token"
    other = agent.message_identity("chat:bob", phone_candidates=[BOB])
    assert (other.linked, other.source) == (False, "external_id")


def test_without_app_url_a_journey_is_refused(agent: MessageAgent) -> None:
    with pytest.raises(SettingsError, match=r"start_journey needs CONFIGURE_APP_URL.*message_sign_in_url"):
        agent.start_journey("chat:ada")


def test_the_plain_link(configure_sandbox: Sandbox) -> None:
    bare = settings(configure_sandbox, CONFIGURE_PUBLISHABLE_KEY=None)
    with MessageAgent(bare, store="memory://") as agent:
        assert agent.message_sign_in_url() == f"{bare.sign_in_url}/{bare.agent}"
    with MessageAgent(bare, store="memory://", display_name="The agent", connectors=("gmail", "calendar")) as agent:
        assert query_of(agent.message_sign_in_url()) == {
            "agent_name": "The agent",
            "delivery": "message",
            "connectors": "gmail,calendar",
        }
    keyed = settings(configure_sandbox)
    with MessageAgent(keyed, store="memory://") as agent:
        assert query_of(agent.message_sign_in_url()) == {"pk": keyed.publishable_key, "delivery": "message"}


def test_configure_creates_the_link_of_one_sender(agent: MessageAgent, configure_sandbox: Sandbox) -> None:
    identity = agent.message_identity("chat:ada")
    agent.client.profile(identity).remember("Prefers tea")

    made = agent.connect("chat:ada")

    assert made.status == "authorization_required"
    assert made.connect_url is not None
    assert "chat:ada" not in made.connect_url
    configure_sandbox.sign_in(made.connect_url, ADA, name="Ada")
    assert agent.client.profile(agent.message_identity("chat:ada")).read().identity.name == "Ada"
    assert agent.client.profile(agent.message_identity("chat:bob")).read().identity.name is None


def test_links_awaited(configure_sandbox: Sandbox) -> None:
    async def links() -> tuple[str, str | None]:
        async with AsyncMessageAgent(settings(configure_sandbox), store="memory://") as agent:
            return await agent.message_sign_in_url(), (await agent.connect("chat:ada")).connect_url

    plain, created = anyio.run(links)
    assert plain.startswith(configure_sandbox.sign_in_url)
    assert created is not None
    assert created.startswith(configure_sandbox.sign_in_url)


@pytest.mark.parametrize("candidates", [None, "", [], [None], ["", None, "  "]])
def test_blank_evidence_counts_as_not_given(agent: MessageAgent, configure_sandbox: Sandbox, candidates: Any) -> None:
    assert agent.message_identity("chat:ada", phone_candidates=candidates).source == "external_id"
    assert configure_sandbox.calls == []
