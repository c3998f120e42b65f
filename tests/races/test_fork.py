"""A store that was in use before a fork: the child inherits no connection and no lock of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FORK = """
import os, sys
from pathlib import Path
from configure_auth.stores.engines import open_database
from configure_auth.stores.sql import sql_stores

file = sys.argv[1]
database = open_database(f"sqlite:///{file}", agent="a", fingerprints=("f",), folder=Path(), awaited=False)
stores = sql_stores(database)
version = stores.accounts.version("a", "u1")

def opened():
    links = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    return sorted(os.readlink(link) for link in links if os.path.islink(link) and file in os.readlink(link))

assert opened(), "nothing is open"
child = os.fork()
if child == 0:
    try:
        assert opened() == [], opened()
        assert stores.accounts.version("a", "u1") == version
        assert opened()
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
    os._exit(0)
# Closed here before the fork, not there after it: SQLite's documentation forbids even the closing in a child.
assert opened() == [], opened()
_, status = os.waitpid(child, 0)
assert stores.accounts.version("a", "u1") == version
assert stores.accounts.unlink("a", "u1") == ()
database.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


FORK_IN_THE_MIDDLE = """
import os, subprocess, sys, threading
from pathlib import Path
from configure_auth.stores.engines import open_database
from configure_auth.stores.sql import sql_stores

OTHER = '''
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("PRAGMA journal_mode=WAL")
other.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
'''
file = sys.argv[1]
database = open_database(f"sqlite:///{file}", agent="a", fingerprints=("f",), folder=Path(), awaited=False)
stores = sql_stores(database)
other = subprocess.Popen([sys.executable, "-c", OTHER, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
other.stdout.readline()
first = threading.Thread(target=lambda: stores.accounts.version("a", "u1"))
first.start()
while not database._prepare.lock.locked():
    pass
child = os.fork()
if child == 0:
    stores.accounts.version("a", "u2")
    os._exit(0)
other.communicate(b"go on\\n")
first.join()
_, status = os.waitpid(child, 0)
database.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process has open")
def test_a_child_inherits_no_connection_of_its_parent(tmp_path: Path) -> None:
    assert run(FORK, tmp_path) == (0, "", "")


def test_a_fork_while_the_store_is_being_opened_leaves_no_lock_behind(tmp_path: Path) -> None:
    assert run(FORK_IN_THE_MIDDLE, tmp_path) == (0, "", "")


def run(program: str, folder: Path) -> tuple[int, str, str]:
    command = [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", program]
    ended = subprocess.run([*command, str(folder / "x.db")], capture_output=True, text=True, timeout=20)
    return ended.returncode, ended.stdout, ended.stderr
