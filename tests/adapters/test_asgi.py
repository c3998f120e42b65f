"""What an event loop asks of the adapter: nothing blocks it, on asyncio and trio, in many tasks, when clients go.

The app runs in the test's own loop; Configure is the sandbox, over real connections.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2
import pytest
from blockbuster import blockbuster_ctx
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from configure_auth import Settings
from configure_auth.events import AccountLinked
from configure_auth.sandbox import Sandbox
from configure_auth.starlette import ConfigureAuth, authenticated_user, session_user

from ..support.servers import PostgreSQL
from ..support.stores import first

APP_URL = "http://localhost:3000"
SAME = {"sec-fetch-site": "same-origin", "accept": "text/html"}
CROSS = {"sec-fetch-site": "cross-site", "accept": "text/html"}

MakeApp = Callable[..., Starlette]


@pytest.fixture
def settings(configure_sandbox: Sandbox) -> Settings:
    configure_sandbox.register_return_to(f"{APP_URL}/configure/callback")
    configure_sandbox.register_redirect_uri(f"{APP_URL}/auth/configure/callback")
    environment = configure_sandbox.environment(app_url=APP_URL)
    return Settings.from_mapping({**environment, "CONFIGURE_TOKEN_KEYS": "a key that seals this app's tokens"})


@pytest.fixture
def make_app(settings: Settings, configure_sandbox: Sandbox) -> MakeApp:
    def make(store: Any = "memory://", *, lifespan: bool = False, **options: Any) -> Starlette:
        constructor: dict[str, Any] = {"user_id": session_user("user_id"), "clock": configure_sandbox.clock}
        constructor |= {"show_outcome": False, **options}
        configure_auth, users = ConfigureAuth(settings, store=store, **constructor), itertools.count(1)

        async def on_login(request: Request, identity: Any, grant: Any) -> str:
            user_id: str = identity.local_user_id or f"user {next(users)}"
            request.session["user_id"] = user_id
            return user_id

        async def sign_in(request: Request) -> Response:
            request.session["user_id"] = request.path_params["user_id"]
            return Response()

        async def account(request: Request) -> Response:
            found = await configure_auth.account(request)
            return JSONResponse({"user": found and found.user_id, "page": str(await configure_auth.button(request))})

        async def profile(request: Request) -> Response:
            return JSONResponse({"name": (await (await configure_auth.profile(request)).read()).identity.name})

        app = Starlette(
            routes=[
                configure_auth.account_link(after_link="/settings"),
                configure_auth.login(on_login=on_login),
                Route("/in/{user_id}", sign_in, methods=["POST"]),
                Route("/account", account),
                Route("/profile", profile),
            ],
            middleware=[Middleware(SessionMiddleware, secret_key="a secret of the app")],
            lifespan=configure_auth.lifespan if lifespan else None,
        )
        app.state.configure_auth = configure_auth
        return app

    return make


def browser(app: Starlette) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=APP_URL)


async def at_configure(sandbox: Sandbox, url: str) -> str:
    return await anyio.to_thread.run_sync(sandbox.sign_in, url)


async def start(client: httpx2.AsyncClient, flow: str) -> str:
    path = {"link": "/configure/sign-in", "login": "/auth/configure/sign-in"}[flow]
    answer = await client.get(path, headers=SAME)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def link_then_login(app: Starlette, sandbox: Sandbox) -> None:
    """Both flows, the profile and a disconnect, as a browser goes through them."""
    async with browser(app) as client:
        await client.post("/in/u1")
        linked = await client.get(await at_configure(sandbox, await start(client, "link")), headers=CROSS)
        assert (linked.status_code, linked.headers["location"]) == (303, "/settings")
        assert (await client.get("/account")).json()["user"] == "u1"
        assert (await client.get("/profile")).json() == {"name": "Ada"}
    async with browser(app) as client:
        signed_in = await client.get(await at_configure(sandbox, await start(client, "login")), headers=CROSS)
        assert signed_in.status_code == 303
        assert (await client.get("/account")).json()["user"] == "u1"
        refused = await client.post("/configure/disconnect", headers={**SAME, "accept": "application/json"})
        assert refused.json()["error"] == "last_sign_in"


def on(backend: str, main: Callable[..., Awaitable[Any]], *args: Any) -> None:
    anyio.run(main, *args, backend=backend)


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{}/configure.db"])
def test_both_flows_on_either_loop_with_a_store_that_blocks_nobody(
    make_app: MakeApp, configure_sandbox: Sandbox, tmp_path: Path, backend: str, store: str
) -> None:
    configure_sandbox.add_person("+15550100001", name="Ada")

    on(backend, link_then_login, make_app(store.format(tmp_path)), configure_sandbox)


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{}/a.db"])
def test_nothing_blocks_the_loop(make_app: MakeApp, configure_sandbox: Sandbox, tmp_path: Path, store: str) -> None:
    configure_sandbox.add_person("+15550100001", name="Ada")
    app = make_app(store.format(tmp_path))

    async def main() -> None:
        # The sandbox has a loop of its own in another thread, where it may do as it likes.
        with blockbuster_ctx("configure_auth", excluded_modules=["configure_auth.sandbox"]):
            await link_then_login(app, configure_sandbox)
            await login_refresh_and_fail(app, configure_sandbox)

    on("asyncio", main)


async def login_refresh_and_fail(app: Starlette, sandbox: Sandbox) -> None:
    """A token that has to be refreshed, a page of each kind, and everything of a user forgotten."""
    async with browser(app) as client:
        hosted = await start(client, "login")
        await client.get(await anyio.to_thread.run_sync(sandbox.sign_in, hosted, "+15550100002"), headers=CROSS)
        sandbox.advance(3600)
        before = len(sandbox.calls_to("POST", "/oauth/token"))
        assert (await client.get("/profile")).status_code == 200
        assert len(sandbox.calls_to("POST", "/oauth/token")) == before + 1
        asks = await client.get("/auth/configure/sign-in", headers=CROSS)
        refused = await client.get("/auth/configure/callback?state=s", headers=CROSS)
        assert (asks.status_code, refused.status_code) == (200, 400)
    assert (await app.state.configure_auth.export_user("user 1")).accounts
    assert await app.state.configure_auth.forget_user("user 1")


@pytest.mark.catalogue("A15")
@pytest.mark.parametrize("flow", ["link", "login"])
@pytest.mark.parametrize("store", ["memory://", "sqlite:///{}/a.db"])
def test_64_tasks_with_one_callback_make_one_exchange(
    make_app: MakeApp, configure_sandbox: Sandbox, tmp_path: Path, store: str, flow: str
) -> None:
    app = make_app(store.format(tmp_path))
    answers: list[tuple[int, str | None]] = []

    async def main() -> None:
        async with browser(app) as client:
            if flow == "link":
                await client.post("/in/u1")
            callback = await at_configure(configure_sandbox, await start(client, flow))
            cookies = dict(client.cookies)

            async def come_back() -> None:
                async with browser(app) as tab:
                    tab.cookies.update(cookies)
                    answer = await tab.get(callback, headers=CROSS)
                    while answer.status_code == 202:
                        answer = await tab.get(callback, headers=CROSS)
                    answers.append((answer.status_code, answer.headers.get("location")))

            async with anyio.create_task_group() as tasks:
                for _ in range(64):
                    tasks.start_soon(come_back)

    on("asyncio", main)
    path = {"link": "/v1/auth/sign-in/exchange", "login": "/oauth/token"}[flow]
    assert len(configure_sandbox.calls_to("POST", path)) == 1
    assert answers == [(303, {"link": "/settings", "login": "/"}[flow])] * 64


@pytest.mark.catalogue("Q9")
def test_a_client_that_goes_in_the_middle_leaves_all_or_nothing(
    make_app: MakeApp, configure_sandbox: Sandbox, tmp_path: Path, backend: str
) -> None:
    app = make_app(f"sqlite:///{tmp_path}/configure.db")

    async def main() -> None:
        async with browser(app) as client:
            await client.post("/in/u1")
            callback = await at_configure(configure_sandbox, await start(client, "link"))
            with configure_sandbox.hold("/v1/auth/sign-in/exchange") as held:

                async def come_back() -> None:
                    await client.get(callback, headers=CROSS)

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(come_back)
                    await anyio.to_thread.run_sync(held.arrived.wait, 1)
                    tasks.cancel_scope.cancel()
                    held.release()
            assert (await client.get("/account")).json()["user"] == "u1"
            again = await client.get(callback, headers=CROSS)
            assert again.headers["location"] == "/settings"

    on(backend, main)
    assert len(configure_sandbox.calls_to("POST", "/v1/auth/sign-in/exchange")) == 1


@pytest.mark.catalogue("Q9", "R7")
def test_a_timeout_around_a_callback_leaves_all_or_nothing(
    make_app: MakeApp, configure_sandbox: Sandbox, tmp_path: Path
) -> None:
    """asyncio's own cancellation, as a server's shutdown does it, which AnyIO's scopes don't stop."""
    app = make_app(f"sqlite:///{tmp_path}/configure.db")

    async def main() -> None:
        async with browser(app) as client:
            await client.post("/in/u1")
            callback = await at_configure(configure_sandbox, await start(client, "link"))
            with configure_sandbox.hold("/v1/auth/sign-in/exchange") as held:
                coming_back = asyncio.ensure_future(client.get(callback, headers=CROSS))
                await anyio.to_thread.run_sync(held.arrived.wait, 1)
                for _ in range(3):
                    coming_back.cancel()
                    await anyio.lowlevel.checkpoint()
                held.release()
                with pytest.raises(asyncio.CancelledError):
                    await coming_back
            assert (await client.get("/account")).json()["user"] == "u1"
            assert (await client.get(callback, headers=CROSS)).headers["location"] == "/settings"

    on("asyncio", main)
    assert len(configure_sandbox.calls_to("POST", "/v1/auth/sign-in/exchange")) == 1


def test_an_exception_of_starlette_in_a_hook_keeps_our_headers(settings: Settings, configure_sandbox: Sandbox) -> None:
    async def on_login(request: Request, identity: Any, grant: Any) -> str:
        raise HTTPException(403, "not here", headers={"x-app": "its own"})

    configure_auth = ConfigureAuth(settings, store="memory://", user_id=session_user("user_id"))
    app = Starlette(
        routes=[configure_auth.login(on_login=on_login)],
        middleware=[Middleware(SessionMiddleware, secret_key="a secret of the app")],
    )
    client = TestClient(app, base_url=APP_URL, follow_redirects=False)
    hosted = client.get("/auth/configure/sign-in", headers=SAME).headers["location"]
    answer = client.get(configure_sandbox.sign_in(hosted), headers=CROSS)

    assert (answer.status_code, answer.text, answer.headers["x-app"]) == (403, "not here", "its own")
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")


def test_a_plain_event_handler_runs_in_a_thread_of_its_own(make_app: MakeApp, configure_sandbox: Sandbox) -> None:
    app = make_app()
    threads: list[int] = []
    app.state.configure_auth.on(AccountLinked)(lambda event: threads.append(threading.get_ident()))

    async def main() -> None:
        async with browser(app) as client:
            await client.post("/in/u1")
            await client.get(await at_configure(configure_sandbox, await start(client, "link")), headers=CROSS)
        assert threads
        assert threads[0] != threading.get_ident()

    on("asyncio", main)


def test_a_slash_too_many_leads_nowhere(make_app: MakeApp) -> None:
    client = TestClient(make_app(), base_url=APP_URL, follow_redirects=False)

    assert client.get("/configure/callback/?code=c&state=s", headers=CROSS).status_code == 404


def test_a_strict_session_around_the_whole_app_is_reloaded_for(make_app: MakeApp, configure_sandbox: Sandbox) -> None:
    inner = make_app()
    inner.user_middleware.clear()
    app = SessionMiddleware(inner, secret_key="a secret of the app", same_site="strict")
    client = TestClient(app, base_url=APP_URL, follow_redirects=False)
    callback = configure_sandbox.sign_in(client.get("/auth/configure/sign-in", headers=SAME).headers["location"])

    first, again = client.get(callback, headers=CROSS), client.get(callback, headers=SAME)

    assert (first.status_code, again.status_code) == (200, 303)
    assert 'http-equiv="refresh"' in first.text


def test_a_test_client_that_has_a_loop_for_each_request(
    make_app: MakeApp, configure_sandbox: Sandbox, tmp_path: Path
) -> None:
    configure_sandbox.add_person("+15550100001", name="Ada")
    for store in ("memory://", f"sqlite:///{tmp_path}/a.db"):
        client = TestClient(make_app(store), base_url=APP_URL, follow_redirects=False)
        client.post("/in/u1")
        hosted = client.get("/configure/sign-in", headers=SAME).headers["location"]
        assert client.get(configure_sandbox.sign_in(hosted), headers=CROSS).headers["location"] == "/settings"
        assert [client.get("/profile").json() for _ in range(2)] == [{"name": "Ada"}] * 2


@pytest.mark.parametrize(
    "store", first(["sqlite", "sqlite+aiosqlite", "psycopg", "psycopg_async", "asyncpg", "engine"])
)
def test_four_sign_ins_each_on_an_event_loop_of_its_own(
    make_app: MakeApp, configure_sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest, store: str
) -> None:
    """By one app object of a module, whatever names its store: a URL of any driver, or an AsyncEngine."""
    source: Any = f"{store}:///{tmp_path}/a.db"
    with ExitStack() as stack:
        if not store.startswith("sqlite"):
            server: PostgreSQL = request.getfixturevalue("postgresql")
            url = make_url(stack.enter_context(server.schema()))
            source = url.set(drivername=f"postgresql+{store}").render_as_string(hide_password=False)
            if store == "engine":
                source = create_async_engine(url.set(drivername="postgresql+psycopg_async"))
        app = make_app(source)

        async def sign_in(number: int) -> str:
            async with browser(app) as client:
                callback = configure_sandbox.sign_in(await start(client, "login"), f"+1555010000{number}")
                assert (await client.get(callback, headers=CROSS)).status_code == 303
                user: str = (await client.get("/account")).json()["user"]
                return user

        async def close() -> None:
            await app.state.configure_auth.aclose()

        assert [asyncio.run(sign_in(number)) for number in range(1, 5)] == ["user 1", "user 2", "user 3", "user 4"]
        asyncio.run(close())


def test_the_lifespan_closes_what_was_opened(make_app: MakeApp, configure_sandbox: Sandbox) -> None:
    configure_sandbox.add_person("+15550100001", name="Ada")
    app = make_app(lifespan=True)
    for _ in range(2):
        with TestClient(app, base_url=APP_URL, follow_redirects=False) as client:
            client.post("/in/u1")
            hosted = client.get("/configure/sign-in", headers=SAME).headers["location"]
            client.get(configure_sandbox.sign_in(hosted), headers=CROSS)
            assert client.get("/profile").json() == {"name": "Ada"}


@pytest.mark.catalogue("B8")
def test_two_apps_in_one_process_know_nothing_of_each_other(make_app: MakeApp, configure_sandbox: Sandbox) -> None:
    first, second = (TestClient(make_app(), base_url=APP_URL, follow_redirects=False) for _ in range(2))
    for client in (first, second):
        client.post("/in/u1")
    hosted = first.get("/configure/sign-in", headers=SAME).headers["location"]
    callback = configure_sandbox.sign_in(hosted)
    second.cookies.update(dict(first.cookies))

    assert second.get(callback, headers=CROSS).status_code == 400
    assert first.get(callback, headers=CROSS).status_code == 303
    assert second.get("/account").json()["user"] is None


def test_the_routes_can_be_reversed(make_app: MakeApp) -> None:
    app = make_app()

    paths = [
        app.url_path_for(name) for name in ("configure:callback", "configure:disconnect", "configure_login:sign_in")
    ]

    assert paths == ["/configure/callback", "/configure/disconnect", "/auth/configure/sign-in"]


def test_without_session_middleware_the_line_to_add_is_said(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    configure_auth = ConfigureAuth(settings, store="memory://", user_id=session_user("user_id"))
    app = Starlette(routes=[configure_auth.account_link()], lifespan=configure_auth.lifespan)

    with TestClient(app, base_url=APP_URL) as client:
        assert "add Middleware(SessionMiddleware" in caplog.text
        caplog.clear()
        answer = client.get("/configure/sign-in", headers=SAME)

    assert answer.status_code == 500
    assert "add Middleware(SessionMiddleware" in caplog.text


class _Backend(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        name = conn.headers.get("x-user")
        return None if name is None else (AuthCredentials(["authenticated"]), _User(name))


class _User(SimpleUser):
    @property
    def identity(self) -> str:
        return self.username


def test_the_user_of_the_authentication_middleware(settings: Settings, configure_sandbox: Sandbox) -> None:
    configure_auth = ConfigureAuth(settings, store="memory://", user_id=authenticated_user)

    async def account(request: Request) -> Response:
        found = await configure_auth.account(request)
        return JSONResponse({"user": found and found.user_id})

    app = Starlette(
        routes=[configure_auth.account_link(), Route("/account", account)],
        middleware=[Middleware(AuthenticationMiddleware, backend=_Backend())],
    )
    client = TestClient(app, base_url=APP_URL, follow_redirects=False)

    assert client.get("/configure/sign-in", headers=SAME).status_code == 401
    hosted = client.get("/configure/sign-in", headers={**SAME, "x-user": "ada"}).headers["location"]
    client.get(configure_sandbox.sign_in(hosted), headers={**CROSS, "x-user": "ada"})
    assert client.get("/account", headers={"x-user": "ada"}).json() == {"user": "ada"}


@pytest.mark.parametrize("outer", ["", "/outer"])
def test_a_root_path_that_a_proxy_has_cut_off(configure_sandbox: Sandbox, outer: str) -> None:
    """As `FastAPI(root_path="/app")` has it: in the scope's root_path, and not in its path."""
    environment = configure_sandbox.environment(app_url=f"{APP_URL}/app{outer}")
    settings = Settings.from_mapping({**environment, "CONFIGURE_TOKEN_KEYS": "a key that seals this app's tokens"})
    configure_auth = ConfigureAuth(settings, store="memory://", session=False, user_id=lambda request: None)
    mine = configure_auth.login(on_login=lambda request, identity, grant: "u1")
    app = Starlette(routes=[Mount(outer, routes=[mine]) if outer else mine])

    start = TestClient(app, APP_URL, root_path="/app", headers=SAME, follow_redirects=False).get(
        f"{outer}/auth/configure/sign-in"
    )

    assert start.status_code == 303
    assert f"localhost%3A3000%2Fapp{outer.replace('/', '%2F')}%2Fauth" in start.headers["location"]
