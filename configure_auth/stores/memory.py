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
from .sql import sql_stores

log: logging.Logger = logging.getLogger(__name__)

_held: dict[tuple[str, int], int] = {}


def memory_stores() -> Stores:
    """Return a new, empty set of stores."""
    return sql_stores(Sqlite(None, Preparation(SQLITE)))


def report_other_processes(app: str) -> None:
    """Log an error where another process of this machine keeps the same app in its own memory; on Linux only."""
    if not sys.platform.startswith("linux") or (app, os.getpid()) in _held:
        return
    # A name in the kernel and not in a folder: one process can have it, and it goes with the process. The workers of
    # pytest-xdist are no servers of one app: each tests an app of its own.
    app_of_worker = f"{app} {os.environ.get('PYTEST_XDIST_WORKER', '')}"
    name = f"\0configure_auth {os.getuid()} {hashlib.sha256(app_of_worker.encode()).hexdigest()[:16]}"
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        mark.bind(name)
        _held[app, os.getpid()] = mark.detach()  # until the process ends
    except OSError:
        mark.close()
        log.error(
            "store=memory:// in more than one process: a sign-in that starts in one of them is unknown to the others; "
            'it is for development. Give the workers a store that they share, such as store="sqlite:///configure.db"'
        )
