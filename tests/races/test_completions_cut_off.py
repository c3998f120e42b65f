"""A completion whose request is given up on the event loop: all of it is done, the hook too, or nothing at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from configure_auth import LinkedAccount, Settings
from configure_auth.sandbox import Sandbox
from configure_auth.starlette import ConfigureAuth
from configure_auth.stores import Completed
from configure_auth.stores.memory import memory_stores

from ..support.stores import first
from ..support.web import query_of
from ..support.wrapping import wrapped

APP_URL = "http://localhost:3000"
PATH = "/configure/messages/complete"
VALIDATE = "/v1/auth/sign-in/validate"


class Gate:
    """Where a completion stops until it's let go."""

    def __init__(self) -> None:
        self.arrived, self._open = anyio.Event(), anyio.Event()

    async def wait(self) -> None:
        self.arrived.set()
        await self._open.wait()

    def open(self) -> None:
        self._open.set()


class SlowJourneys:
    """Journeys whose end takes its time to be saved."""

    def __init__(self, inner: Any, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def complete(self, *args: Any, **kwargs: Any) -> Completed:
        await self._gate.wait()
        end: Completed = self._inner.complete(*args, **kwargs)
        return end


class World:
    """An app in the test's own loop, and a journey of it. `slow` says what stops at the gate."""

    def __init__(self, sandbox: Sandbox, slow: str | None = None) -> None:
        self.sandbox = sandbox
        self.gate = Gate()
        self.told: list[str] = []

        def slowed(store: Any, name: str) -> Any:
            return SlowJourneys(store, self.gate) if (name, slow) == ("journeys", "save") else store

        keys = {"CONFIGURE_TOKEN_KEYS": "a key that seals this app's tokens"}
        self.configure_auth = ConfigureAuth(
            Settings.from_mapping({**sandbox.environment(app_url=APP_URL), **keys}),
            store=wrapped(memory_stores(), slowed),
            user_id=lambda request: None,
            session=False,
            clock=sandbox.clock,
        )

        async def on_linked(request: Request, sender: str, account: LinkedAccount) -> None:
            if slow == "hook":
                await self.gate.wait()
            self.told.append(sender)

        self.app = Starlette(routes=[self.configure_auth.messages(on_linked=on_linked)])
        self.body: dict[str, str] = {}

    async def connect(self) -> None:
        link = await self.configure_auth.start_journey("ada")
        token = self.sandbox.issue_agent_token(self.sandbox.add_person())
        self.body = {"journeyId": query_of(link)["journey"], "token": token}

    async def post(self) -> int:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.app), base_url=APP_URL) as client:
            return (await client.post(PATH, json=self.body)).status_code

    async def linked(self) -> bool:
        export = await self.configure_auth.export_subject("ada")
        return export is not None and export.account is not None


def on(backend: str, main: Callable[[], Awaitable[None]]) -> None:
    anyio.run(main, backend=backend)


@pytest.fixture(params=first(["asyncio", "trio"]))
def backend(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.mark.parametrize("slow", ["save", "hook"])
def test_from_the_save_on_it_goes_to_its_end(configure_sandbox: Sandbox, backend: str, slow: str) -> None:
    async def main() -> None:
        world = World(configure_sandbox, slow)
        await world.connect()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.post)
            await world.gate.arrived.wait()
            tasks.cancel_scope.cancel()
            world.gate.open()
        assert await world.linked()
        assert world.told == ["ada"]

        assert await world.post() == 200
        assert world.told == ["ada"]

    on(backend, main)


def test_before_the_save_nothing_is_done_and_the_journey_stays_good(configure_sandbox: Sandbox, backend: str) -> None:
    async def main() -> None:
        world = World(configure_sandbox)
        await world.connect()
        with configure_sandbox.hold(VALIDATE) as held:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(world.post)
                await anyio.to_thread.run_sync(held.arrived.wait, 1)
                tasks.cancel_scope.cancel()
            assert not await world.linked()
            assert world.told == []
            held.release()

        assert await world.post() == 200
        assert await world.linked()
        assert world.told == ["ada"]

    on(backend, main)


@pytest.mark.catalogue("R7", "Q9")
@pytest.mark.parametrize("slow", ["save", "hook"])
def test_a_server_that_is_shut_down_waits_for_what_was_begun(configure_sandbox: Sandbox, slow: str) -> None:
    """asyncio's own cancellation, which AnyIO's scopes don't stop."""

    async def main() -> None:
        world = World(configure_sandbox, slow)
        await world.connect()
        posting = asyncio.ensure_future(world.post())
        await world.gate.arrived.wait()
        for _ in range(3):
            posting.cancel()
            await anyio.lowlevel.checkpoint()
        world.gate.open()
        with pytest.raises(asyncio.CancelledError):
            await posting
        assert await world.linked()
        assert world.told == ["ada"]

    on("asyncio", main)
