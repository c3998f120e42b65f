"""A small FastAPI app whose users come from another identity system, and whose agents are claimed by them.

`configure.py` is what this package adds to it; `stand_in.py` plays the identity system where none is set.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from configure_auth import AgentNoOwner, Settings, SettingsError

from .api import make_api, no_owner
from .configure import claim_routes, make_bearer_user, make_configure_auth, profile_routes
from .models import open_database
from .stand_in import StandIn

__all__ = ["create_app"]

INSTANCE = Path(__file__).parent / "instance"  # the databases and the key, kept between runs


def create_app(config: Mapping[str, str] | None = None, *, instance_path: Path = INSTANCE) -> FastAPI:
    config = {**os.environ, **(config or {})}
    keys = config.get("CONFIGURE_TOKEN_KEYS") or kept_key(instance_path, "token_key")
    store = config.get("CONFIGURE_STORE") or f"sqlite:///{instance_path.resolve() / 'configure.db'}"
    settings = Settings.from_mapping({**config, "CONFIGURE_TOKEN_KEYS": keys, "CONFIGURE_STORE": store})
    supabase_url, stand_in = config.get("SUPABASE_URL"), None
    if not supabase_url:
        if not settings.is_local or settings.app_url is None:
            raise SettingsError("set SUPABASE_URL: the stand-in gives a token to whoever asks, so it is for localhost")
        stand_in = StandIn(settings.app_url)
        supabase_url = stand_in.url
    bearer_user = make_bearer_user(supabase_url)
    configure_auth = make_configure_auth(settings, bearer_user)
    engine, sessions = open_database(instance_path / "app.db")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with configure_auth.lifespan(app):
            yield
        engine.dispose()

    app = FastAPI(title="Agents that people claim", lifespan=lifespan)
    app.state.sessions = sessions
    app.include_router(make_api(configure_auth, bearer_user), prefix="/api/v1")
    app.add_exception_handler(AgentNoOwner, no_owner)
    app.router.routes += [claim_routes(configure_auth), profile_routes(configure_auth)]
    if stand_in is not None:
        app.router.routes.append(stand_in.routes)
    return app


def kept_key(folder: Path, name: str) -> str:
    """A key that is made once and kept beside the database."""
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()
