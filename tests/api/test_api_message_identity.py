"""Who sent a message: the stored token, the phone, the app's own id, in this order and whatever Configure answers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_type

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configure_auth import MessageIdentity
from configure_auth.client.call import HttpCall, HttpResponse
from configure_auth.client.client import AsyncConfigure, AsyncProfile, Configure, Profile
from configure_auth.client.message_identity import SenderCalls
from configure_auth.client.sign_in import is_agent_token
from configure_auth.errors import ApiCode, ConfigureError, SettingsError
from configure_auth.runtime.drivers import run
from configure_auth.sandbox import Sandbox
from configure_auth.settings import Settings
from configure_auth.values import Secret, TokenValidation

from ..support.examples import examples
from .conftest import http
from .message_answers import GOOD, PHONE, RECOGNIZE, SENDER, SETTINGS, VALIDATE, by_path, refused, replies

if TYPE_CHECKING:
    from .conftest import Ask, Server


class TestAgentTokens:
    GOOD = TokenValidation(valid=True, user_id="u1", token_use="agent", approved=True, agent="acme")

    def test_everything_has_to_be_said(self) -> None:
        assert is_agent_token(self.GOOD, "acme") is True

    @pytest.mark.parametrize(
        "change",
        [
            {"valid": False},
            {"valid": 1},
            {"user_id": None},
            {"user_id": ""},
            {"token_use": None},
            {"token_use": "user"},
            {"token_use": "Agent"},
            {"approved": None},
            {"approved": False},
            {"approved": 1},
            {"agent": None},
            {"agent": "other"},
            {"agent": "ACME"},
        ],
    )
    def test_anything_else_is_no_agent_token(self, change: dict[str, Any]) -> None:
        assert is_agent_token(replace(self.GOOD, **change), "acme") is False


def steps_of(server: Server) -> list[str]:
    return [received.target for received in server.received]


DOWN = http({"error": {"type": "api_error", "code": "oops"}}, status=503)
REFUSED = http({"error": {"type": "authentication_error", "code": "api_key_invalid"}}, status=401)
BAD_INPUT = http({"error": {"type": "invalid_request_error", "code": "bad"}}, status=400)


class TestResolve:
    def test_a_stored_token_is_trusted_without_a_call(self, server: Server, ask: Ask) -> None:
        for token in ("stored", Secret("stored")):
            found = ask(
                server.settings, "resolve_message_identity", external_id="e1", token=token, phone_candidates=[PHONE]
            )
            assert found == MessageIdentity(external_id="e1", token=Secret("stored"), approved=True, source="token")
            assert found.linked
        assert server.received == []

    def test_a_stored_token_is_checked_where_asked_for(self, server: Server, ask: Ask) -> None:
        server.answers(by_path(GOOD))
        found = ask(
            server.settings,
            "resolve_message_identity",
            external_id="e1",
            token="stored",
            phone_candidates=[PHONE],
            validate_token=True,
        )
        assert found == MessageIdentity(
            external_id="e1", token=Secret("stored"), user_id="u1", approved=True, source="token"
        )
        assert [(call.target, json.loads(call.body)) for call in server.received] == [(VALIDATE, {"token": "stored"})]

    @pytest.mark.parametrize(
        "validation",
        [
            {"valid": False},
            GOOD[VALIDATE] | {"agent": "other"},
            GOOD[VALIDATE] | {"agent": None},
            GOOD[VALIDATE] | {"tokenUse": "user"},
            GOOD[VALIDATE] | {"tokenUse": None},
            GOOD[VALIDATE] | {"approved": False},
            GOOD[VALIDATE] | {"approved": None},
            GOOD[VALIDATE] | {"userId": None},
            {"valid": "true"},
            DOWN,
            REFUSED,
            BAD_INPUT,
            http(b"<html>", content_type="text/html"),
        ],
    )
    def test_a_token_that_is_not_ours_is_passed_over(self, server: Server, ask: Ask, validation: Any) -> None:
        server.answers(by_path(GOOD | {VALIDATE: validation}))
        options = {"external_id": "e1", "token": "stored", "validate_token": True}
        assert ask(server.settings, "resolve_message_identity", **options) == MessageIdentity(external_id="e1")
        assert ask(server.settings, "resolve_message_identity", **options, phone_candidates=[PHONE]) == MessageIdentity(
            external_id="e1",
            token=Secret("found"),
            user_id="u2",
            approved=True,
            recognized=True,
            source="phone_recognition",
        )
        assert steps_of(server) == [VALIDATE, VALIDATE, RECOGNIZE]

    def test_without_a_token_the_phone_is_asked_about(self, server: Server, ask: Ask) -> None:
        server.answers(by_path(GOOD | {RECOGNIZE: GOOD[RECOGNIZE] | {"agent": "acme", "displayName": "Ada"}}))
        found = ask(
            server.settings,
            "resolve_message_identity",
            external_id="e1",
            phone_candidates=iter(["", PHONE, PHONE]),
            validate_token=True,
        )
        assert found == MessageIdentity(
            external_id="e1",
            token=Secret("found"),
            user_id="u2",
            approved=True,
            recognized=True,
            display_name="Ada",
            source="phone_recognition",
        )
        assert [json.loads(received.body) for received in server.received] == [{"candidates": [PHONE]}]

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"approved": False, "displayName": "Ada"}, {"recognized": True, "display_name": "Ada"}),
            ({"token": None}, {"recognized": True, "approved": True}),
            ({"userId": None}, {"recognized": True, "approved": True}),
            ({"agent": "other"}, {"recognized": True}),
            ({"matched": False}, {}),
            ({"approved": None, "recognized": None, "matched": None, "linked": True}, {}),
        ],
    )
    def test_recognised_is_not_linked(
        self, server: Server, ask: Ask, change: dict[str, Any], expected: dict[str, Any]
    ) -> None:
        server.answers(by_path({RECOGNIZE: GOOD[RECOGNIZE] | change}))
        found = ask(server.settings, "resolve_message_identity", external_id="e1", phone_candidates=[PHONE])
        assert found == MessageIdentity(external_id="e1", **expected)
        assert not found.linked
        assert found.source == "external_id"

    @pytest.mark.parametrize("token", [None, ""])
    @pytest.mark.parametrize("candidates", [None, "", [], [None], [None, "", " \ufeff"]])
    def test_with_neither_nothing_is_asked(
        self, server: Server, ask: Ask, token: str | None, candidates: str | list[str | None] | None
    ) -> None:
        found = ask(
            server.settings,
            "resolve_message_identity",
            external_id="e1",
            token=token,
            phone_candidates=candidates,
            validate_token=True,
        )
        assert found == MessageIdentity(external_id="e1")
        assert server.received == []

    @pytest.mark.parametrize("answer", [DOWN, REFUSED, BAD_INPUT, http({"approved": "true"}), http(b"", status=302)])
    def test_a_failure_counts_as_not_linked_and_is_logged_with_its_code(
        self, server: Server, ask: Ask, caplog: pytest.LogCaptureFixture, answer: bytes
    ) -> None:
        server.answers(answer)
        options: dict[str, Any] = {
            "external_id": "e1",
            "token": "stored",
            "phone_candidates": [PHONE],
            "validate_token": True,
        }
        assert ask(server.settings, "resolve_message_identity", **options) == MessageIdentity(external_id="e1")
        assert steps_of(server) == [VALIDATE, RECOGNIZE]
        logged = [record for record in caplog.records if record.name.startswith("configure_auth")]
        assert [record.levelno for record in logged] == [logging.WARNING] * 2
        error = refused(lambda: ask(server.settings, "resolve_message_identity", **options, raise_on_auth_error=True))
        assert [record.getMessage().rpartition(" ")[2] for record in logged] == [f"({error.code})"] * 2
        assert all(record.exc_info is None for record in logged)
        assert steps_of(server)[2:] == [VALIDATE]

    def test_on_request_the_failure_of_the_recognition_is_raised(self, server: Server, ask: Ask) -> None:
        server.answers(DOWN)
        error = refused(
            lambda: ask(
                server.settings,
                "resolve_message_identity",
                external_id="e1",
                phone_candidates=[PHONE],
                raise_on_auth_error=True,
            )
        )
        assert (error.code, error.status_code) == (ApiCode.SERVER_ERROR, 503)

    @pytest.mark.parametrize(
        "options",
        [
            {"external_id": ""},
            {"external_id": "Łódź"},
            {"external_id": "a\n"},
            {"external_id": None},
            {"external_id": "e1", "token": "two words"},
            {"external_id": "e1", "token": "stored", "phone_candidates": PHONE},
            {"external_id": "e1", "token": "stored", "phone_candidates": ["x" * 257]},
            {"external_id": "e1", "token": "stored", "phone_candidates": [7]},
            {"external_id": "e1", "phone_candidates": [str(n) for n in range(21)]},
        ],
    )
    def test_what_the_caller_got_wrong_is_always_said(self, server: Server, ask: Ask, options: dict[str, Any]) -> None:
        for more in ({}, {"validate_token": True}):
            error = refused(lambda more=more: ask(server.settings, "resolve_message_identity", **options, **more))  # type: ignore[misc]
            assert error.code is ApiCode.INVALID_INPUT
        assert server.received == []

    def test_a_missing_key_is_no_failure_of_configure(self, ask: Ask) -> None:
        with pytest.raises(SettingsError, match="CONFIGURE_API_KEY"):
            ask(Settings(agent="acme"), "resolve_message_identity", external_id="e1", phone_candidates=[PHONE])


class TestProfileOfAnIdentity:
    LINKED = MessageIdentity(external_id="e1", token=Secret("tok"), source="token")
    UNLINKED = MessageIdentity(external_id="e1", recognized=True)

    def test_a_linked_one_is_read_by_token_and_another_by_external_id(self, server: Server) -> None:
        server.answers(http({}))

        async def awaited() -> None:
            async with AsyncConfigure(server.settings) as configure:
                for identity in (self.LINKED, self.UNLINKED):
                    await assert_type(configure.profile(identity), AsyncProfile).read()

        with Configure(server.settings) as configure:
            for identity in (self.LINKED, self.UNLINKED):
                assert_type(configure.profile(identity), Profile).read()
        asyncio.run(awaited())
        told = [(call.headers.get("authorization"), call.headers.get("x-user-id")) for call in server.received]
        assert told == [("Bearer tok", None), (None, "e1")] * 2

    @pytest.mark.parametrize("client", [Configure, AsyncConfigure])
    @pytest.mark.parametrize(
        ("identity", "options"),
        [
            (LINKED, {"token": "tok"}),
            (LINKED, {"external_id": "e1"}),
            (UNLINKED, {"external_id": "e1"}),
            (UNLINKED, {"token": "tok", "external_id": "e1"}),
            ("tok", {}),
            (None, {}),
        ],
    )
    def test_one_subject_only(
        self, client: Callable[..., Configure], identity: MessageIdentity | None, options: dict[str, Any]
    ) -> None:
        configure = client(api_key="sk_key", agent="acme")
        assert refused(lambda: configure.profile(identity, **options)).code is ApiCode.INVALID_INPUT


class TestAgainstTheSandbox:
    def test_a_sender_from_stranger_to_linked(self, sandbox: Sandbox, sandbox_settings: Settings, ask: Ask) -> None:
        def met(**options: Any) -> MessageIdentity:
            found: MessageIdentity = ask(
                sandbox_settings,
                "resolve_message_identity",
                external_id="spectrum:s1",
                phone_candidates=[PHONE],
                **options,
            )
            return found

        assert met() == MessageIdentity(external_id="spectrum:s1")
        person = sandbox.add_person(PHONE, name="Ada")
        assert met() == MessageIdentity(external_id="spectrum:s1", recognized=True)
        sandbox.sign_in(ask(sandbox_settings, "create_message_sign_in_url", **SENDER).url, PHONE)
        linked = met()
        assert linked.token is not None
        assert (linked.user_id, linked.source, linked.display_name) == (person.user_id, "phone_recognition", "Ada")
        sandbox.add_person(PHONE, user_id="somebody else")
        assert met(token=linked.token).token == linked.token
        checked = met(token=linked.token, validate_token=True)
        assert (checked.token, checked.user_id, checked.source) == (linked.token, person.user_id, "token")
        sandbox.revoke_approval(person)
        assert met(token=linked.token, validate_token=True) == MessageIdentity(
            external_id="spectrum:s1", recognized=True
        )

    def test_tokens_for_other_uses_link_nobody(self, sandbox: Sandbox, sandbox_settings: Settings, ask: Ask) -> None:
        person = sandbox.add_person(PHONE)
        sandbox.add_agent("other-agent")
        for token in (sandbox.issue_user_token(person), sandbox.issue_agent_token(person, agent="other-agent")):
            found = ask(
                sandbox_settings, "resolve_message_identity", external_id="e1", token=token, validate_token=True
            )
            assert found == MessageIdentity(external_id="e1")

    def test_the_profile_of_who_was_found(self, sandbox: Sandbox, sandbox_settings: Settings) -> None:
        person = sandbox.add_person(PHONE, name="Ada")
        with Configure(sandbox_settings) as configure:
            stranger = configure.auth.resolve_message_identity(external_id="e1", phone_candidates=[PHONE])
            assert configure.profile(stranger).read().identity.name is None
            token = sandbox.issue_agent_token(person)
            linked = configure.auth.resolve_message_identity(external_id="e1", token=token)
            assert configure.profile(linked).read().identity.name == "Ada"


@examples(500)
@given(replies, replies, st.booleans(), st.booleans())
def test_whatever_configure_answers_a_sender_is_somebody(
    validation: HttpResponse, recognition: HttpResponse, validate: bool, raises: bool
) -> None:
    answers = {VALIDATE: validation, RECOGNIZE: recognition}

    def perform(call: HttpCall[Any]) -> Any:
        return call.parse(answers[call.url.removeprefix(SETTINGS.base_url)])

    steps = SenderCalls(SETTINGS).resolve_message_identity(
        external_id="e1",
        token="stored" if validate else None,
        phone_candidates=[PHONE],
        validate_token=validate,
        raise_on_auth_error=raises,
    )
    try:
        found = run(steps, perform)
    except ConfigureError:
        assert raises
        return
    assert found.external_id == "e1"
    assert found.linked == (found.source != "external_id") == (found.user_id is not None)
