"""The two drivers of calls that follow one another, on a generator of words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import Any

import anyio
import pytest

from configure_auth.runtime.drivers import arun_steps, run_steps


def asking(log: list[str]) -> Generator[str, Any, str]:
    try:
        try:
            first = yield "first"
        except ValueError as error:
            log.append(f"caught {error}")
            first = "nothing"
        second = yield "second"
        return f"{first} and {second}"
    finally:
        log.append("closed")


@pytest.mark.parametrize("kind", ["blocking", "asyncio", "trio"])
def test_values_go_in_and_failures_are_thrown_in(kind: str) -> None:
    def run(perform: Callable[[str], Any], log: list[str]) -> str:
        if kind == "blocking":
            return run_steps(asking(log), perform)

        async def awaited(step: str) -> Any:
            return perform(step)

        return anyio.run(arun_steps, asking(log), awaited, backend=kind)

    def fails(at: str, failure: type[Exception]) -> Callable[[str], str]:
        def perform(step: str) -> str:
            if step == at:
                raise failure("no")
            return step.upper()

        return perform

    log: list[str] = []
    assert run(str.upper, log) == "FIRST and SECOND"
    assert log == ["closed"]
    log = []
    assert run(fails("first", ValueError), log) == "nothing and SECOND"
    assert log == ["caught no", "closed"]
    for at, failure in (("first", KeyError), ("second", ValueError)):
        log = []
        with pytest.raises(failure, match="no") as caught:
            run(fails(at, failure), log)
        assert caught.value.__context__ is None
        assert log == ["closed"]


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_a_cancelled_task_closes_the_generator_where_it_stands(kind: str) -> None:
    log: list[str] = []

    async def main() -> None:
        with anyio.CancelScope() as scope:

            async def perform(step: str) -> None:
                scope.cancel()
                await anyio.sleep_forever()

            steps = asking(log)
            try:
                await arun_steps(steps, perform)
            finally:
                assert inspect.getgeneratorstate(steps) == inspect.GEN_CLOSED

    anyio.run(main, backend=kind)
    assert log == ["closed"]


def test_a_signal_closes_the_generator_too() -> None:
    log: list[str] = []

    def perform(step: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_steps(asking(log), perform)
    assert log == ["closed"]
