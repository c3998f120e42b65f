"""Functions of the app, called with what FastAPI injects: its dependency for the user, and its hooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, get_origin

from fastapi import Depends, Response
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import Message

from ..errors import SettingsError
from ..flows.app import is_async

HEADERS = "configure_auth.headers"
"""The key in a request's scope of the headers that hooks have set on the `Response` that they asked for."""

F = TypeVar("F", bound=Callable[..., Any])

KEYWORD = inspect.Parameter.KEYWORD_ONLY


def annotation_of(user: Any) -> Any:
    """Return the app's dependency as the annotation of a parameter.

    Raises:
        SettingsError: it is neither a function, `Depends(...)`, nor an `Annotated` type with one.
    """
    user = getattr(user, "__value__", user)  # of `type CurrentUser = Annotated[...]`
    if get_origin(user) is Annotated and any(isinstance(part, Dependency) for part in user.__metadata__):
        return user
    if isinstance(user, Dependency):
        return Annotated[Any, user]
    if callable(user) and get_origin(user) is None:
        return Annotated[Any, Depends(user)]
    raise SettingsError(
        f"user= got a {type(user).__name__}; expected your dependency for the signed-in user: a function, "
        "Depends(...), or an Annotated type with Depends(...)"
    )


def dependency_of(annotation: Any) -> Callable[..., Any]:
    """Return the function of an annotation with `Depends(...)`; the annotated type for an empty one."""
    (*_, depends) = (part for part in annotation.__metadata__ if isinstance(part, Dependency))
    found: Callable[..., Any] = depends.dependency or annotation.__origin__
    return found


def with_parameters(function: F, parameters: Sequence[inspect.Parameter], name: str) -> F:
    """Give a function `(**given)` the parameters that FastAPI shall fill, and a name."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect.signature
    function.__name__ = function.__qualname__ = name
    return function


@dataclass
class _Call:
    request: Request
    arguments: Mapping[str, object]
    result: Any = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


_call: ContextVar[_Call] = ContextVar("configure_auth_call")


class Injected:
    """A function of the app, called with its dependencies when a flow asks for it: `await injected(request, *own)`.

    FastAPI calls it as the endpoint of a route that is in no app. The app's `dependency_overrides` hold; what a
    dependency raises comes as it was raised; and what one opened before its `yield` is closed, in the task that opened
    it, before the flow goes on.

    Args:
        function: plain or async.
        own: names of its arguments that the flow gives; every other parameter is FastAPI's.
        option: that the function was given by, for the message.

    Raises:
        SettingsError: a parameter is neither of `own` nor injected. FastAPI would read it from the query.
    """

    def __init__(self, function: Callable[..., Any], own: tuple[str, ...], option: str) -> None:
        self._function, self._own = function, own
        # For the traceback of what it raises.
        self.__module__, self.__qualname__ = function.__module__, getattr(function, "__qualname__", repr(function))
        parameters = inspect.signature(function, eval_str=True).parameters
        self._taken = parameters.keys() & set(own)
        injected = [one.replace(kind=KEYWORD) for name, one in parameters.items() if name not in own]
        endpoint = with_parameters(self._endpoint_of(function), injected, option)
        self._route = APIRoute("/", endpoint, response_class=Response, dependency_overrides_provider=self)
        dependant = self._route.dependant
        if foreign := [one.name for one in (*dependant.query_params, *dependant.body_params)]:
            raise SettingsError(
                f"{option} has a parameter {foreign[0]!a} that nothing fills: name it as one of {', '.join(own)}, or "
                "annotate it with Depends(...)"
            )

    @property
    def from_query(self) -> list[str]:
        """The names that the dependencies of its parameters would read from the query."""
        return [field.name for one in self._route.dependant.dependencies for field in one.query_params]

    @property
    def dependency_overrides(self) -> Mapping[Any, Any]:
        """Those of the app that the request came to, as FastAPI asks its own app for them."""
        overrides: Mapping[Any, Any] = getattr(_call.get().request.app, "dependency_overrides", {})
        return overrides

    def _endpoint_of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def endpoint(**injected: Any) -> None:
            call = _call.get()
            given = {name: value for name, value in call.arguments.items() if name in self._taken}
            if is_async(function):
                call.result = await function(**given, **injected)
            else:
                call.result = await run_in_threadpool(function, **given, **injected)

        return endpoint

    async def __call__(self, request: Request, *arguments: object) -> Any:
        call = _Call(request, dict(zip(self._own, arguments, strict=False)))

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            # Content-Length and Content-Type are of the empty response to the inner call.
            call.headers += (one for one in message.get("headers", ()) if not one[0].lower().startswith(b"content-"))

        scope = {name: value for name, value in request.scope.items() if name != "starlette.exception_handlers"}
        token = _call.set(call)
        try:
            await self._route.app(scope, receive, send)
        finally:
            _call.reset(token)
        request.scope.setdefault(HEADERS, []).extend(call.headers)
        return call.result
