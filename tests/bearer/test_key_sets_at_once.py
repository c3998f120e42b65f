"""Many who need an issuer's keys at once, on threads, loops and in processes: one fetch, which holds up nobody else."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_thread
import pytest

from configure_auth import BearerUser
from configure_auth.bearer.key_sets import MAX_STALE, KeySet

from ..api.conftest import Line, Received, http
from ..public.running import environment
from .issuer import AUDIENCE, ISSUER, NOW, Clock, Issuer


class TestManyAtOnce:
    def test_threads_wait_for_one_fetch(self, bearer_user: BearerUser, issuer: Issuer) -> None:
        token, begun = issuer.rsa.token(), threading.Barrier(33)

        def one() -> str | None:
            begun.wait(10)
            return bearer_user.user_id([f"Bearer {token}"])

        with ThreadPoolExecutor(32) as threads:
            with issuer.held() as came:
                users = [threads.submit(one) for _ in range(32)]
                begun.wait(10)
                assert came.acquire(timeout=10)
            assert [user.result() for user in users] == ["u1"] * 32
        assert issuer.fetches == 1

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_tasks_wait_for_one_fetch_and_block_nobody(
        self, bearer_user: BearerUser, issuer: Issuer, backend: str
    ) -> None:
        users: list[str | None] = []

        async def one() -> None:
            users.append(await bearer_user.auser_id([f"Bearer {issuer.rsa.token()}"]))

        async def main() -> None:
            with issuer.held() as came:
                async with anyio.create_task_group() as tasks:
                    for _ in range(200):
                        tasks.start_soon(one)
                    assert await anyio.to_thread.run_sync(came.acquire, True, 10)
                    assert await bearer_user.auser_id([]) is None
                    assert users == []
                    issuer.release()

        anyio.run(main, backend=backend)
        assert (users, issuer.fetches) == (["u1"] * 200, 1)

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_who_gives_up_takes_nothing_from_the_others(
        self, bearer_user: BearerUser, issuer: Issuer, backend: str
    ) -> None:
        users: list[str | None] = []

        async def one(scope: anyio.CancelScope) -> None:
            with scope:
                users.append(await bearer_user.auser_id([f"Bearer {issuer.rsa.token()}"]))

        async def main() -> None:
            with issuer.held() as came:
                async with anyio.create_task_group() as tasks:
                    scopes = [anyio.CancelScope() for _ in range(5)]
                    for scope in scopes:
                        tasks.start_soon(one, scope)
                    assert await anyio.to_thread.run_sync(came.acquire, True, 10)
                    for scope in scopes[:3]:
                        scope.cancel()
                    issuer.release()

        anyio.run(main, backend=backend)
        assert (users, issuer.fetches) == (["u1"] * 2, 1)

    def test_threads_and_loops_may_share_one(self, bearer_user: BearerUser, issuer: Issuer) -> None:
        headers, begun = [f"Bearer {issuer.rsa.token()}"], threading.Barrier(7)

        def one(backend: str) -> str | None:
            begun.wait(10)
            if backend == "blocking":
                return bearer_user.user_id(headers)
            return anyio.run(bearer_user.auser_id, headers, backend=backend)

        with ThreadPoolExecutor(6) as threads:
            with issuer.held() as came:
                users = [threads.submit(one, backend) for backend in ("blocking", "asyncio", "trio") * 2]
                begun.wait(10)
                assert came.acquire(timeout=10)
            assert [user.result() for user in users] == ["u1"] * 6
        assert issuer.fetches == 1

    def test_a_loop_that_ends_meanwhile_does_no_harm(
        self, bearer_user: BearerUser, issuer: Issuer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def leave(backend: str) -> None:
            with anyio.move_on_after(0):
                await bearer_user.auser_id([f"Bearer {issuer.rsa.token()}"])

        with issuer.held() as came:
            for backend in ("asyncio", "trio"):
                anyio.run(leave, backend, backend=backend)
            assert came.acquire(timeout=10)
            fetching = [thread for thread in threading.enumerate() if thread.name == "configure_auth key set"]
            assert fetching
        for thread in fetching:
            thread.join(10)

        assert bearer_user.user_id([f"Bearer {issuer.rsa.token()}"]) == "u1"
        assert [record for record in caplog.records if record.levelno > 20] == []


ENDING = """
import sys
from configure_auth import BearerUser
from configure_auth.bearer import key_sets

key_sets.FETCH_TIMEOUT = 300
url, issuer, audience, now, token = sys.argv[1:]
ahead = 0
bearer_user = BearerUser(
    issuer=issuer, audience=audience, jwks_url=url, algorithms=("RS256",), clock=lambda: float(now) + ahead
)
for ahead in (0, 570):
    print(bearer_user.user_id([f"Bearer {token}"]), flush=True)
    sys.stdin.readline()
"""


def program(source: str, issuer: Issuer) -> list[str]:
    arguments = [issuer.url, ISSUER, AUDIENCE, str(NOW), issuer.rsa.token()]
    return [sys.executable, "-W", "error", "-c", source, *arguments]


def test_a_process_may_end_in_the_middle_of_a_fetch(issuer: Issuer) -> None:
    with subprocess.Popen(
        program(ENDING, issuer), env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "u1\n"
        with issuer.held() as came:
            assert process.stdin is not None
            process.stdin.write("again\n")
            process.stdin.flush()
            assert process.stdout.readline() == "u1\n"
            assert came.acquire(timeout=10)
            process.stdin.write("end\n")
            process.stdin.flush()
            try:
                assert process.wait(30) == 0
            finally:
                process.kill()


FORK = """
import os, sys, threading
from configure_auth import BearerUser

url, issuer, audience, now, token = sys.argv[1:]
bearer_user = BearerUser(
    issuer=issuer, audience=audience, jwks_url=url, algorithms=("RS256",), clock=lambda: float(now)
)
first = threading.Thread(target=bearer_user.user_id, args=([f"Bearer {token}"],))
first.start()
print("asked", flush=True)
sys.stdin.readline()
child = os.fork()
if child == 0:
    try:
        print(bearer_user.user_id([f"Bearer {token}"]), flush=True)
    except BaseException as error:
        print(repr(error), flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
print(status, flush=True)
sys.stdin.readline()
first.join()
print(bearer_user.user_id([f"Bearer {token}"]))
"""


def test_the_child_of_a_fork_waits_for_no_fetch_of_its_parent(issuer: Issuer, clock: Clock) -> None:
    """What happens in the child, here without one: the thread that fetches is the parent's."""
    key_set, key_id = KeySet(issuer.url, ("RS256",), clock, MAX_STALE), ("key-1", "RS256")
    with issuer.held() as came:
        first = key_set.refresh(key_id)
        assert first is not None
        assert came.acquire(timeout=10)
        key_set._after_fork()
        second = key_set.refresh(key_id)
        assert second not in (None, first)
        assert came.acquire(timeout=10)
    for fetch in (first, second):
        fetch.result(10)
    key_set._after_fork()  # with keys, and no fetch under way

    assert key_set.find(key_id) is not None
    assert key_set.refresh(("another", "RS256")) is None
    assert issuer.fetches == 2


def test_a_process_forked_in_the_middle_of_a_fetch_makes_its_own(issuer: Issuer) -> None:
    good = http({"keys": [issuer.rsa.jwk()]})
    go_on, came = threading.Event(), threading.Event()

    def wait(line: Line, _received: Received) -> None:
        came.set()
        go_on.wait(30)
        line.write(good)

    issuer.server.answers(wait, good)
    with subprocess.Popen(
        program(FORK, issuer), env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "asked\n"
            assert came.wait(10)
            process.stdin.write("fork\n")
            process.stdin.flush()
            assert [process.stdout.readline() for _ in range(2)] == ["u1\n", "0\n"]
        finally:
            go_on.set()
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.stdout.readline() == "u1\n"
    assert process.returncode == 0
    assert issuer.fetches == 2
