"""An example app as a server's workers run it: `create`, called by gunicorn or by uvicorn.

The variable TEST_EXAMPLE is a JSON object: see `ExampleOptions`. Every answer says in X-Worker which process made it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["WORKER", "ExampleName", "ExampleOptions", "create", "make_tables", "settings_of"]

ExampleName = Literal["flask", "starlette", "fastapi"]

WORKER = "x-worker"
KEYS = {name: f"a key of the app for {name}, long enough" for name in ("SECRET_KEY", "JWT_KEY")}


@dataclass(frozen=True, kw_only=True)
class ExampleOptions:
    """`warm` is a token to read a profile with, and to use the store, while the app is made."""

    app: ExampleName
    settings: dict[str, str]
    folder: str
    warm: str | None = None

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CONFIGURE_")}
        return {**inherited, "TEST_EXAMPLE": json.dumps(asdict(self))}


def settings_of(stores: Mapping[str, str]) -> dict[str, str]:
    """The settings by which an app is told of a store, and of the keys that its workers share."""
    named = {"CONFIGURE_STORE": stores["store"], "CONFIGURE_TOKEN_KEYS": "a-key-that-seals-tokens-and-is-long-enough"}
    return {**named, **({"CONFIGURE_STATES": stores["states"]} if "states" in stores else {})}


def make_tables(app: ExampleName, folder: Path) -> None:
    """The app's own, as its migration would make them before any worker starts."""
    user: Any
    if app == "flask":
        from example_apps.flask_app.models import User as user
    elif app == "starlette":
        from example_apps.starlette_app.models import User as user
    else:
        from example_apps.fastapi_app.models import User as user
    engine = create_engine(f"sqlite:///{folder / 'app.db'}", poolclass=NullPool)
    user.metadata.create_all(engine)


def create() -> Any:
    options = ExampleOptions(**json.loads(os.environ["TEST_EXAMPLE"]))
    config, folder = {**options.settings, **KEYS}, Path(options.folder)
    if options.app == "flask":
        return _flask(config, folder, options.warm)
    if options.app == "starlette":
        from example_apps.starlette_app import create_app as starlette_app

        return _Telling(starlette_app(config, instance_path=folder))
    from example_apps.fastapi_app import create_app as fastapi_app

    return _Telling(fastapi_app(config, instance_path=folder))


def _flask(config: Mapping[str, str], folder: Path, warm: str | None) -> Any:
    from example_apps.flask_app import create_app
    from example_apps.flask_app.configure import configure_auth

    app = create_app(config, instance_path=folder)

    @app.after_request
    def tell(response: Any) -> Any:
        response.headers[WORKER] = str(os.getpid())
        return response

    if warm is not None:
        with app.app_context():
            assert configure_auth.account_for("1") is None
            configure_auth.client.profile(token=warm).read(sections=("identity",))
    return app


class _Telling:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[WORKER] = str(os.getpid())
            await send(message)

        await self._app(scope, receive, told)
