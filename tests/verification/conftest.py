"""A set-up that is all right, for a test to spoil, and somebody who signs in."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from configure_auth.sandbox import Sandbox

from .setups import SetUp, Somebody


@pytest.fixture
def setup(configure_sandbox: Sandbox, tmp_path: Path) -> SetUp:
    return SetUp(configure_sandbox, tmp_path)


@pytest.fixture
def free(setup: SetUp) -> SetUp:
    """At a port where nobody listens, so that the sign-in can end there."""
    setup.move_to_a_free_port()
    return setup


@pytest.fixture
def free_link(free: SetUp) -> SetUp:
    """The same without an OAuth client, so that the link's sign-in is tried."""
    free.change(CONFIGURE_OAUTH_CLIENT_ID=None, CONFIGURE_OAUTH_CLIENT_SECRET=None)
    return free


@pytest.fixture
def somebody(setup: SetUp, monkeypatch: pytest.MonkeyPatch) -> Somebody:
    """For runs of the command within this process."""
    somebody = Somebody(setup)
    monkeypatch.setattr(webbrowser, "open", somebody.open)
    return somebody
