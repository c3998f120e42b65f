"""Each `ConfigureAuth` of an app, whatever its framework, as commands use it."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from ...client.client import Configure
from ...errors import SettingsError
from ...flows import Features, Flow, Performer, Site, run
from ...flows.verbs import UserVerbs
from ...settings import Settings
from ...stores import Stores
from ...stores.memory import memory_stores
from .loading import import_object, looking_at

if TYPE_CHECKING:
    from ...flask.extension import Installed
    from ...starlette.extension import AsgiConfigureAuth

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One `ConfigureAuth` of an app.

    Args:
        framework: Starlette includes FastAPI.
        app: the Flask app, or what was named: a Starlette app, middleware around one, or the `ConfigureAuth` itself.
        features: what the app has registered; its settings are `features.site.settings`.
        stores: of the app.
        perform: performs a flow; `run` is the same with types.
        make_tables: creates or updates the store's tables; returns the schema number that they had.
        close: closes the connections of the app's client and store.
        configure_auth: the object, on Starlette and FastAPI.
    """

    framework: Literal["Flask", "Starlette"]
    app: Any = field(repr=False)
    features: Features
    stores: Stores = field(repr=False)
    perform: Callable[[Flow[Any]], Any]
    make_tables: Callable[[], int] = field(repr=False)
    close: Callable[[], None] = field(repr=False)
    configure_auth: AsgiConfigureAuth[Any] | None = field(default=None, repr=False)

    @property
    def site(self) -> Site:
        return self.features.site

    def run(self, flow: Flow[T]) -> T:
        """Perform a flow with the app's client and store, on Starlette in an event loop of its own."""
        with closing(flow):  # the app may fail before it starts the flow
            return cast(T, self.perform(flow))


@contextmanager
def closing_targets(targets: tuple[Target, ...]) -> Iterator[tuple[Target, ...]]:
    """Close every target at the end."""
    with ExitStack() as stack:
        for target in targets:
            stack.callback(target.close)
        yield targets


def perform_without_app(settings: Settings, flow: Flow[T]) -> T:
    """Perform a flow that only calls Configure."""
    with closing(flow), Configure(settings) as client:
        return run(flow, Performer(client, memory_stores(), None, lambda event: None))


def load_targets(name: str, environment: Mapping[str, str]) -> tuple[Target, ...]:
    """Import an app and find each `ConfigureAuth` in it.

    Args:
        name: `module:attribute` of a Flask, Starlette or FastAPI app, of an app factory without arguments, or of a
            `ConfigureAuth`. The working directory is searched first.
        environment: set in this process before the app is imported.

    Raises:
        SettingsError: there is no such object, its import fails, or it has no `ConfigureAuth`.
    """
    os.environ.update(environment)
    app = import_object(name)
    if inspect.isfunction(app):
        app = _call_factory(name, app)
    targets = targets_in(app)
    if not targets and isinstance(app, UserVerbs):
        raise SettingsError(f"{name} is not installed in an app: call init_app(app) where the module is imported")
    return at_least_one(targets, name)


def targets_in(app: object) -> tuple[Target, ...]:
    """Find each `ConfigureAuth` of an app; none in anything else."""
    return (*_on_flask(app), *_on_starlette(app))


def at_least_one(targets: tuple[Target, ...], where: str) -> tuple[Target, ...]:
    """Return what `targets_in` found.

    Raises:
        SettingsError: it found nothing.
    """
    if not targets:
        raise SettingsError(f"{where} has no ConfigureAuth: install one and register its routes first")
    return targets


def _call_factory(name: str, factory: Callable[..., object]) -> object:
    try:
        inspect.signature(factory).bind()
    except TypeError:
        raise SettingsError(f"{name} is a function that needs arguments; name an app, or a factory without") from None
    module, _, attributes = name.partition(":")
    with looking_at(f"{name}()", by=f"python -c 'import {module}; {module}.{attributes}()'"):
        return factory()


def _on_flask(app: object) -> Iterator[Target]:
    # An app can't use an adapter that it hasn't imported.
    if "configure_auth.flask" not in sys.modules:
        return
    from flask import Flask

    from ...flask import ConfigureAuth
    from ...flask.extension import installations

    if isinstance(app, Flask | ConfigureAuth):
        for installed in installations(app):
            yield Target(
                framework="Flask",
                app=installed.app,
                features=installed.all_features,
                stores=installed.stores,
                perform=_in_app_context(installed),
                make_tables=installed.make_tables,
                close=installed.close,
            )


def _in_app_context(installed: Installed) -> Callable[[Flow[Any]], Any]:
    def perform(flow: Flow[Any]) -> Any:
        with installed.app.app_context():
            return installed.run(flow)

    return perform


def _on_starlette(app: object) -> Iterator[Target]:
    if "configure_auth.starlette" not in sys.modules:
        return
    from starlette.applications import Starlette

    from ...starlette.extension import AsgiConfigureAuth, owners_in

    found: dict[int, tuple[AsgiConfigureAuth[Any], object]] = {}
    if isinstance(app, AsgiConfigureAuth):
        found[id(app)] = app, app
    for owner, around, _name in owners_in(app):
        inner = next((part for part in reversed(around) if isinstance(part, Starlette)), app)
        found.setdefault(id(owner), (owner, inner))
    for one, inner in found.values():
        one._locate(inner)
        yield Target(
            framework="Starlette",
            app=app,
            features=one._features,
            stores=one._open().stores,
            perform=_in_event_loop(one),
            make_tables=one._open().make_tables,
            close=lambda: None,  # `perform` closes them, each time
            configure_auth=one,
        )


def _in_event_loop(configure_auth: AsgiConfigureAuth[Any]) -> Callable[[Flow[Any]], Any]:
    async def perform(flow: Flow[Any]) -> Any:
        try:
            return await configure_auth._run(flow)
        finally:
            await configure_auth.aclose()

    return lambda flow: asyncio.run(perform(flow))
