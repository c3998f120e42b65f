"""The app under test on Starlette, served by uvicorn."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from configure_auth import ConfigureAuthError, ConfigureError, Settings
from configure_auth.events import EVENTS
from configure_auth.sandbox.server import listen
from configure_auth.starlette import ConfigureAuth

from .web import Options, People, Serving, identity_of, plain, refusal_of


class OnStarlette:
    """What is Starlette's own in the app under test."""

    def configure(self, settings: Settings, options: Options, clock: Callable[[], float]) -> Any:
        user_id = _user_id(options.bearer)
        own = self.hooks(options.constructor)
        given = {"user_id": user_id, **options.stores, "clock": clock, "show_outcome": False, **own}
        return ConfigureAuth(settings, **given)

    def hooks(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The suite's hooks are written without a request, and answer text; here they get it and make a response."""
        ours = ("clock", "renew_session", "texts")
        taken = {name: value for name, value in options.items() if name in ours or not callable(value)}
        hooks = {name: _with_request(value) for name, value in options.items() if name not in taken}
        if "on_error" in hooks:
            answer = hooks["on_error"]
            hooks["on_error"] = lambda request, error: response_of(answer(request, error))
        return {**taken, **hooks}

    def app(self, mine: list[Any], routes: list[Route], **options: Any) -> Any:
        return Starlette(routes=[*mine, *routes], **options)

    def pages_of_the_user(self, configure_auth: Any) -> list[Route]:
        """/account, /profile, /token and /unlink."""

        async def account(request: Request) -> Response:
            return account_page(await configure_auth.account(request))

        async def profile(request: Request) -> Response:
            return await profile_page(await configure_auth.profile(request))

        async def unlink(request: Request) -> Response:
            return JSONResponse({"unlinked": len(await configure_auth.unlink(request))})

        async def token(request: Request) -> Response:
            kind: Any = request.query_params.get("kind")
            return JSONResponse({"token": (await configure_auth.access_token(request, kind)).reveal()})

        return [
            Route("/account", account),
            Route("/profile", profile),
            Route("/unlink", unlink, methods=["POST"]),
            Route("/token", token),
        ]


def build(
    settings: Mapping[str, str | None],
    options: Options,
    people: People,
    folder: Path,
    clock: Callable[[], float],
    on: OnStarlette | None = None,
) -> tuple[Starlette, Any]:
    on = on or OnStarlette()
    keys = {"CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with"}
    configure_auth = on.configure(Settings.from_mapping({**keys, **settings}), options, clock)

    async def on_login(request: Request, identity: Any, grant: Any) -> Any:
        result = (options.on_login or people.sign_in_or_up)(identity, grant)
        request.session["user_id"] = str(result[0] if isinstance(result, tuple) else result)
        return (result[0], HTMLResponse(result[1])) if isinstance(result, tuple) else result

    for event in EVENTS:
        configure_auth.on(event)(people.events.append)

    async def sign_in(request: Request) -> Response:
        request.session["user_id"] = request.path_params["user_id"]
        return PlainTextResponse("in")

    async def sign_out(request: Request) -> Response:
        await configure_auth.forget_browser(request)
        request.session.clear()
        return PlainTextResponse("out")

    async def keep(request: Request) -> Response:
        request.session[request.path_params["key"]] = request.path_params["value"]
        return PlainTextResponse("kept")

    async def kept(request: Request) -> Response:
        return JSONResponse({key: value for key, value in request.session.items() if key != "user_id"})

    async def page(request: Request) -> Response:
        return HTMLResponse(f"<title>The app</title>{await configure_auth.button(request)}")

    async def who(request: Request) -> Response:
        return JSONResponse({"user_id": request.session.get("user_id")})

    async def forget(request: Request) -> Response:
        return JSONResponse({"forgotten": await configure_auth.forget_user(request.path_params["user_id"])})

    async def export(request: Request) -> Response:
        return JSONResponse(asdict(await configure_auth.export_user(request.path_params["user_id"])))

    async def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, ConfigureError)
        return JSONResponse({"code": error.code, "suggested_action": error.suggested_action}, status_code=502)

    async def purge(request: Request) -> JSONResponse:
        return JSONResponse({"purged": await configure_auth.purge()})

    async def journey(request: Request) -> JSONResponse:
        return JSONResponse({"link": await configure_auth.start_journey(**await request.json())})

    async def message(request: Request) -> JSONResponse:
        return JSONResponse(identity_of(await configure_auth.message_identity(**await request.json())))

    async def unlink_subject(request: Request) -> JSONResponse:
        return JSONResponse({"unlinked": await configure_auth.unlink_subject(**await request.json())})

    async def forget_subject(request: Request) -> JSONResponse:
        return JSONResponse({"forgotten": await configure_auth.forget_subject(**await request.json())})

    async def export_subject(request: Request) -> JSONResponse:
        export = await configure_auth.export_subject(**await request.json())
        account = None if export is None else export.account
        return JSONResponse({"account": None if account is None else plain(account)})

    async def reseal(request: Request) -> JSONResponse:
        return JSONResponse(asdict(await configure_auth.reseal()))

    routes = [
        Route("/in/{user_id}", sign_in, methods=["POST"]),
        Route("/out", sign_out, methods=["POST"]),
        Route("/keep/{key}/{value}", keep, methods=["POST"]),
        Route("/session", kept),
        Route("/", page),
        Route("/settings", page),
        Route("/who", who),
        *on.pages_of_the_user(configure_auth),
        Route("/forget/{user_id}", forget, methods=["POST"]),
        Route("/export/{user_id}", export),
        Route("/journey", journey, methods=["POST"]),
        Route("/message", message, methods=["POST"]),
        Route("/subject/unlink", unlink_subject, methods=["POST"]),
        Route("/subject/forget", forget_subject, methods=["POST"]),
        Route("/subject/export", export_subject, methods=["POST"]),
        Route("/purge", purge, methods=["POST"]),
        Route("/reseal", reseal, methods=["POST"]),
    ]
    mine: list[Any] = []
    if options.link is not None:
        mine.append(
            configure_auth.account_link(**{"after_link": f"{options.mount}/settings", **on.hooks(options.link)})
        )
    if options.login is not None:
        mine.append(
            configure_auth.login(
                **{"on_login": on_login, "after_login": f"{options.mount}/", **on.hooks(options.login)}
            )
        )
    if options.messages is not None:
        told: dict[str, Any] = {"on_linked": lambda key, account: people.linked.append((key, account))}
        mine.append(configure_auth.messages(**on.hooks({**told, **options.messages})))
    if options.claims is not None:
        mine.append(configure_auth.agent_claims(**on.hooks(options.claims)))
        routes += _agents(configure_auth)
    if options.profiles is not None:
        mine.append(configure_auth.user_profiles(**on.hooks(options.profiles)))
    session = Middleware(
        SessionMiddleware,
        secret_key="a secret key of the app, long enough",
        same_site="strict" if options.samesite == "Strict" else "lax",
    )
    app = on.app(
        mine,
        routes,
        middleware=[session, Middleware(_Guard)] if options.guard else [session],
        exception_handlers={ConfigureError: failed},
    )
    if options.customise is not None:
        options.customise(app, configure_auth)
    if options.mount:
        app = Starlette(routes=[Mount(options.mount, app=app)])
    return app, configure_auth


def _agents(configure_auth: ConfigureAuth) -> list[Route]:
    async def told(verb: Callable[..., Any], name: str, *given: Any) -> JSONResponse:
        try:
            said = await verb(*given)
        except ConfigureAuthError as error:
            return JSONResponse(refusal_of(error), error.status)
        return JSONResponse({name: said.reveal() if name == "token" else said})

    async def register_agent(request: Request) -> JSONResponse:
        return await told(configure_auth.register_agent, "token", request.path_params["agent_id"])

    async def agents(request: Request) -> JSONResponse:
        return await told(configure_auth.agents_owned_by, "agents", request.session.get("user_id"))

    async def agent_owner(request: Request) -> JSONResponse:
        return await told(configure_auth.agent_owner, "owner", request.path_params["agent_id"])

    return [
        Route("/agents/{agent_id}", register_agent, methods=["POST"]),
        Route("/agents", agents),
        Route("/agents/{agent_id}/owner", agent_owner),
    ]


def _user_id(bearer: Any) -> Callable[[Request], Any]:
    if callable(bearer):
        return bearer  # type: ignore[no-any-return]
    return _bearer if bearer else lambda request: request.session.get("user_id")


def _bearer(request: Request) -> str | None:
    return request.headers.get("Authorization", "").removeprefix("Bearer ") or None


def account_page(found: Any) -> Response:
    return JSONResponse({"account": None if found is None else plain(found)})


async def profile_page(client: Any) -> Response:
    return JSONResponse({"name": (await client.read(sections=("identity",))).identity.name})


def _with_request(hook: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _request, *args: hook(*args)


def response_of(made: Any) -> Any:
    text, status = made if isinstance(made, tuple) else (made, 200)
    return HTMLResponse(text, status) if isinstance(text, str) else made


class _Guard:
    """Turns away whoever is signed out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        signed_in = scope.get("session", {}).get("user_id") is not None or scope["path"].startswith("/in/")
        answer: ASGIApp = self._app if signed_in else PlainTextResponse("sign in first", 401)
        await answer(scope, receive, send)


def close(app: Starlette, configure_auth: ConfigureAuth) -> None:
    """End what the server's loop, which has ended, didn't end with it: the connections of worker threads."""
    asyncio.run(configure_auth.aclose())


def hurry(app: Starlette, configure_auth: ConfigureAuth, seconds: float) -> None:
    configure_auth.client._transport.timeout = seconds


class _Server(uvicorn.Server):
    """Ends when it's told to; uvicorn's own looks ten times a second whether it should."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, lifespan="off"))
        self._running = threading.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._running.set()
        await self._end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)

    def stop(self) -> None:
        self._running.wait(10)
        self._loop.call_soon_threadsafe(self._end.set)


@contextmanager
def listening(mount: str = "") -> Iterator[tuple[int, Callable[[Starlette], Serving]]]:
    listener = listen(socket.AF_INET, "127.0.0.1", 0)

    def serve(app: Starlette) -> Serving:
        server = _Server(app)
        return Serving(lambda: server.run(sockets=[listener]), server.stop)

    try:
        yield listener.getsockname()[1], serve
    finally:
        listener.close()
