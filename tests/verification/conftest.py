"""A set-up that is all right, for a test to spoil."""

from __future__ import annotations

from pathlib import Path

import pytest

from configure_auth.sandbox import Sandbox

from .setups import SetUp


@pytest.fixture
def setup(configure_sandbox: Sandbox, tmp_path: Path) -> SetUp:
    return SetUp(configure_sandbox, tmp_path)
