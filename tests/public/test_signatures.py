"""The three frameworks have the same verbs with the same arguments, but for the app, the request and the user."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from configure_auth import Settings
from configure_auth import fastapi as on_fastapi
from configure_auth import flask as on_flask
from configure_auth import starlette as on_starlette
from configure_auth.sandbox import Sandbox

VERBS = [
    "__init__",
    "account_link",
    "login",
    "messages",
    "agent_claims",
    "user_profiles",
    "account",
    "access_token",
    "profile",
    "unlink",
    "external_id",
    "forget_browser",
    "start",
    "pending_login",
    "complete_login",
    "account_for",
    "access_token_for",
    "profile_for",
    "unlink_for",
    "external_id_for",
    "start_journey",
    "message_sign_in_url",
    "connect",
    "message_identity",
    "identity_before_link",
    "once",
    "unlink_subject",
    "forget_subject",
    "export_subject",
    "register_agent",
    "agents_owned_by",
    "agent_owner",
    "forget_user",
    "export_user",
    "health",
    "purge",
    "reseal",
    "button",
    "disconnect_form",
    "element",
]
OWN = {"flask": {"close", "init_app"}, "starlette": {"aclose", "install", "lifespan", "on"}}
"""What only one framework has a use for."""
FOR_THE_USER = ["account", "access_token", "profile", "unlink", "external_id", "forget_browser"]
FOR_A_VIEW = ["start", "pending_login", "complete_login"]

AT_ONCE = {"__init__", "account_link", "login", "messages", "agent_claims", "disconnect_form", "user_profiles"}

Shape = list[tuple[str, Any, Any]]


def shape(function: Any, *left_out: str) -> Shape:
    """Names, kinds and defaults of a function as it's written."""
    signature = inspect.signature(inspect.unwrap(function))
    left_out = ("self", *left_out)
    return [(one.name, one.kind, one.default) for one in signature.parameters.values() if one.name not in left_out]


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_all_have_the_same_verbs() -> None:
    flask, starlette = public(on_flask.ConfigureAuth), public(on_starlette.ConfigureAuth)

    assert flask - OWN["flask"] == starlette - OWN["starlette"] == {*VERBS[1:], "client"}
    assert OWN["flask"] <= flask
    assert OWN["starlette"] <= starlette
    assert public(on_fastapi.ConfigureAuth) == starlette


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_takes_the_same_arguments_on_both(verb: str) -> None:
    flask = getattr(on_flask.ConfigureAuth, verb)
    starlette = getattr(on_starlette.ConfigureAuth, verb)

    # A sign-in takes a thread on Flask only.
    assert shape(flask, "app", "max_calls") == shape(starlette, "request", "max_calls")


OF_THE_USER = sorted({*FOR_THE_USER} - {"forget_browser"})


@pytest.mark.parametrize("verb", sorted({*VERBS} - {*OF_THE_USER}))
def test_a_verb_takes_the_same_arguments_on_fastapi(verb: str) -> None:
    own = ("user", "user_id", "session") if verb == "__init__" else ()

    assert shape(getattr(on_fastapi.ConfigureAuth, verb), *own) == shape(
        getattr(on_starlette.ConfigureAuth, verb), *own
    )


@pytest.mark.parametrize("verb", OF_THE_USER)
def test_on_fastapi_a_verb_for_the_user_is_a_dependency_on_the_apps_own(configure_sandbox: Sandbox, verb: str) -> None:
    async def current_user() -> None: ...

    settings = Settings.from_mapping({**configure_sandbox.environment(), "CONFIGURE_TOKEN_KEYS": "k" * 32})
    configure_auth = on_fastapi.ConfigureAuth(settings, store="memory://", user=current_user)
    dependency = getattr(configure_auth, verb)

    assert list(inspect.signature(dependency).parameters) == ["user"]
    assert getattr(configure_auth, verb) is dependency  # which `dependency_overrides` may name


@pytest.mark.parametrize("verb", VERBS)
def test_only_the_verbs_for_a_request_take_one_and_take_it_first(verb: str) -> None:
    names = [name for name, *_ in shape(getattr(on_starlette.ConfigureAuth, verb))]

    assert ("request" in names) == (verb in {*FOR_THE_USER, *FOR_A_VIEW, "button", "element"})
    assert "request" not in names or names.index("request") == 0
    assert "request" not in [name for name, *_ in shape(getattr(on_flask.ConfigureAuth, verb))]


@pytest.mark.parametrize("verb", sorted({*VERBS} - AT_ONCE))
def test_on_starlette_a_verb_is_awaited_and_on_flask_it_is_not(verb: str, configure_sandbox: Sandbox) -> None:
    settings = Settings.from_mapping({**configure_sandbox.environment(), "CONFIGURE_TOKEN_KEYS": "k" * 32})

    def nobody(*_request: object) -> None:
        return None

    awaited = on_starlette.ConfigureAuth(settings, store="memory://", user_id=nobody)
    blocking = on_flask.ConfigureAuth(settings, store="memory://", user_id=nobody)
    assert inspect.iscoroutinefunction(getattr(awaited, verb))
    assert not inspect.iscoroutinefunction(getattr(blocking, verb))


def test_register_oauth_takes_the_same_arguments_on_both() -> None:
    flask, starlette = (shape(one.register_oauth, "max_calls") for one in (on_flask, on_starlette))
    assert flask == starlette


@pytest.mark.parametrize("verb", ["authorize_redirect", "authorize_access_token", "userinfo", "refresh_token"])
def test_a_provider_has_authlibs_verbs_on_both(verb: str) -> None:
    from configure_auth.flask.provider import OAuthProvider as OnFlask
    from configure_auth.starlette.provider import OAuthProvider as OnStarlette

    assert shape(getattr(OnFlask, verb)) == shape(getattr(OnStarlette, verb), "request")


@pytest.mark.parametrize("verb", [*VERBS[1:], "init_app", "lifespan", "on", "install"])
def test_every_verb_says_what_it_does(verb: str) -> None:
    for adapter in (on_flask.ConfigureAuth, on_starlette.ConfigureAuth, on_fastapi.ConfigureAuth):
        assert not hasattr(adapter, verb) or inspect.getdoc(getattr(adapter, verb))


@pytest.fixture
def configure_auth(configure_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> on_starlette.ConfigureAuth:
    for name, value in configure_sandbox.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CONFIGURE_TOKEN_KEYS", "a key of the app to seal its tokens with")
    return on_starlette.ConfigureAuth(store="memory://", user_id=lambda request: None)


@pytest.mark.parametrize("verb", FOR_THE_USER)
def test_fastapi_is_shown_the_request_alone(configure_auth: on_starlette.ConfigureAuth, verb: str) -> None:
    assert list(inspect.signature(getattr(configure_auth, verb)).parameters) == ["request"]


@pytest.mark.parametrize("verb", FOR_THE_USER)
def test_as_a_dependency_a_verb_leaves_the_api_docs_clean(
    configure_auth: on_starlette.ConfigureAuth, verb: str
) -> None:
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()

    found = fastapi.Depends(getattr(configure_auth, verb))

    async def page(found: Any = found) -> None: ...

    app.get("/page")(page)
    app.router.routes.append(configure_auth.account_link())
    app.router.routes.append(configure_auth.login(on_login=lambda request, identity, grant: "u1"))

    documented = app.openapi()
    assert list(documented["paths"]) == ["/page"]
    assert "parameters" not in documented["paths"]["/page"]["get"]
    assert "components" not in documented
