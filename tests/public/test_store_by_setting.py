"""The store that the settings name, where the app's code names none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from starlette.testclient import TestClient

from configure_auth import Settings
from configure_auth import flask as on_flask
from configure_auth import starlette as on_starlette
from configure_auth.sandbox import Sandbox

from ..support.servers import RedisServer

HEADERS = {"Sec-Fetch-Site": "same-origin"}
Start = Callable[..., int]


@pytest.fixture(params=["flask", "starlette"])
def start(request: pytest.FixtureRequest, configure_sandbox: Sandbox, tmp_path: Path) -> Start:
    """A sign-in that is begun in an app in `tmp_path / "app"`: the status of the answer."""
    keys = {"CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with"}
    known = configure_sandbox.environment(app_url="http://localhost") | keys
    folder = tmp_path / "app"
    folder.mkdir()

    def flask(options: dict[str, Any], **settings: str) -> int:
        app = Flask(__name__, instance_path=str(folder))
        app.config.update(known, SECRET_KEY="a secret key of the app", **settings)
        configure_auth = on_flask.ConfigureAuth(user_id=lambda: "u1", **options)
        configure_auth.init_app(app)
        app.register_blueprint(configure_auth.account_link())
        answer = app.test_client().get("/configure/sign-in", headers=HEADERS)
        return answer.status_code

    def starlette(options: dict[str, Any], **settings: str) -> int:
        here = Path.cwd()
        os.chdir(folder)
        try:
            given = Settings.from_mapping({**known, **settings})
            configure_auth = on_starlette.ConfigureAuth(given, user_id=lambda request: "u1", **options)
        finally:
            os.chdir(here)
        from starlette.applications import Starlette

        app = Starlette(routes=[configure_auth.account_link()], lifespan=configure_auth.lifespan)
        with TestClient(app, base_url="http://localhost", follow_redirects=False) as client:
            return client.get("/configure/sign-in", headers=HEADERS).status_code

    return {"flask": flask, "starlette": starlette}[request.param]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.db")}


def test_without_a_word_it_is_a_file_of_the_app(start: Start, tmp_path: Path) -> None:
    assert start({}) == 303
    assert files(tmp_path) == {"configure.db"}


def test_the_setting_names_another(start: Start, tmp_path: Path) -> None:
    assert start({}, CONFIGURE_STORE=f"sqlite:///{tmp_path / 'shared.db'}") == 303
    assert files(tmp_path) == {"shared.db"}


def test_the_code_comes_before_the_setting(start: Start, tmp_path: Path) -> None:
    named = {"store": f"sqlite:///{tmp_path / 'mine.db'}"}

    # Both settings are left aside: a Redis of another app is nothing for this one's attempts.
    set_elsewhere = {"CONFIGURE_STORE": f"sqlite:///{tmp_path / 'other.db'}", "CONFIGURE_STATES": "redis://127.0.0.1:1"}
    assert start(named, **set_elsewhere) == 303
    assert files(tmp_path) == {"mine.db"}


def test_the_setting_names_a_redis_for_the_attempts(start: Start, tmp_path: Path, redis_server: RedisServer) -> None:
    with redis_server.database() as url:
        assert start({}, CONFIGURE_STORE=f"sqlite:///{tmp_path / 'shared.db'}", CONFIGURE_STATES=url) == 303
        with Redis.from_url(url) as client:
            assert [key for key in client.scan_iter() if b":state:" in key]


def test_a_password_in_a_store_hides_itself() -> None:
    settings = Settings(store="postgresql://me:hidden@db/app", states="redis://:hidden@cache")

    assert "hidden" not in repr(settings)
    assert settings.store is not None
    assert settings.store.reveal() == "postgresql://me:hidden@db/app"


def test_nor_does_it_show_in_what_an_app_keeps(configure_sandbox: Sandbox) -> None:
    app = Flask(__name__)
    app.config.update(configure_sandbox.environment(app_url="http://localhost"), SECRET_KEY="a secret key of the app")
    app.config["CONFIGURE_STORE"] = "postgresql://me:hidden@127.0.0.1:1/app"
    on_flask.ConfigureAuth(user_id=lambda: None).init_app(app)

    assert "Installed" in repr(app.extensions)
    assert "hidden" not in repr(app.extensions)
