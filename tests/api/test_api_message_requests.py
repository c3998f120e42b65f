"""What a message agent sends to Configure, and what is refused before it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configure_auth.client.call import HttpCall
from configure_auth.client.message_identity import SenderCalls
from configure_auth.client.message_lines import MessageLineCalls
from configure_auth.client.message_sign_in import MessageSignInCalls
from configure_auth.errors import ApiCode, ConfigureError, SettingsError
from configure_auth.settings import Settings
from configure_auth.values import Secret

from .conftest import http
from .message_answers import (
    GOOD,
    LINE_PHONE,
    LINES,
    MESSAGE_URL,
    PHONE,
    RECOGNIZE,
    SENDER,
    SETTINGS,
    refused,
)

if TYPE_CHECKING:
    from .conftest import Send, Server


class TestRequests:
    @pytest.mark.parametrize(
        ("build", "method", "path", "body"),
        [
            (
                lambda s: SenderCalls(s).recognize_phone(
                    [" +1 (555) 010-0001\n", "", "+1 (555) 010-0001", "\ufeff", "ada@b.example"]
                ),
                "POST",
                RECOGNIZE,
                {"candidates": ["+1 (555) 010-0001", "ada@b.example"]},
            ),
            (
                lambda s: MessageSignInCalls(s).create_message_sign_in_url(**SENDER),
                "POST",
                MESSAGE_URL,
                {
                    "reason": "signin",
                    "channel": "imessage",
                    "subject": {"key": "s1", "externalId": "spectrum:s1"},
                    "returnMode": "message",
                },
            ),
            (
                lambda s: MessageSignInCalls(s).create_message_sign_in_url(
                    reason="reconnect",
                    **SENDER,
                    sender_id="sender",
                    thread_key="imessage:1",
                    space_id="space",
                    message_id="message",
                    message_sender_proof=Secret("proof"),
                    connectors=" gmail ,, notion",
                    display_name="Acmé",
                    agent_logo="https://l.example/x.png",
                    theme="dark",
                    message_line_phone="+1 (555) 010.9999",
                    message_body="done\n\U0001f600",
                    message_complete_url="https://a.example/done",
                    journey_id="j1",
                    idempotency_key="i1",
                ),
                "POST",
                MESSAGE_URL,
                {
                    "reason": "reconnect",
                    "channel": "imessage",
                    "subject": {"key": "s1", "externalId": "spectrum:s1", "senderId": "sender"},
                    "thread": {"key": "imessage:1", "spaceId": "space", "messageId": "message"},
                    "messageSenderProof": "proof",
                    "connectors": ["gmail", "notion"],
                    "displayName": "Acmé",
                    "agentLogo": "https://l.example/x.png",
                    "theme": "dark",
                    "messageLinePhone": LINE_PHONE,
                    "messageBody": "done\n\U0001f600",
                    "messageCompleteUrl": "https://a.example/done",
                    "journeyId": "j1",
                    "returnMode": "message",
                    "idempotencyKey": "i1",
                },
            ),
            (
                lambda s: MessageSignInCalls(s).create_message_sign_in_url(
                    **SENDER, space_id="space", connectors=[" "], display_name=""
                ),
                "POST",
                MESSAGE_URL,
                {
                    "reason": "signin",
                    "channel": "imessage",
                    "subject": {"key": "s1", "externalId": "spectrum:s1"},
                    "thread": {"spaceId": "space"},
                    "returnMode": "message",
                },
            ),
            (
                lambda s: MessageLineCalls(s).register_message_line(
                    "+1 555\u00a0010-9999", channel="SMS", label="main", metadata={"tier": [1, {"a": None}]}
                ),
                "POST",
                LINES,
                {"channel": "SMS", "phone": LINE_PHONE, "label": "main", "metadata": {"tier": [1, {"a": None}]}},
            ),
            (lambda s: MessageLineCalls(s).register_message_line(LINE_PHONE), "POST", LINES, {"phone": LINE_PHONE}),
            (lambda s: MessageLineCalls(s).list_message_lines(), "GET", LINES, None),
            (
                lambda s: MessageLineCalls(s).revoke_message_line(LINE_PHONE, channel="sms"),
                "DELETE",
                LINES,
                {"channel": "sms", "phone": LINE_PHONE},
            ),
        ],
    )
    def test_bytes(
        self,
        server: Server,
        send: Send,
        build: Callable[[Settings], HttpCall[Any]],
        method: str,
        path: str,
        body: dict[str, Any] | None,
    ) -> None:
        server.answers(http(GOOD[path]))
        send(build(server.settings))
        (received,) = server.received
        content = b"" if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        assert (received.method, received.target, received.body) == (method, path, content)
        expected = {"x-api-key": "sk_key", "x-agent": "acme"}
        if body is not None:
            expected["content-type"] = "application/json"
        always = {"host", "accept", "accept-encoding", "user-agent", "content-length"}
        assert {name: value for name, value in received.headers.items() if name not in always} == expected

    @pytest.mark.parametrize(
        "candidates",
        [
            [],
            "",
            ["", " \t\ufeff"],
            {PHONE: True},
            PHONE,
            PHONE.encode(),
            None,
            [None],
            [7],
            ["x" * 257],
            ["a\0b"],
            ["\ud800"],
            [f"+1555010{n:04}" for n in range(21)],
        ],
    )
    def test_candidates_that_cannot_be_sent(self, candidates: Any) -> None:
        assert refused(lambda: SenderCalls(SETTINGS).recognize_phone(candidates)).code is ApiCode.INVALID_INPUT

    def test_candidates_at_their_limits(self) -> None:
        twenty = [f"+1555010{n:04}" for n in range(19)] + ["x" * 256]
        call = SenderCalls(SETTINGS).recognize_phone(iter([*twenty, *twenty, " "]))
        assert json.loads(call.content or b"") == {"candidates": twenty}

    @pytest.mark.parametrize(
        "options",
        [
            {"reason": "fun"},
            {"reason": None},
            {"channel": ""},
            {"channel": "x" * 65},
            {"subject_key": " "},
            {"subject_key": None},
            {"external_id": ""},
            {"external_id": "Łódź"},
            {"external_id": "a\n"},
            {"external_id": "x" * 256},
            {"sender_id": "a\0b"},
            {"thread_key": 7},
            {"message_sender_proof": "x" * 8193},
            {"message_sender_proof": 7},
            {"connectors": [7]},
            {"connectors": ["a\nb"]},
            {"display_name": "a\nb"},
            {"theme": "blue"},
            {"message_line_phone": "555 010 9999"},
            {"message_line_phone": "+1555010999\n9"},
            {"message_body": "x" * 4097},
            {"message_body": 7},
            {"message_body": "\ud800"},
            {"message_complete_url": "http://a.example/done"},
            {"message_complete_url": "javascript:alert(1)"},
            {"journey_id": " "},
            {"idempotency_key": "x" * 256},
        ],
    )
    def test_a_link_that_cannot_be_asked_for(self, options: dict[str, Any]) -> None:
        error = refused(lambda: MessageSignInCalls(SETTINGS).create_message_sign_in_url(**SENDER | options))
        assert error.code is ApiCode.INVALID_INPUT

    @pytest.mark.parametrize(
        "options",
        [
            {"channel": " "},
            {"label": "a\nb"},
            {"label": "x" * 201},
            {"metadata": []},
            {"metadata": "x"},
            {"metadata": {"at": object()}},
            {"metadata": {"at": float("nan")}},
            {"metadata": {"at": b"x"}},
            {"metadata": {("a",): 1}},
            {"metadata": {"at": "\ud800"}},
        ],
    )
    def test_a_line_that_cannot_be_registered(self, options: dict[str, Any]) -> None:
        error = refused(lambda: MessageLineCalls(SETTINGS).register_message_line(LINE_PHONE, **options))
        assert error.code is ApiCode.INVALID_INPUT
        assert error.__context__ is None

    def test_metadata_that_holds_itself_is_refused(self) -> None:
        metadata: dict[str, Any] = {}
        metadata["self"] = metadata
        error = refused(lambda: MessageLineCalls(SETTINGS).register_message_line(LINE_PHONE, metadata=metadata))
        assert error.code is ApiCode.INVALID_INPUT

    def test_a_missing_setting_is_named(self) -> None:
        with pytest.raises(SettingsError, match="CONFIGURE_API_KEY"):
            _ = SenderCalls(Settings(agent="acme")).recognize_phone([PHONE])
        with pytest.raises(SettingsError, match="CONFIGURE_AGENT"):
            _ = MessageLineCalls(Settings(api_key=Secret("sk_key"))).list_message_lines()


class TestPhones:
    @pytest.mark.parametrize(
        "phone", ["+15550109999", "+1 (555) 010-9999", "+1.555.010.9999", "+1\u00a0555\u00a00109999"]
    )
    def test_separators_go(self, phone: str) -> None:
        for call in (
            MessageLineCalls(SETTINGS).register_message_line(phone),
            MessageLineCalls(SETTINGS).revoke_message_line(phone),
        ):
            assert json.loads(call.content or b"") == {"phone": LINE_PHONE}

    @pytest.mark.parametrize("phone", ["+1234567", "+123456789012345"])
    def test_the_shortest_and_the_longest(self, phone: str) -> None:
        assert json.loads(MessageLineCalls(SETTINGS).register_message_line(phone).content or b"") == {"phone": phone}

    @pytest.mark.parametrize(
        "phone",
        [
            "5550109999",
            "(555) 010-9999",
            "15550109999",
            "0015550109999",
            "+0555010999",
            "+123456",
            "+1234567890123456",
            "+15550109999\n",
            "+1555\t0109999",
            "++15550109999",
            "1+5550109999",
            "+1555010999\u0669",
            "\uff0b15550109999",
            "+1555o109999",
            "+",
            "",
            None,
            15550109999,
        ],
    )
    def test_what_is_no_whole_number_is_refused(self, phone: Any) -> None:
        """Configure's own client makes "+5550109999" of the first, which is a number in Brazil."""
        lines = MessageLineCalls(SETTINGS)
        for verb in (lines.register_message_line, lines.revoke_message_line):
            error = refused(lambda verb=verb: verb(phone))  # type: ignore[misc]
            assert error.code is ApiCode.INVALID_INPUT
            assert "give it as +<country code>" in str(error)
            assert len(str(phone)) < 2 or str(phone) not in str(error)

    @given(st.text(alphabet="+0159 -.()\u00a0\n\u0661\u0967x", max_size=20))
    def test_nothing_is_sent_but_a_plus_and_digits_that_were_given(self, phone: str) -> None:
        try:
            call = MessageLineCalls(SETTINGS).register_message_line(phone)
        except ConfigureError:
            return
        sent = json.loads(call.content or b"")["phone"]
        assert sent[0] == "+"
        assert sent[1:].isascii()
        assert sent[1:].isdecimal()
        assert 7 <= len(sent) - 1 <= 15
        assert sent[1] != "0"
        assert "".join(letter for letter in phone if letter in "+0159") == sent
