"""Starts Flask apps for what only Flask's adapter does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from configure_auth.sandbox import Sandbox

from ..support.web import Options, Web, running


class Serve(Protocol):
    """Starts a Flask app; keywords are those of `Options`."""

    def __call__(self, **options: Any) -> Web: ...


@pytest.fixture
def serve(configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(**options: Any) -> Web:
            return stack.enter_context(running("flask", configure_sandbox, tmp_path, Options(**options)))

        yield start


def sign_in_everywhere(web: Web) -> None:
    """Log in, link, and ask for a disconnect."""
    with web.browser() as browser:
        assert browser.login().headers["location"] == "/"
        assert browser.link().headers["location"] == "/settings"
        assert browser.account() is not None
        # The only way to sign in is kept.
        assert browser.post("/configure/disconnect").status_code == 409
