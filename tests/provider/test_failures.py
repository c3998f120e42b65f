"""Every failure is Authlib's `OAuthError`, and its `error` one of our stable codes."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth as StarletteRegistry
from flask import Flask
from starlette.requests import Request

from configure_auth import ConfigureAuthError, Settings, SettingsError, SignInError
from configure_auth.client.oauth_registry import ConfigureOAuthError
from configure_auth.errors import Code
from configure_auth.flask import register_oauth as on_flask
from configure_auth.flows.response import LOOPBACK_COOKIE_NAME
from configure_auth.sandbox import Sandbox
from configure_auth.starlette import register_oauth as on_starlette

from ..support.reading import api_calls, meanwhile, no_calls
from ..support.stores import first
from ..support.web import Adapter
from .apps import REGISTRY
from .conftest import STORES, Make, Person, failure

PLACES = [None, *STORES.values()]


def test_one_class_is_caught_as_authlibs_and_as_ours() -> None:
    error = ConfigureOAuthError(SignInError(Code.CANCELLED, "the user cancelled"))

    assert isinstance(error, OAuthError)
    assert isinstance(error, ConfigureAuthError)
    assert (error.error, error.description, str(error), error.uri) == (
        "cancelled",
        "the user cancelled",
        "cancelled: the user cancelled",
        None,
    )
    assert type(error.error) is str
    assert (error.code, error.status) == (Code.CANCELLED, 400)


@pytest.mark.parametrize("store", PLACES)
def test_cancelling_is_said_and_sends_nothing(make: Make, store: str | None) -> None:
    with Person(make(store=store)) as person:
        callback = person.returning(cancel=True)
        with no_calls(person.web.sandbox):
            assert failure(person.come_back(callback)) == "cancelled"


@pytest.mark.catalogue("C1", "C2", "C8")
@pytest.mark.parametrize(
    ("came_back", "code"),
    [
        ("error=server_error", "upstream_unavailable"),
        ("error=temporarily_unavailable", "upstream_unavailable"),
        ("error=invalid_scope", "upstream_rejected"),
        ("error=access_denied&code=stolen", "cancelled"),
        ("", "invalid_request"),
        ("code=", "invalid_request"),
        ("code=a%20b", "invalid_request"),
        ("code=a&code=b", "invalid_request"),
        (f"code={'x' * 2049}", "invalid_request"),
    ],
)
def test_what_comes_back_instead_of_a_code(person: Person, came_back: str, code: str) -> None:
    callback = f"{person.end(person.away())}&{came_back}"
    with no_calls(person.web.sandbox):
        assert failure(person.come_back(callback)) == code


def test_a_state_with_letters_outside_ascii_is_another_browsers(person: Person) -> None:
    """An app's own state may have any letter, and so may what a third party sends."""
    person.away()

    assert failure(person.come_back("/callback?code=x&state=%C3%A9")) == "wrong_browser"


@pytest.mark.catalogue("A1")
@pytest.mark.parametrize("query", ["", "?code=x", "?code=x&state=", f"?state={'x' * 2049}"])
def test_a_callback_without_a_state_is_refused(person: Person, query: str) -> None:
    person.press()
    with no_calls(person.web.sandbox):
        assert failure(person.come_back(f"/callback{query}")) == "invalid_request"


@pytest.mark.catalogue("A2")
@pytest.mark.parametrize("state", ["short", "x" * 300])
def test_a_callback_with_a_state_that_this_browser_has_not_is_refused(person: Person, state: str) -> None:
    person.press()
    with no_calls(person.web.sandbox):
        assert failure(person.come_back(f"/callback?code=x&state={state}")) == "wrong_browser"


def test_a_callback_without_the_cookie_of_the_start_is_refused(person: Person) -> None:
    callback = person.returning()
    person.http.cookies.delete(LOOPBACK_COOKIE_NAME)
    with no_calls(person.web.sandbox):
        assert failure(person.come_back(callback)) == "cookie_missing"


@pytest.mark.catalogue("G1", "G18")
@pytest.mark.parametrize(
    ("path", "trouble", "code"),
    [
        ("/oauth/token", {"status": 400, "body": {"error": "invalid_grant"}}, "expired"),
        ("/oauth/token", {"status": 401, "body": {"error": "invalid_client"}}, "upstream_rejected"),
        ("/oauth/token", {"status": 500}, "upstream_unavailable"),
        ("/oauth/token", {"status": 429}, "upstream_unavailable"),
        ("/oauth/token", {"drop": True}, "upstream_unavailable"),
        ("/oauth/token", {"status": 200, "body": "<html>"}, "upstream_rejected"),
        (
            "/oauth/token",
            {"status": 200, "body": {"access_token": "a", "token_type": "mac"}},
            "upstream_rejected",
        ),
        ("/oauth/introspect", {"status": 200, "body": {"active": False}}, "upstream_rejected"),
        ("/oauth/introspect", {"status": 503}, "upstream_unavailable"),
        ("/v1/profile", {"drop": True}, "upstream_unavailable"),
    ],
)
def test_trouble_at_configure(person: Person, path: str, trouble: dict[str, Any], code: str) -> None:
    callback = person.returning()
    person.web.sandbox.fault(path, **trouble)

    assert failure(person.come_back(callback)) == code
    assert api_calls(person.web.sandbox).count("POST /oauth/token") == 1


@pytest.mark.catalogue("R2")
@pytest.mark.parametrize("store", STORES.values())
def test_a_failure_is_remembered_and_the_code_never_sent_again(make: Make, store: str) -> None:
    with Person(make(store=store)) as person:
        callback = person.returning()
        person.web.sandbox.fault("/oauth/token", status=503, times=1)
        answers = [failure(person.come_back(callback)) for _ in range(3)]

        assert answers == ["upstream_unavailable"] * 3
        assert api_calls(person.web.sandbox).count("POST /oauth/token") == 1


def test_beyond_max_calls_a_callback_is_busy_and_can_be_loaded_again(make: Make) -> None:
    provided = make(store="memory://", max_calls=1)
    with Person(provided) as one, Person(provided) as other:
        callbacks = [one.returning(), other.returning("+15550100002")]
        with one.web.sandbox.hold("/oauth/token") as held, meanwhile(lambda: one.come_back(callbacks[0])) as ended:
            held.arrived.wait()
            with no_calls(one.web.sandbox):
                assert failure(other.come_back(callbacks[1])) == "busy"
            held.release()
            assert ended().status_code == 200

        assert other.come_back(callbacks[1]).status_code == 200


def test_a_limit_that_is_none_is_refused(make: Make) -> None:
    with pytest.raises(SettingsError, match="max_calls must be a whole number of sign-ins, 1 or more"):
        make(max_calls=0)


@pytest.mark.parametrize("adapter", first(["flask", "starlette"]), indirect=True)
def test_a_locked_store_is_busy_and_nothing_is_sent(make: Make) -> None:
    with Person(make(store="sqlite:///provider.db")) as person:
        callback = person.returning()
        lock = sqlite3.connect(person.web.folder / "provider.db", isolation_level=None)
        try:
            lock.execute("BEGIN EXCLUSIVE")
            with no_calls(person.web.sandbox):
                assert failure(person.come_back(callback)) == "store_busy"
        finally:
            lock.close()

        assert person.come_back(callback).status_code == 200


def test_a_store_that_can_not_be_opened_is_said_with_its_code(
    make: Make, adapter: Adapter, configure_sandbox: Sandbox
) -> None:
    if adapter == "starlette":
        settings = Settings.from_mapping(configure_sandbox.environment())
        with pytest.raises(SettingsError, match="store="):
            on_starlette(REGISTRY[adapter](), settings, store="mongodb://localhost")
        return
    # Opened by the first request, in the folder of the app that it is for.
    with Person(make(store="mongodb://localhost")) as person:
        assert failure(person.press()) == "misconfigured"


def test_a_flask_app_without_a_session_is_told_so(configure_sandbox: Sandbox) -> None:
    app = Flask(__name__)
    provider = on_flask(REGISTRY["flask"](app), Settings.from_mapping(configure_sandbox.environment()))

    with app.test_request_context("/"), pytest.raises(OAuthError) as raised:
        provider.authorize_redirect("http://localhost/callback")
    assert raised.value.error == "misconfigured"


async def _redirect(settings: Settings) -> None:
    provider = on_starlette(StarletteRegistry(), settings)
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "root_path": ""}
    await provider.authorize_redirect(Request(scope), "http://localhost/callback")


def test_a_starlette_app_without_a_session_is_told_the_line_to_add(configure_sandbox: Sandbox) -> None:
    going = _redirect(Settings.from_mapping(configure_sandbox.environment()))
    with pytest.raises(OAuthError, match="SessionMiddleware") as raised:
        going.send(None)
    assert raised.value.error == "misconfigured"
