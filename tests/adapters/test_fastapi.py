"""What is FastAPI's own: dependencies say who the user is, hooks have some, prefixes, OpenAPI, bearer tokens."""

# Annotations are evaluated here: those of the endpoints below name local variables.

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated, Any

import fastapi
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from fastapi.testclient import TestClient
from jinja2 import DictLoader, Environment
from pydantic import AnyHttpUrl, BaseModel, SecretStr
from starlette.middleware.sessions import SessionMiddleware
from starlette.templating import Jinja2Templates

from configure_auth import (
    AsyncProfile,
    ConfigureError,
    Identity,
    LinkedAccount,
    Secret,
    Settings,
    SettingsError,
    TokenGrant,
)
from configure_auth.fastapi import ConfigureAuth, configure_error_handler
from configure_auth.sandbox import Sandbox

runs_the_lifespans_of_routers = pytest.mark.skipif(
    tuple(map(int, fastapi.__version__.split(".")[:2])) < (0, 113), reason="this FastAPI runs the app's lifespan alone"
)
PHONE = "+15550100001"
SITE = "http://localhost"
OWN = {"sec-fetch-site": "same-origin"}
CROSS = {"sec-fetch-site": "cross-site"}
JSON = {"accept": "application/json"}
ADA = {"authorization": "Bearer ada"}


@dataclass
class User:
    id: str


@dataclass
class Database:
    """What became of the app's sessions with its database, one entry each."""

    log: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    open: int = 0


class NotSignedIn(Exception):
    pass


bearer = HTTPBearer(auto_error=False)
database = Database()


async def get_session() -> AsyncIterator[Database]:
    database.open += 1
    try:
        yield database
    except BaseException:
        database.log.append("rollback")
        raise
    else:
        database.log.append("commit")
    finally:
        database.open -= 1


SessionDep = Annotated[Database, Depends(get_session)]
Token = Annotated[Any, Depends(bearer)]


async def get_current_user(session: SessionDep, token: Token) -> User:
    if token is None:
        raise HTTPException(401, "Sign in first.", {"WWW-Authenticate": "Bearer"})
    if token.credentials == "nobody":
        raise HTTPException(404, "no such user")
    return User(token.credentials)


CurrentUser = Annotated[User, Depends(get_current_user)]


async def sign_in_or_up(grant: TokenGrant, response: Response, session: SessionDep, identity: Identity) -> str:
    user_id = identity.local_user_id or f"user-{len(session.names)}"
    session.names[user_id] = identity.name or ""
    response.set_cookie("app_token", f"jwt-of-{user_id}", httponly=True)
    return user_id


@pytest.fixture(autouse=True)
def fresh() -> None:
    database.__init__()  # type: ignore[misc]


Make = Callable[..., TestClient]


@pytest.fixture
def make(configure_sandbox: Sandbox) -> Any:
    with ExitStack() as stack:

        def make(
            *,
            user: Any = get_current_user,
            prefix: str = "",
            app_url: str = SITE,
            base_url: str = SITE,
            link: dict[str, Any] | None = None,
            login: dict[str, Any] | None = None,
            app: FastAPI | None = None,
            more: Callable[[FastAPI, ConfigureAuth], None] | None = None,
            settings: dict[str, str] | None = None,
            **options: Any,
        ) -> TestClient:
            given = {
                **configure_sandbox.environment(app_url),
                "CONFIGURE_TOKEN_KEYS": "k" * 32,
                **(settings or {}),
            }
            configure_auth = ConfigureAuth(
                Settings.from_mapping(given),
                user=user,
                store="memory://",
                **{"clock": configure_sandbox.clock, "show_outcome": False, **options},
            )
            app = app or FastAPI()
            app.include_router(configure_auth.account_link(**(link or {})), prefix=prefix)
            app.include_router(configure_auth.login(**{"on_login": sign_in_or_up, **(login or {})}), prefix=prefix)
            app.add_exception_handler(ConfigureError, configure_error_handler())
            configure_sandbox.register_return_to(f"{app_url}{prefix}/configure/callback")
            configure_sandbox.register_redirect_uri(f"{app_url}{prefix}/auth/configure/callback")

            @app.get("/account")
            async def account(
                account: Annotated[LinkedAccount | None, Depends(configure_auth.account)],
            ) -> LinkedAccount | None:
                return account

            @app.get("/token")
            async def token(token: Annotated[Secret, Depends(configure_auth.access_token)]) -> int:
                return len(token.reveal())

            if more is not None:
                more(app, configure_auth)
            return stack.enter_context(TestClient(app, base_url, headers=OWN, follow_redirects=False))

        yield make


def with_root_path() -> FastAPI:
    app = FastAPI()
    app.root_path = "/app"  # as `FastAPI(root_path=)`, which warns in newer versions
    return app


def link(browser: TestClient, sandbox: Sandbox, user: dict[str, str] = ADA, prefix: str = "") -> Any:
    """Connect by a page's script with a bearer token; what the finish answers."""
    start = browser.post(f"{prefix}/configure/sign-in?next=/settings", headers={**user, **JSON})
    assert start.status_code == 200, start.text
    back = browser.get(sandbox.sign_in(start.json()["url"], PHONE, name="Ada"), headers=CROSS)
    assert back.status_code == 303, back.text
    finish = back.headers["location"].replace("/settings", f"{prefix}/configure/finish")
    return browser.post(finish, headers={**user, **JSON})


def log_in(browser: TestClient, sandbox: Sandbox, prefix: str = "") -> Any:
    start = browser.get(f"{prefix}/auth/configure/sign-in")
    assert start.status_code == 303, start.text
    return browser.get(sandbox.sign_in(start.headers["location"], PHONE, name="Ada"), headers=CROSS)


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_link_by_bearer(make: Make, configure_sandbox: Sandbox, prefix: str) -> None:
    browser = make(prefix=prefix)

    finished = link(browser, configure_sandbox, prefix=prefix)

    assert (finished.status_code, finished.json()) == (200, {"next": "/settings"})
    assert browser.get("/account", headers=ADA).json()["user_id"] == "ada"
    assert browser.get(f"{prefix}/configure/status", headers=ADA).json()["connected"]
    gone = browser.post(f"{prefix}/configure/disconnect", headers={**ADA, **JSON})
    assert gone.json() == {"disconnected": True}
    assert browser.get("/account", headers=ADA).json() is None


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_login(make: Make, configure_sandbox: Sandbox, prefix: str) -> None:
    browser = make(prefix=prefix)

    callback = log_in(browser, configure_sandbox, prefix)

    assert (callback.status_code, callback.headers["location"]) == (303, "/")
    assert callback.cookies["app_token"] == "jwt-of-user-0"
    assert callback.headers["cache-control"] == "no-store"
    assert database.names == {"user-0": "Ada"}


@pytest.mark.parametrize(
    "user", [get_current_user, Depends(get_current_user), CurrentUser], ids=["function", "Depends", "Annotated"]
)
def test_user_forms(make: Make, user: Any) -> None:
    browser = make(user=user)

    assert browser.get("/configure/status", headers=ADA).json() == {"connected": False, "accounts": []}
    assert browser.get("/configure/status").json() == {"detail": "Sign in first."}


@pytest.mark.parametrize("user", ["ada", None, User("ada"), Annotated[User, "no dependency"], User | None])
def test_user_refused(user: Any) -> None:
    with pytest.raises(SettingsError, match="expected your dependency"):
        ConfigureAuth(user=user)


def test_user_without_id(make: Make) -> None:
    with pytest.raises(SettingsError, match="user= gave a str, which has no id"):
        make(user=lambda: "ada").get("/account")
    assert make(user=lambda: "ada", user_id=lambda user: user).get("/account").json() is None


def test_signed_out_gets_the_apps_401_from_the_api_and_a_page_from_the_start(make: Make) -> None:
    browser = make()

    for method, path in [
        ("POST", "/configure/sign-in"),
        ("POST", "/configure/finish"),
        ("POST", "/configure/disconnect"),
        ("POST", "/configure/session"),
        ("GET", "/configure/status"),
    ]:
        refused = browser.request(method, path)
        assert (refused.status_code, refused.json()) == (401, {"detail": "Sign in first."}), path
        assert refused.headers["www-authenticate"] == "Bearer"
    page = browser.get("/configure/sign-in")
    assert (page.status_code, page.headers["content-type"]) == (401, "text/html; charset=utf-8")


def test_an_error_of_the_user_dependency_goes_to_the_app(make: Make) -> None:
    browser = make()

    start = browser.get("/auth/configure/sign-in", headers={"authorization": "Bearer nobody"})

    assert (start.status_code, start.json()) == (404, {"detail": "no such user"})


def test_an_exception_with_a_handler_of_the_apps_own_goes_there(make: Make) -> None:
    async def user() -> User:
        raise NotSignedIn

    async def handler(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"mine": True}, 418)

    app = FastAPI(exception_handlers={NotSignedIn: handler})
    browser = make(user=user, app=app)

    assert browser.get("/auth/configure/sign-in").status_code == 418
    assert browser.get("/configure/status").status_code == 418


@pytest.mark.catalogue("Q10")
def test_no_session_of_the_database_is_held_while_configure_is_called(make: Make, configure_sandbox: Sandbox) -> None:
    seen: list[int] = []

    def clock() -> float:
        seen.append(database.open)  # asked before and after each call and each write
        return configure_sandbox.clock()

    browser = make(clock=clock)
    log_in(browser, configure_sandbox)

    assert len(seen) > 5
    assert set(seen) == {0}


def test_a_session_commits_before_the_account_is_saved(make: Make, configure_sandbox: Sandbox) -> None:
    told: list[list[str]] = []

    def more(app: FastAPI, configure_auth: ConfigureAuth) -> None:
        from configure_auth.events import LoggedIn

        configure_auth.on(LoggedIn)(lambda event: told.append([*database.log]))

    log_in(make(more=more), configure_sandbox)

    # The user at the start and at the callback (a rollback: 401), on_login, and the user after it.
    assert told == [["rollback", "rollback", "commit", "rollback"]]


@pytest.mark.catalogue("I14")
def test_a_failing_hook_rolls_back_and_sets_no_cookie(
    make: Make, configure_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def on_login(identity: Identity, session: SessionDep, response: Response) -> str:
        response.set_cookie("app_token", "x")
        raise ValueError("the app's own")

    callback = log_in(make(login={"on_login": on_login}), configure_sandbox)

    assert callback.status_code == 500
    assert "app_token" not in callback.cookies
    assert database.log[-1] == "rollback"
    assert "raised by the hook tests.adapters.test_fastapi.test_a_failing_hook" in caplog.text


def test_a_sign_in_that_is_not_saved_sets_no_cookie(make: Make, configure_sandbox: Sandbox) -> None:
    async def on_login(identity: Identity, response: Response) -> str:
        response.set_cookie("app_token", "x")
        return "another"  # than the one who has connected this Configure user

    browser = make(login={"on_login": on_login})
    link(browser, configure_sandbox)

    callback = log_in(browser, configure_sandbox)

    assert callback.status_code == 409
    assert "app_token" not in callback.cookies


def test_a_sign_in_that_cannot_be_undone_sets_no_cookie(make: Make, configure_sandbox: Sandbox) -> None:
    """The session's own storage fails when the app's sign-in is undone."""
    renewed: list[Request] = []

    def renew_session(request: Request) -> None:
        renewed.append(request)
        if len(renewed) == 2:
            raise OSError("the session's storage is away")

    async def on_login(identity: Identity, response: Response) -> str:
        response.set_cookie("app_token", "x")
        return "another"

    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key="a secret key of the app, long enough")
    browser = make(app=app, login={"on_login": on_login}, renew_session=renew_session)
    link(browser, configure_sandbox)
    callback = log_in(browser, configure_sandbox)

    assert (callback.status_code, len(renewed)) == (500, 2)
    assert "app_token" not in callback.cookies


def test_hooks_take_a_request_and_background_tasks_and_may_be_plain(make: Make, configure_sandbox: Sandbox) -> None:
    done: list[str] = []

    def on_login(
        tasks: BackgroundTasks, request: Request, identity: Identity, user_agent: Annotated[str, Header()]
    ) -> Any:
        tasks.add_task(done.append, user_agent)
        return "u1", JSONResponse({"path": request.url.path})

    callback = log_in(make(login={"on_login": on_login}), configure_sandbox)

    assert callback.json() == {"path": "/auth/configure/callback"}
    assert done == ["testclient"]


def test_other_hooks_have_dependencies_too(make: Make, configure_sandbox: Sandbox) -> None:
    asked: list[Any] = []

    async def can_disconnect(session: SessionDep, user_id: str) -> bool:
        asked.append((user_id, session.open))
        return False

    async def on_error(error: Any, request: Request) -> Response | None:
        return JSONResponse({"mine": error.code}, 418) if "expired" not in error.code else None

    def on_conflict(owner_user_id: str, account: LinkedAccount, session: SessionDep) -> str:
        asked.append(owner_user_id)
        return "move"

    browser = make(link={"can_disconnect": can_disconnect, "on_error": on_error, "on_conflict": on_conflict})
    link(browser, configure_sandbox)
    link(browser, configure_sandbox, {"authorization": "Bearer grace"})

    refused = browser.post("/configure/disconnect", headers={"authorization": "Bearer grace"})
    assert (refused.status_code, refused.json()) == (418, {"mine": "last_sign_in"})
    assert asked == ["ada", ("grace", 2)]  # the endpoint's own session is open beside it


@pytest.mark.parametrize("parameter", ["who: str", "page: int = 1", "*args: object", "body: dict"])
def test_a_parameter_that_nothing_fills_is_refused(make: Make, parameter: str) -> None:
    names: dict[str, Any] = {}
    exec(f"def on_login(identity, {parameter}): ...", names)

    with pytest.raises(SettingsError, match=r"on_login has a parameter '\w+' that nothing fills: name"):
        make(login={"on_login": names["on_login"]})


def test_dependency_overrides_change_who_is_signed_in_everywhere(make: Make, configure_sandbox: Sandbox) -> None:
    app = FastAPI()
    browser = make(app=app)
    app.dependency_overrides[get_current_user] = lambda: User("grace")

    assert browser.get("/configure/status").json() == {"connected": False, "accounts": []}
    assert browser.get("/configure/sign-in").status_code == 303
    assert browser.get("/account").json() is None
    assert browser.get("/auth/configure/sign-in").headers["location"] == "/"  # signed in already


def test_dependency_overrides_hold_in_hooks(make: Make, configure_sandbox: Sandbox) -> None:
    app, other = FastAPI(), Database()
    browser = make(app=app)
    app.dependency_overrides[get_session] = lambda: other

    log_in(browser, configure_sandbox)

    assert (database.names, other.names) == ({}, {"user-0": "Ada"})


def test_a_websocket_route(make: Make, configure_sandbox: Sandbox) -> None:
    def user_of_socket(token: Annotated[str, Header()]) -> User:
        return User(token)

    def more(app: FastAPI, configure_auth: ConfigureAuth) -> None:
        @app.websocket("/ws")
        async def ws(socket: WebSocket, account: Annotated[Any, Depends(configure_auth.account)]) -> None:
            await socket.accept()
            await socket.send_json({"connected": account is not None})
            await socket.close()

    with make(user=user_of_socket, more=more).websocket_connect("/ws", headers={"token": "ada"}) as socket:
        assert socket.receive_json() == {"connected": False}


def test_dependencies_without_a_user(make: Make) -> None:
    """A dependency that returns None, as `fastapi-users` has for optional users: nothing to delete, no id."""

    def more(app: FastAPI, configure_auth: ConfigureAuth) -> None:
        @app.get("/mine")
        async def mine(
            account: Annotated[Any, Depends(configure_auth.account)],
            deleted: Annotated[Any, Depends(configure_auth.unlink)],
            external_id: Annotated[Any, Depends(configure_auth.external_id)],
        ) -> dict[str, Any]:
            return {"account": account, "deleted": deleted, "external_id": external_id}

    assert make(user=lambda: None, more=more).get("/mine").json() == {
        "account": None,
        "deleted": [],
        "external_id": None,
    }


@pytest.mark.parametrize(("auth_required", "status"), [(None, 409), (424, 424)])
def test_errors_of_configure_have_a_status(make: Make, auth_required: int | None, status: int) -> None:
    def more(app: FastAPI, configure_auth: ConfigureAuth) -> None:
        if auth_required is not None:
            app.add_exception_handler(ConfigureError, configure_error_handler(auth_required=auth_required))

    response = make(more=more).get("/token", headers=ADA)

    assert (response.status_code, response.json()["code"]) == (status, "AUTH_REQUIRED")


def test_outages_of_configure_have_their_own_status(make: Make, configure_sandbox: Sandbox) -> None:
    def more(app: FastAPI, configure_auth: ConfigureAuth) -> None:
        @app.get("/name")
        async def name(profile: Annotated[Any, Depends(configure_auth.profile)]) -> str | None:
            found: str | None = (await profile.read(sections=("identity",))).identity.name
            return found

    browser = make(more=more)
    link(browser, configure_sandbox)
    assert browser.get("/name", headers=ADA).json() == "Ada"
    configure_sandbox.fault("/v1/profile", status=429, headers={"Retry-After": "7"})

    response = browser.get("/name", headers=ADA)

    assert (response.status_code, response.json()["code"], response.headers["retry-after"]) == (
        503,
        "RATE_LIMITED",
        "7",
    )


def test_a_session_is_renewed_where_the_app_has_one(make: Make, configure_sandbox: Sandbox) -> None:
    async def user(request: Request) -> User | None:
        user_id = request.session.get("user_id")
        return None if user_id is None else User(user_id)

    async def on_login(identity: Identity, request: Request) -> str:
        request.session["user_id"] = "u1"
        return "u1"

    def more(app: FastAPI, configure_auth: ConfigureAuth) -> None:
        @app.get("/session")
        async def session(request: Request) -> dict[str, Any]:
            request.session.setdefault("cart", 1)
            return dict(request.session)

    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key="a secret key of the app, long enough")
    browser = make(app=app, user=user, login={"on_login": on_login}, more=more)
    assert browser.get("/session").json() == {"cart": 1}

    log_in(browser, configure_sandbox)

    assert browser.get("/session").json() == {"user_id": "u1", "cart": 1}
    start = browser.get("/configure/sign-in?next=/settings")
    back = browser.get(configure_sandbox.sign_in(start.headers["location"], PHONE), headers=CROSS)
    assert back.headers["location"] == "/settings"  # a session's link ends at the callback
    kinds = browser.get("/configure/status").json()["accounts"]
    assert {one["kind"] for one in kinds} == {"agent", "oauth"}


def test_a_session_links_signed_out_at_the_callback_is_told(make: Make, configure_sandbox: Sandbox) -> None:
    """Only a start with a bearer token leaves the exchange to the page."""
    app = FastAPI()
    browser = make(app=app)
    app.dependency_overrides[get_current_user] = lambda: User("ada")
    start = browser.get("/configure/sign-in?next=/settings")
    app.dependency_overrides.clear()

    back = browser.get(
        configure_sandbox.sign_in(start.headers["location"], PHONE), headers={"sec-fetch-site": "same-origin"}
    )

    assert back.status_code == 401
    assert "configure_finish" not in back.text


def test_a_session_beyond_a_cookie_is_warned_of_once_with_its_size(
    make: Make, configure_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def on_login(identity: Identity, request: Request) -> str:
        request.session["token"] = "x" * 4000
        return "u1"

    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key="a secret key of the app, long enough")
    callback = log_in(make(app=app, login={"on_login": on_login}), configure_sandbox)

    sent = len(next(one for one in callback.headers.get_list("set-cookie") if one.startswith("session=")).split(";")[0])
    found = [record.getMessage() for record in caplog.records if "session cookie" in record.getMessage()]
    assert sent > 4096
    assert found == [
        f"the session cookie has {sent} bytes, and browsers drop one of more than 4096: keep less in the session"
    ]


@pytest.mark.parametrize("path", ["/configure/callback", "/auth/configure/callback", "/configure/sign-in"])
@pytest.mark.parametrize("slashes", ["/", "//"])
def test_a_slash_too_many_is_a_404_that_repeats_no_code(make: Make, path: str, slashes: str) -> None:
    browser = make()

    answer = browser.get(f"{path}{slashes}?code=secret-code&state=secret-state")

    assert answer.status_code == 404
    assert "secret" not in f"{answer.headers} {answer.text}"


@pytest.mark.parametrize(("method", "status"), [("PUT", 405), ("DELETE", 405), ("HEAD", 204)])
def test_other_methods_of_the_callback(make: Make, method: str, status: int) -> None:
    assert make().request(method, "/configure/callback?code=c&state=s", headers=JSON).status_code in (status, 400)


def test_openapi_has_the_routes_for_clients(make: Make) -> None:
    schema = make(prefix="/api").get("/openapi.json").json()

    ours = {
        (path.removeprefix("/api"), method): operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if "configure" in path
    }
    assert {*ours} == {
        ("/configure/sign-in", "get"),
        ("/configure/sign-in", "post"),
        ("/configure/finish", "post"),
        ("/configure/status", "get"),
        ("/configure/disconnect", "post"),
        ("/configure/session", "post"),
        ("/auth/configure/sign-in", "get"),
        ("/auth/configure/sign-in", "post"),
        ("/auth/configure/token", "post"),
    }
    assert {tuple(one["tags"]) for one in ours.values()} == {("configure",)}
    locked = {path for path, one in ours.items() if one.get("security")}
    assert locked == {
        path for path in ours if path[0].startswith("/configure") and path != ("/configure/sign-in", "get")
    }
    operations = [one["operationId"] for one in ours.values()]
    assert len({*operations}) == len(operations)
    assert ours["/configure/finish", "post"]["parameters"][0]["required"]
    for path, model in {
        "status": "ConfigureStatus",
        "finish": "ConfigureFinish",
        "disconnect": "ConfigureDisconnect",
    }.items():
        method = "get" if path == "status" else "post"
        content = ours[f"/configure/{path}", method]["responses"]["200"]["content"]["application/json"]
        assert content["schema"] == {"$ref": f"#/components/schemas/{model}"}


def test_openapi_leaves_them_out_on_request(make: Make) -> None:
    def more(app: FastAPI, configure_auth: ConfigureAuth) -> None:
        hidden = ConfigureAuth(configure_auth.client.settings, user=get_current_user, name="other", store="memory://")
        app.include_router(hidden.account_link(path="/hidden"), include_in_schema=False)

    assert not [path for path in make(more=more).get("/openapi.json").json()["paths"] if "hidden" in path]


def test_models_of_ours_are_response_models(make: Make) -> None:
    def more(app: FastAPI, configure_auth: ConfigureAuth) -> None:
        @app.get("/identity")
        async def identity() -> Identity:
            return Identity(user_id="c1", name="Ada")

    browser = make(more=more)

    assert browser.get("/identity").json()["user_id"] == "c1"
    schemas = browser.get("/openapi.json").json()["components"]["schemas"]
    assert {"Identity", "LinkedAccount"} <= schemas.keys()


def test_locale_has_dependencies_and_the_layout_is_the_apps(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A start from elsewhere shows the page to confirm; a signed-out user's language is known too."""
    layout = "<nav>Shop</nav><title>{% block title %}{% endblock %}</title>{% block content %}{% endblock %}"
    templates = Jinja2Templates(env=Environment(loader=DictLoader({"shop.html": layout}), autoescape=True))

    async def language(session: SessionDep, x_language: Annotated[str | None, Header()] = None) -> str | None:
        return x_language

    browser = make(
        texts={"de": {"continue": "Weiter"}},
        locale=language,
        base_template="shop.html",
        more=lambda app, configure_auth: configure_auth.install(templates),
    )

    page = browser.get("/auth/configure/sign-in", headers={"sec-fetch-site": "cross-site", "x-language": "de"}).text

    assert "<nav>Shop</nav>" in page
    assert "<span>Weiter</span>" in page
    assert database.open == 0
    assert [record for record in caplog.records if record.exc_info] == []


def test_the_verbs_of_a_request_are_endpoints_as_they_are(make: Make) -> None:
    def more(app: FastAPI, configure_auth: ConfigureAuth) -> None:
        app.get("/button")(configure_auth.button)
        app.get("/own")(configure_auth.account)

        @app.get("/page")
        async def page(button: Annotated[str, Depends(configure_auth.button)]) -> str:
            return button

    browser = make(more=more)

    for path in ("/button", "/page"):
        assert 'href="/auth/configure/sign-in"' in browser.get(path).json()
        assert 'href="/configure/sign-in"' in browser.get(path, headers=ADA).json()
    assert browser.get("/own", headers=ADA).json() is None
    paths = browser.get("/openapi.json").json()["paths"]
    assert not [path for path in ("/button", "/own", "/page") if "parameters" in paths[path]["get"]]


def test_nested_prefixes_are_in_every_url(make: Make, configure_sandbox: Sandbox) -> None:
    def more(app: FastAPI, configure_auth: ConfigureAuth) -> None:
        inner = APIRouter(prefix="/inner")
        nested = ConfigureAuth(configure_auth.client.settings, user=get_current_user, name="nested", store="memory://")
        inner.include_router(nested.account_link(), prefix="/configured")
        app.include_router(inner, prefix="/outer")

        @app.get("/button")
        async def button(request: Request) -> str:
            return str(await nested.button(request, "link")) + str(nested.disconnect_form())

    configure_sandbox.register_return_to(f"{SITE}/outer/inner/configured/configure/callback")
    browser = make(more=more)
    place = "/outer/inner/configured"

    assert link(browser, configure_sandbox, prefix=place).status_code == 200
    page = browser.get("/button", headers=ADA).json()
    assert f'href=\\"{place}/configure/sign-in' in page or f'href="{place}/configure/sign-in' in page
    assert f"{place}/configure/disconnect" in page


def test_a_root_path_behind_a_proxy_that_strips_it(make: Make, configure_sandbox: Sandbox) -> None:
    browser = make(app=with_root_path(), app_url=f"{SITE}/app", link={"after_link": "/app/settings"})

    start = browser.post("/configure/sign-in?next=/app/settings", headers={**ADA, **JSON})

    callback = configure_sandbox.sign_in(start.json()["url"], PHONE)
    assert callback.startswith(f"{SITE}/app/configure/callback")
    back = browser.get(callback.replace(f"{SITE}/app", ""), headers=CROSS)
    assert back.headers["location"].startswith("/app/settings?configure_finish=")


@runs_the_lifespans_of_routers
def test_a_root_path_that_is_not_configure_app_urls_is_refused_at_start_up(make: Make) -> None:
    with pytest.raises(SettingsError, match="root_path='/app', but the path of CONFIGURE_APP_URL is ''"):
        make(app=with_root_path())


@runs_the_lifespans_of_routers
def test_the_sso_redirect_uri_is_compared_with_the_path_in_the_app(make: Make) -> None:
    callback = f"{SITE}/api/auth/configure/callback"

    assert make(prefix="/api", settings={"CONFIGURE_SSO_REDIRECT_URI": callback})
    with pytest.raises(SettingsError, match="CONFIGURE_SSO_REDIRECT_URI is not"):
        make(prefix="/other", settings={"CONFIGURE_SSO_REDIRECT_URI": callback})


@runs_the_lifespans_of_routers
def test_a_prefix_twice_is_said_at_start_up(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    make(prefix="/api", app_url=f"{SITE}/api", link={"after_link": "/api/x"})

    assert [one for one in caplog.records if one.levelno == logging.WARNING and "leave the prefix" in one.getMessage()]


def test_a_template_has_the_prefix_where_nothing_runs_the_lifespan(configure_sandbox: Sandbox) -> None:
    """As in an app on FastAPI before 0.112.2, which doesn't run those of routers."""
    given = {**configure_sandbox.environment(SITE), "CONFIGURE_TOKEN_KEYS": "k" * 32}
    configure_auth = ConfigureAuth(Settings.from_mapping(given), user=get_current_user, store="memory://")
    source = "{{ configure_button('link') }}{{ configure_disconnect_form() }}"
    templates = Jinja2Templates(env=Environment(loader=DictLoader({"page": source}), autoescape=True))
    configure_auth.install(templates)
    app = FastAPI()
    app.include_router(configure_auth.account_link(), prefix="/api")

    @app.get("/page")
    async def view(request: Request) -> Any:
        return templates.TemplateResponse(request, "page")

    page = TestClient(app, SITE).get("/page").text

    assert 'href="/api/configure/sign-in' in page
    assert 'action="/api/configure/disconnect' in page
    asyncio.run(configure_auth.aclose())


def test_a_template_of_a_plain_view_says_that_the_user_takes_a_wait(make: Make) -> None:
    templates = Jinja2Templates(
        env=Environment(loader=DictLoader({"page": "{{ configure_button() }}"}), autoescape=True)
    )

    def more(app: FastAPI, configure_auth: ConfigureAuth) -> None:
        configure_auth.install(templates)

        @app.get("/page")
        def page(request: Request) -> Any:
            return templates.TemplateResponse(request, "page")

    browser = make(more=more, user=lambda: User("ada"))  # a plain function, which FastAPI calls in a thread

    with pytest.raises(SettingsError, match=r"user_id waits for something, which a template can't: .*button"):
        browser.get("/page")


def test_messages_have_one_route_for_each_method(make: Make) -> None:
    def more(app: FastAPI, configure_auth: ConfigureAuth) -> None:
        app.include_router(configure_auth.messages())

    browser = make(more=more)

    answers = [browser.request(method, "/configure/messages/complete") for method in ("OPTIONS", "POST")]
    assert [answer.status_code for answer in answers] == [403, 415], "refused for what they are"


# Settings, and tests of an app


class AppSettings(BaseModel):
    """As a pydantic `BaseSettings` has them."""

    CONFIGURE_AGENT: str
    configure_api_key: SecretStr
    CONFIGURE_APP_URL: AnyHttpUrl
    CONFIGURE_TOKEN_KEYS: list[SecretStr]
    DATABASE_URL: str = "sqlite://"


def test_settings_of_a_pydantic_model(configure_sandbox: Sandbox) -> None:
    given = configure_sandbox.environment("http://localhost:8000")
    source = AppSettings(
        CONFIGURE_AGENT=given["CONFIGURE_AGENT"],
        configure_api_key=SecretStr(given["CONFIGURE_API_KEY"]),
        CONFIGURE_APP_URL=AnyHttpUrl("http://localhost:8000"),
        CONFIGURE_TOKEN_KEYS=[SecretStr("k" * 32)],
    )

    settings = ConfigureAuth(source, user=get_current_user, store="memory://").client.settings

    assert (settings.agent, settings.app_url) == (given["CONFIGURE_AGENT"], "http://localhost:8000")
    assert settings.required_api_key.reveal() == given["CONFIGURE_API_KEY"]
    assert [key.reveal() for key in settings.token_keys] == ["k" * 32]


def test_settings_without_any_of_ours_are_refused() -> None:
    with pytest.raises(SettingsError, match="got a User without any attribute such as CONFIGURE_API_KEY"):
        ConfigureAuth(User("not settings"), user=get_current_user)


def test_settings_of_a_function_are_read_when_they_are_needed(configure_sandbox: Sandbox) -> None:
    calls: list[int] = []

    def get_settings() -> dict[str, str]:
        calls.append(1)
        return {**configure_sandbox.environment(SITE), "CONFIGURE_TOKEN_KEYS": "k" * 32}

    app = FastAPI()
    configure_auth = ConfigureAuth(get_settings, user=get_current_user, store="memory://")
    app.include_router(configure_auth.account_link())
    assert calls == []

    with TestClient(app, SITE, headers=OWN) as browser:
        assert browser.get("/configure/status", headers=ADA).json()["connected"] is False
        assert browser.get("/configure/status", headers=ADA).status_code == 200
    assert calls == [1]


imported = FastAPI()  # as a suite imports it, at the top of the file
imported_auth = ConfigureAuth({}, user=CurrentUser, store="memory://")
imported.include_router(imported_auth.account_link(), prefix="/api")
imported.include_router(imported_auth.login(on_login=sign_in_or_up), prefix="/api")


@imported.get("/name")
async def name(profile: Annotated[AsyncProfile, Depends(imported_auth.profile)]) -> str | None:
    return (await profile.read(sections=("identity",))).identity.name


def test_an_imported_app_signs_in_at_the_sandbox(configure_app: Any) -> None:
    sandbox = configure_app(imported).sandbox
    browser = TestClient(imported, headers=OWN, follow_redirects=False)

    start = browser.get("/api/auth/configure/sign-in")
    callback = browser.get(sandbox.sign_in(start.headers["location"], PHONE, name="Ada"), headers=CROSS)

    assert callback.status_code == 303
    assert database.names == {"user-0": "Ada"}


def test_an_imported_app_links_at_the_sandbox(configure_app: Any) -> None:
    sandbox = configure_app(imported).sandbox
    browser = TestClient(imported, headers=OWN, follow_redirects=False)

    finished = link(browser, sandbox, prefix="/api")

    assert finished.status_code == 200


def test_an_imported_app_has_a_connected_user_in_one_call(configure_app: Any) -> None:
    configure_app(imported).connect("ada", name="Ada")
    browser = TestClient(imported, headers=OWN)

    assert browser.get("/name", headers=ADA).json() == "Ada"
    assert browser.get("/api/configure/status", headers=ADA).json()["connected"]


def test_a_connected_user_in_a_test_that_is_a_coroutine(configure_app: Any) -> None:
    async def test() -> None:
        configure_app(imported).connect("ada", name="Ada")
        assert await imported_auth.account_for("ada") is not None

    asyncio.run(test())


def test_after_the_test_the_app_has_its_own_settings_again(configure_sandbox: Sandbox) -> None:
    from configure_auth.testing.apps import app_under_test

    with app_under_test(imported, configure_sandbox, SITE):
        assert imported_auth.client.settings.agent == configure_sandbox.agent
    assert imported_auth.client.settings.agent is None
    assert TestClient(imported).get("/api/configure/status", headers=ADA).status_code == 503


# Pages on another origin

SPA = "http://localhost:5173"
FROM_SPA = {"origin": SPA, "sec-fetch-site": "same-site", "accept": "*/*", "sec-fetch-dest": "empty"}


def sign_out(app: FastAPI, configure_auth: ConfigureAuth) -> None:
    @app.post("/sign-out")
    async def leave(request: Request) -> None:
        await configure_auth.forget_browser(request)

    @app.post("/forget/{user_id}")
    async def forget(user_id: str) -> bool:
        return await configure_auth.forget_user(user_id)


def issue_token(session: SessionDep, user_id: str) -> str:
    return f"jwt-of-{user_id}-{session.names[user_id]}"


@pytest.fixture
def spa(make: Make) -> TestClient:
    return make(trusted_origins=SPA, login={"issue_token": issue_token}, more=sign_out)


def test_a_page_on_another_origin_links(spa: TestClient, configure_sandbox: Sandbox) -> None:
    start = spa.post(f"/configure/sign-in?next={SPA}/settings", headers={**ADA, **FROM_SPA})
    back = spa.get(configure_sandbox.sign_in(start.json()["url"], PHONE), headers=CROSS)
    page, _, query = back.headers["location"].partition("?")

    finish = spa.post(f"/configure/finish?{query}", headers={**ADA, **FROM_SPA})

    assert (page, finish.json()) == (f"{SPA}/settings", {"next": f"{SPA}/settings"})


def test_a_login_link_on_another_origin_goes_straight_on(spa: TestClient) -> None:
    link = {"referer": f"{SPA}/", "sec-fetch-site": "same-site"}

    assert spa.get("/auth/configure/sign-in", headers=link).status_code == 303
    assert spa.get("/auth/configure/sign-in", headers={"sec-fetch-site": "same-site"}).status_code == 200


def log_in_from(spa: TestClient, sandbox: Sandbox) -> None:
    link = {"referer": f"{SPA}/", "sec-fetch-site": "same-site"}
    start = spa.get(f"/auth/configure/sign-in?next={SPA}/", headers=link)
    back = spa.get(sandbox.sign_in(start.headers["location"], PHONE, name="Ada"), headers=CROSS)
    assert back.headers["location"] == f"{SPA}/"  # and nothing secret in it


def test_the_page_gets_the_apps_token_once(spa: TestClient, configure_sandbox: Sandbox) -> None:
    for _ in range(2):  # two logins of one browser, one after the other
        log_in_from(spa, configure_sandbox)

        issued = spa.post("/auth/configure/token", headers=FROM_SPA)

        assert issued.json() == {"access_token": "jwt-of-user-0-Ada", "token_type": "bearer"}
        assert issued.headers["cache-control"] == "no-store"
        again = spa.post("/auth/configure/token", headers=FROM_SPA)
        assert (again.status_code, again.json()["error"]) == (401, "signed_out")


def test_the_token_is_for_this_browser_and_a_moment(spa: TestClient, configure_sandbox: Sandbox) -> None:
    log_in_from(spa, configure_sandbox)
    cookie = spa.cookies["configure_dev"]

    for other in ({}, {"configure_dev": "x" * 43}):
        spa.cookies.clear()
        spa.cookies.update(other)
        assert spa.post("/auth/configure/token", headers=FROM_SPA).status_code == 401
    spa.cookies.clear()
    spa.cookies.update({"configure_dev": cookie})
    configure_sandbox.advance(31)
    assert spa.post("/auth/configure/token", headers=FROM_SPA).status_code == 401


@pytest.mark.parametrize("path", ["/sign-out", "/forget/user-0"])
def test_the_token_is_gone_with_the_sign_in(spa: TestClient, configure_sandbox: Sandbox, path: str) -> None:
    log_in_from(spa, configure_sandbox)
    assert spa.post(path).status_code == 200

    assert spa.post("/auth/configure/token", headers=FROM_SPA).status_code == 401


@pytest.mark.parametrize("origin", ["http://evil.localhost", "http://localhost:5174", "null"])
def test_the_token_is_for_trusted_origins(spa: TestClient, configure_sandbox: Sandbox, origin: str) -> None:
    log_in_from(spa, configure_sandbox)

    refused = spa.post("/auth/configure/token", headers={**FROM_SPA, "origin": origin})

    assert (refused.status_code, refused.json()["error"]) == (403, "cross_site")


def test_without_issue_token_there_is_none(make: Make, configure_sandbox: Sandbox) -> None:
    browser = make()
    log_in(browser, configure_sandbox)

    assert browser.post("/auth/configure/token", headers=JSON).status_code == 404


def test_issue_token_returns_any_json(make: Make, configure_sandbox: Sandbox) -> None:
    browser = make(login={"issue_token": lambda user_id: {"jwt": user_id}})
    log_in(browser, configure_sandbox)

    assert browser.post("/auth/configure/token", headers=JSON).json() == {"jwt": "user-0"}


@pytest.mark.parametrize("cancel", [False, True])
def test_a_popup_tells_its_opener_alone(spa: TestClient, configure_sandbox: Sandbox, cancel: bool) -> None:
    link = {"referer": f"{SPA}/", "sec-fetch-site": "same-site"}
    start = spa.get(f"/auth/configure/sign-in?popup={SPA}", headers=link)
    back = spa.get(configure_sandbox.sign_in(start.headers["location"], PHONE, cancel=cancel), headers=CROSS)

    page = spa.get(back.headers["location"])

    outcome = "cancelled" if cancel else "done"
    message = f'{{"source": "configure", "outcome": "{outcome}"}}'
    assert f'window.opener.postMessage({message}, "{SPA}")' in page.text
    nonce = page.text.partition('<script nonce="')[2].partition('"')[0]
    assert f"script-src 'nonce-{nonce}'" in page.headers["content-security-policy"]
    assert page.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert "close this window" in page.text
    assert nonce not in spa.get(back.headers["location"]).text


def test_a_popup_of_a_link_hands_over_what_the_finish_needs(spa: TestClient, configure_sandbox: Sandbox) -> None:
    start = spa.post(f"/configure/sign-in?popup={SPA}", headers={**ADA, **FROM_SPA})
    back = spa.get(configure_sandbox.sign_in(start.json()["url"], PHONE), headers=CROSS)
    handle = spa.get(back.headers["location"]).text.partition('"configure_finish": "')[2].partition('"')[0]

    assert spa.post(f"/configure/finish?configure_finish={handle}", headers={**ADA, **FROM_SPA}).status_code == 200
    assert spa.get("/configure/status", headers=ADA).json()["connected"]


def test_a_popup_keeps_its_opener_on_the_page_that_asks_first(spa: TestClient, configure_sandbox: Sandbox) -> None:
    """A page with `Referrer-Policy: no-referrer` opened it; a page of ours with another policy would cut the two."""
    asked = spa.get(f"/auth/configure/sign-in?popup={SPA}", headers={"sec-fetch-site": "same-site"})
    plain = spa.get("/auth/configure/sign-in", headers={"sec-fetch-site": "same-site"})

    assert asked.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert plain.headers["cross-origin-opener-policy"] == "same-origin"
    (href,) = re.findall(r'href="(/auth/[^"]+)"', asked.text)
    start = spa.get(href.replace("&amp;", "&"), headers=OWN)
    back = spa.get(configure_sandbox.sign_in(start.headers["location"], PHONE), headers=CROSS)
    assert f'"{SPA}"' in spa.get(back.headers["location"]).text


@pytest.mark.parametrize("popup", [True, False])
def test_a_popup_keeps_its_opener_on_the_page_that_reloads(make: Make, configure_sandbox: Sandbox, popup: bool) -> None:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key="a secret key of the app, long enough", same_site="strict")
    browser = make(app=app)

    start = browser.get("/auth/configure/sign-in", params={"popup": SITE} if popup else {})
    callback = configure_sandbox.sign_in(start.headers["location"], PHONE)
    page = browser.get(callback, headers=CROSS)

    assert page.status_code == 200
    assert page.headers["cross-origin-opener-policy"] == ("unsafe-none" if popup else "same-origin")
    assert browser.get(callback).headers["location"] == (
        "/auth/configure/popup?origin=http%3A%2F%2Flocalhost" if popup else "/"
    )


def test_a_popup_of_another_origin_is_refused(spa: TestClient) -> None:
    start = spa.get("/auth/configure/sign-in?popup=https://evil.example", headers=OWN)
    page = spa.get("/auth/configure/popup?origin=https://evil.example")

    assert (start.status_code, page.status_code) == (400, 400)
    assert {start.headers["cross-origin-opener-policy"], page.headers["cross-origin-opener-policy"]} == {"same-origin"}
    assert "<script" not in start.text + page.text
