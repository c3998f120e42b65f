"""Two apps without a session, whose users are told by their bearer tokens; each is served on loopback, or in process.

Both have our routes, where GET /configure/status says 200 to a user, and `/me`, which answers who it is.
"""
# FastAPI couldn't look up what is annotated within a function, were it kept as a string.

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from flask import Flask, jsonify

from configure_auth import Settings
from configure_auth.fastapi import BearerUser as OnFastAPI
from configure_auth.flask import BearerUser as OnFlask
from configure_auth.flask import ConfigureAuth as FlaskConfigureAuth
from configure_auth.starlette import BearerUser as OnStarlette
from configure_auth.starlette import ConfigureAuth as StarletteConfigureAuth

from ..support import flask_web, starlette_web

__all__ = ["App", "fastapi_app", "flask_app", "serving", "settings"]


def settings(app_url: str) -> Settings:
    return Settings.from_mapping(
        {
            "CONFIGURE_API_KEY": "sk_key",
            "CONFIGURE_AGENT": "acme",
            "CONFIGURE_APP_URL": app_url,
            "CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with",
        }
    )


def flask_app(bearer_user: OnFlask, app_url: str, folder: Path) -> Flask:
    app = Flask(__name__, instance_path=str(folder))
    configure_auth = FlaskConfigureAuth(settings(app_url), store="memory://", user_id=bearer_user, session=False)
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.account_link())

    @app.get("/me")
    def me() -> Any:
        return jsonify(user_id=bearer_user())

    @app.get("/required")
    def required() -> Any:
        return jsonify(user_id=bearer_user.required(), email=bearer_user.claims().get("email"))

    @app.get("/account")
    def account() -> Any:
        return jsonify(connected=configure_auth.account() is not None)

    return app


def fastapi_app(bearer_user: OnStarlette | OnFastAPI, app_url: str, folder: Path) -> FastAPI:
    app = FastAPI()
    configure_auth = StarletteConfigureAuth(settings(app_url), store="memory://", user_id=bearer_user, session=False)
    app.router.routes.append(configure_auth.account_link())

    @app.get("/me")
    async def me(user_id: Annotated[str | None, Depends(bearer_user)]) -> dict[str, str | None]:
        return {"user_id": user_id}

    @app.get("/required")
    async def required(
        user_id: Annotated[str, Depends(bearer_user.required)],
        claims: Annotated[dict[str, Any], Depends(bearer_user.claims)],
    ) -> dict[str, Any]:
        return {"user_id": user_id, "email": claims.get("email")}

    @app.get("/account")
    async def account(found: Annotated[object, Depends(configure_auth.account)]) -> dict[str, bool]:
        return {"connected": found is not None}

    return app


@dataclass(frozen=True)
class App:
    """An app that is served."""

    adapter: str
    url: str
    bearer_user: OnFlask | OnStarlette


@contextmanager
def serving(adapter: str, bearer_user: Any, folder: Path) -> Iterator[App]:
    module: Any = {"flask": flask_web, "starlette": starlette_web}[adapter]
    with module.listening() as (port, serve):
        url = f"http://localhost:{port}"
        build: Any = {"flask": flask_app, "starlette": fastapi_app}[adapter]
        with serve(build(bearer_user, url, folder)):
            yield App(adapter, url, bearer_user)
