"""Every store of an app in a wrapper of a test's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from configure_auth.stores import Stores

__all__ = ["wrapped"]


def wrapped(stores: Stores, wrap: Callable[[Any, str], Any]) -> Stores:
    """The same stores, each of them as `wrap(store, name)` gives it."""
    names = [field.name for field in fields(stores) if field.name != "close"]
    return replace(stores, **{name: wrap(getattr(stores, name), name) for name in names})
