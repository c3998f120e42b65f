"""The fixture `adapter`: which framework the app under test is on. A conftest imports the one or the other."""

from __future__ import annotations

import pytest

from .web import Adapter

ADAPTERS: tuple[Adapter, ...] = ("flask", "starlette", "fastapi")


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    chosen: Adapter = request.param
    return chosen


@pytest.fixture(params=ADAPTERS[:2], name="adapter")
def either(request: pytest.FixtureRequest) -> Adapter:
    """For what FastAPI does as Starlette."""
    chosen: Adapter = request.param
    return chosen
