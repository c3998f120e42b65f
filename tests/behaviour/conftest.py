"""Tests that take `make_web` or `web` run on each adapter, and in memory unless they are marked `all_stores`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configure_auth.sandbox import Sandbox

from ..support.adapters import adapter
from ..support.stores import DEFAULT_STORE, StoresAt
from ..support.web import Adapter, Browser, MakeWeb, Options, Web, running

__all__ = ["adapter", "browser", "make_web", "store", "web"]


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str:
    chosen: str = getattr(request, "param", DEFAULT_STORE)
    return chosen


@pytest.fixture
def make_web(
    adapter: Adapter, store: str, stores_at: StoresAt, configure_sandbox: Sandbox, tmp_path: Path
) -> Iterator[MakeWeb]:
    with ExitStack() as stack:
        made = iter(range(100))

        def make(*, folder: Path | None = None, **options: Any) -> Web:
            place = folder or tmp_path / f"app-{next(made)}"
            chosen = replace(Options(stores=stores_at(store, place)), **options)
            return stack.enter_context(running(adapter, configure_sandbox, place, chosen))

        yield make


@pytest.fixture
def web(make_web: MakeWeb) -> Web:
    return make_web()


@pytest.fixture
def browser(web: Web) -> Iterator[Browser]:
    with web.browser() as browser:
        yield browser
