"""How answers are read: strictly, and a refusal as the kind of error that it is."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configure_auth.client.call import HttpCall, HttpResponse
from configure_auth.client.client import Configure
from configure_auth.client.oauth import (
    Introspection,
    TokenResponse,
    exchange_authorization_code,
    introspect,
    refresh_tokens,
)
from configure_auth.client.oauth_clients import add_redirect_uris, list_oauth_clients
from configure_auth.client.profile import ProfileIdentity, Subject, read_profile
from configure_auth.client.sign_in import ReturnDestination, SignInCalls
from configure_auth.client.wire import error_from
from configure_auth.errors import ApiCode, ConfigureError
from configure_auth.settings import Settings
from configure_auth.values import Secret, SignInGrant, TokenValidation

from ..support.examples import examples
from .conftest import CLOSE, http

if TYPE_CHECKING:
    from .conftest import Line, Received, Server

SETTINGS = Settings(api_key=Secret("sk_key"), agent="acme", oauth_client_id="oc_1", oauth_client_secret=Secret("ocs_1"))
EXCHANGE = SignInCalls(SETTINGS).exchange_sign_in_code("cfgsic_1")
VALIDATE = SignInCalls(SETTINGS).validate_sign_in_token("token")
TOKENS = exchange_authorization_code(
    SETTINGS,
    code="code",
    redirect_uri="https://a.example/cb",
    code_verifier="v" * 43,
    resource=None,
    scopes=("profile.read", "profile.search"),
)
INTROSPECT = introspect(SETTINGS, "token")
PROFILE = read_profile(SETTINGS, Subject(token="token"))
CALLS: list[HttpCall[Any]] = [
    EXCHANGE,
    VALIDATE,
    TOKENS,
    refresh_tokens(SETTINGS, refresh_token="rt", resource=None),
    INTROSPECT,
    PROFILE,
    SignInCalls(SETTINGS).allow_sign_in_return_to("https://a.example/cb"),
    SignInCalls(SETTINGS).list_sign_in_return_destinations(),
    list_oauth_clients(SETTINGS),
    add_redirect_uris(SETTINGS, "oc_1", ["https://a.example/cb"]),
]
GRANT = {"token": "tok", "userId": "u1", "agent": "acme"}


def reply(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=status, headers={"content-type": "application/json"} | (headers or {}), content=content)


def refused(call: HttpCall[Any], answer: HttpResponse) -> ConfigureError:
    with pytest.raises(ConfigureError) as caught:
        call.parse(answer)
    return caught.value


class TestStrictJson:
    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"<html>", id="html"),
            pytest.param(b"[]", id="list"),
            pytest.param(b"null", id="null"),
            pytest.param(b'"x"', id="string"),
            pytest.param(b"5", id="number"),
            pytest.param(b'{"token":"t"', id="cut"),
            pytest.param(b'{"token":"t","token":"t"}', id="a key twice"),
            pytest.param(b'{"x":{"a":1,"a":2}}', id="a key twice below"),
            pytest.param(b'{"x":NaN}', id="NaN"),
            pytest.param(b'{"x":-Infinity}', id="Infinity"),
            pytest.param(b'\xef\xbb\xbf{"x":1}', id="byte order mark"),
            pytest.param('{"x":1}'.encode("utf-16"), id="UTF-16"),
            pytest.param(b'{"x":"\xff"}', id="not UTF-8"),
            pytest.param(b'{"x":' * 65 + b"1" + b"}" * 65, id="65 deep"),
            pytest.param(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="100000 deep"),
            pytest.param(b'{"x":' + b"9" * 5000 + b"}", id="a number of 5000 digits"),
        ],
    )
    def test_what_is_not_one_plain_object_is_refused(self, call: HttpCall[Any], body: bytes) -> None:
        error = refused(call, reply(body))
        assert error.code is ApiCode.SERVER_ERROR
        assert error.status_code == 200
        assert not error.retryable

    @pytest.mark.parametrize(
        "label", ["text/html", "text/plain", "", "application/jsonp", "application/json; charset=utf-16", "json"]
    )
    def test_json_under_another_label_is_refused(self, label: str) -> None:
        assert refused(EXCHANGE, reply(GRANT, headers={"content-type": label})).code is ApiCode.SERVER_ERROR

    def test_json_without_a_label_is_refused(self) -> None:
        unlabelled = HttpResponse(status=200, headers={}, content=json.dumps(GRANT).encode())
        assert refused(EXCHANGE, unlabelled).code is ApiCode.SERVER_ERROR

    @pytest.mark.parametrize(
        "label", ["application/json", "Application/JSON;charset=UTF-8", 'application/json; charset="utf-8"; x=y']
    )
    def test_the_labels_of_json(self, label: str) -> None:
        assert EXCHANGE.parse(reply(GRANT, headers={"content-type": label})).user_id == "u1"

    def test_depth_within_bounds_is_fine(self) -> None:
        deep = b'{"active":false,"x":' + b"[" * 60 + b"]" * 60 + b"}"
        assert INTROSPECT.parse(reply(deep)) == Introspection(active=False)


class TestFields:
    def test_both_spellings_are_read_and_blanks_are_absent(self) -> None:
        expected = SignInGrant(token=Secret("tok"), user_id="u1", agent="acme", token_use="agent", approved=True)
        camel = {"token": "tok", "userId": "u1", "agent": "acme", "tokenUse": "agent", "approved": True}
        snake = {"token": "tok", "user_id": "u1", "agent": "acme", "token_use": "agent", "approved": True}
        assert EXCHANGE.parse(reply(camel)) == EXCHANGE.parse(reply(snake)) == expected
        assert EXCHANGE.parse(reply(camel | {"user_id": " "})) == expected
        assert EXCHANGE.parse(reply(camel | {"user_id": "u1", "surprise": [1]})) == expected

    def test_what_is_left_out_is_none(self) -> None:
        assert EXCHANGE.parse(reply(GRANT | {"approved": None, "tokenUse": ""})) == SignInGrant(
            token=Secret("tok"), user_id="u1", agent="acme"
        )
        assert VALIDATE.parse(reply({"valid": False})) == TokenValidation(valid=False)

    @pytest.mark.parametrize(
        "change",
        [
            {"token": None},
            {"token": ""},
            {"token": 5},
            {"token": ["tok"]},
            {"token": "a\nb"},
            {"token": "two words"},
            {"token": "x" * 8193},
            {"userId": None},
            {"userId": "  "},
            {"userId": 7},
            {"userId": "a\0b"},
            {"userId": "\ud800"},
            {"userId": "x" * 256},
            {"user_id": "u2"},
            {"user_id": 1},
            {"agent": None},
            {"agent": {"handle": "acme"}},
            {"approved": "true"},
            {"approved": 1},
            {"tokenUse": True},
        ],
    )
    def test_a_grant_that_is_not_whole_is_refused(self, change: dict[str, object]) -> None:
        error = refused(EXCHANGE, reply(GRANT | change, headers={"x-request-id": "req_1"}))
        assert (error.code, error.status_code, error.request_id) == (ApiCode.SERVER_ERROR, 200, "req_1")

    @pytest.mark.parametrize("valid", [None, 1, 0, "true", [], {}])
    def test_a_validation_that_says_neither_true_nor_false_is_refused(self, valid: object) -> None:
        assert refused(VALIDATE, reply({"valid": valid})).code is ApiCode.SERVER_ERROR

    def test_return_destinations(self) -> None:
        listing = SignInCalls(SETTINGS).list_sign_in_return_destinations()
        body = {"destinations": [{"destination": "https://a.example/cb", "createdAt": "2026-01-01"}]}
        assert listing.parse(reply(body)) == (
            ReturnDestination(destination="https://a.example/cb", created_at="2026-01-01"),
        )
        assert listing.parse(reply({})) == ()
        assert refused(listing, reply({"destinations": ["x"]})).code is ApiCode.SERVER_ERROR

    def test_callbacks(self) -> None:
        call = add_redirect_uris(SETTINGS, "oc_1", ["https://a.example/cb"])
        assert call.parse(reply({"redirect_uris": ["https://a.example/cb"], "changed": False})).changed is False
        assert call.parse(reply({"redirect_uris": ["https://a.example/cb"]})).changed is True
        assert refused(call, reply({"ok": True})).code is ApiCode.SERVER_ERROR


class TestTokens:
    def test_the_least_that_counts(self) -> None:
        assert TOKENS.parse(reply({"access_token": "at"})) == TokenResponse(
            access_token=Secret("at"), refresh_token=None, expires_in=None, scopes=("profile.read", "profile.search")
        )

    def test_everything(self) -> None:
        body = {
            "access_token": "at",
            "refresh_token": "rt",
            "expires_in": 3600,
            "scope": "profile.read",
            "token_type": "bEaReR",
        }
        assert TOKENS.parse(reply(body)) == TokenResponse(
            access_token=Secret("at"), refresh_token=Secret("rt"), expires_in=3600.0, scopes=("profile.read",)
        )

    @pytest.mark.parametrize(("scope", "granted"), [("", ()), (" ", ()), ("a  b", ("a", "b"))])
    def test_scopes_are_those_granted(self, scope: str, granted: tuple[str, ...]) -> None:
        assert TOKENS.parse(reply({"access_token": "at", "scope": scope})).scopes == granted

    @pytest.mark.parametrize("seconds", [0, 0.5, 315_360_000])
    def test_lifetimes(self, seconds: float) -> None:
        assert TOKENS.parse(reply({"access_token": "at", "expires_in": seconds})).expires_in == seconds

    @pytest.mark.parametrize(
        "change",
        [
            {"access_token": None},
            {"access_token": ""},
            {"access_token": 7},
            {"access_token": ["at"]},
            {"access_token": "a\nt"},
            {"access_token": "x" * 8193},
            {"token_type": "DPoP"},
            {"token_type": 1},
            {"scope": ["profile.read"]},
            {"scope": 'a"b'},
            {"scope": "a\u00a0b"},
        ],
    )
    def test_tokens_that_are_not_whole_are_refused(self, change: dict[str, object]) -> None:
        error = refused(TOKENS, reply({"access_token": "at"} | change))
        assert error.code is ApiCode.SERVER_ERROR

    @pytest.mark.catalogue("G6")
    @pytest.mark.parametrize(
        ("told", "seconds"),
        [
            ("3600", 3600),
            ("0", 0),
            ("12.5", 12.5),
            ("abc", 3600),
            ("-5", 3600),
            ("\u0663\u0666", 3600),
            ("1e9", 3600),
            (True, 3600),
            (-5, 3600),
            (10**12, 3600),
            (10**400, 3600),
            (float("inf"), 3600),
            ([600], 3600),
            ({"value": 600}, 3600),
        ],
    )
    def test_malformed_lifetimes(self, told: object, seconds: float) -> None:
        body = json.dumps({"access_token": "at", "expires_in": told}).replace("Infinity", "1e400").encode()
        assert TOKENS.parse(reply(body)).expires_in == seconds

    def test_a_malformed_refresh_token_counts_as_absent(self, caplog: pytest.LogCaptureFixture) -> None:
        for malformed in (5, ["canary"], "can ary", {"canary": 1}, True, "canary" * 2000):
            caplog.clear()
            read = TOKENS.parse(reply({"access_token": "at", "refresh_token": malformed}))
            assert (read.access_token, read.refresh_token) == (Secret("at"), None)
            assert caplog.messages == ["Configure's response to the token request: invalid refresh_token, ignored"]

    def test_nothing_but_200_is_a_token(self) -> None:
        assert refused(TOKENS, reply({"access_token": "at"}, status=201)).code is ApiCode.SERVER_ERROR
        assert refused(TOKENS, reply({"message": "Not Found"}, status=404)).code is ApiCode.NOT_FOUND

    @pytest.mark.catalogue("D7")
    @pytest.mark.parametrize("word", ["invalid_grant", "invalid_client", "invalid_target"])
    def test_oauths_own_word_is_kept(self, word: str) -> None:
        error = refused(TOKENS, reply({"error": word, "error_description": "because"}, status=400))
        assert (error.backend_code, error.code) == (word, ApiCode.INVALID_INPUT)
        assert "because" not in str(error)


class TestIntrospection:
    def test_active(self) -> None:
        body = {"active": True, "sub": "u1", "client_id": "oc_1", "aud": ["a", "b"], "agent": "acme", "exp": 1e9}
        assert INTROSPECT.parse(reply(body)) == Introspection(
            active=True, sub="u1", client_id="oc_1", agent="acme", expires_at=1e9
        )
        assert INTROSPECT.parse(reply({"active": True, "sub": "u1"})) == Introspection(active=True, sub="u1")

    def test_of_an_inactive_token_nothing_is_told(self) -> None:
        assert INTROSPECT.parse(reply({"active": False, "sub": "u1", "exp": "x"})) == Introspection(active=False)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"sub": "u1"},
            {"active": "true", "sub": "u1"},
            {"active": 1, "sub": "u1"},
            {"active": True},
            {"active": True, "sub": ""},
            {"active": True, "sub": 5},
            {"active": True, "sub": "x" * 256},
            {"active": True, "sub": "u\n1"},
            {"active": True, "sub": "u1", "agent": 5},
        ],
    )
    def test_doubt_is_no_identity(self, body: dict[str, object]) -> None:
        assert refused(INTROSPECT, reply(body)).code is ApiCode.SERVER_ERROR

    @pytest.mark.parametrize("status", [400, 401, 403, 500, 503])
    def test_a_refusal_is_an_error_and_not_an_inactive_token(self, status: int) -> None:
        refused(INTROSPECT, reply({"active": False}, status=status))


class TestProfile:
    def test_scalars_are_strings_or_objects_with_a_value(self) -> None:
        body = {
            "identity": {
                "name": {"value": "Ada"},
                "email": "ada@example.com",
                "phone_last4": {"value": "0123"},
                "occupation": "Countess",
                "location": {"value": "London"},
                "bio": "one\ntwo",
                "interests": ["looms", {"value": "numbers"}, 5],
            },
            "preferences": ["tea"],
            "linked": True,
            "hidden_sources": ["chatgpt"],
        }
        profile = PROFILE.parse(reply(body))
        assert profile.identity == ProfileIdentity(
            name="Ada",
            email="ada@example.com",
            phone_last4="0123",
            occupation="Countess",
            location="London",
            bio="one\ntwo",
            interests=("looms", "numbers"),
        )
        assert profile.sections["preferences"] == ["tea"]
        assert (profile.portable, profile.filtered, profile.hidden_sources) == (True, False, ("chatgpt",))

    @pytest.mark.parametrize(
        ("body", "portable"),
        [
            ({"portable": None, "linked": False}, False),
            ({"portable": None}, True),
            ({"portable": False, "linked": True}, False),
            ({"hidden_sources": None, "hiddenSources": ["chatgpt"]}, True),
        ],
    )
    def test_null_counts_as_absent(self, body: dict[str, Any], portable: bool) -> None:
        read = PROFILE.parse(reply(body))
        assert (read.portable, read.hidden_sources) == (portable, ("chatgpt",) if "hiddenSources" in body else ())

    def test_an_empty_profile_is_a_profile(self) -> None:
        assert PROFILE.parse(reply({})).identity == ProfileIdentity()
        assert PROFILE.parse(reply({"identity": "Ada"})).identity == ProfileIdentity()

    @pytest.mark.parametrize("says", [None, False, "true", 1, {"value": "true"}, {"value": False}])
    def test_an_email_is_verified_only_where_configure_says_so(self, says: object) -> None:
        body = {"identity": {"email": "a@b.c", "email_verified": says}}
        assert PROFILE.parse(reply(body)).identity.email_verified is False

    def test_a_verified_email(self) -> None:
        for name in ("email_verified", "emailVerified"):
            identity = {"email": "a@b.c", name: True}
            assert PROFILE.parse(reply({"identity": identity})).identity.email_verified is True
        both = {"email": "a@b.c", "email_verified": True, "emailVerified": False}
        assert PROFILE.parse(reply({"identity": both})).identity.email_verified is False
        assert PROFILE.parse(reply({"identity": {"email_verified": True}})).identity.email_verified is False

    @pytest.mark.parametrize("name", ["sub", "user_id", "userId", "id"])
    def test_an_id_in_the_identity_is_a_claim_only(self, name: str) -> None:
        profile = PROFILE.parse(reply({"identity": {name: "somebody"}, "user_id": "u1"}))
        assert (profile.identity.claimed_user_id, profile.user_id) == ("somebody", "u1")

    @pytest.mark.catalogue("H11")
    @pytest.mark.parametrize(
        ("field", "hostile", "kept"),
        [
            ("name", "a\0b", None),
            ("name", "a\nb", None),
            ("name", "\ud800", None),
            ("name", 5, None),
            ("name", ["a"], None),
            ("name", {"value": {"value": "a"}}, None),
            ("name", "x" * 1_000_000, None),
            ("name", "x" * 1000, "x" * 256),
            ("name", "\u202egpj.exe", "gpj.exe"),
            ("name", " Ada ", "Ada"),
            ("name", "<b>", "<b>"),
            ("email", "not an email", None),
            ("email", "a@b@c", None),
            ("email", "x" * 250 + "@b.cd", None),
            ("phone_last4", "12345", None),
            ("phone_last4", "+15551234567", None),
            ("phone_last4", "12 4", None),
            ("phone_last4", "١٢٣٤", None),
            ("phone_last4", 1234, None),
        ],
    )
    def test_hostile_strings_are_cut_or_dropped(self, field: str, hostile: object, kept: str | None) -> None:
        identity = PROFILE.parse(reply({"identity": {field: hostile}})).identity
        assert getattr(identity, field) == kept


def structured(kind: str, code: str, **more: object) -> dict[str, object]:
    return {"error": {"type": kind, "code": code, "message": "m", **more}, "request_id": "req_1"}


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "body", "code", "backend_code"),
        [
            (401, structured("authentication_error", "api_key_invalid"), "AUTH_REQUIRED", "api_key_invalid"),
            (400, structured("invalid_request_error", "missing_field"), "INVALID_INPUT", "missing_field"),
            (404, structured("invalid_request_error", "unknown"), "INVALID_INPUT", "unknown"),
            (403, structured("permission_error", "insufficient_scope"), "ACCESS_DENIED", "insufficient_scope"),
            (409, structured("permission_error", "commit_required"), "COMMIT_REQUIRED", "commit_required"),
            (400, structured("tool_error", "tool_not_connected"), "TOOL_NOT_CONNECTED", "tool_not_connected"),
            (502, structured("tool_error", "provider_down"), "TOOL_ERROR", "provider_down"),
            (429, structured("rate_limit_error", "slow_down"), "RATE_LIMITED", "slow_down"),
            (402, structured("rate_limit_error", "quota_exceeded"), "PAYMENT_REQUIRED", "quota_exceeded"),
            (500, structured("api_error", "oops"), "SERVER_ERROR", "oops"),
            (418, structured("new_kind_of_error", "teapot"), "SERVER_ERROR", "teapot"),
            # Structured needs type and code both; else it goes by the status.
            (404, {"error": {"code": "unknown"}}, "NOT_FOUND", "unknown"),
            (403, {"error": {"type": "permission_error"}}, "AUTH_REQUIRED", None),
            (401, {"error": "Unauthorized"}, "AUTH_REQUIRED", "Unauthorized"),
            (403, {"error": "no way", "code": "approval_required"}, "AUTH_REQUIRED", "approval_required"),
            (402, {"error": "pay"}, "INVALID_INPUT", "pay"),
            (404, {"message": "gone"}, "NOT_FOUND", None),
            (409, {"error": "Commit the last read first"}, "COMMIT_REQUIRED", None),
            (409, {"error": "already_registered"}, "INVALID_INPUT", "already_registered"),
            (429, {"error": "rate_limited", "message": "m"}, "RATE_LIMITED", "rate_limited"),
            (400, {"error": "Gmail is not connected"}, "TOOL_NOT_CONNECTED", None),
            (400, {"message": "User NOT LINKED"}, "TOOL_NOT_CONNECTED", None),
            (400, {"error": "invalid_grant", "error_description": "used"}, "INVALID_INPUT", "invalid_grant"),
            (400, {"error": "otp_start_failed", "detail": "d"}, "INVALID_INPUT", "otp_start_failed"),
            (400, {"error": 5, "message": 7}, "INVALID_INPUT", None),
            (503, b"<html>down</html>", "SERVER_ERROR", None),
            (401, b"", "AUTH_REQUIRED", None),
            (400, b"[" * 100_000, "INVALID_INPUT", None),
            (302, {"error": "moved"}, "SERVER_ERROR", "moved"),
            (304, b"", "SERVER_ERROR", None),
        ],
    )
    def test_kinds(self, status: int, body: object, code: str, backend_code: str | None) -> None:
        error = error_from(reply(body, status=status))
        assert (error.code, error.backend_code, error.status_code) == (code, backend_code, status)

    def test_everything_that_comes_with_it(self) -> None:
        body = structured(
            "rate_limit_error",
            "slow_down",
            retryable=False,
            retry_after=12.5,
            suggested_action="retry",
            doc_url="https://docs.configure.dev/errors",
        )
        error = error_from(reply(body | {"suggested_action": "reconnect"}, status=429))
        assert error.retryable is False
        assert error.retry_after == 12.5
        assert error.request_id == "req_1"
        assert error.suggested_action == "retry"
        assert error.doc_url == "https://docs.configure.dev/errors"
        assert str(error) == "Configure's rate limit is exceeded (RATE_LIMITED, HTTP 429, request req_1)"

    def test_an_action_may_be_an_object(self) -> None:
        action = {"type": "connect_tool", "app": "gmail", "url": "https://x", "reason": 5, "more": "y"}
        error = error_from(reply({"error": "x", "suggested_action": action}, status=400))
        assert error.suggested_action == {"type": "connect_tool", "app": "gmail", "url": "https://x"}

    @pytest.mark.parametrize(
        ("told", "header", "seconds"),
        [
            (None, "7", 7),
            (None, "0", 0),
            (None, "86400", 86400),
            (None, "soon", None),
            (None, "-1", None),
            (None, "٣", None),
            (3, "7", 3),
            (1e9, None, 1e9),
            (-1, None, 0),
            (True, "7", 7),
            ("5", None, None),
            (None, None, None),
        ],
    )
    def test_how_long_to_wait(self, told: object, header: str | None, seconds: float | None) -> None:
        body = structured("rate_limit_error", "slow_down", retry_after=told)
        headers = {} if header is None else {"retry-after": header}
        assert error_from(reply(body, status=429, headers=headers)).retry_after == seconds

    @pytest.mark.parametrize(
        ("status", "retryable"), [(429, True), (500, True), (503, True), (400, False), (401, False)]
    )
    def test_what_may_be_tried_again(self, status: int, retryable: bool) -> None:
        assert error_from(reply({}, status=status)).retryable is retryable

    def test_the_request_id_may_be_a_header(self) -> None:
        assert error_from(reply({}, status=500, headers={"x-request-id": "req_2"})).request_id == "req_2"

    @pytest.mark.parametrize("hostile", ["<script>", "a\nb", "x" * 65, "\x1b[31m", ""])
    def test_the_other_sides_text_stays_out_of_ours(self, hostile: str) -> None:
        body = {
            "error": {"type": hostile, "code": hostile, "message": hostile, "doc_url": f"javascript:{hostile}"},
            "request_id": hostile,
            "suggested_action": hostile * 100,
        }
        error = error_from(reply(body, status=400, headers={"x-request-id": hostile}))
        assert (error.backend_code, error.request_id, error.suggested_action, error.doc_url) == (None,) * 4
        assert hostile == "" or hostile not in str(error)
        assert len(str(error)) <= 256


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
names = st.sampled_from(
    "token user_id userId agent approved token_use valid access_token refresh_token expires_in scope token_type active "
    "sub aud exp identity name email phone_last4 email_verified error type code message retry_after request_id "
    "suggested_action destinations destination clients redirect_uris changed".split()
)
objects = st.dictionaries(names, json_values | st.dictionaries(names, json_values))
contents = (
    st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | objects.map(lambda value: json.dumps(value).encode())
)


@examples(300)
@given(
    call=st.sampled_from(CALLS), status=st.sampled_from([200, 201, 204, 302, 400, 401, 409, 429, 500]), content=contents
)
def test_any_answer_is_a_value_or_a_configure_error(call: HttpCall[Any], status: int, content: bytes) -> None:
    sentence = ""
    try:
        call.parse(reply(content, status=status))
    except ConfigureError as error:
        sentence = str(error)
    assert len(sentence) <= 256
    assert sentence.isprintable()


HEADS = [
    b"",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    b"HTTP/1.1 429 Wait\r\nretry-after: ",
    b"HTTP/1.1 302 Found\r\nlocation: ",
    http(GRANT),
]


@pytest.mark.catalogue("G7", "R1")
def test_any_bytes_on_the_line_are_a_value_or_a_configure_error(server: Server) -> None:
    """At each call, and cut off anywhere."""

    @examples(200)
    @given(
        call=st.sampled_from(CALLS),
        head=st.sampled_from(HEADS),
        rest=st.binary(max_size=200),
        cut=st.none() | st.integers(0, 200),
    )
    def answer(call: HttpCall[Any], head: bytes, rest: bytes, cut: int | None) -> None:
        def write(line: Line, _: Received) -> object:
            line.write((head + rest)[:cut])
            return CLOSE

        server.answers(write)
        with suppress(ConfigureError):
            configure.send(replace(call, url=f"{server.url}{urlsplit(call.url).path}"))

    with Configure(server.settings) as configure:
        answer()
