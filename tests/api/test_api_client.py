"""The two clients as a developer meets them: verbs, types, help, options."""

from __future__ import annotations

import asyncio
import inspect
import pydoc
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, assert_type

import pytest

from configure_auth.client.call import HttpCall
from configure_auth.client.client import AsyncConfigure, AsyncProfile, Configure, Profile
from configure_auth.client.profile import ProfileResponse, Subject, read_profile
from configure_auth.client.sign_in import ReturnDestination
from configure_auth.errors import ApiCode, ConfigureError, SettingsError
from configure_auth.settings import Settings
from configure_auth.values import Secret, SignInGrant, TokenValidation

from .conftest import http

if TYPE_CHECKING:
    from .conftest import Line, Received, Server

T = TypeVar("T")

GRANT = {"token": "tok", "userId": "u1", "agent": "acme"}


def test_verbs_have_types_on_both_sides(server: Server) -> None:
    def answer(line: Line, received: Received) -> None:
        by_path = {
            "/v1/auth/sign-in/exchange": GRANT,
            "/v1/auth/sign-in/validate": {"valid": True},
            "/v1/profile?sections=identity": {"identity": {"name": "Ada"}},
        }
        line.write(http(by_path.get(received.target, {"destinations": []})))

    server.answers(answer)
    with Configure(server.settings) as configure:
        assert_type(configure.auth.exchange_sign_in_code("cfgsic_1"), SignInGrant)
        assert_type(configure.auth.validate_sign_in_token(token="tok"), TokenValidation)
        assert_type(configure.auth.list_sign_in_return_destinations(), tuple[ReturnDestination, ...])
        assert_type(configure.auth.sign_in_url(state="s"), str)
        assert_type(configure.profile(token="tok"), Profile)
        read = assert_type(configure.profile(token="tok").read(sections=["identity"]), ProfileResponse)
        assert read.identity.name == "Ada"

    async def main() -> None:
        async with AsyncConfigure(server.settings) as configure:
            waiting = assert_type(configure.auth.exchange_sign_in_code("cfgsic_1"), Coroutine[Any, Any, SignInGrant])
            assert (await waiting).user_id == "u1"
            assert_type(await configure.auth.validate_sign_in_token(token="tok"), TokenValidation)
            assert_type(configure.auth.sign_in_url(state="s"), str)
            assert_type(configure.profile(external_id="e"), AsyncProfile)
            assert_type(await configure.profile(external_id="e").read(sections=("identity",)), ProfileResponse)

    asyncio.run(main())


def test_unknown_options_are_refused() -> None:
    configure = Configure(api_key="sk_key", agent="acme")
    with pytest.raises(TypeError):
        configure.auth.sign_in_url(redirect_uri="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        configure.auth.exchange_sign_in_code("a", "b")  # type: ignore[call-arg]


@pytest.mark.parametrize("client", [Configure, AsyncConfigure])
def test_a_client_is_made_of_settings_or_of_their_parts(
    client: type[Configure] | type[AsyncConfigure], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(api_key=Secret("sk_key"), agent="acme", base_url="https://api.example.com")
    assert client(settings).settings is settings
    assert client(api_key="sk_key", agent="acme", base_url="https://api.example.com/").settings == settings
    assert client(api_key=Secret("sk_key"), agent="acme").settings.base_url == "https://api.configure.dev"
    monkeypatch.setenv("CONFIGURE_API_KEY", "sk_env")
    monkeypatch.setenv("CONFIGURE_AGENT", "acme")
    assert client().settings.required_api_key == Secret("sk_env")
    # What isn't given comes from the environment: a key given here must not go to another API than CONFIGURE_BASE_URL.
    monkeypatch.setenv("CONFIGURE_BASE_URL", "https://staging.example.com")
    assert client(agent="other").settings.required_api_key == Secret("sk_env")
    given = client(api_key="sk_key", agent="other").settings
    assert (given.required_api_key, given.agent) == (Secret("sk_key"), "other")
    assert given.base_url == "https://staging.example.com"
    with pytest.raises(SettingsError, match="either settings, or"):
        client(settings, agent="acme")  # type: ignore[call-overload]
    with pytest.raises(SettingsError, match="CONFIGURE_API_KEY"):
        client(api_key="pk_key", agent="acme")


@pytest.mark.parametrize("options", [{}, {"token": "t", "external_id": "e"}])
def test_a_profile_has_exactly_one_subject(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigureError, match="exactly one of") as caught:
        Configure(api_key="sk_key", agent="acme").profile(**options)
    assert caught.value.code is ApiCode.INVALID_INPUT


def test_a_profile_client_keeps_its_scope_and_shares_it_with_nobody(server: Server) -> None:
    server.answers(http({}))
    with Configure(server.settings) as configure:
        one, two = configure.profile(token="tok"), configure.profile(token="tok")
        for profile in (one, one, two):
            profile.read()
    scopes = [received.headers["x-configure-runtime-scope-id"] for received in server.received]
    assert scopes[0] == scopes[1] != scopes[2]


def test_a_profile_goes_through_whatever_performs_its_calls() -> None:
    seen: list[str] = []

    def perform(call: HttpCall[T], /) -> T:
        seen.append(call.method)
        raise ConfigureError(ApiCode.TIMEOUT, "not today")

    profile = Profile(perform, Settings(api_key=Secret("sk_key"), agent="acme"), Subject(token="tok"))
    with pytest.raises(ConfigureError, match="not today"):
        profile.read()
    assert seen == ["GET"]


def test_a_call_can_be_made_to_bear_another_token() -> None:
    call = read_profile(Settings(api_key=Secret("sk_key"), agent="acme"), Subject(token="old"))
    renewed = call.bearing(Secret("new"))
    assert renewed.headers == {**call.headers, "Authorization": "Bearer new"}
    assert (renewed.method, renewed.url, renewed.parse) == (call.method, call.url, call.parse)


def test_an_awaited_verb_refuses_when_it_is_awaited() -> None:
    waiting = AsyncConfigure(api_key="sk_key", agent="acme").auth.exchange_sign_in_code("")
    with pytest.raises(ConfigureError, match="code must be"):
        asyncio.run(waiting)


@pytest.mark.parametrize("client", [Configure, AsyncConfigure])
def test_help_tells_of_the_verb_and_not_of_its_making(client: Callable[..., Configure]) -> None:
    auth = client(api_key="sk_key", agent="acme").auth
    told = pydoc.plain(pydoc.render_doc(auth.exchange_sign_in_code))
    assert "exchange_sign_in_code(code: " in told
    assert "SignInGrant" in told
    assert "Call[" not in told
    assert "A code is good once." in told
    assert "Ask Configure what an agent token is worth." in pydoc.plain(pydoc.render_doc(type(auth)))
    assert "settings" not in inspect.signature(auth.sign_in_url).parameters


def test_importing_opens_nothing_and_brings_no_framework() -> None:
    script = (
        "import sys, threading\n"
        "sys.addaudithook(lambda event, args: event.startswith('socket.') and print(event))\n"
        "import configure_auth.client, configure_auth.client.oauth_messages\n"
        "assert threading.active_count() == 1\n"
        "print([name for name in ('flask', 'starlette', 'sqlalchemy', 'redis', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
