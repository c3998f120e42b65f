"""From a store's URL to the store."""

from __future__ import annotations

from pathlib import Path

from ..errors import SettingsError
from . import Stores
from .memory import memory_stores

__all__ = ["open_stores"]


def open_stores(url: str, *, agent: str, fingerprints: tuple[str, ...], folder: Path, extra: str) -> Stores:
    """Open a store for an app that may block.

    Args:
        url: "memory://", or "sqlite:///configure.db" (a relative path lies in `folder`).
        agent: whose records these are.
        fingerprints: of the keys that seal, so that a wrong key is noticed before it does harm.
        folder: the app's own folder for such files; made if it isn't there.
        extra: what to install where SQLAlchemy is missing.

    Raises:
        SettingsError: the URL is of no store that is known here.
    """
    if url == "memory://":
        return memory_stores()
    if not url.startswith("sqlite:///"):
        raise SettingsError(
            f"store={url.partition(':')[0]!a}:... is not a store; use sqlite:///configure.db or memory://"
        )
    try:
        from .database import Database
        from .sql import sql_stores
    except ImportError as error:
        raise SettingsError(f"the store needs SQLAlchemy: pip install 'configure_auth[{extra}]'") from error
    path = folder / url.removeprefix("sqlite:///")
    path.parent.mkdir(parents=True, exist_ok=True)
    return sql_stores(Database.at(f"sqlite:///{path}", agent=agent, fingerprints=fingerprints))
