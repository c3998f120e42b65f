"""A store that was in use before a fork: the child inherits no connection and no lock of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from configure_auth.sandbox import Sandbox

from ..support.servers import PostgreSQL, RedisServer

FORK = """
import os, sys
from pathlib import Path
from configure_auth.stores.opening import open_stores

file = sys.argv[1]
options = {"agent": "a", "fingerprints": ("f",), "folder": Path(), "awaited": False, "local": True}
stores = open_stores(f"sqlite:///{file}", **options)
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
stores.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


FORK_IN_THE_MIDDLE = """
import os, subprocess, sys, threading
from pathlib import Path
from configure_auth.stores import databases
from configure_auth.stores.opening import open_stores

OTHER = '''
import os, sqlite3, sys
os.umask(0o077)
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("PRAGMA journal_mode=WAL")
other.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
'''
os.umask(0o077)
file = sys.argv[1]
options = {"agent": "a", "fingerprints": ("f",), "folder": Path(), "awaited": False, "local": True}
stores = open_stores(f"sqlite:///{file}", **options)
other = subprocess.Popen([sys.executable, "-c", OTHER, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
other.stdout.readline()
first = threading.Thread(target=lambda: stores.accounts.version("a", "u1"))
first.start()
while not (databases._queues and all(queue.locked() for queue in databases._queues.values())):
    pass
child = os.fork()
if child == 0:
    stores.accounts.version("a", "u2")
    os._exit(0)
other.communicate(b"go on\\n")
first.join()
_, status = os.waitpid(child, 0)
stores.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


FORK_WITH_POSTGRESQL = """
import gc, os, sys, threading, warnings
from pathlib import Path
from configure_auth.stores.opening import open_stores

options = {"agent": "a", "fingerprints": ("f",), "folder": Path(), "awaited": False, "local": True}
stores = open_stores(sys.argv[1], **options)
database = stores.accounts.database
version = stores.accounts.version("a", "u1")

async def session(run):
    return (await run("SELECT pg_backend_pid()"))[0][0]

begun, go_on, kept = threading.Event(), threading.Event(), []

async def in_use(run):
    kept.append(await session(run))
    begun.set()
    go_on.wait()
    kept.append(await session(run))

thread = threading.Thread(target=database.perform, args=(in_use,))
thread.start()
begun.wait()
idle = database.perform(session, "read")
# What the thread has in use is let go in the child without being closed, which psycopg warns of.
warnings.simplefilter("ignore", ResourceWarning)
child = os.fork()
if child == 0:
    try:
        assert database.perform(session, "read") not in (idle, kept[0]), "a connection of the parent"
        assert stores.accounts.version("a", "u1") == version
        assert stores.accounts.unlink("a", "u1") == ()
        gc.collect()
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
    os._exit(0)
_, status = os.waitpid(child, 0)
go_on.set()
thread.join()
# What was in use during the fork was neither closed by the child nor taken by it.
assert len(kept) == 2 and kept[0] == kept[1], kept
assert stores.accounts.version("a", "u1") != version
stores.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


FORK_WITH_REDIS = """
import os, sys
from redis import Redis
from configure_auth.stores.redis import open_redis
from configure_auth.values import PendingSignIn

url = sys.argv[1]
states, close = open_redis(url, awaited=False)
place = Redis.from_url(url).connection_pool.connection_kwargs["db"]

def connections():
    with Redis.from_url(url) as other:
        mine = other.client_id()
        return {client["id"] for client in other.client_list() if client["db"] == str(place)} - {str(mine)}

def put(state_hash):
    states.put(
        PendingSignIn(
            state_hash=state_hash, browser_hash="b", intent="login", agent="a", user_id=None, next=None, verifier=None,
            redirect_uri="http://localhost/callback", version=None, replace=False, created_at=0, expires_at=900,
        ),
        limit=10,
        now=0,
    )

def claim(state_hash):
    found = states.claim(state_hash, browser_hash="b", intent="login", agent="a", now=1)
    return None if found is None else found.state_hash

put("s1")
put("s2")
(parents,) = connections()
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    try:
        os.close(writing)
        assert claim("s1") == "s1"
        assert len(connections()) == 2, "a connection of the parent"
        # Until the parent has claimed, on a connection that is still open here.
        os.read(reading, 1)
        assert claim("s2") is None
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
    os._exit(0)
assert claim("s2") == "s2"
os.close(writing)
_, status = os.waitpid(child, 0)
assert claim("s1") is None
assert connections() == {parents}, "the parent had to connect again"
close()
os.close(reading)
sys.exit(os.waitstatus_to_exitcode(status))
"""


FORK_OF_AN_APP = """
import json, os, sys
from flask import Flask
from configure_auth.flask import ConfigureAuth

store, settings = sys.argv[1], json.loads(sys.argv[2])
app, auth = Flask("app", instance_path=os.getcwd()), ConfigureAuth(settings, store=store, user_id=lambda: "u1")
app.secret_key = "a key of the app that signs its sessions"
auth.init_app(app)
app.register_blueprint(auth.account_link())
browser, url = app.test_client(), settings["CONFIGURE_APP_URL"]

def look(reads):
    with app.app_context():
        for _ in range(20):
            assert auth.account_for("u1").user_id == "u1"
        for _ in range(reads):
            assert auth.profile_for("u1").read(sections=["identity"]).identity.name == "Ada"

print(browser.get("/configure/sign-in", base_url=url, headers={"Sec-Fetch-Site": "same-origin"}).location, flush=True)
back = browser.get(sys.stdin.readline().strip(), base_url=url, headers={"Sec-Fetch-Site": "cross-site"})
assert back.status_code == 303, back.text
look(reads=1)
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        try:
            look(reads=2)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
look(reads=1)
ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
look(reads=1)
with app.app_context():
    auth.close()
print(ends)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process has open")
def test_a_child_inherits_no_connection_of_its_parent(tmp_path: Path) -> None:
    assert run(FORK, tmp_path / "x.db") == (0, "", "")


def test_a_fork_while_the_store_is_being_opened_leaves_no_lock_behind(tmp_path: Path) -> None:
    assert run(FORK_IN_THE_MIDDLE, tmp_path / "x.db") == (0, "", "")


def test_a_child_has_sessions_of_its_own_with_postgresql(postgresql: PostgreSQL) -> None:
    with postgresql.schema() as url:
        assert run(FORK_WITH_POSTGRESQL, url) == (0, "", "")


def test_a_child_has_connections_of_its_own_with_redis(redis_server: RedisServer) -> None:
    with redis_server.database() as url:
        assert run(FORK_WITH_REDIS, url) == (0, "", "")


def test_an_app_that_was_in_use_forks_four_times(
    postgresql: PostgreSQL, configure_sandbox: Sandbox, tmp_path: Path
) -> None:
    """The store and the client of Configure were used; children and parent go on with right values."""
    url = "http://localhost:3000"
    configure_sandbox.register_return_to(f"{url}/configure/callback")
    configure_sandbox.add_person("+15550100001", name="Ada")
    keys = {"CONFIGURE_TOKEN_KEYS": "a key of the app that seals its tokens"}
    settings = json.dumps({**configure_sandbox.environment(app_url=url), **keys})
    with (
        postgresql.schema() as store,
        subprocess.Popen(
            [*command(FORK_OF_AN_APP), store, settings],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout
        callback = configure_sandbox.sign_in(process.stdout.readline().strip(), "+15550100001")
        shown, errors = process.communicate(f"{callback}\n", timeout=60)

    assert (process.returncode, shown, errors) == (0, "[0, 0, 0, 0]\n", "")


def command(program: str) -> list[str]:
    return [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", program]


def run(program: str, store: Path | str) -> tuple[int, str, str]:
    ended = subprocess.run([*command(program), str(store)], capture_output=True, text=True, timeout=20)
    return ended.returncode, ended.stdout, ended.stderr
