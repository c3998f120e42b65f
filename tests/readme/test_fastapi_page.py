"""The FastAPI page's blocks, run one after the other, are an app in which link and login work."""

from __future__ import annotations

import asyncio
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from configure_auth.sandbox import Sandbox

from .conftest import APP_URL
from .document import PAGES, blocks

PHONE = "+15550100001"
HEADERS = {"accept": "application/json", "sec-fetch-site": "same-origin"}


@pytest.fixture
def page(settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of the page's program."""
    monkeypatch.chdir(tmp_path)
    main = types.ModuleType("main")  # where the page's tests import its app from
    monkeypatch.setitem(sys.modules, "main", main)
    names = main.__dict__
    names.update(user_id_of=int, make_token=str)
    for number, one in enumerate((one for one in blocks(PAGES["docs/fastapi.md"]) if one.language == "python"), 1):
        exec(compile(one.text, f"docs/fastapi.md: block {number}", "exec", dont_inherit=True), names)

    async def prepare() -> None:
        async with names["engine"].begin() as connection:
            await connection.run_sync(names["Base"].metadata.create_all)
        await names["engine"].dispose()

    asyncio.run(prepare())
    return names


def test_login_link_and_dependencies(page: dict[str, Any], configure_sandbox: Sandbox) -> None:
    with TestClient(page["app"], APP_URL, headers=HEADERS, follow_redirects=False) as browser:
        start = browser.post("/auth/configure/sign-in").json()["url"]
        back = browser.get(configure_sandbox.sign_in(start, PHONE, name="Ada"))
        assert (back.status_code, back.cookies["token"]) == (303, "1")
        signed_in = {"authorization": f"Bearer {back.cookies['token']}"}
        assert browser.get("/connection", headers=signed_in).json()["kind"] == "oauth"

        start = browser.post("/configure/sign-in", headers=signed_in).json()["url"]
        handle = browser.get(configure_sandbox.sign_in(start, PHONE)).headers["location"]
        finish = browser.post(f"/configure/finish?{handle.partition('?')[2]}", headers=signed_in)
        assert finish.json() == {"next": "/settings?configure=connected"}
        assert browser.get("/name", headers=signed_in).json() == "Ada"
        assert browser.get("/connection").json() == {"detail": "Sign in first."}
        asyncio.run(page["engine"].dispose())


@pytest.mark.parametrize("test", ["test_a_user_signs_in_with_configure", "test_a_connected_user_has_a_name"])
def test_the_tests_of_the_page(page: dict[str, Any], configure_app: Any, test: str) -> None:
    page[test](configure_app)
    asyncio.run(page["engine"].dispose())
