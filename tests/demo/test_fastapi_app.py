"""The FastAPI example as an app of its own: people, tokens, what its docs say; and a link that ends by its page."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from starlette.testclient import TestClient

from configure_auth.sandbox import Sandbox
from example_apps.fastapi_app import create_app
from example_apps.fastapi_app.api import get_current_user
from example_apps.fastapi_app.models import User

ADA = {"username": "Ada", "password": "analytical"}
SITE = "http://localhost:3000"
PHONE = "+15550100001"
OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def sandbox(configure_sandbox: Sandbox) -> Sandbox:
    configure_sandbox.register_return_to(f"{SITE}/api/configure/callback")
    configure_sandbox.register_redirect_uri(f"{SITE}/api/auth/configure/callback")
    configure_sandbox.add_person(PHONE, name="Ada Lovelace", preferences=("Window seats",))
    return configure_sandbox


@pytest.fixture
def browser(sandbox: Sandbox, tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(sandbox.environment(SITE), instance_path=tmp_path)
    with TestClient(app, SITE, headers=OWN, follow_redirects=False) as client:
        yield client


def sign_up(browser: TestClient, **change: str) -> dict[str, str]:
    """A new person's header."""
    return bearer(browser.post("/api/sign-up", json={**ADA, **change}).json()["token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def connect(browser: TestClient, sandbox: Sandbox, ada: dict[str, str]) -> dict[str, Any]:
    start = browser.post("/api/configure/sign-in", headers={**ada, "accept": "application/json"})
    callback = sandbox.sign_in(start.json()["url"], PHONE)
    page = browser.get(callback, headers={"sec-fetch-site": "cross-site"}).headers["location"]
    assert page.startswith("/settings?configure_finish=")
    assert browser.get("/api/connection", headers=ada).json() is None
    finish = browser.post(
        page.replace("/settings", "/api/configure/finish"), headers={**ada, "accept": "application/json"}
    )
    assert (finish.status_code, finish.json()) == (200, {"next": "/settings?configure=connected"})
    connection: dict[str, Any] = browser.get("/api/connection", headers=ada).json()
    return connection


def test_a_person_signs_up_out_and_in_again(browser: TestClient) -> None:
    ada = sign_up(browser)
    account = browser.get("/api/account", headers=ada).json()
    assert account == {"id": 1, "username": "ada", "name": None, "email": None, "has_password": True}

    assert browser.post("/api/sign-out", headers=ada).status_code == 204
    assert browser.post("/api/token").json() is None

    assert browser.post("/api/sign-in", json={**ADA, "password": "guessed it"}).status_code == 401
    again = browser.post("/api/sign-in", json=ADA)
    assert browser.get("/api/account", headers=bearer(again.json()["token"])).json() == account


def test_a_reload_gets_a_token_by_a_cookie_that_no_script_reads(browser: TestClient) -> None:
    signed_up = browser.post("/api/sign-up", json=ADA)
    attributes = signed_up.headers["set-cookie"].lower()
    assert "httponly" in attributes
    assert "samesite=strict" in attributes

    token = browser.post("/api/token").json()["token"]

    assert browser.get("/api/account", headers=bearer(token)).json()["username"] == "ada"


def test_the_cookie_opens_nothing_and_is_no_bearer(browser: TestClient) -> None:
    sign_up(browser)

    assert browser.get("/api/account").status_code == 401
    assert browser.get("/api/account", headers=bearer(browser.cookies["fastapi_app_refresh"])).status_code == 401
    assert browser.get("/api/configure/status").status_code == 401


@pytest.mark.parametrize(
    ("key", "algorithm", "change"),
    [
        ("another key that is long enough for it", "HS256", {}),
        (None, "HS512", {}),
        ("", "none", {}),
        (None, "HS256", {"aud": "refresh"}),
        (None, "HS256", {"aud": None}),
        (None, "HS256", {"exp": None}),
        (None, "HS256", {"exp": 1}),
        (None, "HS256", {"sub": "2"}),
    ],
)
@pytest.mark.filterwarnings("ignore:The HMAC key")
def test_a_token_that_is_not_ours_is_nobodys(
    browser: TestClient, tmp_path: Path, key: str | None, algorithm: str, change: dict[str, object]
) -> None:
    sign_up(browser)
    claims = {"sub": "1", "aud": "bearer", "exp": int(time.time()) + 60, **change}
    given = {name: value for name, value in claims.items() if value is not None}
    token = jwt.encode(given, (tmp_path / "jwt_key").read_text() if key is None else key, algorithm)

    assert browser.get("/api/account", headers=bearer(token)).status_code == 401
    assert browser.get("/api/configure/status", headers=bearer(token)).status_code == 401


@pytest.mark.parametrize(
    ("username", "password", "status"),
    [("", "long enough", 422), ("ada", "short", 422), ("x" * 41, "long enough", 422), (" ADA ", "long enough", 409)],
)
def test_a_sign_up_that_cannot_be(browser: TestClient, username: str, password: str, status: int) -> None:
    sign_up(browser)

    assert browser.post("/api/sign-up", json={"username": username, "password": password}).status_code == status


def test_who_has_no_password_cannot_sign_in_with_none(browser: TestClient, tmp_path: Path) -> None:
    run(tmp_path, """INSERT INTO "user" (name) VALUES ('Grace')""")

    assert browser.post("/api/sign-in", json={"username": "", "password": ""}).status_code == 401


def test_a_deleted_person_is_gone_and_the_id_and_the_tokens_with_them(browser: TestClient, tmp_path: Path) -> None:
    ada = sign_up(browser)
    cookie = browser.cookies["fastapi_app_refresh"]

    assert browser.delete("/api/account", headers=ada).status_code == 204

    assert "fastapi_app_refresh" not in browser.cookies
    browser.cookies.set("fastapi_app_refresh", cookie)
    assert browser.post("/api/token").json() is None
    assert browser.get("/api/account", headers=ada).status_code == 401
    assert browser.post("/api/configure/sign-in", headers={**ada, "accept": "application/json"}).status_code == 401
    sign_up(browser)
    assert run(tmp_path, 'SELECT id FROM "user"') == [(2,)]


def test_connect_read_and_disconnect_by_bearer(browser: TestClient, sandbox: Sandbox) -> None:
    ada = sign_up(browser)

    connection = connect(browser, sandbox, ada)

    assert (connection["user_id"], connection["kind"], connection["needs_reconnect"]) == ("1", "agent", False)
    profile = browser.get("/api/profile", headers=ada).json()
    assert profile == {
        "name": "Ada Lovelace",
        "phone_last4": "0001",
        "summary": None,
        "preferences": ["Window seats"],
    }
    assert browser.post("/api/configure/disconnect", headers={**ada, "accept": "application/json"}).json() == {
        "disconnected": True
    }
    assert browser.get("/api/connection", headers=ada).json() is None


def test_what_configure_does_not_give_is_said_in_a_status(browser: TestClient, sandbox: Sandbox) -> None:
    ada = sign_up(browser)
    assert browser.get("/api/profile", headers=ada).status_code == 409
    connect(browser, sandbox, ada)

    sandbox.fault("/v1/profile", status=503)
    assert browser.get("/api/profile", headers=ada).status_code == 503
    sandbox.clear_faults()
    sandbox.revoke_approval(sandbox.people[0])
    assert browser.get("/api/profile", headers=ada).status_code == 409
    assert browser.get("/api/connection", headers=ada).json()["needs_reconnect"]


def test_the_button_signs_in_by_the_cookie_alone(browser: TestClient, sandbox: Sandbox) -> None:
    start = browser.get("/api/auth/configure/sign-in?next=/settings")
    callback = sandbox.sign_in(start.headers["location"], PHONE)

    answer = browser.get(callback, headers={"sec-fetch-site": "cross-site"})

    assert answer.headers["location"] == "/settings?configure=signed-in"
    ada = bearer(browser.post("/api/token").json()["token"])
    account = browser.get("/api/account", headers=ada).json()
    assert (account["name"], account["has_password"]) == ("Ada Lovelace", False)
    refused = browser.post("/api/configure/disconnect", headers={**ada, "accept": "application/json"})
    assert (refused.status_code, refused.json()["error"]) == (409, "last_sign_in")


def test_linked_first_and_the_button_later_is_one_account(browser: TestClient, sandbox: Sandbox) -> None:
    ada = sign_up(browser)
    connect(browser, sandbox, ada)
    browser.post("/api/sign-out", headers=ada)

    start = browser.get("/api/auth/configure/sign-in")
    browser.get(sandbox.sign_in(start.headers["location"], PHONE), headers={"sec-fetch-site": "cross-site"})

    again = bearer(browser.post("/api/token").json()["token"])
    assert browser.get("/api/account", headers=again).json()["username"] == "ada"


def test_the_docs_show_the_api_and_configure(browser: TestClient) -> None:
    schema = browser.get("/openapi.json").json()

    names = ("sign-up", "sign-in", "sign-out", "token", "account", "connection", "profile")
    link = {f"/api/configure/{name}" for name in ("sign-in", "finish", "status", "disconnect", "session")}
    login = {"/api/auth/configure/sign-in", "/api/auth/configure/token"}
    assert set(schema["paths"]) == {f"/api/{name}" for name in names} | link | login
    operations = {(path, method): one for path, methods in schema["paths"].items() for method, one in methods.items()}
    locked = {path for (path, _), one in operations.items() if one.get("security")}
    assert locked == {"/api/sign-out", "/api/account", "/api/connection", "/api/profile", *link}
    assert browser.get("/docs").status_code == 200


def test_an_override_of_the_apps_dependency_signs_in(sandbox: Sandbox, tmp_path: Path) -> None:
    app = create_app(sandbox.environment(SITE), instance_path=tmp_path)
    with TestClient(app, SITE, headers=OWN) as browser:
        sign_up(browser)
        app.dependency_overrides[get_current_user] = lambda: User(id=1, username="ada")

        assert browser.get("/api/configure/status").json() == {"connected": False, "accounts": []}
        assert browser.get("/api/connection").json() is None


def test_a_page_on_another_port_signs_in(sandbox: Sandbox, tmp_path: Path) -> None:
    spa = "http://localhost:5173"
    app = create_app({**sandbox.environment(SITE), "SPA_ORIGIN": spa}, instance_path=tmp_path)
    with TestClient(app, SITE, follow_redirects=False) as browser:
        link = {"referer": f"{spa}/", "sec-fetch-site": "same-site"}
        start = browser.get(f"/api/auth/configure/sign-in?next={spa}/", headers=link)
        back = browser.get(sandbox.sign_in(start.headers["location"], PHONE), headers={"sec-fetch-site": "cross-site"})
        assert back.headers["location"] == f"{spa}/?configure=signed-in"

        issued = browser.post("/api/auth/configure/token", headers={"origin": spa, "sec-fetch-site": "same-site"})

        assert issued.headers["access-control-allow-origin"] == spa
        account = browser.get("/api/account", headers=bearer(issued.json()["access_token"]))
        assert account.json()["name"] == "Ada Lovelace"


@pytest.mark.parametrize("path", ["/", "/sign-up", "/sign-in", "/settings"])
def test_the_page_forbids_what_it_does_not_need(browser: TestClient, path: str) -> None:
    page = browser.get(path)

    assert page.headers["Content-Security-Policy"] == "default-src 'self'; form-action 'self'; frame-ancestors 'none'"
    assert page.headers["Cache-Control"] == "no-store"


def run(folder: Path, statement: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(folder / "app.db")) as database, database:
        return database.execute(statement).fetchall()
