"""Fixtures for the test suites of apps that use this package, which pytest finds once it's installed, and
`StoreConformance` for those who write a store of their own.

Nothing of the package is imported before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..sandbox import Sandbox
    from .apps import AppUnderTest
    from .conformance import StoreConformance

__all__ = ["StoreConformance", "configure_app", "configure_sandbox"]

# Its asserts are read by others, when their store breaks one.
pytest.register_assert_rewrite("configure_auth.testing.conformance")


def __getattr__(name: str) -> Any:
    if name == "StoreConformance":
        from .conformance import StoreConformance

        return StoreConformance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@pytest.fixture(scope="session")
def configure_sandbox_server() -> Iterator[Sandbox]:
    """One running sandbox for the whole session."""
    from ..sandbox import Sandbox

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


@pytest.fixture
def configure_app(configure_sandbox: Sandbox) -> Iterator[Callable[..., AppUnderTest]]:
    """`configure_app(app)`: an imported Starlette or FastAPI app uses the sandbox until the test ends.

    Its stored accounts are in memory, unless it has given `ConfigureAuth` a store. `app_url=` is "http://testserver" by
    default, as `TestClient` calls it. The result has `connect(user_id)`, which connects a user of the app in one call,
    and the `sandbox`.
    """
    from .apps import app_under_test

    with ExitStack() as stack:

        def use(app: object, app_url: str = "http://testserver") -> AppUnderTest:
            return stack.enter_context(app_under_test(app, configure_sandbox, app_url))

        yield use
