"""The other Python blocks of each page under docs/ run one after the other, as one program, against the sandbox.

A page whose blocks need something that is there already, such as an app, names it in `GIVEN`. Blocks that a test of
`test_readme_code` runs are left to it, and those of Flask-Security to `make test-versions`, which installs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, redirect, render_template, request
from flask_login import login_user

from configure_auth.flask import ConfigureAuth
from example_apps.flask_app.models import User, db

from .document import PAGES, Block, blocks
from .test_readme_code import RUN

ELSEWHERE = {"docs/fastapi.md": "test_fastapi_page"}
"""Pages whose blocks a module of their own runs."""


def _an_app() -> dict[str, Any]:
    app = Flask(__name__)
    own = {"app": app, "configure_auth": ConfigureAuth(user_id=lambda: None)}
    of_flask = {"redirect": redirect, "request": request, "render_template": render_template}
    return {**own, **of_flask, "login_user": login_user, "User": User, "db": db}


def _a_fastapi_app() -> dict[str, Any]:
    from configure_auth.fastapi import ConfigureAuth

    async def current_user() -> None: ...

    def sign_in_or_up(identity: Any) -> str:
        return "1"

    return {
        "ConfigureAuth": ConfigureAuth,
        "CurrentUser": current_user,
        "configure_auth": ConfigureAuth(user=current_user, store="memory://"),
        "make_token": str,
        "sign_in_or_up": sign_in_or_up,
    }


def _a_fastapi_users_app() -> dict[str, Any]:
    from fastapi import FastAPI

    def get_user_manager() -> None: ...
    def current_active_user() -> None: ...

    made = {
        "User": object,
        "UserManager": object,
        "get_user_manager": get_user_manager,
        "current_active_user": current_active_user,
    }
    return {"app": FastAPI(), "auth_backend": None, **made}


GIVEN: Mapping[str, Callable[[], dict[str, Any]]] = {
    "docs/authlib.md": _an_app,
    "docs/existing-apps.md": _an_app,
    "docs/fastapi-users.md": _a_fastapi_users_app,
    "docs/login.md": _an_app,
    "docs/operation.md": _an_app,
    "docs/single-page-apps.md": _a_fastapi_app,
}
"""By a page's path: a function that returns the names that its first block may use."""


def programs() -> dict[str, list[Block]]:
    """The blocks to run here, by page."""
    python = {
        page: [one for one in blocks(text) if one.language == "python"]
        for page, text in PAGES.items()
        if page not in ELSEWHERE and "tutorial" not in page
    }
    here = {
        page: [one for one in found if not any(marker in one.text for marker in (*RUN, "flask_security"))]
        for page, found in python.items()
    }
    return {page: found for page, found in here.items() if found}


@pytest.mark.parametrize("page", programs())
def test_python_blocks_of_a_page_run(
    page: str, settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace = GIVEN[page]() if page in GIVEN else {}
    for number, one in enumerate(programs()[page], 1):
        exec(compile(one.text, f"{page}: block {number}", "exec", dont_inherit=True), namespace)


def test_given_names_are_those_of_pages() -> None:
    assert GIVEN.keys() <= PAGES.keys()
