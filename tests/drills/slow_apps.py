"""The app under drill, on Flask and on Starlette: the login, and one route of the app's own."""

from __future__ import annotations

import os
from typing import Any

STORE = f"sqlite:///{os.environ.get('DRILL_FOLDER', '')}/configure.db"


def on_login(identity: Any, grant: Any) -> str:
    return identity.local_user_id or f"user-{identity.user_id}"


def flask_app() -> Any:
    from flask import Flask

    from configure_auth.flask import ConfigureAuth

    app = Flask(__name__)
    app.secret_key = "the drill's own"
    configure_auth = ConfigureAuth(store=STORE, user_id=lambda: None)
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.login(on_login=on_login))
    app.get("/")(lambda: "the app")
    return app


def starlette_app() -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    from configure_auth.starlette import ConfigureAuth

    configure_auth = ConfigureAuth(store=STORE, user_id=lambda request: None)
    login = configure_auth.login(on_login=lambda request, identity, grant: on_login(identity, grant))
    home = Route("/", lambda request: PlainTextResponse("the app"))
    session = Middleware(SessionMiddleware, secret_key="the drill's own")
    return Starlette(routes=[login, home], middleware=[session], lifespan=configure_auth.lifespan)
