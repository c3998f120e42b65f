"""How Configure's answers to a message agent are read, whatever they are."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configure_auth.client.call import HttpCall, HttpResponse
from configure_auth.client.message_lines import MessageLine, RevokedLine
from configure_auth.client.message_sign_in import MessageSignInCalls, MessageSignInUrl
from configure_auth.errors import ApiCode, ConfigureError
from configure_auth.settings import Settings
from configure_auth.values import PhoneRecognition, Secret

from ..support.examples import examples
from .message_answers import (
    GOOD,
    GOOD_LINE,
    LINE_PHONE,
    LISTING,
    MESSAGE_URL,
    PHONE,
    RECOGNITION,
    RECOGNIZE,
    REGISTRATION,
    REVOCATION,
    SENDER,
    URL,
    refused,
    replies,
    reply,
)

if TYPE_CHECKING:
    pass


class TestRecognition:
    def test_every_spelling(self) -> None:
        expected = PhoneRecognition(
            recognized=True,
            approved=True,
            token=Secret("tok"),
            user_id="u1",
            agent="acme",
            display_name="Ada",
            phone_candidate_count=2,
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
        call = MessageSignInCalls(local).create_message_sign_in_url(**SENDER)
        assert call.parse(reply(GOOD[MESSAGE_URL] | {"url": "http://127.0.0.1:7003/acme"})).mode == "plain"
        for url in ("http://127.0.0.1:7001/acme", "http://localhost:7003/acme", "https://127.0.0.1:7003/acme"):
            refused(lambda url=url: call.parse(reply(GOOD[MESSAGE_URL] | {"url": url})))  # type: ignore[misc]

    def test_a_sandbox_on_another_host_is_one_origin_too(self) -> None:
        settings = Settings(
            api_key=Secret("sk_local_key"), agent="acme", sign_in_url="http://sandbox:4012", allow_http="sandbox"
        )
        call = MessageSignInCalls(settings).create_message_sign_in_url(**SENDER)
        assert call.parse(reply(GOOD[MESSAGE_URL] | {"url": "http://sandbox:4012/acme"})).mode == "plain"
        for url in ("javascript:alert(1)", "http://evil.example/acme", "http://sandbox:4013/acme", "/acme"):
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
                {
                    "a": "call 555-010-0001 now",
                    "b": "ext 5550100001 x2",
                    "c": "555/010/0001",
                    "d": "555\u2011010\u20110001",
                },
                {},
            ),
            ({"a": "5550\u200b100001", "b": "\u202a+1 555\u2060 0100001", "c": "\uff15\uff15\uff15-0100001 "}, {}),
            (
                {
                    "a": "whatsapp:5550100001",
                    "b": "5550100001@c.us",
                    "c": "iMessage;-;5550100001",
                    "d": "tel:5550100001",
                },
                {},
            ),
            ({"5550100001@s.whatsapp.net": 1, "b": ["sms:15550100001"]}, {"b": []}),
            (
                {"id": "550e8400-e29b-41d4-a716-446655440000", "at": "2026-01-31 10:00:00", "v": "v1.2345678901"},
                {"id": "550e8400-e29b-41d4-a716-446655440000", "at": "2026-01-31 10:00:00", "v": "v1.2345678901"},
            ),
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


@examples(500)
@given(st.sampled_from([RECOGNITION, URL, REGISTRATION, LISTING, REVOCATION]), replies)
def test_any_answer_is_a_value_or_a_configure_error(call: HttpCall[Any], answer: HttpResponse) -> None:
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
