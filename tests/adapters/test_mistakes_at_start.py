"""Mistakes in an app's code are one clear error each, as early as they can be known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Host

from configure_auth import Settings, SettingsError
from configure_auth.fastapi import ConfigureAuth as OnFastAPI
from configure_auth.flask import ConfigureAuth as OnFlask
from configure_auth.sandbox import Sandbox
from configure_auth.starlette import ConfigureAuth as OnStarlette

URL = "http://localhost"


@pytest.fixture
def settings(configure_sandbox: Sandbox) -> Settings:
    keys = {"CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with"}
    return Settings.from_mapping({**configure_sandbox.environment(app_url=URL), **keys})


@pytest.fixture
def on_flask(settings: Settings) -> OnFlask:
    return OnFlask(settings, store="memory://", user_id=lambda: "ada")


@pytest.fixture
def on_starlette(settings: Settings) -> OnStarlette:
    return OnStarlette(settings, store="memory://", user_id=lambda request: "ada")


@pytest.fixture
def on_fastapi(settings: Settings) -> OnFastAPI:
    return OnFastAPI(settings, store="memory://", user=lambda: "ada", user_id=str)


def too_few(identity: Any) -> str:
    return "ada"


def too_many(user_id: str, identity: Any, grant: Any, more: Any) -> bool:
    return True


user_of_request: Any = lambda request: "ada"  # noqa: E731
user_of_context: Any = lambda: "ada"  # noqa: E731


async def waits(identity: Any, grant: Any) -> str:
    return "ada"


HOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    r"on_login is called with \(.*identity, grant\), but too_few takes \(identity": ("login", {"on_login": too_few}),
    r"can_disconnect is called with \(.*user_id\), but": ("account_link", {"can_disconnect": too_many}),
    r"on_conflict is called with \(.*account, owner_user_id\)": ("account_link", {"on_conflict": too_few}),
    r"on_linked is called with \(.*sender, account, context\)": ("messages", {"on_linked": lambda: None}),
    r"on_error must be a function \(.*error\); got a str": ("account_link", {"on_error": "sorry.html"}),
    r"on_login must be a function \(.*identity, grant\); got a NoneType": ("login", {"on_login": None}),
}


@pytest.mark.parametrize("sentence", HOOKS)
@pytest.mark.parametrize("framework", ["on_flask", "on_starlette"])
def test_a_hook_of_another_arity(request: pytest.FixtureRequest, framework: str, sentence: str) -> None:
    method, options = HOOKS[sentence]

    with pytest.raises(SettingsError, match=sentence):
        getattr(request.getfixturevalue(framework), method)(**options)


def test_hooks_that_can_be_called(on_flask: OnFlask, on_starlette: OnStarlette) -> None:
    class Hook:
        def __call__(self, *given: Any) -> str:
            return "ada"

    on_flask.login(on_login=Hook(), on_error=None)
    on_flask.login(on_login=partial(too_many, "ada", more=1))
    on_flask.messages(on_linked=lambda sender, account: None)
    on_starlette.messages(on_linked=lambda request, sender, account, context: None)
    on_starlette.login(on_login=lambda request, identity, grant, more=None: "ada")


def test_user_id_of_the_other_framework(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r"user_id is called with \(\), but .* takes \(request\)"):
        OnFlask(settings, user_id=user_of_request)
    with pytest.raises(SettingsError, match=r"user_id is called with \(request\), but .* takes \(\)"):
        OnStarlette(settings, user_id=user_of_context)


def test_a_model_in_the_place_of_the_dependency_for_the_user(settings: Settings) -> None:
    """FastAPI would take its fields from the query, and respond 422 to everybody."""

    @dataclass
    class User:
        id: int

    class RequestUser:
        def __init__(self, request: Request) -> None:
            self.id = "ada"

    # Older FastAPIs don't resolve the annotations of a class, which this module has as text.
    RequestUser.__init__.__annotations__["request"] = Request

    with pytest.raises(SettingsError, match=r"user= got the class User, whose 'id' .* such as get_current_user"):
        OnFastAPI(settings, store="memory://", user=User)
    OnFastAPI(settings, store="memory://", user=RequestUser)


def test_a_failing_dependency_for_the_user_is_named(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    def find_user() -> None:
        raise KeyError

    made = OnFastAPI(settings, store="memory://", user=find_user)
    app = FastAPI()
    app.include_router(made.login(on_login=lambda identity, grant: "ada"))

    async def main() -> None:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL) as client:
            page = await client.get("/auth/configure/sign-in", headers={"sec-fetch-site": "same-origin"})
        assert "raised by the hook tests.adapters.test_mistakes_at_start." in page.text
        assert "find_user of the app" in page.text

    anyio.run(main)
    assert "find_user of the app" in caplog.text


def test_an_app_in_the_place_of_settings(settings: Settings, tmp_path: Path) -> None:
    """As other extensions of Flask take it."""
    app = Flask(__name__, instance_path=str(tmp_path))

    with pytest.raises(SettingsError, match=r"got the app in the place of settings; give it to init_app\(app\)"):
        OnFlask(app, user_id=user_of_context)


def test_settings_of_flask_as_a_mapping(configure_sandbox: Sandbox, tmp_path: Path) -> None:
    app = Flask(__name__, instance_path=str(tmp_path))
    app.secret_key = "a key of the app that signs its sessions"
    mapping = configure_sandbox.environment(app_url=URL)
    made = OnFlask(mapping, store="memory://", user_id=user_of_context)
    made.init_app(app)

    with app.app_context():
        assert made.client.settings.agent == mapping["CONFIGURE_AGENT"]


def test_an_async_hook_on_flask_without_its_extra(on_flask: OnFlask) -> None:
    with pytest.raises(SettingsError, match=r"on_login is async: write a plain function, or install 'flask\[async\]'"):
        on_flask.login(on_login=waits)


def test_flask_s_on_another_framework(on_flask: OnFlask) -> None:
    class Quart:
        """As Quart: like Flask in all, but not one."""

    for act in (on_flask.init_app, lambda app: on_flask.account_link().register(app, {})):
        with pytest.raises(SettingsError, match=r"got a .*Quart; expected a Flask app"):
            act(Quart())  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match=r"a blueprint of Flask, for app.register_blueprint\(\)"):
        FastAPI().include_router(on_flask.account_link())  # type: ignore[arg-type]


def test_starlette_s_and_fastapi_s_on_another_framework(on_starlette: OnStarlette, on_fastapi: OnFastAPI) -> None:
    with pytest.raises(AttributeError, match="a route of Starlette"):
        FastAPI().include_router(on_starlette.account_link())  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="a route of Starlette"):
        Flask(__name__).register_blueprint(on_starlette.account_link())  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="a router of FastAPI"):
        Flask(__name__).register_blueprint(on_fastapi.account_link())  # type: ignore[arg-type]


def test_a_route_that_is_mounted_as_an_app(on_starlette: OnStarlette) -> None:
    app = Starlette()
    app.mount("/configure", on_starlette.account_link())

    async def main() -> None:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL) as client:
            with pytest.raises(SettingsError, match=r"a route of Starlette, .* not to app.mount\(\)"):
                await client.get("/configure/sign-in")

    anyio.run(main)


def test_flask_s_blueprint_twice(on_flask: OnFlask, tmp_path: Path) -> None:
    app = Flask(__name__, instance_path=str(tmp_path))
    link = on_flask.account_link()
    app.register_blueprint(link)

    for again in (link, on_flask.account_link(path="/other")):
        with pytest.raises(SettingsError, match=r"our blueprint 'configure' already; register it once"):
            app.register_blueprint(again)
    app.register_blueprint(on_flask.login(on_login=lambda identity, grant: "ada"))


@pytest.mark.parametrize("framework", ["on_starlette", "on_fastapi"])
def test_routes_twice(request: pytest.FixtureRequest, framework: str) -> None:
    """At start-up by `lifespan`, and without it by a page that says so."""
    made = request.getfixturevalue(framework)
    app: Starlette = FastAPI() if framework == "on_fastapi" else Starlette()
    add: Callable[[Any], None] = getattr(app, "include_router", app.router.routes.append)
    for path in ("/configure", "/other"):
        add(made.account_link(path=path))

    async def main() -> None:
        with pytest.raises(SettingsError, match=r"has our routes 'configure\w*' twice"):
            async with made.lifespan(app):
                pass
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL) as client:
            refused = await client.get("/other/status", headers={"accept": "application/json"})
        assert refused.status_code == 500
        assert "twice" in refused.json()["cause"]

    anyio.run(main)


@pytest.mark.parametrize("nested", [False, True])
def test_one_router_under_two_prefixes(on_fastapi: OnFastAPI, nested: bool) -> None:
    app, link = FastAPI(), on_fastapi.account_link()
    if nested:
        api = APIRouter()
        api.include_router(link)
        link = api
    for prefix in ("/v1", "/v2"):
        app.include_router(link, prefix=prefix)

    async def main() -> None:
        with pytest.raises(SettingsError, match=r"has our routes 'configure\w*' twice.* add what they return once"):
            async with on_fastapi.lifespan(app):
                pass

    anyio.run(main)


def test_one_app_at_two_hosts_is_no_second(on_starlette: OnStarlette) -> None:
    app = Starlette(routes=[on_starlette.account_link()])
    outer = Starlette(routes=[Host("a.example.org", app), Host("b.example.org", app)])

    async def main() -> None:
        async with on_starlette.lifespan(outer):
            pass

    anyio.run(main)


def test_a_router_in_another_router_is_no_second(on_fastapi: OnFastAPI) -> None:
    app, api = FastAPI(), APIRouter(prefix="/api")
    api.include_router(on_fastapi.account_link())
    api.include_router(on_fastapi.login(on_login=lambda identity, grant: "ada"))
    app.include_router(api)

    async def main() -> None:
        async with on_fastapi.lifespan(app):
            pass

    anyio.run(main)
