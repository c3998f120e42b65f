"""Everything that opens connections has one way to close them, after which it can be used again."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from authlib.integrations.flask_client import OAuth as FlaskOAuth
from authlib.integrations.starlette_client import OAuth as StarletteOAuth
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from configure_auth import AsyncMessageAgent, MessageAgent, Settings, flask, starlette
from configure_auth.sandbox import Sandbox

DESCRIPTORS = Path("/proc/self/fd")

pytestmark = pytest.mark.skipif(not DESCRIPTORS.exists(), reason="counts open files as Linux lists them")


@pytest.fixture
def settings(configure_sandbox: Sandbox) -> Settings:
    environment = configure_sandbox.environment(app_url="http://localhost:3000")
    return Settings.from_mapping({**environment, "CONFIGURE_TOKEN_KEYS": "a key that seals this app's tokens"})


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "configure.db"


def open_files(database: Path) -> int:
    """The number of this process's descriptors of a SQLite database and its journals."""
    targets = []
    for descriptor in DESCRIPTORS.iterdir():
        try:
            targets.append(os.readlink(descriptor))
        except FileNotFoundError:  # the directory's own
            continue
    return sum(target.startswith(str(database)) for target in targets)


def check(database: Path, use: Callable[[], Any], close: Callable[[], Any]) -> None:
    close()
    for _ in range(2):
        use()
        assert open_files(database) > 0
        close()
        assert open_files(database) == 0
    close()


def test_flask_extension(settings: Settings, database: Path) -> None:
    configure_auth = flask.ConfigureAuth(settings, store=f"sqlite:///{database}", user_id=lambda: None)
    app = Flask(__name__)
    app.secret_key = "a secret key of the app, long enough"
    configure_auth.init_app(app)

    def use() -> None:
        with app.app_context():
            configure_auth.account_for("u1")

    check(database, use, configure_auth.close)


def test_starlette_lifespan(settings: Settings, database: Path) -> None:
    configure_auth = starlette.ConfigureAuth(settings, store=f"sqlite:///{database}", user_id=lambda request: "u1")

    async def account(request: Request) -> Response:
        await configure_auth.account(request)
        return Response(str(open_files(database)))

    app = Starlette(
        routes=[Route("/account", account)],
        middleware=[Middleware(SessionMiddleware, secret_key="a secret key of the app, long enough")],
        lifespan=configure_auth.lifespan,
    )
    for _ in range(2):
        with TestClient(app) as client:
            assert int(client.get("/account").text) > 0
        assert open_files(database) == 0


def test_flask_provider(settings: Settings, database: Path) -> None:
    app = Flask(__name__)
    app.secret_key = "a secret key of the app, long enough"
    provider = flask.register_oauth(FlaskOAuth(app), settings, store=f"sqlite:///{database}")

    def use() -> None:
        with app.test_request_context():
            provider.authorize_redirect("http://localhost:3000/callback")

    check(database, use, provider.close)


def test_starlette_provider(settings: Settings, database: Path) -> None:
    provider = starlette.register_oauth(StarletteOAuth(), settings, store=f"sqlite:///{database}")

    async def start(request: Request) -> Response:
        return await provider.authorize_redirect(request, "http://localhost:3000/callback")

    app = Starlette(
        routes=[Route("/start", start)],
        middleware=[Middleware(SessionMiddleware, secret_key="a secret key of the app, long enough")],
    )

    def use() -> None:
        assert TestClient(app, follow_redirects=False).get("/start").is_redirect

    check(database, use, partial(anyio.run, provider.aclose))


def test_message_agent(settings: Settings, database: Path) -> None:
    agent = MessageAgent(settings, store=f"sqlite:///{database}")

    check(database, partial(agent.start_journey, "sender-1"), agent.close)

    with agent:
        agent.start_journey("sender-1")
    assert open_files(database) == 0


def test_async_message_agent(settings: Settings, database: Path) -> None:
    agent = AsyncMessageAgent(settings, store=f"sqlite:///{database}")

    check(database, partial(anyio.run, agent.start_journey, "sender-1"), partial(anyio.run, agent.aclose))
