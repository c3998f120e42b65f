"""What a message agent asks Configure: who a phone belongs to, for a link to send, and for the lines it writes from."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import logging
import pydoc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, assert_type

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from configure_auth import MessageIdentity
from configure_auth.api.call import Call, Reply
from configure_auth.api.client import AsyncConfigure, Configure
from configure_auth.api.messages import (
    MessageLine,
    MessageSignInUrl,
    RevokedLine,
    create_message_sign_in_url,
    list_message_lines,
    recognize_phone,
    register_message_line,
    revoke_message_line,
)
from configure_auth.errors import ApiCode, ConfigureError, SettingsError
from configure_auth.sandbox import Sandbox
from configure_auth.settings import Settings
from configure_auth.values import PhoneRecognition, Secret

from .conftest import http
from .test_api_secrets import told_of

if TYPE_CHECKING:
    from .conftest import Ask, Line, Received, Send, Server

SETTINGS = Settings(api_key=Secret("sk_key"), agent="acme")
PHONE = "+15550100001"
LINE_PHONE = "+15550109999"
VALIDATE = "/v1/auth/sign-in/validate"
RECOGNIZE = "/v1/auth/sign-in/recognize-phone"
MESSAGE_URL = "/v1/auth/sign-in/message-url"
LINES = "/v1/auth/sign-in/message-lines"
SENDER: dict[str, Any] = {"channel": "imessage", "subject_key": "s1", "external_id": "spectrum:s1"}

RECOGNITION = recognize_phone(SETTINGS, [PHONE])
URL = create_message_sign_in_url(SETTINGS, **SENDER)
REGISTRATION = register_message_line(SETTINGS, LINE_PHONE)
LISTING = list_message_lines(SETTINGS)
REVOCATION = revoke_message_line(SETTINGS, LINE_PHONE)

GOOD_LINE: dict[str, Any] = {"id": "l1", "channel": "imessage", "phoneLast4": "9999", "status": "active"}
GOOD: dict[str, dict[str, Any]] = {
    VALIDATE: {"valid": True, "userId": "u1", "tokenUse": "agent", "approved": True, "agent": "acme"},
    RECOGNIZE: {"matched": True, "recognized": True, "approved": True, "token": "found", "userId": "u2"},
    MESSAGE_URL: {"mode": "plain", "url": "https://sign-in.me/acme", "reason": "signin"},
    LINES: {"line": GOOD_LINE, "lines": [GOOD_LINE], "deleted": True},
}


def reply(body: object, *, status: int = 200) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, headers={"content-type": "application/json"}, content=content)


def refused(act: Callable[[], object]) -> ConfigureError:
    with pytest.raises(ConfigureError) as caught:
        act()
    return caught.value


def by_path(answers: dict[str, Any]) -> Callable[[Line, Received], None]:
    """Answers with what is for a path: a body, or bytes as they are."""

    def answer(line: Line, received: Received) -> None:
        body = answers[received.target]
        line.write(body if isinstance(body, bytes) else http(body))

    return answer


class TestRequests:
    @pytest.mark.parametrize(
        ("build", "method", "path", "body"),
        [
            (
                lambda s: recognize_phone(
                    s, [" +1 (555) 010-0001\n", "", "+1 (555) 010-0001", "\ufeff", "ada@b.example"]
                ),
                "POST",
                RECOGNIZE,
                {"candidates": ["+1 (555) 010-0001", "ada@b.example"]},
            ),
            (
                lambda s: create_message_sign_in_url(s, **SENDER),
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
                lambda s: create_message_sign_in_url(
                    s,
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
                lambda s: create_message_sign_in_url(s, **SENDER, space_id="space", connectors=[" "], display_name=""),
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
                lambda s: register_message_line(
                    s, "+1 555\u00a0010-9999", channel="SMS", label="main", metadata={"tier": [1, {"a": None}]}
                ),
                "POST",
                LINES,
                {"channel": "SMS", "phone": LINE_PHONE, "label": "main", "metadata": {"tier": [1, {"a": None}]}},
            ),
            (lambda s: register_message_line(s, LINE_PHONE), "POST", LINES, {"phone": LINE_PHONE}),
            (list_message_lines, "GET", LINES, None),
            (
                lambda s: revoke_message_line(s, LINE_PHONE, channel="sms"),
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
        build: Callable[[Settings], Call[Any]],
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
            ["", " \t\ufeff"],
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
        assert refused(lambda: recognize_phone(SETTINGS, candidates)).code is ApiCode.INVALID_INPUT

    def test_candidates_at_their_limits(self) -> None:
        twenty = [f"+1555010{n:04}" for n in range(19)] + ["x" * 256]
        call = recognize_phone(SETTINGS, iter([*twenty, *twenty, " "]))
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
        error = refused(lambda: create_message_sign_in_url(SETTINGS, **SENDER | options))
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
        error = refused(lambda: register_message_line(SETTINGS, LINE_PHONE, **options))
        assert error.code is ApiCode.INVALID_INPUT
        assert error.__context__ is None

    def test_metadata_that_holds_itself_is_refused(self) -> None:
        metadata: dict[str, Any] = {}
        metadata["self"] = metadata
        error = refused(lambda: register_message_line(SETTINGS, LINE_PHONE, metadata=metadata))
        assert error.code is ApiCode.INVALID_INPUT

    def test_a_missing_setting_is_named(self) -> None:
        with pytest.raises(SettingsError, match="CONFIGURE_API_KEY"):
            recognize_phone(Settings(agent="acme"), [PHONE])
        with pytest.raises(SettingsError, match="CONFIGURE_AGENT"):
            list_message_lines(Settings(api_key=Secret("sk_key")))


class TestPhones:
    @pytest.mark.parametrize(
        "phone", ["+15550109999", "+1 (555) 010-9999", "+1.555.010.9999", "+1\u00a0555\u00a00109999"]
    )
    def test_separators_go(self, phone: str) -> None:
        for call in (register_message_line(SETTINGS, phone), revoke_message_line(SETTINGS, phone)):
            assert json.loads(call.content or b"") == {"phone": LINE_PHONE}

    @pytest.mark.parametrize("phone", ["+1234567", "+123456789012345"])
    def test_the_shortest_and_the_longest(self, phone: str) -> None:
        assert json.loads(register_message_line(SETTINGS, phone).content or b"") == {"phone": phone}

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
        for verb in (register_message_line, revoke_message_line):
            error = refused(lambda verb=verb: verb(SETTINGS, phone))  # type: ignore[misc]
            assert error.code is ApiCode.INVALID_INPUT
            assert "give it as +<country code>" in str(error)
            assert len(str(phone)) < 2 or str(phone) not in str(error)

    @given(st.text(alphabet="+0159 -.()\u00a0\n\u0661\u0967x", max_size=20))
    def test_nothing_is_sent_but_a_plus_and_digits_that_were_given(self, phone: str) -> None:
        try:
            call = register_message_line(SETTINGS, phone)
        except ConfigureError:
            return
        sent = json.loads(call.content or b"")["phone"]
        assert sent[0] == "+"
        assert sent[1:].isascii()
        assert sent[1:].isdecimal()
        assert 7 <= len(sent) - 1 <= 15
        assert sent[1] != "0"
        assert "".join(letter for letter in phone if letter in "+0159") == sent


class TestRecognition:
    def test_every_spelling(self) -> None:
        expected = PhoneRecognition(
            recognized=True,
            approved=True,
            token=Secret("tok"),
            user_id="u1",
            agent="acme",
            display_name="Ada",
            candidates=2,
        )
        camel = {
            "matched": True,
            "recognized": True,
            "approved": True,
            "linked": True,
            "token": "tok",
            "userId": "u1",
            "agent": "acme",
            "displayName": "Ada",
            "phoneCandidateCount": 2,
        }
        snake = {
            "recognized": True,
            "approved": True,
            "agent_token": "tok",
            "user_id": "u1",
            "agent": "acme",
            "display_name": "Ada",
            "phone_candidate_count": 2,
        }
        assert RECOGNITION.parse(reply(camel)) == RECOGNITION.parse(reply(snake)) == expected
        assert RECOGNITION.parse(reply(camel | {"agentToken": "tok"})) == expected
        assert RECOGNITION.parse(reply(camel | {"token": " ", "agentToken": "tok", "linked": False})) == expected

    @pytest.mark.parametrize(
        ("body", "recognized"),
        [
            ({}, False),
            ({"recognized": True}, True),
            ({"matched": True}, True),
            ({"matched": True, "recognized": False}, False),
            ({"matched": False, "recognized": True}, False),
            ({"linked": True}, False),
            ({"approved": True}, True),
            ({"approved": True, "matched": False}, False),
        ],
    )
    def test_recognized(self, body: dict[str, Any], recognized: bool) -> None:
        assert RECOGNITION.parse(reply(body)).recognized is recognized

    @pytest.mark.parametrize(
        "change",
        [
            {"approved": None},
            {"approved": False},
            {"approved": None, "linked": True},
            {"recognized": False},
            {"matched": False},
            {"agent": "other"},
            {"agent": "Acme"},
            {"tokenUse": "user"},
        ],
    )
    def test_doubt_is_no_approval_and_gives_no_token(self, change: dict[str, Any]) -> None:
        found = RECOGNITION.parse(reply(GOOD[RECOGNIZE] | change))
        assert (found.approved, found.token) == (False, None)

    @pytest.mark.parametrize("linked", [True, False, None, "x", 5])
    def test_linked_is_not_looked_at(self, linked: object) -> None:
        assert RECOGNITION.parse(reply(GOOD[RECOGNIZE] | {"linked": linked})).token == Secret("found")

    @pytest.mark.parametrize(
        "change",
        [
            {"approved": "true"},
            {"approved": 1},
            {"recognized": "yes"},
            {"matched": 1},
            {"token": 5},
            {"token": "two words"},
            {"token": "a\nb"},
            {"agentToken": "another"},
            {"userId": 7},
            {"userId": "a\nb"},
            {"user_id": "u3"},
            {"agent": ["acme"]},
            {"phoneCandidateCount": "2"},
            {"phoneCandidateCount": -1},
        ],
    )
    def test_an_answer_of_the_wrong_shape_is_refused(self, change: dict[str, Any]) -> None:
        error = refused(lambda: RECOGNITION.parse(reply(GOOD[RECOGNIZE] | change)))
        assert error.code is ApiCode.SERVER_ERROR

    @pytest.mark.parametrize(
        ("name", "shown"), [("Ada\0", None), (7, None), ("\u202eAda", "Ada"), ("x" * 300, "x" * 256), (" ", None)]
    )
    def test_a_name_is_cut_or_dropped_and_never_an_error(self, name: object, shown: str | None) -> None:
        found = RECOGNITION.parse(reply(GOOD[RECOGNIZE] | {"displayName": name}))
        assert (found.display_name, found.approved) == (shown, True)


class TestMessageUrl:
    def test_plain(self) -> None:
        for name, word in itertools.product(
            ("fallbackReason", "fallback_reason"),
            (
                *(f"sender_proof_{kind}" for kind in ("missing", "invalid", "unsupported")),
                *(f"subject_signature_{kind}" for kind in ("missing", "invalid", "unsupported")),
                "weather",
            ),
        ):
            answer = GOOD[MESSAGE_URL] | {name: word, "idempotencyKey": "i1", "code": "unasked", "expiresAt": "2026"}
            assert URL.parse(reply(answer)) == MessageSignInUrl(
                url="https://sign-in.me/acme", mode="plain", reason="signin", fallback_reason=word, idempotency_key="i1"
            )

    @pytest.mark.parametrize(
        "odd",
        [None, "", 5, ["x"], {"a": 1}, "two words", "x" * 65, "<b>", "a\nb", "sk_live_0123", "cfgsic_0123", "\ud800"],
    )
    def test_a_fallback_reason_that_is_no_plain_word_is_dropped(self, odd: object) -> None:
        assert URL.parse(reply(GOOD[MESSAGE_URL] | {"fallbackReason": odd})).fallback_reason is None
        both = {"fallbackReason": "a", "fallback_reason": "b"}
        assert URL.parse(reply(GOOD[MESSAGE_URL] | both)).fallback_reason is None

    def test_minted(self) -> None:
        expected = MessageSignInUrl(
            url="https://sign-in.me/acme/c1",
            mode="minted",
            reason="permissions",
            expires_at="2026-01-01T00:10:00Z",
            idempotency_key="i1",
            code=Secret("c1"),
        )
        answer = {"mode": "minted", "url": "https://sign-in.me/acme/c1", "code": "c1", "reason": "permissions"}
        camel = {"expiresAt": "2026-01-01T00:10:00Z", "idempotencyKey": "i1", "fallbackReason": "no"}
        snake = {"expires_at": "2026-01-01T00:10:00Z", "idempotency_key": "i1"}
        assert URL.parse(reply(answer | camel)) == URL.parse(reply(answer | snake)) == expected
        for name in ("code", "url", "reason", "mode"):
            assert refused(lambda name=name: URL.parse(reply(answer | camel | {name: None}))).code is (  # type: ignore[misc]
                ApiCode.SERVER_ERROR
            )
        assert refused(lambda: URL.parse(reply(answer))).code is ApiCode.SERVER_ERROR

    @pytest.mark.parametrize(
        "change",
        [
            {"mode": "other"},
            {"mode": 1},
            {"reason": "fun"},
            {"reason": ["signin"]},
            {"reason": ""},
            {"url": 5},
            {"url": "https://sign-in.me/a b"},
            {"url": "https://sign-in.me/" + "x" * 8192},
            {"idempotencyKey": 5},
        ],
    )
    def test_an_answer_of_the_wrong_shape_is_refused(self, change: dict[str, Any]) -> None:
        assert refused(lambda: URL.parse(reply(GOOD[MESSAGE_URL] | change))).code is ApiCode.SERVER_ERROR

    @pytest.mark.parametrize(
        "url",
        [
            "https://sign-in.me",
            "https://sign-in.me/",
            "https://sign-in.me:443/acme",
            "HTTPS://Sign-In.Me/acme?x=%2f#y",
            "https://sign-in.me/acme/c?next=https://evil.example/",
        ],
    )
    def test_a_link_to_the_hosted_sign_in(self, url: str) -> None:
        assert URL.parse(reply(GOOD[MESSAGE_URL] | {"url": url})).url == url

    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example/acme",
            "https://sign-in.me.evil.example/acme",
            "https://sign-in.me@evil.example/acme",
            "https://user@sign-in.me/acme",
            "https://sign-in.me\\@evil.example/acme",
            "https://evil.example\\.sign-in.me/acme",
            "https://sign-in.me:8443/acme",
            "https://sign-in.me:0/acme",
            "https://sign-in.me:x/acme",
            "https://a.sign-in.me/acme",
            "http://sign-in.me/acme",
            "//sign-in.me/acme",
            "/acme",
            "https:/sign-in.me/acme",
            "https:///sign-in.me/acme",
            "https://[sign-in.me/acme",
            "http://localhost/acme",
            "javascript://sign-in.me/%0aalert(1)",
            "myapp://sign-in.me/acme",
            "sign-in.me/acme",
        ],
    )
    def test_a_link_to_anywhere_else_is_refused(self, url: str) -> None:
        error = refused(lambda: URL.parse(reply(GOOD[MESSAGE_URL] | {"url": url})))
        assert (error.code, error.status_code) == (ApiCode.SERVER_ERROR, 200)
        assert url not in str(error)

    def test_on_loopback_the_port_counts(self) -> None:
        local = Settings(api_key=Secret("sk_key"), agent="acme", sign_in_url="http://127.0.0.1:7003")
        call = create_message_sign_in_url(local, **SENDER)
        assert call.parse(reply(GOOD[MESSAGE_URL] | {"url": "http://127.0.0.1:7003/acme"})).mode == "plain"
        for url in ("http://127.0.0.1:7001/acme", "http://localhost:7003/acme", "https://127.0.0.1:7003/acme"):
            refused(lambda url=url: call.parse(reply(GOOD[MESSAGE_URL] | {"url": url})))  # type: ignore[misc]


class TestLines:
    def test_both_spellings(self) -> None:
        expected = MessageLine(
            id="l1",
            channel="imessage",
            phone_last4="9999",
            label="main",
            status="active",
            metadata={"tier": 1},
            created_at="2026-01-01",
            updated_at="2026-01-02",
        )
        shared = {"id": "l1", "channel": "imessage", "label": "main", "status": "active", "metadata": {"tier": 1}}
        camel = shared | {"phoneLast4": "9999", "createdAt": "2026-01-01", "updatedAt": "2026-01-02"}
        snake = shared | {"phone_last4": "9999", "created_at": "2026-01-01", "updated_at": "2026-01-02"}
        for line in (camel, snake):
            assert REGISTRATION.parse(reply({"line": line})) == expected
            assert LISTING.parse(reply({"lines": [line, line]})) == (expected, expected)
            assert REVOCATION.parse(reply({"deleted": False, "lines": [line]})) == RevokedLine(
                deleted=False, lines=(expected,)
            )

    def test_what_is_left_out(self) -> None:
        bare = MessageLine(id="l1", channel="imessage", phone_last4="9999", status="active")
        assert REGISTRATION.parse(reply({"line": GOOD_LINE | {"label": None, "metadata": None}})) == bare
        assert LISTING.parse(reply({})) == ()
        assert REVOCATION.parse(reply({"deleted": True})) == RevokedLine(deleted=True, lines=())

    @pytest.mark.parametrize(
        "change",
        [
            {"id": None},
            {"channel": None},
            {"status": 5},
            {"status": None},
            {"phoneLast4": None},
            {"phoneLast4": 9999},
            {"phoneLast4": "99999"},
            {"phoneLast4": LINE_PHONE},
            {"phoneLast4": "999\u0669"},
            {"phoneLast4": "9999\n"},
            {"phone_last4": "1111"},
            {"createdAt": 5},
        ],
    )
    def test_a_line_that_is_not_whole_is_refused(self, change: dict[str, Any]) -> None:
        for call, body in ((REGISTRATION, {"line": GOOD_LINE | change}), (LISTING, {"lines": [GOOD_LINE | change]})):
            error = refused(lambda call=call, body=body: call.parse(reply(body)))  # type: ignore[misc]
            assert error.code is ApiCode.SERVER_ERROR
            assert LINE_PHONE not in repr(error)

    @pytest.mark.parametrize(("label", "shown"), [("a\nb", None), (7, None), ("\u202emain", "main"), (" ", None)])
    def test_a_label_is_cleaned_or_dropped_and_never_an_error(self, label: object, shown: str | None) -> None:
        assert LISTING.parse(reply({"lines": [GOOD_LINE | {"label": label}]}))[0].label == shown

    @pytest.mark.parametrize("body", [{}, {"line": None}, {"line": "l1"}, {"line": [GOOD_LINE]}])
    def test_a_registration_without_its_line_is_refused(self, body: dict[str, Any]) -> None:
        assert refused(lambda: REGISTRATION.parse(reply(body))).code is ApiCode.SERVER_ERROR

    @pytest.mark.parametrize("body", [{}, {"deleted": "true"}, {"deleted": 1}, {"deleted": True, "lines": ["l1"]}])
    def test_a_revocation_that_says_nothing_is_refused(self, body: dict[str, Any]) -> None:
        assert refused(lambda: REVOCATION.parse(reply(body))).code is ApiCode.SERVER_ERROR

    @pytest.mark.parametrize(
        ("metadata", "kept"),
        [
            ({"phone": "x", "agentPhone": 1, "PHONE_NUMBER": {"a": 1}, "msisdn": 1, "e164": 1, "a": 1}, {"a": 1}),
            ({"a": PHONE, "b": ["ok", PHONE, {"c": PHONE}]}, {"b": ["ok", {}]}),
            ({PHONE: 1, "15550100001": 1, "a": True}, {"a": True}),
            ({"a": "call +1 (555) 010-0001 now", "b": "+49.30.1234567", "c": "(555) 010-0001"}, {}),
            ({"a": 15550100001, "b": 15550100001.0, "c": -15550100001}, {}),
            ({"a": "\uff0b\u0661\u0665\u0665\u0665\u0660\u0661\u0660\u0660\u0660\u0660\u0661"}, {}),
            ({"a": "tel:+15550100001", "b": "00 1 555 0100001"}, {}),
            (
                {"at": "2026-01-01", "id": "1234567", "n": 123456789, "f": 0.5, "v": "+1", "none": None, "off": False},
                {"at": "2026-01-01", "id": "1234567", "n": 123456789, "f": 0.5, "v": "+1", "none": None, "off": False},
            ),
            ({"1": {"2": {"3": {"4": {"5": {"6": {}}}}}}}, {"1": {"2": {"3": {"4": {"5": {}}}}}}),
            ({"1": [[[[{"6": [1], "7": 2}]]]]}, {"1": [[[[{"7": 2}]]]]}),
            ("a text", {}),
            ([PHONE], {}),
        ],
    )
    def test_no_phone_number_comes_back_in_the_metadata(self, metadata: object, kept: object) -> None:
        line = REGISTRATION.parse(reply({"line": GOOD_LINE | {"metadata": metadata}}))
        assert line.metadata == kept

    def test_a_number_beyond_every_float_is_kept_as_it_is(self) -> None:
        body = json.dumps({"line": GOOD_LINE | {"metadata": {"a": 0}}}).replace('"a": 0', '"a": 1e400').encode()
        assert REGISTRATION.parse(reply(body)).metadata == {"a": float("inf")}

    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text()
            | st.just(PHONE),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=20,
        ),
        st.integers(0, 9),
    )
    def test_a_canary_number_never_comes_back(self, value: object, levels: int) -> None:
        for _ in range(levels):
            value = {"a": [value]}
        line = REGISTRATION.parse(reply(json.dumps({"line": GOOD_LINE | {"metadata": {"b": value}}}).encode()))
        told = json.dumps(dict(line.metadata))
        assert PHONE not in told
        assert PHONE not in repr(line)

    def test_metadata_cannot_be_changed(self) -> None:
        line = REGISTRATION.parse(reply({"line": GOOD_LINE | {"metadata": {"a": 1}}}))
        with pytest.raises(TypeError):
            line.metadata["a"] = 2  # type: ignore[index]


class TestAgainstTheSandbox:
    def test_a_phone(self, sandbox: Sandbox, sandbox_settings: Settings, ask: Ask) -> None:
        names = ["ada@example.com", " +1 (555) 010-0001 "]
        nobody = PhoneRecognition(recognized=False, approved=False, agent="demo-agent", candidates=1)
        assert ask(sandbox_settings, "recognize_phone", names) == nobody
        person = sandbox.add_person(PHONE, name="Ada")
        met = ask(sandbox_settings, "recognize_phone", names)
        assert met == PhoneRecognition(recognized=True, approved=False, agent="demo-agent", candidates=1)
        sandbox.issue_agent_token(person)
        found = ask(sandbox_settings, "recognize_phone", names)
        assert (found.recognized, found.approved, found.user_id) == (True, True, person.user_id)
        assert (found.agent, found.display_name, found.candidates) == ("demo-agent", "Ada", 1)
        assert sandbox.is_live(found.token.reveal())

    def test_a_link(self, sandbox: Sandbox, sandbox_settings: Settings, ask: Ask) -> None:
        ask(sandbox_settings, "register_message_line", LINE_PHONE)
        link = ask(
            sandbox_settings,
            "create_message_sign_in_url",
            **SENDER,
            message_line_phone=LINE_PHONE,
            message_body="done",
            connectors=["gmail"],
            idempotency_key="i1",
        )
        assert (link.mode, link.reason, link.fallback_reason) == ("plain", "signin", "sender_proof_missing")
        assert (link.idempotency_key, link.code, link.expires_at) == ("i1", None, None)
        sandbox.sign_in(link.url, PHONE)
        assert ask(sandbox_settings, "recognize_phone", [PHONE]).approved

    @pytest.mark.parametrize("reason", ["signin", "reconnect", "permissions"])
    def test_a_minted_link(self, sandbox: Sandbox, sandbox_settings: Settings, ask: Ask, reason: str) -> None:
        sandbox.variants.message_url_mode = "minted"
        one, two = (
            ask(sandbox_settings, "create_message_sign_in_url", **SENDER, reason=reason, idempotency_key="i1")
            for _ in range(2)
        )
        assert one == two
        assert (one.mode, one.reason, one.fallback_reason) == ("minted", reason, None)
        assert one.expires_at is not None
        assert one.url.endswith(f"/{one.code.reveal()}")
        sandbox.sign_in(one.url, PHONE)
        assert ask(sandbox_settings, "recognize_phone", [PHONE]).approved

    @pytest.mark.parametrize(("told", "code"), [("odd", "SERVER_ERROR"), (None, "SERVER_ERROR")])
    def test_a_reason_that_is_none_is_configures_fault(
        self, sandbox: Sandbox, sandbox_settings: Settings, ask: Ask, told: str | None, code: str
    ) -> None:
        sandbox.variants.message_url_reason = told
        assert refused(lambda: ask(sandbox_settings, "create_message_sign_in_url", **SENDER)).code == code

    def test_a_line_that_is_not_registered(self, sandbox_settings: Settings, ask: Ask) -> None:
        error = refused(
            lambda: ask(sandbox_settings, "create_message_sign_in_url", **SENDER, message_line_phone="+1 555 010 9999")
        )
        assert (error.code, error.backend_code) == (ApiCode.INVALID_INPUT, "message_line_not_registered")

    def test_lines(self, sandbox: Sandbox, sandbox_settings: Settings, ask: Ask) -> None:
        assert ask(sandbox_settings, "list_message_lines") == ()
        line = ask(
            sandbox_settings, "register_message_line", "+1 (555) 010-9999", label="main", metadata={"tier": "gold"}
        )
        assert (line.channel, line.phone_last4, line.label, line.status) == ("imessage", "9999", "main", "active")
        assert line.metadata == {"tier": "gold"}
        assert line.created_at is not None
        assert line.updated_at == line.created_at
        again = ask(sandbox_settings, "register_message_line", LINE_PHONE)
        assert (again.id, again.label) == (line.id, None)
        other = ask(sandbox_settings, "register_message_line", LINE_PHONE, channel="SMS")
        assert other.channel == "sms"
        assert {one.id for one in ask(sandbox_settings, "list_message_lines")} == {line.id, other.id}
        revoked = ask(sandbox_settings, "revoke_message_line", "+1 555 010 9999")
        assert (revoked.deleted, [one.id for one in revoked.lines]) == (True, [other.id])
        assert not ask(sandbox_settings, "revoke_message_line", LINE_PHONE).deleted
        assert ask(sandbox_settings, "revoke_message_line", LINE_PHONE, channel="sms") == RevokedLine(
            deleted=True, lines=()
        )

    def test_metadata_with_a_phone_is_refused_by_configure(self, sandbox_settings: Settings, ask: Ask) -> None:
        error = refused(lambda: ask(sandbox_settings, "register_message_line", LINE_PHONE, metadata={"phone": "x"}))
        assert (error.code, error.status_code) == (ApiCode.INVALID_INPUT, 400)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
good_values = st.sampled_from(
    [True, "acme", "tok", "agent", "plain", "minted", "signin", "https://sign-in.me/a", "1234"]
)
names = st.sampled_from(
    "matched recognized approved linked token agentToken agent_token userId user_id agent displayName tokenUse "
    "phoneCandidateCount mode url code reason fallbackReason fallback_reason expiresAt idempotencyKey line lines id "
    "channel phoneLast4 phone_last4 label status metadata createdAt deleted valid error type message".split()
)
objects = st.dictionaries(names, good_values | json_values | st.dictionaries(names, good_values | json_values))
wholes = st.sampled_from(list(GOOD.values())).flatmap(lambda good: objects.map(lambda change: good | change))
contents = (
    st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | (objects | wholes).map(lambda value: json.dumps(value).encode())
)
replies = st.builds(
    lambda content, status: reply(content, status=status),
    contents,
    st.sampled_from([200, 200, 201, 302, 400, 401, 500]),
)


@examples(max_examples=500)
@given(st.sampled_from([RECOGNITION, URL, REGISTRATION, LISTING, REVOCATION]), replies)
def test_any_answer_is_a_value_or_a_configure_error(call: Call[Any], answer: Reply) -> None:
    value, sentence = None, ""
    try:
        value = call.parse(answer)
    except ConfigureError as error:
        sentence = str(error)
    assert len(sentence) <= 256
    assert sentence.isprintable()
    if isinstance(value, PhoneRecognition):
        said = json.loads(answer.content)
        assert value.token is None or (said["approved"] is True and said.get("agent") in (None, "", "acme"))
    if isinstance(value, MessageSignInUrl):
        assert value.url.lower().startswith("https://sign-in.me")


class TestVerbs:
    def test_types(self, server: Server) -> None:
        server.answers(by_path(GOOD))
        with Configure(server.settings) as configure:
            auth = configure.auth
            assert_type(auth.recognize_phone([PHONE]), PhoneRecognition)
            assert_type(auth.resolve_message_identity(external_id="e1", token="t"), MessageIdentity)
            assert_type(
                auth.create_message_sign_in_url(channel="a", subject_key="b", external_id="c"), MessageSignInUrl
            )
            assert_type(auth.register_message_line(LINE_PHONE), MessageLine)
            assert_type(auth.list_message_lines(), tuple[MessageLine, ...])
            assert_type(auth.revoke_message_line(LINE_PHONE), RevokedLine)

        async def main() -> None:
            async with AsyncConfigure(server.settings) as configure:
                auth = configure.auth
                assert_type(await auth.recognize_phone([PHONE]), PhoneRecognition)
                assert_type(await auth.resolve_message_identity(external_id="e1", token="t"), MessageIdentity)
                assert_type(await auth.list_message_lines(), tuple[MessageLine, ...])

        asyncio.run(main())

    @pytest.mark.parametrize("client", [Configure, AsyncConfigure])
    @pytest.mark.parametrize(
        ("verb", "first", "returns"),
        [
            ("recognize_phone", "candidates: ", "PhoneRecognition"),
            ("resolve_message_identity", "*, external_id: ", "MessageIdentity"),
            ("create_message_sign_in_url", "*, reason: ", "MessageSignInUrl"),
            ("register_message_line", "phone: ", "MessageLine"),
            ("list_message_lines", "", "tuple[MessageLine, ...]"),
            ("revoke_message_line", "phone: ", "RevokedLine"),
        ],
    )
    def test_help(self, client: Callable[..., Configure], verb: str, first: str, returns: str) -> None:
        bound = getattr(client(api_key="sk_key", agent="acme").auth, verb)
        told = pydoc.plain(pydoc.render_doc(bound))
        assert f"{verb}({first}" in told
        assert "settings:" not in told
        assert inspect.signature(bound).return_annotation == returns
        assert inspect.getdoc(bound)

    def test_an_unknown_option_is_refused(self) -> None:
        auth = Configure(api_key="sk_key", agent="acme").auth
        with pytest.raises(TypeError):
            auth.resolve_message_identity("e1")  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            auth.resolve_message_identity(external_id="e1", user_id="u1")  # type: ignore[call-arg]

    def test_an_awaited_verb_refuses_when_it_is_awaited(self) -> None:
        waiting = AsyncConfigure(api_key="sk_key", agent="acme").auth.resolve_message_identity(external_id="")
        with pytest.raises(ConfigureError, match="external_id must be"):
            asyncio.run(waiting)

    def test_on_the_class_a_verb_is_itself(self) -> None:
        assert "Who sent a message" in (
            type(Configure(api_key="sk_a", agent="acme").auth).resolve_message_identity.__doc__ or ""
        )


CANARY = "5550107777"
ECHO = f"tokenCANARY +1{CANARY} sk_CANARY"
ECHOES: dict[str, bytes] = {
    "good": http(GOOD[RECOGNIZE] | GOOD[VALIDATE] | {"token": "tokenCANARY", "recognized": True, "matched": True}),
    "an error": http({"error": {"type": "x", "code": ECHO, "message": ECHO}, "request_id": ECHO}, status=400),
    "HTML": http(f"<p>{ECHO}".encode(), status=500, content_type="text/html"),
    "odd fields": http({"valid": ECHO, "approved": ECHO, "token": ECHO, "mode": ECHO, "line": ECHO, "deleted": ECHO}),
    "an odd link": http({"mode": "plain", "reason": "signin", "url": f"https://evil.example/tokenCANARY+1{CANARY}"}),
    "a good link": http(
        {
            "mode": "minted",
            "reason": "signin",
            "url": f"https://sign-in.me/acme/tokenCANARY?p=%2B1{CANARY}",
            "code": "tokenCANARY",
            "expiresAt": "2026",
        }
    ),
    "an odd line": http(
        {
            "line": GOOD_LINE | {"metadata": {"a": ECHO}, "createdAt": 5},
            "lines": [GOOD_LINE | {"metadata": {"a": ECHO}, "status": [ECHO]}],
            "deleted": ECHO,
        }
    ),
    "lines": http(
        {
            "line": GOOD_LINE | {"metadata": {"a": ECHO, "b": "tokenCANARY"}},
            "lines": [GOOD_LINE | {"phoneLast4": f"+1{CANARY}"}],
            "deleted": True,
        }
    ),
}


CANARY_PHONE = f"+1{CANARY}"
USES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("recognize_phone", ([CANARY_PHONE],), {}),
    ("create_message_sign_in_url", (), SENDER | {"message_line_phone": CANARY_PHONE}),
    ("create_message_sign_in_url", (), SENDER | {"message_sender_proof": "tokenCANARY"}),
    ("register_message_line", (CANARY_PHONE,), {"metadata": {"a": "tokenCANARY"}}),
    ("revoke_message_line", (CANARY_PHONE,), {}),
    ("list_message_lines", (), {}),
    *(
        ("resolve_message_identity", (), {"external_id": "e1", "raise_on_auth_error": raises, **who})
        for raises in (False, True)
        for who in ({"token": "tokenCANARY", "validate_token": True}, {"phone_candidates": [CANARY_PHONE]})
    ),
]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("answer", ECHOES)
def test_no_canary_escapes(
    server: Server, caplog: pytest.LogCaptureFixture, ask: Ask, answer: str, use: tuple[Any, Any, Any]
) -> None:
    """Neither token nor phone is in a log, a repr or a traceback, whatever the other side does with them."""
    verb, args, options = use
    server.answers(ECHOES[answer])
    caplog.set_level(logging.DEBUG)
    told = told_of(lambda: ask(server.settings, verb, *args, **options))
    assert len(server.received) == 1
    assert "CANARY" not in told
    assert CANARY not in told
    assert caplog.records
    for record in caplog.records:
        assert "CANARY" not in record.getMessage()
        assert CANARY not in record.getMessage()


def test_calls_and_identities_show_nothing() -> None:
    shown = [
        recognize_phone(SETTINGS, [f"+1{CANARY}"]),
        register_message_line(SETTINGS, f"+1{CANARY}", metadata={"a": "CANARY"}),
        revoke_message_line(SETTINGS, f"+1{CANARY}"),
        create_message_sign_in_url(SETTINGS, **SENDER, message_sender_proof="CANARY", message_line_phone=f"+1{CANARY}"),
        MessageIdentity(external_id="e1", token=Secret("CANARY")),
        MessageSignInUrl(url="https://sign-in.me/CANARY", mode="minted", reason="signin", code=Secret("CANARY")),
        MessageLine(id="l", channel="c", phone_last4="1", status="s", metadata={"a": "CANARY"}),
        refused(lambda: register_message_line(SETTINGS, CANARY)),
        refused(lambda: recognize_phone(SETTINGS, [f"CANARY{CANARY}\0"])),
    ]
    assert "CANARY" not in repr(shown)
    assert CANARY not in repr(shown)
