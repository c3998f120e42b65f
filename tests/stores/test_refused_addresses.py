"""A store or states address that is refused leaves no folder and no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from authlib.integrations.starlette_client import OAuth
from flask import Flask

from configure_auth import MessageAgent, Settings, SettingsError, flask, starlette
from configure_auth.sandbox import Sandbox

REFUSED: list[dict[str, Any]] = [
    {"store": "nonsense"},
    {"store": ""},
    {"store": 7},
    {"store": "mysql://localhost/shop"},
    {"store": "redis://localhost"},
    {"store": "sqlite:///made/y.db?mode=ro&nonsense=1"},
    {"store": "sqlite://host/made/y.db"},
    {"store": "postgresql://localhost:port/shop"},
    {"store": "sqlite:///made/y.db", "states": "memcached://localhost"},
    {"store": "sqlite:///made/y.db", "states": "sqlite:///made/z.db"},
]


@pytest.fixture
def settings(configure_sandbox: Sandbox) -> Settings:
    return Settings.from_mapping({**configure_sandbox.environment(), "CONFIGURE_TOKEN_KEYS": "k9-" * 20})


@pytest.fixture(params=REFUSED, ids=str)
def refused(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    addresses: dict[str, Any] = request.param
    return addresses


def test_flask(refused: dict[str, Any], settings: Settings, tmp_path: Path) -> None:
    app = Flask(__name__, instance_path=str(tmp_path / "instance"))
    app.secret_key = "a secret key of the app, long enough"
    configure_auth = flask.ConfigureAuth(settings, user_id=lambda: None, **refused)

    with pytest.raises(SettingsError):
        configure_auth.init_app(app)

    assert list(tmp_path.iterdir()) == []


def test_starlette(refused: dict[str, Any], settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        starlette.ConfigureAuth(settings, user_id=lambda request: None, **refused)

    assert list(tmp_path.iterdir()) == []


def test_message_agent(refused: dict[str, Any], settings: Settings, tmp_path: Path) -> None:
    if "states" in refused:
        pytest.skip("a message agent has no second store")
    with pytest.raises(SettingsError):
        MessageAgent(settings, **refused)

    assert list(tmp_path.iterdir()) == []


def test_register_oauth(refused: dict[str, Any], settings: Settings, tmp_path: Path) -> None:
    store = refused.get("states", refused["store"])
    if str(store).startswith(("redis:", "sqlite:///made/z")):
        pytest.skip("a store for a provider")
    with pytest.raises(SettingsError):
        starlette.register_oauth(OAuth(), settings, store=store)

    assert list(tmp_path.iterdir()) == []
