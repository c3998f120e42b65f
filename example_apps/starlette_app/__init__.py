"""A small Starlette app with its own sign-up and password sign-in, to which Configure was added in `configure.py`."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from configure_auth import Settings

from .configure import forget_profiles, link_routes, login_routes, make_configure_auth
from .middleware import OwnFormsOnly, SecureHeaders, SessionUser
from .models import Base, open_database
from .templating import open_templates
from .views import pages

__all__ = ["create_app"]

HERE = Path(__file__).parent
INSTANCE = HERE / "instance"  # the databases and the keys, kept between runs


def create_app(
    config: Mapping[str, str] | None = None,
    *,
    instance_path: Path = INSTANCE,
    same_site: Literal["lax", "strict"] = "lax",
) -> Starlette:
    config = {**os.environ, **(config or {})}
    keys = config.get("CONFIGURE_TOKEN_KEYS") or kept_key(instance_path, "token_key")
    store = config.get("CONFIGURE_STORE") or f"sqlite:///{instance_path.resolve() / 'configure.db'}"
    settings = Settings.from_mapping({**config, "CONFIGURE_TOKEN_KEYS": keys, "CONFIGURE_STORE": store})
    configure_auth = make_configure_auth(settings)
    templates = open_templates()
    configure_auth.install(templates)
    engine, sessions = open_database(instance_path / "app.db")
    forget_profiles(configure_auth, sessions)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with configure_auth.lifespan(app):
            yield
        await engine.dispose()

    app = Starlette(
        lifespan=lifespan,
        middleware=[
            Middleware(SecureHeaders),
            Middleware(
                SessionMiddleware,
                secret_key=config.get("SECRET_KEY") or kept_key(instance_path, "secret_key"),
                session_cookie="starlette_app_session",  # cookies don't know ports: other apps live on localhost too
                same_site=same_site,
                https_only=not settings.is_local,
            ),
            Middleware(AuthenticationMiddleware, backend=SessionUser()),
        ],
        routes=[
            link_routes(configure_auth),
            login_routes(configure_auth),
            Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
            Mount("/", routes=pages, middleware=[Middleware(OwnFormsOnly)]),
        ],
    )
    app.state.configure_auth = configure_auth
    app.state.sessions = sessions
    app.state.templates = templates
    return app


def kept_key(folder: Path, name: str) -> str:
    """A key that is made once and kept beside the database."""
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()
