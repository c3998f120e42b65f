"""A small Flask app with its own sign-up and password sign-in, to which Configure was added in `configure.py`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, Response, redirect, render_template, request, session, url_for
from flask_login import LoginManager
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug import Response as WerkzeugResponse

from .configure import add_link, add_login
from .models import User, db
from .views import pages

__all__ = ["create_app"]

INSTANCE = Path(__file__).parent / "instance"  # the databases and the key, kept between runs
CSP = "default-src 'self'; form-action 'self'; frame-ancestors 'none'"


def create_app(config: Mapping[str, Any] | None = None, *, instance_path: Path = INSTANCE) -> Flask:
    app = Flask(__name__, instance_path=str(instance_path))
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI="sqlite:///app.db",  # in the instance folder
        SESSION_COOKIE_NAME="flask_app_session",  # cookies don't know ports: other apps live on localhost too
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.config.from_mapping(config)
    app_url = app.config.get("CONFIGURE_APP_URL") or os.environ.get("CONFIGURE_APP_URL", "")
    app.config["SESSION_COOKIE_SECURE"] = app_url.startswith("https:")
    app.config["SECRET_KEY"] = app.config["SECRET_KEY"] or secret_key(instance_path)

    db.init_app(app)
    CSRFProtect(app)
    login_manager = LoginManager(app)
    login_manager.unauthorized_handler(ask_to_sign_in)
    login_manager.user_loader(User.by_id)
    app.register_blueprint(pages)
    add_link(app)
    add_login(app)

    app.register_error_handler(CSRFError, stale_form)
    app.after_request(secure)
    with app.app_context():
        db.create_all()
    return app


def secret_key(folder: Path) -> str:
    """The key that signs sessions: made once, kept beside the database."""
    path = folder / "secret_key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()


def secure(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", CSP)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "no-store")  # Back after signing out shows nothing
    return response


def ask_to_sign_in() -> WerkzeugResponse:
    if request.method == "GET":  # the page to go on to is kept by us, not in a link that anybody can write
        session["next"] = request.path
    return redirect(url_for("pages.sign_in", configure=request.args.get("configure")))


def stale_form(_: CSRFError) -> tuple[str, int]:
    return render_template("stale_form.html"), 400
