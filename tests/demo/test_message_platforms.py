"""The message agent behind Twilio's and Slack's webhooks, by recorded requests, and a turn of a language model."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from slack_sdk.signature import SignatureVerifier
from starlette.testclient import TestClient
from twilio.request_validator import RequestValidator

from configure_auth import AsyncConfigure, MessageIdentity, Settings
from configure_auth.sandbox import Sandbox
from example_apps.message_agent import llm, slack, sms
from example_apps.message_agent.agent import CONNECTED

from ..api.conftest import Server, http
from ..support.web import query_of

APP_URL = "http://localhost:3000"
PHONE = "+15550100001"
TWILIO_TOKEN, SLACK_SECRET = "twilio's auth token", "slack's signing secret"

TWILIO = {
    "ToCountry": "US",
    "SmsMessageSid": "SM00000000000000000000000000000001",
    "NumMedia": "0",
    "FromCity": "",
    "Body": "hello",
    "FromCountry": "US",
    "To": "+14155550199",
    "MessageSid": "SM00000000000000000000000000000001",
    "AccountSid": "AC00000000000000000000000000000000",
    "From": PHONE,
    "ApiVersion": "2010-04-01",
}
SLACK = {
    "token": "verification-token",
    "team_id": "T0123ABCD",
    "api_app_id": "A0123ABCD",
    "event": {
        "client_msg_id": "11111111-2222-3333-4444-555555555555",
        "type": "message",
        "text": "hello",
        "user": "U0123ABCD",
        "ts": "1700000000.000100",
        "team": "T0123ABCD",
        "channel": "D0123ABCD",
        "event_ts": "1700000000.000100",
        "channel_type": "im",
    },
    "type": "event_callback",
    "event_id": "Ev0123ABCD",
    "event_time": 1700000000,
}


def settings_of(sandbox: Sandbox) -> dict[str, str]:
    secrets = {"TWILIO_AUTH_TOKEN": TWILIO_TOKEN, "SLACK_SIGNING_SECRET": SLACK_SECRET, "SLACK_BOT_TOKEN": "xoxb-1"}
    return {**sandbox.environment(app_url=APP_URL), **secrets}


def follow(client: TestClient, sandbox: Sandbox, text: str, phone: str) -> str:
    """Sign in behind the link in a message; the link."""
    found = re.search(r"http://127\.0\.0\.1:[^\s<]+", text.replace("&amp;", "&"))
    assert found, text
    person = sandbox.add_person(phone, name="Ada")
    body = {"journeyId": query_of(found[0])["journey"], "token": sandbox.issue_agent_token(person)}
    assert client.post("/configure/messages/complete", json=body).status_code == 200
    return found[0]


class TestTwilio:
    @pytest.fixture
    def sent(self) -> list[tuple[str, str]]:
        return []

    @pytest.fixture
    def client(self, configure_sandbox: Sandbox, tmp_path: Path, sent: list[Any]) -> Iterator[TestClient]:
        app = sms.create_app(
            settings_of(configure_sandbox), instance_path=tmp_path, send=lambda *message: sent.append(message)
        )
        with TestClient(app, APP_URL) as client:
            yield client

    def post(self, client: TestClient, *, token: str = TWILIO_TOKEN, **change: str) -> Any:
        fields = {**TWILIO, **change}
        signature = RequestValidator(token).compute_signature(f"{APP_URL}/twilio", fields)
        headers = {"x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded"}
        return client.post("/twilio", content=urlencode(fields), headers=headers)

    def test_a_sender_connects_and_is_known_by_phone(
        self, client: TestClient, configure_sandbox: Sandbox, sent: list[Any]
    ) -> None:
        assert "<Message>I hear you: hello" in self.post(client).text
        link = self.post(client, MessageSid="SM2", Body="connect").text
        follow(client, configure_sandbox, link, PHONE)

        assert sent == [(PHONE, CONNECTED)]
        assert "Ada, I hear you: hello" in self.post(client, MessageSid="SM3").text

    def test_a_passed_on_link_gives_the_sender_nothing(self, client: TestClient, configure_sandbox: Sandbox) -> None:
        link = self.post(client, Body="connect").text
        follow(client, configure_sandbox, link, "+15550100002")

        assert "Ada" not in self.post(client, MessageSid="SM3").text

    def test_a_request_that_twilio_did_not_sign_is_refused(self, client: TestClient) -> None:
        assert self.post(client, token="another").status_code == 403
        assert client.post("/twilio", content=urlencode(TWILIO)).status_code == 403

    def test_a_message_that_is_delivered_again_is_answered_once(self, client: TestClient) -> None:
        assert [self.post(client).status_code for _ in range(3)] == [200, 204, 204]


class TestSlack:
    @pytest.fixture
    def api(self) -> Iterator[Server]:
        server = Server()
        server.answers(http({"ok": True, "ts": "1"}))
        yield server
        server.close()

    @pytest.fixture
    def client(self, configure_sandbox: Sandbox, tmp_path: Path, api: Server) -> Iterator[TestClient]:
        app = slack.create_app(settings_of(configure_sandbox), instance_path=tmp_path, api=f"{api.url}/api/")
        with TestClient(app, APP_URL) as client:
            yield client

    def post(self, client: TestClient, body: dict[str, Any], *, secret: str = SLACK_SECRET, at: float = 0) -> Any:
        timestamp, content = str(int(time.time() + at)), json.dumps(body)
        signature = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=content)
        assert signature
        headers = {"x-slack-signature": signature, "x-slack-request-timestamp": timestamp}
        return client.post("/slack", content=content, headers={**headers, "content-type": "application/json"})

    def say(self, client: TestClient, api: Server, text: str, number: int) -> str:
        """What the agent posts to a message."""
        event = {**SLACK["event"], "text": text}  # type: ignore[dict-item]
        assert self.post(client, {**SLACK, "event": event, "event_id": f"Ev{number}"}).status_code == 200
        return posted(api)[-1]

    def test_a_sender_connects_by_a_link_that_says_for_whom_it_is(
        self, client: TestClient, configure_sandbox: Sandbox, api: Server
    ) -> None:
        assert "I hear you: hello" in self.say(client, api, "hello", 1)
        link = follow(client, configure_sandbox, self.say(client, api, "connect", 2), PHONE)

        assert query_of(link)["agent_name"] == "Echo for U0123ABCD in Slack"
        assert CONNECTED in posted(api)[-1]
        assert "Ada, I hear you: hello" in self.say(client, api, "hello", 3)
        assert "I no longer know who you are" in self.say(client, api, "disconnect", 4)

    def test_requests_that_are_none_of_the_agents_are_left(self, client: TestClient, api: Server) -> None:
        channel = {**SLACK["event"], "channel_type": "channel"}  # type: ignore[dict-item]
        own = {**SLACK["event"], "bot_id": "B1"}  # type: ignore[dict-item]
        for event in (channel, own):
            assert self.post(client, {**SLACK, "event": event}).status_code == 200
        challenge = self.post(client, {"type": "url_verification", "challenge": "c"})
        assert (challenge.status_code, challenge.text) == (200, "c")
        for options in ({"secret": "another"}, {"at": -301}):
            assert self.post(client, SLACK, **options).status_code == 403
        assert api.received == []

    def test_an_event_that_is_delivered_again_is_answered_once(self, client: TestClient, api: Server) -> None:
        assert [self.post(client, SLACK).status_code for _ in range(3)] == [200, 200, 200]
        assert len(posted(api)) == 1


def posted(api: Server) -> list[str]:
    return [received.body.decode() for received in api.received]


class TestLanguageModel:
    def turn(self, sandbox: Sandbox, answer: Any) -> str:
        person = sandbox.add_person(PHONE, name="Ada")
        identity = MessageIdentity(external_id="e", token=_secret(sandbox.issue_agent_token(person)))

        async def main() -> str:
            async with AsyncConfigure(Settings.from_mapping(sandbox.environment())) as configure:
                return await llm.turn(configure, identity, "Which seat?", FunctionModel(answer))

        return asyncio.run(main())

    def test_tools_in_parallel_and_one_commit(self, configure_sandbox: Sandbox) -> None:
        prompts: list[str] = []

        def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            prompts.append(str(info.instructions))
            if len(messages) == 1:
                calls = [("search", {"query": "seat"}), ("search", {"query": "train"}), ("remember", {"fact": "A."})]
                return ModelResponse(parts=[ToolCallPart(name, given) for name, given in calls])
            return ModelResponse(parts=[TextPart("A window seat.")])

        assert self.turn(configure_sandbox, answer) == "A window seat."

        assert "name: Ada" in prompts[0]
        paths = [call.path.partition("?")[0] for call in configure_sandbox.calls]
        assert paths.count("/v1/profile/search") == 2
        assert paths.count("/v1/profile/remember") == 1
        assert configure_sandbox.commits_owed == 0
        told = [one["content"] for one in _commits(configure_sandbox)[0]["messages"]]
        assert (told[0], told[-1]) == ("Which seat?", "A window seat.")

    def test_a_model_that_fails_leaves_nothing_uncommitted(self, configure_sandbox: Sandbox) -> None:
        def fail(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            raise ConnectionError("the model is away")

        with pytest.raises(ConnectionError):
            self.turn(configure_sandbox, fail)

        assert configure_sandbox.commits_owed == 0
        assert "Which seat?" not in str(_commits(configure_sandbox))


def _commits(sandbox: Sandbox) -> list[Any]:
    return [call.json for call in sandbox.calls_to("POST", "/v1/profile/commit")]


def _secret(token: str) -> Any:
    from configure_auth import Secret

    return Secret(token)
