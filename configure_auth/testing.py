"""Fixtures for the test suites of apps that use this package; pytest finds them once it's installed.

Nothing of the package is imported before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .sandbox import Sandbox

__all__ = ["configure_sandbox"]


@pytest.fixture(scope="session")
def configure_sandbox_server() -> Iterator[Sandbox]:
    """One running sandbox for the whole session."""
    from .sandbox import Sandbox

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def configure_sandbox(configure_sandbox_server: Sandbox) -> Sandbox:
    """A strict local Configure with nobody in it yet.

    `environment(app_url=...)` are the settings for the app under test, `sign_in(url, phone)` walks a person through
    the hosted pages, `advance(seconds)` moves the clock that `clock` gives to the app.
    """
    configure_sandbox_server.reset()
    return configure_sandbox_server
