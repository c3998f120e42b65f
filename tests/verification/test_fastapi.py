"""What `verify` says of FastAPI apps: prefixes, and routes that ours never get a request from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles

from configure_auth.commands.apps.targets import targets_in
from configure_auth.commands.checks.findings import End
from configure_auth.fastapi import ConfigureAuth
from configure_auth.sandbox import Sandbox

from .apps import LOCAL, PLANTED, judged


async def current_user() -> None: ...


def sign_in_or_up() -> str:
    return "1"


@pytest.fixture
def configure_auth(configure_sandbox: Sandbox) -> ConfigureAuth:
    return ConfigureAuth({**configure_sandbox.environment(LOCAL), **PLANTED}, user=current_user, store="memory://")


def _static(app: FastAPI, folder: Path) -> None:
    app.mount("/", StaticFiles(directory=folder, html=True))


def _catch_all(app: FastAPI, folder: Path) -> None:
    @app.get("/{path:path}")
    async def page(path: str) -> str:
        return "the page"


@pytest.mark.parametrize(
    ("add", "named"), [(_static, "the Mount at / (StaticFiles)"), (_catch_all, "the APIRoute at /{path:path}")]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_route_in_front_of_ours_is_named(
    configure_auth: ConfigureAuth, tmp_path: Path, add: Callable[..., None], named: str, is_first: bool
) -> None:
    app, login = FastAPI(), configure_auth.login(on_login=sign_in_or_up)
    steps: list[Callable[[], Any]] = [lambda: add(app, tmp_path), lambda: app.include_router(login)]
    for step in steps if is_first else reversed(steps):
        step()

    (target,) = targets_in(app)
    found = judged(target)["login_guard"]

    if is_first:
        assert found.end is End.FAILED
        assert found.found.startswith(f"/auth/configure/sign-in never reaches our routes: {named} comes before them; ")
    else:
        assert found.end is End.PASSED


def test_the_prefixes_of_routers_are_found(configure_auth: ConfigureAuth) -> None:
    app, outer = FastAPI(), APIRouter(prefix="/api")
    outer.include_router(configure_auth.login(on_login=sign_in_or_up), prefix="/v1")
    app.include_router(outer)

    (target,) = targets_in(app)

    assert [one.path for one in target.features.registered.values()] == ["/api/v1/auth/configure"]
    assert judged(target)["login_guard"].found.startswith("/api/v1/auth/configure/sign-in is reachable; ")
