"""The example apps with two workers on one store: a sign-in that starts in one worker ends in the other."""

from __future__ import annotations

from collections import Counter

import pytest

from ..support.example_app import WORKER, ExampleName
from ..support.processes import Machine, Server
from ..support.visitor import PROFILE, TOKEN

MOST_SIGN_INS = 200

RUNS: list[tuple[ExampleName, Server]] = [
    ("flask", "gunicorn"),
    ("flask", "gunicorn --preload"),
    ("starlette", "uvicorn"),
    ("fastapi", "uvicorn"),
]


@pytest.mark.parametrize(("example", "server"), RUNS)
def test_a_login_starts_in_one_worker_and_ends_in_the_other(
    machine: Machine, example: ExampleName, server: Server
) -> None:
    sandbox = machine.sandbox
    warm = sandbox.issue_agent_token(sandbox.add_person("+15550100001")) if server == "gunicorn --preload" else None
    process = machine.example(example, server, warm)
    assert len(sandbox.calls_to("GET", PROFILE)) == (warm is not None)

    # Which worker takes a request is the system's choice: people sign in until both ways were seen.
    crossed: set[tuple[str | None, str | None]] = set()
    people = 0
    for people in range(1, MOST_SIGN_INS + 1):
        visitor = machine.visitor(process)
        started = visitor.get("/auth/configure/sign-in")
        assert started.status == 303, started.text
        assert started.location is not None
        ended = visitor.come_back(sandbox.sign_in(started.location, f"+1555010{people:04}"))
        assert (ended.status, ended.location) == (303, "/"), ended.text
        way = started.header(WORKER), ended.header(WORKER)
        if way[0] != way[1]:
            crossed.add(way)
        if len(crossed) == 2:
            break

    one, other = crossed
    assert one == other[::-1]
    assert None not in one
    grants = Counter(call.form["grant_type"] for call in sandbox.calls_to("POST", TOKEN))
    assert grants == {"authorization_code": people}
