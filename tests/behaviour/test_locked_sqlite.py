"""SQLite's one writer is somebody else for longer than we wait."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from ..support.reading import ending, no_calls
from ..support.stores import first
from ..support.web import Browser, Web, start_path


@pytest.fixture
def store() -> str:
    return "sqlite"


@contextmanager
def locked(web: Web) -> Iterator[None]:
    with closing(sqlite3.connect(web.folder / "configure.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.catalogue("Q1")
@pytest.mark.parametrize("adapter", first(["flask", "starlette"]), indirect=True)
def test_a_start_while_the_file_is_locked_is_busy_and_works_later(web: Web, browser: Browser) -> None:
    browser.begin("link")
    with locked(web), no_calls(web.sandbox):
        answer = browser.get(start_path("link"))

    assert ending(answer) == (503, "store_busy")
    assert answer.headers["retry-after"] == "2"
    assert browser.link().status_code == 303


@pytest.mark.catalogue("Q1", "Q8")
@pytest.mark.parametrize("adapter", first(["starlette", "flask"]), indirect=True)
def test_a_callback_while_the_file_is_locked_burns_nothing(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.begin("link"))
    with locked(web), no_calls(web.sandbox):
        assert ending(browser.come_back(callback)) == (503, "store_busy")

    assert browser.come_back(callback).status_code == 303
    assert browser.account() is not None


def test_the_app_goes_on_while_the_file_is_locked(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    browser.link()
    with locked(web):
        assert browser.get("/").status_code == 200
