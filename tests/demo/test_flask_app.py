"""The Flask example as an app of its own: people, passwords, policies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from configure_auth.sandbox import Sandbox
from example_apps.flask_app import create_app
from example_apps.flask_app.models import User, db

ADA = {"username": "Ada", "password": "analytical"}


@pytest.fixture
def settings() -> dict[str, str]:
    with Sandbox() as sandbox:
        return sandbox.environment()


@pytest.fixture
def example(
    settings: dict[str, str], tmp_path: Path
) -> Flask:  # not `app`: pytest-flask would keep one context open through all requests
    return create_app(settings, instance_path=tmp_path)


@pytest.fixture
def browser(example: Flask) -> FlaskClient:
    return example.test_client()


def submit(browser: FlaskClient, page: str, action: str, **fields: str) -> TestResponse:
    """Fill the form of a page, with the hidden token that it carries."""
    token = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(page).text)
    assert token
    return browser.post(action, data={"csrf_token": token[1], **fields})


def test_a_person_signs_up_out_and_in_again(browser: FlaskClient) -> None:
    assert submit(browser, "/sign-up", "/sign-up", **ADA).location == "/"
    assert "Hello, ada." in browser.get("/").text

    assert submit(browser, "/", "/sign-out").location == "/"
    assert "Continue with Configure" in browser.get("/").text

    assert submit(browser, "/sign-in", "/sign-in", **{**ADA, "password": "guessed it"}).status_code == 401
    assert submit(browser, "/sign-in", "/sign-in", **ADA).location == "/"


def test_who_was_sent_to_sign_in_goes_on_to_where_they_wanted(browser: FlaskClient) -> None:
    assert browser.get("/settings").location == "/sign-in"

    assert submit(browser, "/sign-up", "/sign-up", **ADA).location == "/settings"


@pytest.mark.parametrize(
    ("username", "password", "status"),
    [("", "long enough", 400), ("ada", "short", 400), ("x" * 41, "long enough", 400), (" ADA ", "long enough", 409)],
)
def test_a_sign_up_that_cannot_be_is_said_on_the_page(
    browser: FlaskClient, username: str, password: str, status: int
) -> None:
    submit(browser, "/sign-up", "/sign-up", **ADA)
    submit(browser, "/", "/sign-out")

    response = submit(browser, "/sign-up", "/sign-up", username=username, password=password)

    assert response.status_code == status
    assert 'role="alert"' in response.text


def test_who_has_no_password_cannot_sign_in_with_none(example: Flask, browser: FlaskClient) -> None:
    with example.app_context():
        db.session.add(User(name="Grace"))
        db.session.commit()

    assert submit(browser, "/sign-in", "/sign-in", username="", password="").status_code == 401


def test_a_deleted_person_is_gone_and_the_id_with_them(example: Flask, browser: FlaskClient) -> None:
    submit(browser, "/sign-up", "/sign-up", **ADA)

    assert submit(browser, "/settings", "/delete-account").location == "/settings"
    assert submit(browser, "/settings", "/delete-account", sure="on").location == "/"

    assert browser.get("/settings").location == "/sign-in"
    submit(browser, "/sign-up", "/sign-up", **ADA)
    with example.app_context():
        assert [user.id for user in db.session.query(User)] == [2]


def test_a_form_without_its_token_changes_nothing(browser: FlaskClient) -> None:
    submit(browser, "/sign-up", "/sign-up", **ADA)

    response = browser.post("/delete-account")

    assert response.status_code == 400
    assert "out of date" in response.text
    assert "Hello, ada." in browser.get("/").text


def test_every_page_forbids_what_it_does_not_need(browser: FlaskClient) -> None:
    for path in ("/", "/sign-up", "/sign-in"):
        headers = browser.get(path).headers
        assert headers["Content-Security-Policy"] == ("default-src 'self'; form-action 'self'; frame-ancestors 'none'")
        assert headers["Cache-Control"] == "no-store"


def test_a_cancelled_sign_in_is_a_quiet_notice(browser: FlaskClient) -> None:
    assert "You cancelled." in browser.get("/?configure=cancelled").text

    # On the way to a page that nobody sees signed out, it isn't lost, nor shown again after the sign-in.
    assert "You cancelled." in browser.get("/settings?configure=cancelled", follow_redirects=True).text
    assert submit(browser, "/sign-up", "/sign-up", **ADA).location == "/settings"


def test_how_a_sign_in_ended_is_shown_once(browser: FlaskClient) -> None:
    submit(browser, "/sign-up", "/sign-up", **ADA)

    for outcome, notice in (("connected", "Configure is connected."), ("typed", 'role="status"')):
        assert browser.get(f"/settings?configure={outcome}").location == "/settings"
        shown = [notice in browser.get("/settings").text for _ in range(2)]
        assert shown == [outcome == "connected", False]


def test_the_key_survives_a_restart(settings: dict[str, str], tmp_path: Path) -> None:
    keys = {create_app(settings, instance_path=tmp_path).secret_key for _ in range(2)}

    assert len(keys) == 1
