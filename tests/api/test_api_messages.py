"""A message agent's verbs at the sandbox, as a developer meets them, and that they tell nothing."""

from __future__ import annotations

import asyncio
import inspect
import logging
import pydoc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, assert_type

import pytest

from configure_auth import MessageIdentity
from configure_auth.client.client import AsyncConfigure, Configure
from configure_auth.client.message_identity import SenderCalls
from configure_auth.client.message_lines import MessageLine, MessageLineCalls, RevokedLine
from configure_auth.client.message_sign_in import MessageSignInCalls, MessageSignInUrl
from configure_auth.errors import ApiCode, ConfigureError
from configure_auth.sandbox import Sandbox
from configure_auth.settings import Settings
from configure_auth.values import PhoneRecognition, Secret

from .conftest import http
from .message_answers import (
    GOOD,
    GOOD_LINE,
    LINE_PHONE,
    PHONE,
    RECOGNIZE,
    SENDER,
    SETTINGS,
    VALIDATE,
    by_path,
    refused,
)
from .test_api_secrets import told_of

if TYPE_CHECKING:
    from .conftest import Ask, Server


class TestAgainstTheSandbox:
    def test_a_phone(self, sandbox: Sandbox, sandbox_settings: Settings, ask: Ask) -> None:
        names = ["ada@example.com", " +1 (555) 010-0001 "]
        nobody = PhoneRecognition(recognized=False, approved=False, agent="demo-agent", phone_candidate_count=1)
        assert ask(sandbox_settings, "recognize_phone", names) == nobody
        person = sandbox.add_person(PHONE, name="Ada")
        met = ask(sandbox_settings, "recognize_phone", names)
        assert met == PhoneRecognition(recognized=True, approved=False, agent="demo-agent", phone_candidate_count=1)
        sandbox.issue_agent_token(person)
        found = ask(sandbox_settings, "recognize_phone", names)
        assert (found.recognized, found.approved, found.user_id) == (True, True, person.user_id)
        assert (found.agent, found.display_name, found.phone_candidate_count) == ("demo-agent", "Ada", 1)
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
        # Python 3.13 and newer break a long signature into lines.
        told = " ".join(pydoc.plain(pydoc.render_doc(bound)).split()).replace("( ", "(")
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
        assert "Return the sender of a message" in (
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
        SenderCalls(SETTINGS).recognize_phone([f"+1{CANARY}"]),
        MessageLineCalls(SETTINGS).register_message_line(f"+1{CANARY}", metadata={"a": "CANARY"}),
        MessageLineCalls(SETTINGS).revoke_message_line(f"+1{CANARY}"),
        MessageSignInCalls(SETTINGS).create_message_sign_in_url(
            **SENDER, message_sender_proof="CANARY", message_line_phone=f"+1{CANARY}"
        ),
        MessageIdentity(external_id="e1", token=Secret("CANARY")),
        MessageSignInUrl(url="https://sign-in.me/CANARY", mode="minted", reason="signin", code=Secret("CANARY")),
        MessageLine(id="l", channel="c", phone_last4="1", status="active", metadata={"a": "CANARY"}),
        refused(lambda: MessageLineCalls(SETTINGS).register_message_line(CANARY)),
        refused(lambda: SenderCalls(SETTINGS).recognize_phone([f"CANARY{CANARY}\0"])),
    ]
    assert "CANARY" not in repr(shown)
    assert CANARY not in repr(shown)
