"""Many callbacks at once while Configure responds slowly; prints how they ended and how another route fared."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx2

from configure_auth.sandbox import Sandbox

SERVERS = {
    "gunicorn": "gunicorn -w 4 -k gthread --threads 8 -b 127.0.0.1:{port} tests.drills.slow_apps:flask_app()",
    "uvicorn": "uvicorn --factory --port {port} --log-level warning tests.drills.slow_apps:starlette_app",
    "uvicorn-2": "uvicorn --factory --port {port} --log-level warning --workers 2 tests.drills.slow_apps:starlette_app",
}
SLOW = (("POST", "/oauth/token"), ("POST", "/oauth/introspect"), ("GET", "/v1/profile"))


async def poll(http: httpx2.AsyncClient, seconds: float, until: asyncio.Event) -> list[float]:
    """Milliseconds of requests to the app's own route, 20 a second; a failed one counts as 60,000."""
    took: list[float] = []

    async def one() -> None:
        began = time.perf_counter()
        try:
            await http.get("/")
        except httpx2.HTTPError:
            took.append(60_000.0)
        else:
            took.append((time.perf_counter() - began) * 1000)

    ends = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        while time.monotonic() < ends and not until.is_set():
            group.create_task(one())
            await asyncio.sleep(0.05)
    return took


async def come_back(http: httpx2.AsyncClient, callback: str, cookie: str, began: float, waits: list[float]) -> str:
    """Request a callback as a browser does, also again when its page says so; the status or code at the end."""
    headers = {"cookie": cookie, "accept": "text/html", "sec-fetch-site": "cross-site"}
    while True:
        asked = time.perf_counter()
        try:
            response = await http.get(callback, headers=headers)
        except httpx2.HTTPError as error:
            return type(error).__name__
        again = re.search(r'http-equiv="refresh" content="(\d+)"', response.text)
        if again is None:
            code = re.search(r"<code>(\w+)</code>", response.text)
            return code[1] if code else str(response.status_code)
        waits.append(time.perf_counter() - asked)
        if time.monotonic() > began + 300:
            return "still waiting"
        await asyncio.sleep(int(again[1]))


def show(name: str, took: list[float]) -> None:
    cuts = statistics.quantiles(took, n=100)
    print(f"{name}: {len(took)} requests, p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms, longest {max(took):.0f} ms")


async def drill(sandbox: Sandbox, url: str, people: int, seconds: float) -> None:
    # A connection for each request: unlike a browser, the client doesn't ask again on one that the server just closed.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=url, timeout=60, limits=limits) as http:
        await asyncio.gather(*(http.get("/") for _ in range(50)))  # until every worker has loaded the app
        show("another route, idle", await poll(http, 10, asyncio.Event()))

        turns = asyncio.Semaphore(8)  # what a start costs is none of this drill

        async def start(number: int) -> tuple[str, str]:
            async with turns, httpx2.AsyncClient(base_url=url, timeout=60) as browser:  # cookies of its own
                answer = await browser.get("/auth/configure/sign-in", headers={"sec-fetch-site": "same-origin"})
                there, phone = answer.headers["location"], f"+1555{number:07d}"
                callback = await asyncio.get_running_loop().run_in_executor(threads, sandbox.sign_in, there, phone)
                return callback, answer.headers["set-cookie"].partition(";")[0]

        with ThreadPoolExecutor(8) as threads:
            started = await asyncio.gather(*(start(2_000_000 + number) for number in range(people)))
        for method, path in SLOW:
            sandbox.fault(path, method=method, delay=seconds)
        began, done = time.monotonic(), asyncio.Event()
        waits: list[float] = []
        polling = asyncio.create_task(poll(http, 400, done))
        ends = await asyncio.gather(*(come_back(http, *one, began, waits) for one in started))
        print(f"{people} callbacks after {time.monotonic() - began:.0f} s: {dict(Counter(ends))}")
        if waits:
            print(f"the page that reloads: {len(waits)} times, the slowest came after {max(waits) * 1000:.0f} ms")
        done.set()
        show("another route, meanwhile", await polling)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", choices=SERVERS, nargs="*", default=[*SERVERS])
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=6.0)
    given = parser.parse_args()
    for server in given.server:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        url = f"http://localhost:{port}"
        print(f"\n{server}: Configure responds after {given.seconds:g} s")
        with Sandbox() as sandbox, tempfile.TemporaryDirectory() as folder:
            sandbox.register_redirect_uri(f"{url}/auth/configure/callback")
            keys = {"CONFIGURE_TOKEN_KEYS": "a key of the drill to seal its tokens with", "DRILL_FOLDER": folder}
            environment = {**os.environ, **sandbox.environment(app_url=url), **keys}
            command = [sys.executable, "-m", *SERVERS[server].format(port=port).split()]
            with subprocess.Popen(command, env=environment) as process:  # the servers above
                try:
                    while process.poll() is None:
                        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                            break
                        time.sleep(0.1)
                    asyncio.run(drill(sandbox, url, given.people, given.seconds))
                finally:
                    process.terminate()


if __name__ == "__main__":
    main()
