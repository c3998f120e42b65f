"""A small FastAPI app with bearer tokens and a page that uses them, to which Configure was added in `configure.py`."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from configure_auth import ConfigureError, Settings
from configure_auth.fastapi import configure_error_handler

from .api import api
from .configure import configure_api, forget_profiles, link_routes, login_routes, make_configure_auth
from .models import Base, open_database
from .page import page

__all__ = ["create_app"]

HERE = Path(__file__).parent
INSTANCE = HERE / "instance"  # the databases and the keys, kept between runs


def create_app(config: Mapping[str, str] | None = None, *, instance_path: Path = INSTANCE) -> FastAPI:
    config = {**os.environ, **(config or {})}
    keys = config.get("CONFIGURE_TOKEN_KEYS") or kept_key(instance_path, "token_key")
    store = config.get("CONFIGURE_STORE") or f"sqlite:///{instance_path.resolve() / 'configure.db'}"
    settings = Settings.from_mapping({**config, "CONFIGURE_TOKEN_KEYS": keys, "CONFIGURE_STORE": store})
    spa = tuple(config.get("SPA_ORIGIN", "").split())  # of spa/index.html, on another port
    configure_auth = make_configure_auth(settings, spa)
    engine, sessions = open_database(instance_path / "app.db")
    forget_profiles(configure_auth, sessions)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(title="Fieldnotes", lifespan=lifespan)
    app.state.jwt_key = config.get("JWT_KEY") or kept_key(instance_path, "jwt_key")
    app.state.secure_cookies = not settings.is_local
    app.state.sessions = sessions
    app.state.configure_auth = configure_auth
    app.state.templates = Jinja2Templates(HERE)
    configure_auth.install(app.state.templates)

    app.include_router(api, prefix="/api")
    app.include_router(configure_api(configure_auth), prefix="/api")
    app.add_exception_handler(ConfigureError, configure_error_handler())
    app.include_router(link_routes(configure_auth), prefix="/api")
    app.include_router(login_routes(configure_auth), prefix="/api")
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    if spa:
        headers = ["accept", "authorization"]
        app.add_middleware(
            CORSMiddleware,
            allow_origins=spa,
            allow_credentials=True,
            allow_methods=["GET", "POST"],
            allow_headers=headers,
        )
    for path in ("/", "/sign-up", "/sign-in", "/settings"):
        app.add_route(path, page, include_in_schema=False)
    return app


def kept_key(folder: Path, name: str) -> str:
    """A key that is made once and kept beside the database."""
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()
