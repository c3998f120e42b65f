from __future__ import annotations

import pytest

from configure_auth import Configure, Settings
from configure_auth.sandbox import Sandbox

from ..behaviour.conftest import browser, make_web, store, web
from ..support.web import Adapter

__all__ = ["browser", "make_web", "store", "web"]


@pytest.fixture
def adapter() -> Adapter:
    return "flask"


@pytest.fixture
def settings(configure_sandbox: Sandbox) -> Settings:
    return Settings.from_mapping(configure_sandbox.environment())


@pytest.fixture
def configure(settings: Settings) -> Configure:
    return Configure(settings)
