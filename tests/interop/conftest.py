"""Configure's own clients, and the sandbox that they judge."""

from __future__ import annotations

from tests.browser.conftest import browser

from .node import node
from .sdk import new_sdk, sdk

__all__ = ["browser", "new_sdk", "node", "sdk"]
