"""Configure's own clients, and the sandbox that they judge."""

from __future__ import annotations

from tests.browser.conftest import browser

from .node import node

__all__ = ["browser", "node"]
