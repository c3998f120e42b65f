"""`run` and `arun` drive a flow alike: same effects, same values, failures thrown in where they happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from configure_auth.errors import ApiCode, ConfigureError, StoreError
from configure_auth.flows import Response, arun, run
from configure_auth.flows.effects import Flow, Pause, Shielded, UseStore

from .world import Awaited, World, signed_in

BACKENDS = ("asyncio", "trio")


def awaited(backend: str, world: World, flow: Flow[Any]) -> Any:
    async def drive() -> Any:
        return await arun(flow, Awaited(world).perform)

    return anyio.run(drive, backend=backend)


FAILURES: list[dict[str, Exception]] = [
    {},
    {"states.claim": StoreError("locked")},
    {"POST /v1/auth/sign-in/exchange": ConfigureError(ApiCode.NETWORK_ERROR, "gone")},
    {"POST /oauth/token": ConfigureError(ApiCode.TIMEOUT, "slow")},
    {"GET /v1/profile": ConfigureError(ApiCode.SERVER_ERROR, "broken", status_code=500)},
    {"accounts.save": StoreError("locked")},
    {"states.finish": StoreError("locked")},
    {"app.renew_session": RuntimeError("the app is broken")},
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: next(iter(failure), "none"))
@pytest.mark.parametrize("intent", ["link", "login"])
def test_both_drivers_leave_the_same_log_and_answer(intent: str, failure: dict[str, Exception], backend: str) -> None:
    def drive(driver: Callable[[World, Flow[Response]], Response]) -> tuple[list[str], int, list[str]]:
        world, browser = World(), signed_in(intent)
        query = world.came_back(intent, browser)
        world.fails.update(failure)
        response = driver(world, world.flow(intent, "callback", query, browser))
        return world.log, response.status, [type(event).__name__ for event in world.events]

    assert drive(lambda world, flow: run(flow, world.perform)) == drive(
        lambda world, flow: awaited(backend, world, flow)
    )


Driver = Callable[[World, Flow[Any]], Any]
DRIVERS: list[Driver] = [
    lambda world, flow: run(flow, world.perform),
    lambda world, flow: awaited("asyncio", world, flow),
    lambda world, flow: awaited("trio", world, flow),
]


@pytest.mark.parametrize("drive", DRIVERS)
def test_a_failed_effect_is_thrown_in_at_its_place(drive: Driver) -> None:
    seen = []

    async def flow() -> str:
        try:
            await UseStore(lambda stores: stores.accounts.find("a", "u"))
        except StoreError as error:
            seen.append(str(error))
        await UseStore(lambda stores: stores.accounts.version("a", "u"))
        return "went on"

    world = World(fails={"accounts.find": StoreError("locked")})

    assert drive(world, flow()) == "went on"
    assert seen == ["locked"]
    assert world.log == ["accounts.find", "accounts.version"]


@pytest.mark.parametrize("drive", DRIVERS)
def test_a_failure_that_a_flow_does_not_catch_leaves_it_and_runs_its_finally(drive: Driver) -> None:
    seen = []

    async def flow() -> None:
        try:
            await UseStore(lambda stores: stores.accounts.find("a", "u"))
        finally:
            seen.append("finally")

    with pytest.raises(StoreError, match="locked"):
        drive(World(fails={"accounts.find": StoreError("locked")}), flow())
    assert seen == ["finally"]


@pytest.mark.parametrize("drive", DRIVERS)
def test_a_failure_within_a_whole_part_is_thrown_in_there_and_then_around_it(drive: Driver) -> None:
    seen = []

    async def inner() -> None:
        try:
            await UseStore(lambda stores: stores.accounts.find("a", "u"))
        except StoreError:
            seen.append("inside")
            raise

    async def flow() -> str:
        try:
            await Shielded(inner())
        except StoreError:
            seen.append("around")
        return "went on"

    assert drive(World(fails={"accounts.find": StoreError("locked")}), flow()) == "went on"
    assert seen == ["inside", "around"]


@pytest.mark.parametrize("drive", DRIVERS)
def test_a_flow_without_effects_is_its_value(drive: Driver) -> None:
    async def flow() -> int:
        return 7

    assert drive(World(), flow()) == 7


@pytest.mark.parametrize("drive", DRIVERS)
def test_effects_are_performed_one_by_one_and_in_order(drive: Driver) -> None:
    async def flow() -> list[Any]:
        first = await UseStore(lambda stores: stores.accounts.version("a", "u"))
        await Pause(0.1)
        second = await UseStore(lambda stores: stores.accounts.version("a", "u"))
        return [first, second]

    world = World()
    first, second = drive(world, flow())

    assert first == second
    assert world.log == ["accounts.version", "pause", "accounts.version"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cancelled_task_closes_its_flow_where_it_stands(backend: str) -> None:
    seen = []

    async def flow() -> None:
        try:
            await UseStore(lambda stores: stores.accounts.find("a", "u"))
            await Pause(0)
            seen.append("went on")
        finally:
            seen.append("closed")

    world = World()

    async def main() -> None:
        with anyio.CancelScope() as scope:

            async def perform_and_cancel(effect: Any) -> Any:
                result = await Awaited(world).perform(effect)
                scope.cancel()
                return result

            await arun(flow(), perform_and_cancel)

    anyio.run(main, backend=backend)
    assert world.log == ["accounts.find"]
    assert seen == ["closed"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("intent", ["link", "login"])
def test_a_callback_whose_client_has_gone_is_ended_whole(intent: str, backend: str) -> None:
    world, browser = World(), signed_in(intent)
    query = world.came_back(intent, browser)

    async def main() -> None:
        with anyio.CancelScope() as scope:
            flow = world.flow(intent, "callback", query, browser)
            world.fails = _Cancelling(scope)
            await arun(flow, Awaited(world).perform)

    anyio.run(main, backend=backend)

    assert world.log[-2:] == ["states.finish", "shielded ends"]
    assert [type(event).__name__ for event in world.events] == [{"link": "AccountLinked", "login": "LoggedIn"}[intent]]
    world.fails = {}
    assert world.request(intent, "callback", query, browser).status == 303
    assert len(world.wire.used) == 1


class _Cancelling(dict[str, Exception]):
    """Cancels the task with the first thing that is sent to Configure."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        self._scope = scope

    def __contains__(self, entry: object) -> bool:
        if isinstance(entry, str) and entry.startswith("POST "):
            self._scope.cancel()
        return False


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_callback_cancelled_before_its_claim_leaves_the_attempt_open(backend: str) -> None:
    world, browser = World(), signed_in("link")
    query = world.came_back("link", browser)

    async def main() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await arun(world.flow("link", "callback", query, browser), Awaited(world).perform)

    anyio.run(main, backend=backend)

    assert world.log == []
    assert world.request("link", "callback", query, browser).status == 303
