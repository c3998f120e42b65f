"""The example apps with two workers on one store: a sign-in that starts in one worker ends in the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from ..support.example_app import WORKER, ExampleName
from ..support.processes import Machine, Server
from ..support.visitor import EXCHANGE, PROFILE, TOKEN, Got, Visitor

pytestmark = pytest.mark.extended

MOST_SIGN_INS = 200
PHONE = "+15550109999"

RUNS: list[tuple[ExampleName, Server]] = [
    ("flask", "gunicorn"),
    ("flask", "gunicorn --preload"),
    ("starlette", "uvicorn"),
    ("fastapi", "uvicorn"),
]

Way = tuple[Got, Got]
"""The answers by which a sign-in starts and ends."""


def prefix_of(example: ExampleName) -> str:
    """The path that an example has its routers under."""
    return "/api" if example == "fastapi" else ""


def until_both_ways_were_seen(sign_in: Callable[[int], Way]) -> int:
    """Which worker takes a request is the system's choice, so people sign in one after the other; how many it were."""
    crossed: set[tuple[str | None, str | None]] = set()
    for number in range(1, MOST_SIGN_INS + 1):
        started, ended = (answer.header(WORKER) for answer in sign_in(number))
        if started != ended:
            crossed.add((started, ended))
        if len(crossed) == 2:
            break
    one, other = crossed
    assert one == other[::-1]
    assert None not in one
    return number


@pytest.mark.parametrize(("example", "server"), RUNS)
def test_a_login_starts_in_one_worker_and_ends_in_the_other(
    machine: Machine, example: ExampleName, server: Server
) -> None:
    sandbox = machine.sandbox
    warm = sandbox.issue_agent_token(sandbox.add_person("+15550100001")) if server == "gunicorn --preload" else None
    process = machine.example(example, server, warm)
    assert len(sandbox.calls_to("GET", PROFILE)) == (warm is not None)

    def sign_in(number: int) -> Way:
        visitor = machine.visitor(process)
        started = visitor.get(f"{prefix_of(example)}/auth/configure/sign-in")
        assert started.status == 303, started.text
        assert started.location is not None
        ended = visitor.come_back(sandbox.sign_in(started.location, f"+1555010{number:04}"))
        assert (ended.status, ended.location) == (303, "/?configure=signed-in"), ended.text
        return started, ended

    people = until_both_ways_were_seen(sign_in)

    grants = Counter(call.form["grant_type"] for call in sandbox.calls_to("POST", TOKEN))
    assert grants == {"authorization_code": people}


@pytest.mark.parametrize("durable", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("server", ["gunicorn gevent", "gunicorn gevent --preload", "gunicorn gthread"])
def test_24_people_sign_in_12_at_once_whatever_the_worker_class(machine: Machine, server: Server) -> None:
    """Some wait on the page of a busy app, as `max_calls` is 4 a worker, and are signed in as it reloads."""
    process = machine.example("flask", server)

    def sign_in(number: int) -> tuple[Visitor, str, Got]:
        visitor = machine.visitor(process)
        callback = visitor.start("login", f"+1555010{number:04}")
        return visitor, callback, visitor.come_back(callback)

    with ThreadPoolExecutor(12) as people:
        came_back = list(people.map(sign_in, range(1, 25)))
    ended = [
        visitor.come_back(callback) if 'http-equiv="refresh"' in got.text else got
        for visitor, callback, got in came_back
    ]

    assert [(got.status, got.location) for got in ended] == [(303, "/?configure=signed-in")] * 24
    assert len(machine.sandbox.calls_to("POST", TOKEN)) == 24


@dataclass
class Page(Visitor):
    """The script of a page, which has its browser's cookies and a bearer token of its own."""

    bearer: str = ""

    def headers(self, site: str) -> dict[str, str]:
        return super().headers(site) | {"Accept": "application/json", "Authorization": f"Bearer {self.bearer}"}


def link(visitor: Visitor) -> Way:
    started = visitor.get("/configure/sign-in")
    assert started.status == 303, started.text
    assert started.location is not None
    ended = visitor.come_back(visitor.sandbox.sign_in(started.location, PHONE))
    assert (ended.status, ended.location) == (303, "/settings?configure=connected"), ended.text
    return started, ended


def link_from_a_page(visitor: Visitor) -> Way:
    bearer = visitor.post("/api/token").json["token"]
    page = Page(visitor.port, visitor.host, visitor.sandbox, visitor.cookies, bearer)
    started = page.post("/api/configure/sign-in")
    assert started.status == 200, started.text
    came_back = visitor.come_back(visitor.sandbox.sign_in(started.json["url"], PHONE))
    assert came_back.location is not None, came_back.text
    assert came_back.location.startswith("/settings?configure_finish=")
    ended = page.post(came_back.location.replace("/settings", "/api/configure/finish"))
    assert (ended.status, ended.json) == (200, {"next": "/settings?configure=connected"}), ended.text
    return started, ended


@pytest.mark.parametrize("durable", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("example", "server"), [run for run in RUNS if run[1] != "gunicorn --preload"])
def test_a_link_starts_in_one_worker_and_ends_in_the_other(
    machine: Machine, example: ExampleName, server: Server
) -> None:
    visitor = machine.visitor(machine.example(example, server))
    # The app's own session, which either worker has to know.
    assert visitor.run("login", PHONE, prefix_of(example)).location == "/?configure=signed-in"

    links = until_both_ways_were_seen(lambda _: (link_from_a_page if example == "fastapi" else link)(visitor))

    assert len(machine.sandbox.calls_to("POST", EXCHANGE)) == links
