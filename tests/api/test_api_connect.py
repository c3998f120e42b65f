"""`connect`: a sign-in link that Configure creates for one subject."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from configure_auth import AsyncConfigure, Configure, Settings
from configure_auth.client.connect import ConnectCalls, ConnectResponse
from configure_auth.errors import ApiCode, ConfigureError
from configure_auth.sandbox import Sandbox

from .conftest import http
from .talking import refused, reply, talk

if TYPE_CHECKING:
    from .conftest import Server

LINK = "https://sign-in.me/acme/abc"
GOOD = {"status": "authorization_required", "connect_url": LINK, "expires_at": "2026-01-01T00:00:00Z"}


def test_a_user_of_the_app_signs_in_by_the_link(sandbox: Sandbox, sandbox_settings: Settings) -> None:
    with Configure(sandbox_settings) as configure:
        profile = configure.profile(external_id="discord:42")
        profile.remember("Prefers dark mode")
        made = profile.connect(return_url="https://app.example.com/done")

        assert (made.status, made.import_url) == ("authorization_required", None)
        assert made.connect_url is not None
        assert made.expires_at is not None
        assert sandbox.sign_in(made.connect_url, name="Ada") == "https://app.example.com/done"
        assert configure.profile(external_id="discord:42").read().identity.name == "Ada"
        assert made.connect_url not in repr(made)


def test_awaited(sandbox_settings: Settings) -> None:
    async def made() -> ConnectResponse:
        async with AsyncConfigure(sandbox_settings) as configure:
            return await configure.profile(external_id="discord:42").connect()

    assert (anyio.run(made).connect_url or "").startswith(sandbox_settings.sign_in_url)


def test_what_is_sent(server: Server) -> None:
    server.answers(http(GOOD))
    with Configure(server.settings) as configure:
        configure.profile(token="tok").connect()
        configure.profile(external_id="e1").connect(return_url="http://localhost:3000/x?y=1")
    first, second = server.received
    assert (first.method, first.target, json.loads(first.body)) == ("POST", "/v1/profile/connect", {})
    assert first.headers["authorization"] == "Bearer tok"
    assert (second.headers["x-user-id"], second.headers["x-api-key"]) == ("e1", "sk_key")
    assert json.loads(second.body) == {"return_url": "http://localhost:3000/x?y=1"}


def test_the_other_fields_may_be_missing_or_malformed() -> None:
    call = ConnectCalls(talk()).connect()
    assert call.parse(reply({"status": "connect_app", "connect_url": LINK, "expires_at": 5})) == ConnectResponse(
        status="connect_app", connect_url=LINK
    )
    assert call.parse(reply({"status": "import_ready", "import_url": LINK, "instructions": "Send it."})) == (
        ConnectResponse(status="import_ready", import_url=LINK, instructions="Send it.")
    )


@pytest.mark.parametrize(
    "change",
    [
        {"status": None},
        {"status": "ready"},
        {"status": "import_ready"},
        {"connect_url": None},
        {"connect_url": 5},
        {"connect_url": "https://sign-in.me.evil.example/acme/abc"},
        {"connect_url": "http://sign-in.me/acme/abc"},
        {"connect_url": "https://user@sign-in.me/acme/abc"},
        {"connect_url": "javascript:alert(1)"},
    ],
)
def test_a_response_without_a_link_to_the_hosted_sign_in(change: dict[str, object]) -> None:
    error = refused(lambda: ConnectCalls(talk()).connect().parse(reply(GOOD | change)))
    assert (error.code, error.status_code) == (ApiCode.SERVER_ERROR, 200)


@pytest.mark.parametrize("url", ["http://app.example.com", "myapp://done", "javascript:alert(1)", "", "/done", 7])
def test_a_return_url_that_cannot_be_one(url: Any) -> None:
    with pytest.raises(ConfigureError, match="return_url") as caught:
        _ = ConnectCalls(talk()).connect(return_url=url)
    assert caught.value.code is ApiCode.INVALID_INPUT
