"""`verb`: what callers, `help()` and tracebacks see of a method that is written once for both kinds of object."""

from __future__ import annotations

import asyncio
import inspect
import pydoc
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_type

import pytest

from configure_auth.runtime.effects import Effect, Flow
from configure_auth.runtime.verbs import Awaited, Blocking, verb


@dataclass(frozen=True)
class Double(Effect[int]):
    number: int


class Verbs:
    step = 1

    @verb
    async def total(self, first: int, *, second: int = 2) -> int:
        """Add what both are doubled."""
        return await Double(first) + await Double(second) + self.step

    @verb
    def doubled(self, number: int) -> Effect[int]:
        """Double a number."""
        return Double(number)

    @verb
    async def fails(self, token: str) -> tuple[str, ...]:
        """Fail after the token was let go."""
        del token
        await Double(0)
        raise ValueError("no")


def double(effect: Double) -> int:
    return effect.number * 2


class OnBlocking(Verbs, Blocking):
    def _performer(self) -> Callable[[Any], Any]:
        return double


class OnAwaited(Verbs, Awaited):
    def _performer(self) -> Callable[[Any], Awaitable[Any]]:
        async def perform(effect: Double) -> int:
            return double(effect)

        return perform


def test_a_verb_blocks_on_one_kind_and_is_awaited_on_the_other() -> None:
    assert OnBlocking().total(1, second=3) == 9
    assert asyncio.run(OnAwaited().total(1, second=3)) == 9
    assert OnBlocking().doubled(4) == 8
    assert asyncio.run(OnAwaited().doubled(4)) == 8


def test_help_shows_an_ordinary_method() -> None:
    def shown(cls: type) -> list[str]:
        text = pydoc.plain(pydoc.render_doc(cls))
        inherited = text[text.index(f"Methods inherited from {Verbs.__name__}:") :]
        return [
            line.strip(" |") for line in inherited.splitlines() if "(self" in line or line.strip(" |").endswith(".")
        ]

    blocking = shown(OnBlocking)
    assert blocking[:6] == [
        "doubled(self, number: 'int') -> 'int'",
        "Double a number.",
        "fails(self, token: 'str') -> 'tuple[str, ...]'",
        "Fail after the token was let go.",
        "total(self, first: 'int', *, second: 'int' = 2) -> 'int'",
        "Add what both are doubled.",
    ]
    assert [line.removeprefix("async ") for line in shown(OnAwaited)] == blocking
    assert "async total(self, first: 'int', *, second: 'int' = 2) -> 'int'" in shown(OnAwaited)


@pytest.mark.parametrize("owner", [OnBlocking(), OnAwaited()], ids=["blocking", "awaited"])
def test_introspection_sees_a_bound_method(owner: Any) -> None:
    assert inspect.ismethod(owner.total)
    assert owner.total.__qualname__ == "Verbs.total"
    assert str(inspect.signature(owner.total)) == "(first: 'int', *, second: 'int' = 2) -> 'int'"
    assert inspect.iscoroutinefunction(owner.total) == isinstance(owner, Awaited)
    assert inspect.unwrap(owner.doubled).__code__.co_firstlineno == Verbs.doubled.__code__.co_firstlineno
    assert owner.total.__self__ is owner


@pytest.mark.parametrize("owner", [OnBlocking(), OnAwaited()], ids=["blocking", "awaited"])
def test_no_frame_of_a_failed_verb_has_its_arguments(owner: Any) -> None:
    def call() -> None:
        made = owner.fails("s3cret")
        if inspect.isawaitable(made):
            asyncio.run(made)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="no") as caught:
        call()

    ours = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "s3cret" not in "".join(str(frame.locals) for frame in ours.stack[2:])


def test_a_verb_without_a_performer_makes_no_flow() -> None:
    class Unset(Verbs, Blocking):
        def _performer(self) -> Callable[[Any], Any]:
            raise LookupError("nothing is set up")

    with pytest.raises(LookupError):
        Unset().total(1)


if TYPE_CHECKING:

    async def typed(blocking: OnBlocking, awaited: OnAwaited) -> None:
        assert_type(blocking.total(1), int)
        assert_type(await assert_type(awaited.total(1), Coroutine[Any, Any, int]), int)
        assert_type(await awaited.doubled(1), int)
        blocking.total("1")  # type: ignore[arg-type]
        awaited.doubled(1)  # type: ignore[unused-coroutine]
        flow: Flow[int] = awaited.total(2)
        await flow
