"""The Starlette example as an app of its own: people, passwords, policies."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from configure_auth.errors import Code
from configure_auth.sandbox import Sandbox
from example_apps.starlette_app import create_app
from example_apps.starlette_app.german import GERMAN

ADA = {"username": "Ada", "password": "analytical"}
SITE = "http://localhost:3000"
OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def settings() -> dict[str, str]:
    with Sandbox() as sandbox:
        return sandbox.environment(SITE)


@pytest.fixture
def browser(settings: dict[str, str], tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(settings, instance_path=tmp_path)
    with TestClient(app, SITE, headers=OWN, follow_redirects=False) as client:
        yield client


def location(browser: TestClient, path: str, **fields: str) -> str:
    """Where a form leads on to."""
    response = browser.post(path, data=fields)
    assert response.status_code == 303
    return response.headers["location"]


def test_a_person_signs_up_out_and_in_again(browser: TestClient) -> None:
    assert location(browser, "/sign-up", **ADA) == "/"
    assert "Hello, ada." in browser.get("/").text

    assert location(browser, "/sign-out") == "/"
    assert "Continue with Configure" in browser.get("/").text

    assert browser.post("/sign-in", data={**ADA, "password": "guessed it"}).status_code == 401
    assert location(browser, "/sign-in", **ADA) == "/"
    assert "Hello, ada." in browser.get("/").text


def test_who_was_sent_to_sign_in_goes_on_to_where_they_wanted(browser: TestClient) -> None:
    assert browser.get("/settings").headers["location"] == "/sign-in"
    assert "next=%2Fsettings" in browser.get("/sign-in").text

    assert location(browser, "/sign-up", **ADA) == "/settings"


def test_the_pages_of_a_sign_in_are_german_and_in_the_app_s_layout(browser: TestClient) -> None:
    german = {"accept-language": "de-AT,de;q=0.9,en;q=0.5"}

    page = browser.get("/auth/configure/callback", headers=german)

    assert page.status_code == 400
    assert f"<h1>{GERMAN['invalid_request.heading']}</h1>" in page.text
    assert '<a class="pill" href="/sign-up">' in page.text
    assert "<span>Weiter mit Configure</span>" in browser.get("/", headers=german).text
    assert "Continue with Configure" in browser.get("/").text


def test_every_error_page_is_translated() -> None:
    keys = {f"{code}.{part}" for code in Code for part in ("heading", "sentence", "way_on")}

    assert keys - GERMAN.keys() == set()


@pytest.mark.parametrize(
    ("username", "password", "status"),
    [("", "long enough", 400), ("ada", "short", 400), ("x" * 41, "long enough", 400), (" ADA ", "long enough", 409)],
)
def test_a_sign_up_that_cannot_be_is_said_on_the_page(
    browser: TestClient, username: str, password: str, status: int
) -> None:
    location(browser, "/sign-up", **ADA)
    location(browser, "/sign-out")

    response = browser.post("/sign-up", data={"username": username, "password": password})

    assert response.status_code == status
    assert 'role="alert"' in response.text


def test_who_has_no_password_cannot_sign_in_with_none(browser: TestClient, tmp_path: Path) -> None:
    run(tmp_path, """INSERT INTO "user" (name) VALUES ('Grace')""")

    assert browser.post("/sign-in", data={"username": "", "password": ""}).status_code == 401


def test_a_deleted_person_is_gone_and_the_id_with_them(browser: TestClient, tmp_path: Path) -> None:
    location(browser, "/sign-up", **ADA)
    elsewhere = dict(browser.cookies)

    assert location(browser, "/delete-account") == "/settings"
    assert location(browser, "/delete-account", sure="on") == "/"

    assert browser.get("/settings").headers["location"] == "/sign-in"
    location(browser, "/sign-up", **ADA)
    assert run(tmp_path, 'SELECT id FROM "user"') == [(2,)]
    browser.cookies.clear()
    browser.cookies.update(elsewhere)  # a session that was open in another browser is nobody's now
    assert browser.get("/settings").headers["location"] == "/sign-in"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": SITE},
        {"sec-fetch-site": "none"},
        {"origin": "http://localhost:4010"},
        {"origin": "null"},
        {},
    ],
)
def test_a_form_from_elsewhere_changes_nothing(browser: TestClient, headers: dict[str, str]) -> None:
    location(browser, "/sign-up", **ADA)
    del browser.headers["sec-fetch-site"]

    response = browser.post("/delete-account", headers=headers)

    assert response.status_code == 403
    assert "nothing was changed" in response.text
    assert "Hello, ada." in browser.get("/").text


def test_a_browser_without_fetch_metadata_can_sign_up(browser: TestClient) -> None:
    del browser.headers["sec-fetch-site"]

    assert browser.post("/sign-up", data=ADA, headers={"origin": SITE}).status_code == 303


def test_every_page_forbids_what_it_does_not_need(browser: TestClient) -> None:
    for path in ("/", "/sign-up", "/sign-in", "/static/app.css"):
        headers = browser.get(path).headers
        assert headers["Content-Security-Policy"] == "default-src 'self'; form-action 'self'; frame-ancestors 'none'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


def test_a_cancelled_sign_in_is_a_quiet_notice(browser: TestClient) -> None:
    assert "You cancelled." in browser.get("/?configure=cancelled").text

    # On the way to a page that nobody sees signed out, it isn't lost, nor shown again after the sign-in.
    assert "You cancelled." in browser.get("/settings?configure=cancelled", follow_redirects=True).text
    assert location(browser, "/sign-up", **ADA) == "/settings"


def test_how_a_sign_in_ended_is_shown_once(browser: TestClient) -> None:
    location(browser, "/sign-up", **ADA)

    for outcome, notice in (("connected", "Configure is connected."), ("typed", 'role="status"')):
        assert browser.get(f"/settings?configure={outcome}").headers["location"] == "/settings"
        shown = [notice in browser.get("/settings").text for _ in range(2)]
        assert shown == [outcome == "connected", False]


def test_keys_survive_a_restart_and_are_nobody_elses(settings: dict[str, str], tmp_path: Path) -> None:
    create_app(settings, instance_path=tmp_path)
    kept = {path: path.read_text() for path in (tmp_path / "secret_key", tmp_path / "token_key")}

    create_app(settings, instance_path=tmp_path)

    assert {path: path.read_text() for path in kept} == kept
    assert len(set(kept.values())) == 2
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


def run(folder: Path, statement: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(folder / "app.db")) as database, database:
        return database.execute(statement).fetchall()
