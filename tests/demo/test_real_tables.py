"""The login of each example, on a table of users in which an address and a profile are unique."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.testclient import TestClient

from configure_auth.sandbox import Sandbox
from example_apps import fastapi_app, flask_app, starlette_app

from ..support.reading import ending, links_of

SITE = "http://localhost:3000"
PHONE = "+15550100001"
ADDRESS = "ada@example.com"
ADA = {"username": "ada", "password": "analytical", "email": ADDRESS}
OWN = {"Sec-Fetch-Site": "same-origin"}
SIGN_IN = {
    "flask_app": "/sign-in?next=/configure/sign-in",
    "starlette_app": "/sign-in?next=/configure/sign-in",
    "fastapi_app": "/settings",
}


class Example:
    """A browser at an example app."""

    def __init__(self, name: str, sandbox: Sandbox, folder: Path, stack: ExitStack) -> None:
        self.name, self.sandbox, self.folder = name, sandbox, folder
        self.prefix = "/api" if name == "fastapi_app" else ""
        settings = sandbox.environment(SITE)
        if name == "flask_app":
            # CSRF tokens of forms are in the way of a test of something else.
            app = flask_app.create_app({**settings, "WTF_CSRF_ENABLED": False}, instance_path=folder)
            client: Any = app.test_client()

            def send(method: str, url: str, **more: Any) -> Any:
                return client.open(url, method=method, base_url=SITE, **more)

            self._send: Any = send
        else:
            module: Any = starlette_app if name == "starlette_app" else fastapi_app
            app = module.create_app(settings, instance_path=folder)
            self._send = stack.enter_context(TestClient(app, SITE, follow_redirects=False)).request

    def get(self, url: str, site: str = "same-origin") -> Any:
        return self._send("GET", url.removeprefix(SITE), headers={"Sec-Fetch-Site": site, "Accept": "text/html"})

    def post(self, url: str, **more: Any) -> Any:
        return self._send("POST", url, headers={**OWN, **more.pop("headers", {})}, **more)

    def sign_up(self) -> None:
        if self.name == "fastapi_app":
            assert self.post("/api/sign-up", json=ADA).status_code == 201
        else:
            assert self.post("/sign-up", data=ADA).status_code in (302, 303)
            self.post("/sign-out")

    def login(self) -> Any:
        start = self.get(f"{self.prefix}/auth/configure/sign-in")
        return self.get(self.sandbox.sign_in(start.headers["location"], PHONE), site="cross-site")

    def users(self) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "app.db")) as db:
            return db.execute("SELECT username, email, configure_id IS NOT NULL FROM user ORDER BY id").fetchall()

    def store(self, statement: str) -> None:
        with closing(sqlite3.connect(self.folder / "configure.db")) as db:
            db.execute(statement)
            db.commit()


@pytest.fixture(params=list(SIGN_IN))
def example(request: pytest.FixtureRequest, configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Example]:
    for prefix in ("", "/api"):
        configure_sandbox.register_return_to(f"{SITE}{prefix}/configure/callback")
        configure_sandbox.register_redirect_uri(f"{SITE}{prefix}/auth/configure/callback")
    with ExitStack() as stack:
        yield Example(request.param, configure_sandbox, tmp_path, stack)


def test_login_with_a_taken_verified_address_leads_to_the_sign_in(example: Example) -> None:
    example.sandbox.add_person(PHONE, name="Ada", email=ADDRESS, email_verified=True)
    example.sign_up()

    answer = example.login()

    assert ending(answer) == (403, "login_refused")
    assert "You have an account already" in answer.text
    # Werkzeug 2.2 quotes the slashes.
    assert SIGN_IN[example.name] in map(unquote, links_of(answer))
    assert example.users() == [("ada", ADDRESS, 0)]
    if example.name != "fastapi_app":
        example.get(SIGN_IN[example.name])
        signed_in = example.post("/sign-in", data=ADA)
        assert signed_in.headers["location"] == "/configure/sign-in"
        # The link goes on from there.
        assert example.get("/configure/sign-in").headers["location"].startswith(example.sandbox.sign_in_url)


def test_login_with_an_unverified_address_tells_nothing_and_keeps_none(example: Example) -> None:
    example.sandbox.add_person(PHONE, name="Ada", email=ADDRESS)
    example.sign_up()

    assert example.login().status_code in (302, 303)
    assert example.users() == [("ada", ADDRESS, 0), (None, None, 1)]


def test_login_with_a_phone_only_signs_up(example: Example) -> None:
    assert example.login().status_code in (302, 303)
    assert example.users() == [(None, None, 1)]


def test_login_after_a_failed_save_finds_the_user_that_was_made(example: Example) -> None:
    example.get(f"{example.prefix}/auth/configure/sign-in")  # makes the store's tables
    example.store(
        "CREATE TRIGGER broken BEFORE INSERT ON configure_accounts BEGIN SELECT RAISE(ABORT, 'disk trouble'); END"
    )
    assert example.login().status_code >= 500
    assert example.users() == [(None, None, 1)]

    example.store("DROP TRIGGER broken")
    assert example.login().status_code in (302, 303)
    assert example.users() == [(None, None, 1)]


def test_disconnect_takes_the_profile_off_the_account_that_it_made(example: Example) -> None:
    example.login()
    assert example.users() == [(None, None, 1)]
    with closing(sqlite3.connect(example.folder / "app.db")) as db:
        db.execute("UPDATE user SET password_hash = 'of another way in'")
        db.commit()
    more: dict[str, Any] = {}
    if example.name == "fastapi_app":
        more["headers"] = {"Authorization": f"Bearer {example.post('/api/token').json()['token']}"}

    assert example.post(f"{example.prefix}/configure/disconnect", **more).status_code == 303

    assert example.users() == [(None, None, 0)]
