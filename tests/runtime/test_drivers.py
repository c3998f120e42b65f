"""`run` and `arun` drive a flow alike, without a framework: values, failures, cancellation, foreign awaitables."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from configure_auth.runtime.drivers import arun, run
from configure_auth.runtime.effects import Effect, Flow

KINDS = ["blocking", "asyncio", "trio"]


@dataclass(frozen=True)
class Say(Effect[str]):
    word: str


async def flow_of_two(log: list[str]) -> str:
    try:
        try:
            first = await Say("first")
        except ValueError as error:
            log.append(f"caught {error}")
            first = "nothing"
        second = await Say("second")
        return f"{first} and {second}"
    finally:
        log.append("closed")


def drive(kind: str, flow: Flow[Any] | Effect[Any], perform: Callable[[Any], Any]) -> Any:
    if kind == "blocking":
        return run(flow, perform)

    async def awaited(effect: Any) -> Any:
        return perform(effect)

    return anyio.run(arun, flow, awaited, backend=kind)


def upper(effect: Say) -> str:
    return effect.word.upper()


def fails(at: str, failure: type[Exception]) -> Callable[[Say], str]:
    def perform(effect: Say) -> str:
        if effect.word == at:
            raise failure("no")
        return upper(effect)

    return perform


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_sent_in(kind: str) -> None:
    log: list[str] = []

    assert drive(kind, flow_of_two(log), upper) == "FIRST and SECOND"
    assert log == ["closed"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_effect_is_a_flow(kind: str) -> None:
    assert drive(kind, Say("one"), upper) == "ONE"


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_effect_is_thrown_in_where_it_was_awaited(kind: str) -> None:
    log: list[str] = []

    assert drive(kind, flow_of_two(log), fails("first", ValueError)) == "nothing and SECOND"
    assert log == ["caught no", "closed"]


@pytest.mark.parametrize(("at", "failure"), [("first", KeyError), ("second", ValueError)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_that_is_not_caught_leaves_the_flow(kind: str, at: str, failure: type[Exception]) -> None:
    log: list[str] = []

    with pytest.raises(failure, match="no") as caught:
        drive(kind, flow_of_two(log), fails(at, failure))
    assert caught.value.__context__ is None
    assert log == ["closed"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_awaitable_is_refused_where_it_was_awaited(kind: str) -> None:
    seen: list[str] = []

    class Foreign:
        def __await__(self) -> Generator[Any, Any, None]:
            yield "something of another library"

    async def flow() -> str:
        try:
            await Foreign()
        except TypeError as error:
            seen.append(str(error))
        return await Say("went on")

    assert drive(kind, flow(), upper) == "WENT ON"
    assert seen == ["a flow can only await effects and other flows, not str"]


def test_a_flow_can_not_sleep_on_an_event_loop() -> None:
    async def flow() -> None:
        await asyncio.sleep(0)

    with pytest.raises(TypeError, match="can only await effects"):
        run(flow(), upper)


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_a_cancelled_task_closes_the_flow_where_it_stands(kind: str) -> None:
    log: list[str] = []

    async def main() -> None:
        with anyio.CancelScope() as scope:

            async def perform(effect: Say) -> None:
                scope.cancel()
                await anyio.sleep_forever()

            flow = flow_of_two(log)
            try:
                await arun(flow, perform)
            finally:
                assert inspect.getcoroutinestate(flow) == inspect.CORO_CLOSED

    anyio.run(main, backend=kind)
    assert log == ["closed"]


def test_a_signal_closes_the_flow_too() -> None:
    log: list[str] = []

    def perform(effect: Say) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(flow_of_two(log), perform)
    assert log == ["closed"]


async def forgetful() -> None:
    flow_of_two([])  # type: ignore[unused-coroutine]
    Say("forgotten")  # type: ignore[unused-awaitable]  # mypy fails this line if it stops seeing the mistake
    await Say("remembered")


def test_mypy_reports_a_forgotten_await_and_python_too() -> None:
    with pytest.warns(RuntimeWarning, match=r"flow_of_two' was never awaited"):
        run(forgetful(), upper)
