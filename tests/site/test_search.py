"""What users search for leads to the right page: `make test-docs`, which builds the site before."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from playwright.sync_api import Browser, Page

from ..ui.conftest import browser, chromium_executable

__all__ = ["browser", "chromium_executable"]

SITE = Path(__file__).parents[2] / "docs/_build/html"

QUESTIONS = {
    "redirect behind nginx prefix": "deploying",
    "email is None": "login",
    "rotate keys": "deploying",
    "SameSite strict": "guards",
    "content security policy": "guards",
    "csrf": "guards existing-apps",
    "flask-login": "tutorial-flask account-link existing-apps guards",
    "fastapi depends": "fastapi starlette",
    "postgresql tables": "migrations deploying",
    "alembic autogenerate": "migrations",
    "redis": "deploying",
    "delete account": "deploying",
    "mock configure": "testing",
    "docker compose": "sandbox",
    "account_taken": "errors/account_taken",
    "whatsapp": "message-agents",
    "supabase": "bearer-tokens",
    "callback not registered": "sandbox",
    "bearer token javascript": "single-page-apps",
    "authlib google": "authlib",
}
"""Searches, each with the pages of which one must be the first or second hit."""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.mark.parametrize("question", QUESTIONS)
def test_search_finds_the_page(question: str, site: str, page: Page) -> None:
    page.goto(f"{site}/search.html?q={quote_plus(question)}")
    page.wait_for_function("/finished|did not match/.test(document.querySelector('#search-results')?.innerText)")
    links = page.eval_on_selector_all("#search-results li > a", "all => all.map(one => one.getAttribute('href'))")
    hits = list(dict.fromkeys(link.partition("#")[0].partition("?")[0].removesuffix(".html") for link in links))

    assert set(hits[:2]) & set(QUESTIONS[question].split()), hits[:5]
