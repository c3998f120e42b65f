"""Keys, certificates and clocks that change while an app is in use: `make drills`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from configure_auth.sandbox import Sandbox
from configure_auth.stores.opening import make_tables

from ..browsers.tls import certificate
from ..support.processes import HOST, AppProcess, Machine
from ..support.servers import private_postgresql, private_redis
from ..support.visitor import Visitor
from ..support.web import Flow, start_path
from .traffic import link, logged, report, seen_in, statuses, under_sign_ins, until

pytestmark = pytest.mark.drill

WORKERS = ("-w", "2", "--worker-class", "gthread", "--threads", "4")
OLD, NEW = "old-" + "8f3kd0" * 8, "new-" + "p1x7qa" * 8


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'x.db'}"
    else:
        with private_postgresql() as (url, _):
            make_tables(url, tmp_path)
            yield url


def token_of(machine: Machine, app: AppProcess, user_id: str) -> str:
    """The token of a user, who signs in for it: the app may have forgotten the session."""
    visitor = machine.visitor(app)
    visitor.sign_in_locally(user_id)
    got = visitor.get("/token")
    return str(got.json["token"]) if got.status == 200 else seen_in(got)


def attempts_at_configure(machine: Machine, before: AppProcess) -> dict[str, tuple[Visitor, str]]:
    """A link and a login of which the callback is still to come."""
    waiting: dict[str, tuple[Visitor, str]] = {}
    flows: tuple[Flow, ...] = ("link", "login")
    for number, flow in enumerate(flows):
        visitor = machine.visitor(before)
        if flow == "link":
            visitor.sign_in_locally("waiting")
        started = visitor.get(start_path(flow))
        assert started.location is not None
        waiting[flow] = visitor, machine.sandbox.sign_in(started.location, f"+1555020000{number}")
    return waiting


def come_back(waiting: dict[str, tuple[Visitor, str]], app: AppProcess) -> dict[str, str]:
    """What their people see; a page that reloads the callback is followed."""
    seen = {}
    for flow, (visitor, callback) in waiting.items():
        got = visitor.come_back(callback, app.port)
        if "One moment" in got.text:
            got = visitor.get(callback, port=app.port)
        seen[flow] = seen_in(got)
    return seen


FALLBACK = {"SECRET_KEY": NEW, "SECRET_KEY_FALLBACKS": [OLD]}


@pytest.mark.parametrize("how", ["with a fallback", "alone", "beside CONFIGURE_TOKEN_KEYS"])
def test_secret_key_is_changed(configure_sandbox: Sandbox, tmp_path: Path, how: str) -> None:
    """Deployed as a new server: what of the sign-ins that were under way, of the tokens, and of new sign-ins?"""
    kept = {"CONFIGURE_TOKEN_KEYS": "kept-" + "w7ty2m" * 8} if "beside" in how else {}
    changed: dict[str, Any] = FALLBACK if how == "with a fallback" else {"SECRET_KEY": NEW}
    with Machine(configure_sandbox, tmp_path, {"store": f"sqlite:///{tmp_path / 'x.db'}"}) as machine:
        before = machine.gunicorn(*WORKERS, settings={"SECRET_KEY": OLD, **kept})
        until(lambda: link(machine, before, 1) == "303")
        token = token_of(machine, before, "u1")
        waiting = attempts_at_configure(machine, before)
        before.end()
        after = machine.gunicorn(*WORKERS, settings={**changed, **kept})
        seen = come_back(waiting, after)
        seen["stored token"] = "the same" if (read := token_of(machine, after, "u1")) == token else read
        seen["new sign-in"] = link(machine, after, 2)
        print(f"\nSECRET_KEY changed {how}: {seen}")
        report(machine, Counter())

        if how == "alone":
            # Nothing is written beside what the old key encrypted.
            assert list(seen.values()) == ["500 misconfigured", "500 misconfigured", "500", "500 misconfigured"]
            after.end()
            mended = machine.gunicorn(*WORKERS, settings=FALLBACK)
            back = until(lambda: link(machine, mended, 2) == "303")
            print(f"with SECRET_KEY_FALLBACKS the next sign-in worked {back:.1f} s after the server listened")
            assert token_of(machine, mended, "u1") == token
        else:
            # Without the fallback Flask knows no session of before: who was signed in is signed out.
            linked = "401 signed_out" if kept else "303"
            assert seen == {"link": linked, "login": "303", "stored token": "the same", "new sign-in": "303"}


def test_reseal_under_traffic(configure_sandbox: Sandbox, tmp_path: Path, store: str) -> None:
    """The last step of the rotation, while tokens are refreshed and people sign in: nobody notices it."""
    people = 60
    with Machine(configure_sandbox, tmp_path, {"store": store}) as machine:
        before = machine.gunicorn(*WORKERS, settings={"CONFIGURE_TOKEN_KEYS": OLD})
        users = [machine.visitor(before) for _ in range(people)]
        for number, user in enumerate(users):
            assert user.run("login", f"+1555030{number:04}").status == 303
        before.end()
        both = machine.gunicorn(*WORKERS, settings={"CONFIGURE_TOKEN_KEYS": f"{NEW},{OLD}"})
        done = threading.Event()
        seen: Counter[str] = Counter()

        def use(number: int) -> None:
            while not done.is_set():
                if number == 0:
                    machine.advance(3600)  # every token is over: they are refreshed while they are encrypted anew
                    seen[f"link {link(machine, both, number)}"] += 1
                for user in users[number : people // 3 : 4]:  # a refresh encrypts with the new key: some are left
                    seen[f"token {user.get('/token', port=both.port).status}"] += 1

        threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: seen["token 200"] > 8)
        command = [sys.executable, "-m", "configure_auth", "reseal", "--store", store]
        keys = {"CONFIGURE_TOKEN_KEYS": f"{NEW},{OLD}"}
        environment = {**os.environ, **configure_sandbox.environment(app_url=f"http://{HOST}"), **keys}
        runs: list[subprocess.CompletedProcess[str]] = []
        while not runs or runs[-1].returncode:
            runs.append(subprocess.run(command, env=environment, capture_output=True, text=True))
            assert len(runs) < 20, runs[-1]
        done.set()
        for thread in threads:
            thread.join()
        said = [(run.stdout + run.stderr).strip().splitlines()[-1] for run in runs]
        print(f"\nreseal ran {len(runs)} times; the last: {said[-1]}")
        report(machine, seen)
        both.end()
        after = machine.gunicorn(*WORKERS, settings={"CONFIGURE_TOKEN_KEYS": NEW})
        tokens = [token_of(machine, after, str(json.loads(user.who(after.port))["user_id"])) for user in users]

        assert set(seen) == {"token 200", "link 303"}
        assert [configure_sandbox.is_live(token) for token in tokens] == [True] * people
        assert link(machine, after, 999) == "303"


def test_redis_with_tls(configure_sandbox: Sandbox, tmp_path: Path) -> None:
    """Redis is restarted under sign-ins, and then gets a certificate that the app doesn't trust."""
    trusted, served = tmp_path / "ca.pem", tmp_path / "certificate.pem"
    certificate(tmp_path)
    shutil.copy(served, trusted)
    with private_redis(certificate=served) as redis:
        states = re.sub("=.*", f"={trusted}", redis.url)
        stores = {"store": f"sqlite:///{tmp_path / 'x.db'}", "states": states}
        with Machine(configure_sandbox, tmp_path, stores) as machine:
            app = machine.gunicorn(*WORKERS, settings={})
            # Redis was started empty: attempts of before are gone, and their people are told so.
            seen = under_sign_ins(machine, app, redis.restart)
            assert statuses(seen) <= {"303", "400", "503"}

            certificate(tmp_path)
            redis.restart()
            wrong = link(machine, app, 1)
            shutil.copy(trusted, served)
            redis.restart()
            back = until(lambda: link(machine, app, 1) == "303")
            print("\nwith a certificate that isn't trusted, and back:")
            report(machine, Counter([wrong]), back)
            assert wrong == "500 misconfigured"
            assert any("certificate of Redis is refused" in line for line in logged(machine))


@pytest.mark.parametrize("seconds", [3600, -3600, -86_400])
def test_the_clock_steps(configure_sandbox: Sandbox, tmp_path: Path, seconds: int) -> None:
    """The clock of the app's machine, not Configure's, is set while sign-ins are open, and later set right."""
    with Machine(configure_sandbox, tmp_path, {"store": f"sqlite:///{tmp_path / 'x.db'}"}) as machine:
        app = machine.gunicorn(*WORKERS, settings={})
        user = machine.visitor(app)
        assert user.run("login", "+15550300001").status == 303
        user_id = str(json.loads(user.who())["user_id"])
        waiting = attempts_at_configure(machine, app)
        machine.step(seconds)
        seen = come_back(waiting, app)
        back = until(lambda: link(machine, app, 1) == "303")
        seen["token"] = "live" if configure_sandbox.is_live(token_of(machine, app, user_id)) else "dead"
        waiting = attempts_at_configure(machine, app)
        machine.step(-seconds)
        seen |= {f"{flow}, set right": end for flow, end in come_back(waiting, app).items()}
        again = until(lambda: link(machine, app, 2) == "303")
        seen["token, set right"] = "live" if configure_sandbox.is_live(token_of(machine, app, user_id)) else "dead"
        print(f"\nthe clock steps by {seconds} s: {seen}; again after {again:.1f} s")
        report(machine, Counter(seen.values()), back)

        assert set(seen.values()) <= {"303", "400 expired", "live"}
        assert (back, again) < (5, 5)
