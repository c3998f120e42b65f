"""What goes over the wire, byte for byte as Configure's own client sends it."""

from __future__ import annotations

import base64
import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

from configure_auth.client.call import HttpCall
from configure_auth.client.message_sign_in import MessageSignInCalls
from configure_auth.client.oauth import exchange_authorization_code, introspect, refresh_tokens
from configure_auth.client.oauth_clients import add_redirect_uris, list_oauth_clients
from configure_auth.client.oauth_messages import authorization_url, code_challenge
from configure_auth.client.profile import RuntimeScope, Subject, read_profile
from configure_auth.client.sign_in import SignInCalls
from configure_auth.errors import ApiCode, ConfigureError, SettingsError
from configure_auth.settings import Settings
from configure_auth.values import Secret

from .conftest import http

if TYPE_CHECKING:
    from .conftest import Send, Server

KEY = {"x-api-key": "sk_key"}
AGENT = {"x-agent": "acme"}
JSON = {"content-type": "application/json"}
SCOPE = RuntimeScope(session_id="session_1", runtime_scope_id="scope_1")
IN_SCOPE = {"x-configure-session-id": "session_1", "x-configure-runtime-scope-id": "scope_1"}
EVERYTHING = {
    "token": "t",
    "userId": "u",
    "agent": "acme",
    "valid": True,
    "destination": "https://a.example/cb",
    "redirect_uris": [],
    "active": True,
    "sub": "s",
    "access_token": "at",
}
ALWAYS = {"host", "accept", "accept-encoding", "user-agent", "content-length"}
DESTINATIONS = "/v1/auth/sign-in/return-destinations"


@pytest.mark.conformance("userinfo-bearer-header")
@pytest.mark.catalogue("H12")
@pytest.mark.parametrize(
    ("build", "method", "target", "headers", "body"),
    [
        (
            lambda s: SignInCalls(s).exchange_sign_in_code('cfgsic_"~'),
            "POST",
            "/v1/auth/sign-in/exchange",
            JSON | KEY | AGENT,
            b'{"code":"cfgsic_\\"~"}',
        ),
        (
            lambda s: SignInCalls(s).validate_sign_in_token(Secret("tok")),
            "POST",
            "/v1/auth/sign-in/validate",
            JSON | KEY | AGENT,
            b'{"token":"tok"}',
        ),
        (
            lambda s: SignInCalls(s).allow_sign_in_return_to("myapp://back?x=ü\U0001f600"),
            "POST",
            DESTINATIONS,
            JSON | KEY | AGENT,
            '{"return_to":"myapp://back?x=ü\U0001f600"}'.encode(),
        ),
        (lambda s: SignInCalls(s).list_sign_in_return_destinations(), "GET", DESTINATIONS, KEY | AGENT, b""),
        (
            lambda s: SignInCalls(s).remove_sign_in_return_to("https://a.example/cb"),
            "DELETE",
            DESTINATIONS,
            JSON | KEY | AGENT,
            b'{"return_to":"https://a.example/cb"}',
        ),
        (
            lambda s: read_profile(s, Subject(token="tok"), sections=["identity", "summary"], scope=SCOPE),
            "GET",
            "/v1/profile?sections=identity%2Csummary",
            JSON | KEY | AGENT | IN_SCOPE | {"authorization": "Bearer tok"},
            b"",
        ),
        (
            lambda s: read_profile(s, Subject(external_id="usr é"), scope=SCOPE),
            "GET",
            "/v1/profile",
            JSON | KEY | AGENT | IN_SCOPE | {"x-user-id": "usr é"},
            b"",
        ),
        (lambda s: introspect(s, "at"), "POST", "/oauth/introspect", JSON, b'{"token":"at"}'),
        (list_oauth_clients, "GET", "/v1/developer/oauth/clients", KEY, b""),
        (
            lambda s: add_redirect_uris(s, "oc_a/b", ["http://localhost:3000/auth/configure/callback"]),
            "PATCH",
            "/v1/developer/oauth/clients/oc_a%2Fb",
            JSON | KEY,
            b'{"add_redirect_uris":["http://localhost:3000/auth/configure/callback"]}',
        ),
    ],
)
def test_requests(
    server: Server,
    send: Send,
    build: Callable[[Settings], HttpCall[Any]],
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes,
) -> None:
    server.answers(http(EVERYTHING))
    send(build(server.settings))
    (received,) = server.received
    assert (received.method, received.target, received.body) == (method, target, body)
    assert {name: value for name, value in received.headers.items() if name not in ALWAYS} == headers


BASIC = "Basic " + base64.b64encode(b"oc_client:ocs_secret").decode()


@pytest.mark.conformance("client-secret-basic")
@pytest.mark.catalogue("D7", "D9", "H12")
@pytest.mark.parametrize("resource", ["https://api.configure.dev", None])
def test_the_token_request(server: Server, send: Send, resource: str | None) -> None:
    server.answers(http(EVERYTHING))
    verifier = "v" * 43
    send(
        exchange_authorization_code(
            server.settings,
            code="co/de+~*",
            redirect_uri="https://a.example/cb?x=1",
            code_verifier=Secret(verifier),
            resource=resource,
        )
    )
    (received,) = server.received
    assert (received.method, received.target) == ("POST", "/oauth/token")
    assert received.headers["content-type"] == "application/x-www-form-urlencoded"
    assert received.headers["authorization"] == BASIC
    expected = {
        "grant_type": "authorization_code",
        "code": "co/de+~*",
        "redirect_uri": "https://a.example/cb?x=1",
        "client_id": "oc_client",
        "code_verifier": verifier,
    }
    pairs = parse_qsl(received.body.decode(), strict_parsing=True)
    assert len(pairs) == len(dict(pairs))
    assert dict(pairs) == expected | ({"resource": resource} if resource else {})
    assert "x-api-key" not in received.headers


@pytest.mark.catalogue("D9")
def test_a_secret_with_reserved_characters_is_sent_as_it_is(server: Server, send: Send) -> None:
    """Not percent-encoded first, as RFC 6749 section 2.3.1 says: Configure compares the plain text."""
    secret = "ocs_a:b%3A+c/=?&"
    server.answers(http(EVERYTHING))
    settings = replace(server.settings, oauth_client_secret=Secret(secret))
    send(refresh_tokens(settings, refresh_token=Secret("rt"), resource=None))

    (received,) = server.received
    scheme, _, sent = received.headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(sent).decode()) == ("Basic", f"oc_client:{secret}")
    assert (received.target, b"ocs_" in received.body) == ("/oauth/token", False)
    for other in ("ocs_a b", "ocs_\u00e9", "ocs_\u0142"):
        with pytest.raises(SettingsError, match="CONFIGURE_OAUTH_CLIENT_SECRET"):
            replace(server.settings, oauth_client_secret=Secret(other))


def test_the_refresh_request(server: Server, send: Send) -> None:
    server.answers(http(EVERYTHING))
    send(refresh_tokens(server.settings, refresh_token=Secret("rt"), resource="https://api.configure.dev"))
    (received,) = server.received
    assert received.headers["authorization"] == BASIC
    assert parse_qsl(received.body.decode()) == [
        ("grant_type", "refresh_token"),
        ("refresh_token", "rt"),
        ("client_id", "oc_client"),
        ("resource", "https://api.configure.dev"),
    ]


def test_the_authorization_url_has_the_parameters_in_the_order_of_configures_own_clients() -> None:
    url = authorization_url(
        "https://accounts.configure.dev/oauth/authorize",
        client_id="oc_client",
        redirect_uri="https://a.example/cb",
        scopes=("profile.read", "profile.search"),
        code_challenge="challenge",
        state="state",
        resource="https://api.configure.dev",
    )
    assert url == (
        "https://accounts.configure.dev/oauth/authorize?response_type=code&client_id=oc_client"
        "&redirect_uri=https%3A%2F%2Fa.example%2Fcb&scope=profile.read+profile.search"
        "&code_challenge=challenge&code_challenge_method=S256&state=state"
        "&resource=https%3A%2F%2Fapi.configure.dev"
    )


def test_the_code_challenge_of_rfc_7636_appendix_b() -> None:
    challenge = code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


class TestSubject:
    def test_every_read_has_a_session_and_a_scope_of_its_own(self) -> None:
        settings = Settings(api_key=Secret("sk_key"), agent="acme")
        one, two = (read_profile(settings, Subject(token="tok")).headers for _ in range(2))
        for name, prefix in (("X-Configure-Session-Id", "session"), ("X-Configure-Runtime-Scope-Id", "scope")):
            assert one[name] != two[name]
            assert re.fullmatch(rf"{prefix}_[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}", one[name])

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"token": "t", "external_id": "e"},
            {"token": ""},
            {"token": "two words"},
            {"token": "x" * 8193},
            {"external_id": ""},
            {"external_id": " a"},
            {"external_id": "a\n"},
            {"external_id": "Łódź"},
            {"external_id": "x" * 256},
            {"external_id": 7},
        ],
    )
    def test_a_subject_that_cannot_be_sent_is_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigureError) as caught:
            Subject(**options)
        assert caught.value.code is ApiCode.INVALID_INPUT


SETTINGS = Settings(api_key=Secret("sk_key"), agent="acme")


class TestSignInUrl:
    def test_the_agents_name_is_enough(self) -> None:
        assert SignInCalls(SETTINGS).sign_in_url() == "https://sign-in.me/acme"
        assert SignInCalls(SETTINGS).sign_in_url(state="", connectors=[" ", ""]) == "https://sign-in.me/acme"

    def test_every_parameter_in_order(self) -> None:
        url = SignInCalls(SETTINGS).sign_in_url(
            publishable_key="pk_1",
            return_to="https://a.example/cb?x=~*",
            state="s t",
            journey_id="j",
            display_name="Acmé",
            agent_logo="https://l/x.png",
            delivery="sms",
            message_line_phone="+1555",
            message_body="hi (there)!\n",
            message_complete_url="https://a.example/done",
            connectors=[" gmail ", "", "notion"],
            theme="dark",
        )
        assert url == (
            "https://sign-in.me/acme?pk=pk_1&return_to=https%3A%2F%2Fa.example%2Fcb%3Fx%3D%7E*&state=s+t&journey=j"
            "&agent_name=Acm%C3%A9&agent_logo=https%3A%2F%2Fl%2Fx.png&delivery=sms&message_line_phone=%2B1555"
            "&message_body=hi+%28there%29%21%0A&message_complete_url=https%3A%2F%2Fa.example%2Fdone"
            "&connectors=gmail%2Cnotion&theme=dark"
        )

    def test_older_spellings_and_another_origin(self) -> None:
        url = SignInCalls(SETTINGS).sign_in_url(
            sign_in_origin="http://localhost:9/", agent_name="A", agent_phone="+1", connectors=" a, b "
        )
        assert url == "http://localhost:9/acme?agent_name=A&message_line_phone=%2B1&connectors=a%2C+b"

    @pytest.mark.parametrize(
        "options",
        [
            {"publishable_key": "sk_key"},
            {"return_to": "javascript:alert(1)"},
            {"return_to": "javascript://a.example/%0aalert(1)"},
            {"return_to": "data://x"},
            {"return_to": "http://a.example/cb"},
            {"return_to": "https://user@a.example/"},
            {"return_to": "https://a.example\\@b.example/"},
            {"return_to": "https:/a.example"},
            {"return_to": "/cb"},
            {"return_to": "//a.example/cb"},
            {"return_to": "https://a.example/c b"},
            {"message_complete_url": "ftp://a.example"},
            {"message_complete_url": "http://a.example/done"},
            {"theme": "blue"},
            {"state": "\ud800"},
            {"display_name": "A", "agent_name": "B"},
            {"message_line_phone": "+1", "agent_phone": "+2"},
        ],
    )
    def test_what_cannot_be_right_is_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigureError) as caught:
            SignInCalls(SETTINGS).sign_in_url(**options)
        assert caught.value.code is ApiCode.INVALID_INPUT

    @pytest.mark.parametrize("value", [0, 7, False, b"x", ["x"], object()])
    @pytest.mark.parametrize(
        "name",
        [name for name in inspect.signature(SignInCalls(SETTINGS).sign_in_url).parameters if name != "connectors"],
    )
    def test_an_argument_of_a_wrong_type_is_named(self, name: str, value: object) -> None:
        options: dict[str, Any] = {name: value}
        with pytest.raises(ConfigureError, match=f"^{name} must be a string, not ") as caught:
            SignInCalls(SETTINGS).sign_in_url(**options)
        assert caught.value.code is ApiCode.INVALID_INPUT

    @pytest.mark.parametrize(
        "connectors", [7, 0, [7], ["gmail", None], ["gmail", b"x"], ["a\nb"], {"gmail"}, [["gmail"]]]
    )
    def test_connectors_of_a_wrong_type_are_named(self, connectors: Any) -> None:
        for make in (
            lambda: SignInCalls(SETTINGS).sign_in_url(connectors=connectors),
            lambda: MessageSignInCalls(SETTINGS).create_message_sign_in_url(
                channel="sms", subject_key="k", external_id="e", connectors=connectors
            ),
        ):
            with pytest.raises(ConfigureError, match="connectors") as caught:
                make()
            assert caught.value.code is ApiCode.INVALID_INPUT

    @pytest.mark.parametrize(
        "origin",
        ["javascript:alert(1)", "mailto:a@b", "http://a.example", "https://u@a.example", "https://a.example/x"],
    )
    def test_an_origin_that_no_one_should_be_sent_to_is_refused(self, origin: str) -> None:
        with pytest.raises(ConfigureError, match="sign_in_origin") as caught:
            SignInCalls(SETTINGS).sign_in_url(sign_in_origin=origin)
        assert caught.value.code is ApiCode.INVALID_INPUT

    @pytest.mark.parametrize("url", ["myapp://back", "com.acme.app://back/x?y", "http://localhost:3000/cb"])
    def test_app_links_and_loopback_are_destinations(self, url: str) -> None:
        assert SignInCalls(SETTINGS).sign_in_url(return_to=url).startswith("https://sign-in.me/acme?return_to=")


@pytest.mark.parametrize(
    "build",
    [
        lambda: SignInCalls(SETTINGS).exchange_sign_in_code(""),
        lambda: SignInCalls(SETTINGS).exchange_sign_in_code("x" * 2049),
        lambda: SignInCalls(SETTINGS).exchange_sign_in_code("a\r\nb"),
        lambda: SignInCalls(SETTINGS).exchange_sign_in_code("a\0"),
        lambda: SignInCalls(SETTINGS).exchange_sign_in_code("\ud800"),
        lambda: SignInCalls(SETTINGS).exchange_sign_in_code(None),  # type: ignore[arg-type]
        lambda: SignInCalls(SETTINGS).validate_sign_in_token("x" * 8193),
        lambda: SignInCalls(SETTINGS).allow_sign_in_return_to("mailto:a@b"),
        lambda: SignInCalls(SETTINGS).remove_sign_in_return_to(" "),
        lambda: read_profile(SETTINGS, Subject(token="t"), sections="identity"),
        lambda: read_profile(SETTINGS, Subject(token="t"), sections=["a&b"]),
        lambda: read_profile(SETTINGS, Subject(token="t"), sections=[7]),  # type: ignore[list-item]
        lambda: read_profile(SETTINGS, Subject(token="t"), sections=7),  # type: ignore[arg-type]
        lambda: read_profile(SETTINGS, Subject(token="t"), sections={"identity": True}),  # type: ignore[arg-type]
        lambda: add_redirect_uris(SETTINGS, "oc_1", "https://a.example"),
        lambda: add_redirect_uris(SETTINGS, "oc_1", []),
        lambda: add_redirect_uris(SETTINGS, "oc_1", ["https://a.example/cb", "/cb"]),
        *(
            lambda uri=uri: add_redirect_uris(SETTINGS, "oc_1", [uri])
            for uri in (
                "http://a.example/cb",
                "http://[::1]:3000/cb",
                "http://127.0.0.2/cb",
                "http://localhost.example/cb",
                "ftp://localhost/cb",
                "//a.example/cb",
                "https:///cb",
                "https://[/cb",
                "https://a.example/cb#",
                "https://*.example/cb",
                "https://a.example/c b",
                "https://a.example/c\\b",
                "https://a.example/caf\xe9",
                "https://me@a.example/cb",
                "https://a.example/" + "c" * 2048,
            )
        ),
    ],
)
def test_what_cannot_be_sent_is_refused_before_there_is_a_call(build: Callable[[], object]) -> None:
    with pytest.raises(ConfigureError) as caught:
        build()
    assert caught.value.code is ApiCode.INVALID_INPUT
    assert not caught.value.retryable


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="CONFIGURE_API_KEY"):
        _ = SignInCalls(Settings(agent="acme")).exchange_sign_in_code("code")
    with pytest.raises(SettingsError, match="CONFIGURE_OAUTH_CLIENT_SECRET"):
        _ = refresh_tokens(Settings(oauth_client_id="oc_1"), refresh_token="rt", resource=None)
