"""A small bot in a terminal, whose users become people with a Configure profile of their own in a browser.

`bot.py` is the bot; `web.py` is the one page on which a user takes along what the bot knows.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from flask_wtf import CSRFProtect

from .bot import commands, configure_auth
from .models import db
from .web import pages

__all__ = ["create_app"]

INSTANCE = Path(__file__).parent / "instance"  # the databases and the keys, kept between runs


def create_app(config: Mapping[str, Any] | None = None, *, instance_path: Path = INSTANCE) -> Flask:
    app = Flask(__name__, instance_path=str(instance_path))
    app.config.from_mapping(
        SECRET_KEY=kept_key(instance_path, "secret_key"),
        SQLALCHEMY_DATABASE_URI="sqlite:///app.db",  # in the instance folder
        SESSION_COOKIE_NAME="cli_bot_session",  # cookies don't know ports: other apps live on localhost too
        SESSION_COOKIE_SAMESITE="Lax",
        CONFIGURE_TOKEN_KEYS=kept_key(instance_path, "token_key"),
    )
    app.config.from_mapping(demo_settings(instance_path))
    app.config.from_mapping(config)
    app_url = app.config.get("CONFIGURE_APP_URL") or os.environ.get("CONFIGURE_APP_URL", "")
    app.config["SESSION_COOKIE_SECURE"] = app_url.startswith("https:")

    db.init_app(app)
    CSRFProtect(app)
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.account_link(after_link="/"))
    app.register_blueprint(pages)
    app.register_blueprint(commands)
    with app.app_context():
        db.create_all()
    return app


def demo_settings(folder: Path) -> dict[str, str]:
    """What `make demo` leaves here for the terminals while it runs."""
    path = folder / "demo.env"
    lines = path.read_text().splitlines() if path.exists() else []
    left = {name: value for name, _, value in (line.partition("=") for line in lines)}
    return {name: value for name, value in left.items() if name not in os.environ}


def kept_key(folder: Path, name: str) -> str:
    """A key that is made once and kept beside the database."""
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()
