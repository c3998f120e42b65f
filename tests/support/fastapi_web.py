"""The app under test on FastAPI: Starlette's, with routers, dependencies, and hooks whose arguments have names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from configure_auth import Settings
from configure_auth.fastapi import ConfigureAuth

from .starlette_web import OnStarlette, account_page, close, hurry, listening, profile_page, response_of
from .starlette_web import build as build_on
from .web import Options

__all__ = ["build", "close", "hurry", "listening"]

NAMES = {
    "can_disconnect": ("user_id",),
    "locale": (),
    "on_conflict": ("account", "owner_user_id"),
    "on_error": ("error",),
    "on_linked": ("sender", "account"),
    "require_fresh": (),
    "resolve": ("user_id",),
}
"""The arguments of hooks, which the suite writes by their places."""


class OnFastAPI(OnStarlette):
    def configure(self, settings: Settings, options: Options, clock: Callable[[], float]) -> Any:
        given = {**options.stores, "clock": clock, "show_outcome": False, **self.hooks(options.constructor)}
        user = given.pop("user_id", None) or _user(options.bearer)
        if user is options.constructor.get("user_id") and callable(user) and inspect.signature(user).parameters:
            user = _named(user, (), None)
        return ConfigureAuth(settings, user=user, user_id=lambda user: user, **given)

    def hooks(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: _named(value, NAMES[name], response_of if name == "on_error" else None)
            if name in NAMES and callable(value)
            else value
            for name, value in options.items()
        }

    def app(self, mine: list[Any], routes: list[Any], **options: Any) -> Any:
        app = FastAPI(**options)
        for router in mine:
            app.include_router(router)
        app.router.routes += routes
        return app

    def pages_of_the_user(self, configure_auth: Any) -> list[Any]:
        async def account(found: Any = Depends(configure_auth.account)) -> Response:  # noqa: B008
            return account_page(found)

        async def profile(client: Any = Depends(configure_auth.profile)) -> Response:  # noqa: B008
            return await profile_page(client)

        async def unlink(gone: Any = Depends(configure_auth.unlink)) -> Response:  # noqa: B008
            return JSONResponse({"unlinked": len(gone)})

        async def token(kind: str | None = None, asked: Any = Depends(_user(False))) -> Response:  # noqa: B008
            found = await configure_auth.access_token_for(asked, kind)
            return JSONResponse({"token": found.reveal()})

        return [
            APIRoute("/account", account),
            APIRoute("/profile", profile),
            APIRoute("/unlink", unlink, methods=["POST"]),
            APIRoute("/token", token),
        ]


def _user(bearer: Any) -> Callable[..., Any]:
    if callable(bearer):
        return bearer  # type: ignore[no-any-return]

    async def current_user(request: Request) -> str | None:
        if bearer:
            return request.headers.get("Authorization", "").removeprefix("Bearer ") or None
        user_id: str | None = request.session.get("user_id")
        return user_id

    return current_user


def _named(hook: Callable[..., Any], names: tuple[str, ...], convert: Callable[[Any], Any] | None) -> Any:
    async def called(**given: Any) -> Any:
        made = hook(*(given[name] for name in names))
        return made if convert is None else convert(made)

    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return called


build = partial(build_on, on=OnFastAPI())
