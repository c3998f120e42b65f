"""A second `ConfigureAuth` of one name in an app, which would be asked for the users of the first."""

from __future__ import annotations

from functools import partial

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware

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


def status_of(app: Flask, path: str = "/configure") -> int:
    return app.test_client().get(f"{path}/status", base_url=URL).status_code


def test_flask_refuses_second_under_taken_name(settings: Settings) -> None:
    app = Flask(__name__)
    app.secret_key = "a secret key of the app, long enough"
    one = OnFlask(settings, store="memory://", user_id=lambda: "ada")
    one.init_app(app)
    app.register_blueprint(one.account_link())

    other = OnFlask(settings, store="memory://", user_id=lambda: "bob")
    with pytest.raises(SettingsError, match=r"another ConfigureAuth .*name=\.\.\."):
        other.init_app(app)

    assert status_of(app) == 200
    with app.test_request_context():
        assert one._current_user() == "ada"
        with pytest.raises(SettingsError, match="init_app"):
            other.account()
    one.init_app(app)  # the same one again is no second


def test_flask_object_without_app_is_not_the_one_of_its_name(settings: Settings) -> None:
    """Its routes don't ask whichever object has their name in the app."""
    app = Flask(__name__)
    app.secret_key, app.testing = "a secret key of the app, long enough", True
    app.register_blueprint(OnFlask(settings, store="memory://", user_id=lambda: "ada").account_link())
    OnFlask(settings, store="memory://", user_id=lambda: "bob").init_app(app)

    with pytest.raises(SettingsError, match="init_app"):
        app.test_client().get("/configure/status", base_url=URL)


def test_flask_takes_second_with_own_name(settings: Settings) -> None:
    app = Flask(__name__)
    app.secret_key = "a secret key of the app, long enough"
    for name, path in (("configure", "/configure"), ("other", "/other")):
        made = OnFlask(settings, store="memory://", user_id=partial(str, name), name=name)
        made.init_app(app)
        app.register_blueprint(made.account_link(path=path))

    assert (status_of(app), status_of(app, "/other")) == (200, 200)


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
def test_starlette_refuses_second_under_taken_name(settings: Settings, framework: type[Starlette]) -> None:
    """At start-up by `lifespan`, and without it by a page that says so."""

    async def main() -> None:
        app = framework(middleware=[Middleware(SessionMiddleware, secret_key="a secret key of the app, long enough")])
        one = OnStarlette(settings, store="memory://", user_id=lambda request: "ada")
        other = OnStarlette(settings, store="memory://", user_id=lambda request: "bob")
        third = OnStarlette(settings, store="memory://", user_id=lambda request: "eve", name="third")
        for made, path in ((one, "/configure"), (other, "/other"), (third, "/third")):
            app.router.routes.append(made.account_link(path=path))

        with pytest.raises(SettingsError, match=r"another ConfigureAuth .*name=\.\.\."):
            async with other.lifespan(app):
                pass
        async with third.lifespan(app):
            pass
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL) as client:
            refused = await client.get("/other/status", headers={"accept": "application/json"})
            assert (refused.status_code, refused.json()["error"]) == (500, "misconfigured")
            assert (await client.get("/third/status")).status_code == 200
        for made in (one, other, third):
            await made.aclose()

    anyio.run(main)


def test_fastapi_refuses_second_under_taken_name(settings: Settings) -> None:
    async def main() -> None:
        app = FastAPI()
        users = [OnFastAPI(settings, store="memory://", user=lambda: "ada", user_id=str) for _ in range(2)]
        for made, path in zip(users, ("/configure", "/other"), strict=True):
            app.include_router(made.account_link(path=path))

        with pytest.raises(SettingsError, match=r"another ConfigureAuth .*name=\.\.\."):
            async with users[1].lifespan(app):
                pass
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL) as client:
            refused = await client.get("/other/status", headers={"accept": "application/json"})
        assert (refused.status_code, refused.json()["error"]) == (500, "misconfigured")
        for made in users:
            await made.aclose()

    anyio.run(main)
