"""One browser of each engine for the whole run, and the example apps over http and https."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

import pytest

from configure_auth.sandbox import Sandbox

from ..browser.apps import EXAMPLE_APPS, Served, Variation, serving
from ..support.ports import free_port
from .drivers import ENGINES, Driver, Engine, driving
from .tls import certificate, tls_in_front

Scheme = Literal["http", "https"]
Serve = Callable[..., AbstractContextManager[Served]]


@pytest.fixture(scope="session", params=ENGINES)
def started(request: pytest.FixtureRequest) -> Iterator[Driver]:
    with driving(cast(Engine, request.param)) as driver:
        yield driver


@pytest.fixture
def driver(started: Driver) -> Iterator[Driver]:
    """A browser with one window; a test that opens more has them closed."""
    (first,) = started.windows
    yield started
    for window in started.windows:
        if window != first:
            started.command("SwitchToWindow", handle=window)
            started.command("CloseWindow")
    started.command("SwitchToWindow", handle=first)


@pytest.fixture
def serve(driver: Driver, configure_sandbox: Sandbox, tmp_path: Path) -> Serve:
    """Serve an example app on another site than Configure's pages, to a browser without cookies of either.

    http: the app on localhost, Configure on 127.0.0.1. https: app.localhost and configure.localhost, which browsers
    take to this machine without a name service, and hold for two sites, because no public suffix ends so.
    """

    @contextmanager
    def serve(name: str, scheme: Scheme, *, strict: bool) -> Iterator[Served]:
        sandbox, variation = configure_sandbox, Variation(strict=strict)
        (example,) = (example for example in EXAMPLE_APPS if example.name == name)
        if scheme == "http":
            with serving(example, sandbox, tmp_path, variation) as served:
                _forget(driver, served.url, sandbox.accounts_url, sandbox.sign_in_url)
                yield served
            return
        app, accounts, sign_in = (free_port() for _ in range(3))
        url = f"https://app.localhost:{app}"
        settings = {
            "CONFIGURE_ACCOUNTS_URL": f"https://configure.localhost:{accounts}",
            "CONFIGURE_SIGN_IN_URL": f"https://configure.localhost:{sign_in}",
            "CONFIGURE_TOKEN_KEYS": "a-key-for-tests-of-32-characters-or-more",
        }
        with serving(example, sandbox, tmp_path, variation, proxy_url=url, settings=settings) as served:
            targets = served.port, urlsplit(sandbox.accounts_url).port, urlsplit(sandbox.sign_in_url).port
            ports = dict(zip((app, accounts, sign_in), cast(tuple[int, int, int], targets), strict=True))
            with tls_in_front(certificate(tmp_path), ports):
                _forget(driver, url, settings["CONFIGURE_ACCOUNTS_URL"], settings["CONFIGURE_SIGN_IN_URL"])
                yield served
                driver.go("about:blank")

    return serve


def _forget(driver: Driver, *urls: str) -> None:
    for url in urls:
        driver.go(url)
        driver.command("DeleteAllCookies")
