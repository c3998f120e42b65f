"""A store in this process's memory, for development and tests. A second worker knows nothing of it."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import sys

from . import Stores
from .databases import SQLITE, Sqlite
from .schema import Preparation
from .sql import SEVERAL_PROCESSES, sql_stores

__all__ = ["memory_database", "memory_stores", "warn_of_other_processes"]

log: logging.Logger = logging.getLogger("configure_auth")

_held: dict[str, int] = {}


def memory_database(agent: str = "", fingerprints: tuple[str, ...] = ()) -> Sqlite:
    """Return a new, empty database in memory."""
    return Sqlite(None, Preparation(SQLITE, agent, fingerprints, makes_tables=True))


def memory_stores() -> Stores:
    """Return a new, empty set of stores."""
    return sql_stores(memory_database(), in_memory=True)


def warn_of_other_processes(app: str) -> None:
    """Log an error where another process of this machine keeps the same app in its own memory; on Linux only.

    Args:
        app: what tells the app from others on the machine.
    """
    # The parent of Flask's reloader makes the app too, and serves nobody.
    if not sys.platform.startswith("linux") or os.environ.get("WERKZEUG_RUN_MAIN") or app in _held:
        return
    # A name in the kernel and not in a folder: one process can have it, and it goes with the process.
    name = f"\0configure_auth {os.getuid()} {hashlib.sha256(app.encode()).hexdigest()[:16]}"
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        mark.bind(name)
    except OSError:
        mark.close()
        log.error("%s", SEVERAL_PROCESSES)
    else:
        _held[app] = mark.detach()  # until the process ends
