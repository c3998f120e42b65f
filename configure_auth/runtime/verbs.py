"""`verb`: a public method written once, which blocks on one kind of object and is awaited on the other."""

from __future__ import annotations

import functools
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from .drivers import arun, run
from .effects import Effect, Flow

P = ParamSpec("P")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

_EFFECT = re.compile(r"^\w+\[(.*)\]$", re.DOTALL)


class Blocking(ABC):
    """An object whose verbs block and return their value."""

    @abstractmethod
    def _performer(self) -> Callable[[Any], Any]:
        """What performs the effects of a verb."""


class Awaited(ABC):
    """An object whose verbs are awaited."""

    @abstractmethod
    def _performer(self) -> Callable[[Any], Awaitable[Any]]:
        """What performs the effects of a verb."""


class Verbs:
    """A group of verbs. They return the flow or effect itself, for a flow to await; a subclass performs them."""


class verb(Generic[P, R_co]):  # a decorator, like `property`
    """Decorator for a method that is a flow, or returns an effect: calling it runs that flow with `_performer()`.

    `help()`, `inspect.signature` and type checkers see an ordinary method on `Blocking` objects and a coroutine method
    on `Awaited` ones.
    """

    def __init__(self, function: Callable[Concatenate[Any, P], R_co]) -> None:
        self.__doc__ = function.__doc__
        self._function = function

    # Made on first use, because a signature takes longer to read than a class to make. The arguments may be codes and
    # tokens. They are deleted before anything can fail, so that a traceback printed with its locals contains none.

    @functools.cached_property
    def _blocking(self) -> Any:
        function = self._function

        def blocking(self: Blocking, /, *args: P.args, **kwargs: P.kwargs) -> Any:
            perform = self._performer()
            flow: Any = function(self, *args, **kwargs)
            del args, kwargs
            return run(flow, perform)

        return _described(blocking, function)

    @functools.cached_property
    def _awaited(self) -> Any:
        function = self._function

        async def awaited(self: Awaited, /, *args: P.args, **kwargs: P.kwargs) -> Any:
            perform = self._performer()
            flow: Any = function(self, *args, **kwargs)
            del args, kwargs
            return await arun(flow, perform)

        return _described(awaited, function)

    @overload
    def __get__(self, owner: None, cls: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self: verb[P, Flow[T] | Effect[T]], owner: Blocking, cls: type) -> Callable[P, T]: ...
    @overload
    def __get__(self: verb[P, Flow[T] | Effect[T]], owner: Awaited, cls: type) -> Callable[P, Flow[T]]: ...
    @overload
    def __get__(self, owner: Verbs, cls: type) -> Callable[P, R_co]: ...

    def __get__(self, owner: object, cls: type) -> Any:
        method = self._function
        if issubclass(cls, Blocking | Awaited):
            method = self._blocking if issubclass(cls, Blocking) else self._awaited
        return method if owner is None else MethodType(method, owner)


def _described(method: Any, function: Callable[..., Any]) -> Any:
    """Give the method the function's name, documentation and signature, returning the value itself."""
    functools.update_wrapper(method, function)
    signature = inspect.signature(function)
    if not inspect.iscoroutinefunction(inspect.unwrap(function)):
        returns = _EFFECT.sub(r"\1", str(signature.return_annotation))
        signature = signature.replace(return_annotation=returns)
        method.__annotations__ = {**function.__annotations__, "return": returns}
    method.__signature__ = signature
    return method
