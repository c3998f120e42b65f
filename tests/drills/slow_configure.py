"""Many callbacks at once while Configure responds slowly; prints how they ended and how another route fared.

Each figure that has a target is printed beside it; the exit code is 1 if one is missed. The client runs on the same
machine: other work on it counts.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2

from configure_auth.sandbox import Sandbox

SERVERS = {
    "gunicorn": "gunicorn -w 4 -k gthread --threads 8 -b 127.0.0.1:{port} tests.drills.slow_apps:flask_app()",
    "uvicorn": "uvicorn --factory --port {port} --log-level warning tests.drills.slow_apps:starlette_app",
    "uvicorn-2": "uvicorn --factory --port {port} --log-level warning --workers 2 tests.drills.slow_apps:starlette_app",
}
PATIENCE = 300
"""Seconds after which a person who still waits counts as lost."""

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


@dataclass
class Figures:
    """What one drill measured: milliseconds of each kind of response, and the targets that were missed."""

    waits: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    missed: int = 0

    def show(self, name: str, value: float, unit: str, target: str, *, is_met: bool) -> None:
        print(f"  {name}: {value:.0f} {unit}; target: {target}; {'met' if is_met else 'MISSED'}")
        self.missed += not is_met


async def get(callback: str, cookie: str) -> tuple[int, str]:
    """Request a URL on a connection of its own; status and body.

    By hand, because 300 requests of httpx2 at once take a second of a processor that the server needs.
    """
    url = urlsplit(callback)
    reader, writer = await asyncio.open_connection("127.0.0.1", url.port)
    try:
        fields = ["Host: " + url.netloc, "Cookie: " + cookie, "Accept: text/html", "Sec-Fetch-Site: cross-site"]
        writer.write(
            "\r\n".join([f"GET {url.path}?{url.query} HTTP/1.1", *fields, "Connection: close", "", ""]).encode()
        )
        response = (await reader.read()).decode()
    finally:
        writer.close()
    return int(response[9:12]), response.partition("\r\n\r\n")[2]


async def come_back(callback: str, cookie: str, began: float, figures: Figures) -> str:
    """Request a callback as a browser does, also again when its page says so; the status and code at the end."""
    while True:
        asked = time.perf_counter()
        try:
            async with asyncio.timeout(60):
                status, page = await get(callback, cookie)
        except (OSError, ValueError) as error:
            return type(error).__name__
        took = (time.perf_counter() - asked) * 1000
        again = re.search(r'http-equiv="refresh" content="(\d+)"', page)
        if again is None:
            figures.ended.append(took)
            code = re.search(r"<code>(\w+)</code>", page)
            return f"{status} {code[1]}" if code else str(status)
        figures.waits.append(took)
        if time.monotonic() > began + PATIENCE:
            return "still waiting"
        await asyncio.sleep(int(again[1]))


def p99_of(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[98] if len(took) > 1 else took[0]


def show_route(name: str, took: list[float]) -> float:
    """Print how a route fared; its p99."""
    p50, p99 = statistics.median(took), p99_of(took)
    print(f"  {name}: {len(took)} requests, p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {max(took):.0f} ms")
    return p99


async def drill(sandbox: Sandbox, url: str, people: int, seconds: float, *, threads_of_an_app: bool) -> int:
    # A connection for each request: unlike a browser, the client doesn't ask again on one that the server just closed.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=url, timeout=60, limits=limits) as http:
        await asyncio.gather(*(http.get("/") for _ in range(50)))  # until every worker has loaded the app
        idle = show_route("another route, idle", await poll(http, 15, asyncio.Event()))

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
        began, done, figures = time.monotonic(), asyncio.Event(), Figures()
        polling = asyncio.create_task(poll(http, 2 * PATIENCE, done))
        ends = Counter(await asyncio.gather(*(come_back(*one, began, figures) for one in started)))
        took = time.monotonic() - began
        done.set()
        meanwhile = show_route("another route, meanwhile", await polling)
        print(f"  {people} callbacks after {took:.0f} s: {dict(ends)}")
        if threads_of_an_app:  # of the 50 ms nothing is said where one thread serves all
            over = meanwhile - idle
            figures.show("p99 of another route above idle", over, "ms", "at most 50 ms", is_met=over <= 50)
        if figures.waits:
            over_limit = max(figures.waits)
            name = f"slowest of {len(figures.waits)} callbacks over the limit (p99 {p99_of(figures.waits):.0f} ms)"
            figures.show(name, over_limit, "ms", "at most 1000 ms", is_met=over_limit <= 1000)
        under_way = max(figures.ended, default=0.0)
        # Two calls after each other, each with its deadline.
        figures.show("slowest callback under way", under_way, "ms", "at most 21000 ms", is_met=under_way <= 21_000)
        signed_in, enough = ends["303"], math.ceil(0.95 * people)
        target = f"at least {enough} within {PATIENCE} s"
        figures.show("signed in", signed_in, f"of {people}", target, is_met=signed_in >= enough)
        timeouts = sum(count for end, count in ends.items() if end.startswith("504"))
        figures.show("responses 504", timeouts, "", "none", is_met=timeouts == 0)
        return figures.missed


@contextmanager
def served(server: str, sandbox: Sandbox) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the app under drill on one of `SERVERS`; its URL, and the server's process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://localhost:{port}"
    sandbox.register_redirect_uri(f"{url}/auth/configure/callback")
    with tempfile.TemporaryDirectory() as folder:
        keys = {"CONFIGURE_TOKEN_KEYS": "a key of the drill to seal its tokens with", "DRILL_FOLDER": folder}
        environment = {**os.environ, **sandbox.environment(app_url=url), **keys}
        command = [sys.executable, "-m", *SERVERS[server].format(port=port).split()]
        with subprocess.Popen(command, env=environment) as process:
            try:
                while process.poll() is None:
                    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                        break
                    time.sleep(0.1)
                yield url, process
            finally:
                process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", metavar="server", help=f"{', '.join(SERVERS)}; all of them by default")
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=6.0)
    given = parser.parse_args()
    if unknown := {*given.servers} - {*SERVERS}:
        parser.error(f"unknown: {', '.join(unknown)}")
    missed = 0
    for server in given.servers or SERVERS:
        print(f"\n{server}: Configure responds after {given.seconds:g} s", flush=True)
        with Sandbox() as sandbox, served(server, sandbox) as (url, _):
            figures = drill(sandbox, url, given.people, given.seconds, threads_of_an_app=server == "gunicorn")
            missed += asyncio.run(figures)
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
