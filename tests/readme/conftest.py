"""The settings of an app beside the sandbox, as its own environment has them."""

from __future__ import annotations

import pytest

from configure_auth.sandbox import Sandbox

APP_URL = "http://localhost"


@pytest.fixture
def settings(configure_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    environment = configure_sandbox.environment(APP_URL) | {
        "CONFIGURE_TOKEN_KEYS": "a key of the app that is long enough"
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    configure_sandbox.register_return_to(f"{APP_URL}/configure/callback")
    configure_sandbox.register_redirect_uri(f"{APP_URL}/auth/configure/callback")
    return environment
