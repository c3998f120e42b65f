"""What a command is about: the settings of an environment file, and the app that a name such as `shop:app` means."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
import sysconfig
import traceback
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..client.client import Configure
from ..errors import ConfigureAuthError, SettingsError
from ..flows import Features, Flow, Performer, run
from ..flows.registration import looking
from ..flows.verbs import UserVerbs
from ..settings import Settings
from ..stores.memory import memory_stores

if TYPE_CHECKING:
    from .. import starlette as on_starlette
    from ..flask.extension import Installed
    from .checks.facts import Application

__all__ = [
    "Target",
    "at_least_one",
    "attribute_of",
    "environment_of",
    "looking_at",
    "performed",
    "place_of",
    "target_of",
    "targets_of",
]

T = TypeVar("T")

_HERE = str(Path(__file__).parents[1]) + os.sep


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One `ConfigureAuth` of an app.

    Args:
        features: what the app has registered; its settings are `features.site.settings`.
        perform: performs a flow; `run` is the same with types.
        describe: what the framework says of the app's set-up, given the class or table of its users, or None. It gives
            None where a `ConfigureAuth` was named and no app.
    """

    features: Features
    perform: Callable[[Flow[Any]], Any]
    describe: Callable[[object | None], Application | None]

    def run(self, flow: Flow[T]) -> T:
        """Perform a flow with the app's client and store; on an event loop of its own where the app is awaited."""
        with closing(flow):  # the app may fail before it runs
            return cast(T, self.perform(flow))


def environment_of(env_file: Path | None = None) -> dict[str, str]:
    """The variables of the process, with those of a file over them. Nothing in it refers to another variable.

    Raises:
        SettingsError: the file can't be read, or python-dotenv isn't there.
    """
    if env_file is None:
        return dict(os.environ)
    try:
        from dotenv import dotenv_values
    except ImportError as error:
        raise SettingsError("an environment file needs python-dotenv: pip install python-dotenv") from error
    try:
        # Opened here, or a missing one would count as empty; taken as it stands, since a key may have a dollar sign.
        with env_file.open(encoding="utf-8-sig") as file:
            given = dotenv_values(stream=file, interpolate=False)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise SettingsError(f"{env_file} can't be read as an environment file: {why}") from error
    if any("\0" in text for pair in given.items() for text in pair if text is not None):
        raise SettingsError(f"{env_file} has a NUL character in it, which no variable can have")
    if any(not name or "=" in name for name in given):
        raise SettingsError(f'{env_file} has a name with "=" in it, or none at all, which no variable can have')
    # A name without "=" sets nothing.
    return {**os.environ, **{name: value for name, value in given.items() if value is not None}}


def performed(settings: Settings, flow: Flow[T]) -> T:
    """The value of a flow that does nothing but call Configure, where there is no app."""
    with closing(flow), Configure(settings) as client:
        return run(flow, Performer(client, memory_stores(), None, lambda event: None))


def targets_of(name: str, environment: Mapping[str, str]) -> tuple[Target, ...]:
    """Import an app and find each `ConfigureAuth` in it; there is one at least.

    Args:
        name: `module:attribute` of a Flask, Starlette or FastAPI app, of a function without arguments that makes one,
            or of a `ConfigureAuth`. The module is looked for in the working directory first.
        environment: becomes this process's before anything of the app is imported.

    Raises:
        SettingsError: there is no such thing, its import fails, or there is no `ConfigureAuth` in it.
    """
    os.environ.update(environment)
    found = attribute_of(name)
    if inspect.isfunction(found):
        found = _made(name, found)
    targets = (*_on_flask(found), *_on_starlette(found))
    if not targets and isinstance(found, UserVerbs):
        raise SettingsError(f"{name} is in no app yet: call init_app(app) where the module is imported")
    return at_least_one(targets, name)


def at_least_one(targets: tuple[Target, ...], where: str) -> tuple[Target, ...]:
    """What was found in an app.

    Raises:
        SettingsError: it is nothing.
    """
    if not targets:
        raise SettingsError(f"there is no ConfigureAuth in {where}: install it, and put its routes into the app, first")
    return targets


def _on_flask(found: object) -> Iterator[Target]:
    # What isn't imported by now, the app has nothing of.
    if "configure_auth.flask" not in sys.modules:
        return
    from flask import Flask

    from ..flask import ConfigureAuth
    from ..flask.extension import installations

    if isinstance(found, Flask | ConfigureAuth):
        yield from map(target_of, installations(found))


def target_of(installed: Installed) -> Target:
    """A `ConfigureAuth` of a Flask app that is there already."""
    from .checks.flask_app import application_of

    return Target(
        features=installed.all_features,
        perform=_in_context(installed),
        describe=partial(application_of, installed.app, installed.site),
    )


def _in_context(installed: Installed) -> Callable[[Flow[Any]], Any]:
    def perform(flow: Flow[Any]) -> Any:
        with installed.app.app_context():
            return installed.run(flow)

    return perform


def _on_starlette(found: object) -> Iterator[Target]:
    if "configure_auth.starlette" not in sys.modules:
        return
    from ..starlette import ConfigureAuth
    from ..starlette.extension import installations
    from .checks.starlette_app import application_of

    for one in (found,) if isinstance(found, ConfigureAuth) else installations(found):
        yield Target(
            features=one._features,
            perform=_on_a_loop(one),
            describe=partial(application_of, found, one._site),
        )


def _on_a_loop(configure_auth: on_starlette.ConfigureAuth) -> Callable[[Flow[Any]], Any]:
    async def perform(flow: Flow[Any]) -> Any:
        try:
            return await configure_auth._run(flow)
        finally:
            await configure_auth.aclose()

    return lambda flow: asyncio.run(perform(flow))


def attribute_of(name: str) -> object:
    """What `module:attribute` names.

    Raises:
        SettingsError: there is no such thing, or the import fails.
    """
    path, mark, attributes = name.partition(":")
    if not mark or not all(part.isidentifier() for part in (*path.split("."), *attributes.split("."))):
        raise SettingsError(f"{name!a} is no app: write module:attribute, such as shop:app")
    found: object = _imported(path)
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise SettingsError(f"there is no {attributes} in {path}") from None
    return found


def _made(name: str, factory: Callable[..., object]) -> object:
    try:
        inspect.signature(factory).bind()
    except TypeError:
        raise SettingsError(f"{name} is a function with arguments; name the app that it makes") from None
    module, _, attributes = name.partition(":")
    with looking_at(f"{name}()", by=f"python -c 'import {module}; {module}.{attributes}()'"):
        return factory()


def _imported(path: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        # A script's first place for modules is its own folder.
        sys.path.insert(0, here)
    with looking_at(f"the import of {path}", by=f"python -c 'import {path}'"):
        try:
            return importlib.import_module(path)
        except ModuleNotFoundError as error:
            if not f"{path}.".startswith(f"{error.name}."):
                raise
            missing = error.name
    raise SettingsError(f"there is no module {missing} in {here}, or where Python looks for others")


@contextmanager
def looking_at(what: str, *, by: str) -> Iterator[None]:
    """Run something of the app's for a look at it: it registers no callbacks meanwhile.

    An error is told by its kind and its place, for its words may quote a password.

    Args:
        what: what fails with it.
        by: a command that shows all of it.

    Raises:
        SettingsError: in place of whatever is raised.
    """
    token = looking.set(True)
    try:
        yield
    except (Exception, SystemExit) as error:
        more = "" if _is_ours(error) else f" ({by} shows all of it)"
        raise SettingsError(_plain(f"{what} fails{place_of(error)}: {_sentence(error)}{more}")) from error
    finally:
        looking.reset(token)


def place_of(error: BaseException) -> str:
    """The last line of the app's own that an error came through, as " at file:line"; "" where there is none."""
    if isinstance(error, SyntaxError) and error.filename is not None and not error.filename.startswith("<"):
        return _plain(f" at {error.filename}:{error.lineno}")
    foreign = (_HERE, "<", *(sysconfig.get_paths()[key] + os.sep for key in ("stdlib", "purelib", "platlib")))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(foreign):
            return _plain(f" at {frame.filename}:{frame.lineno}")
    return ""


def _sentence(error: BaseException) -> str:
    """An error in one line: the words of ours, and of any other what Python itself makes of it."""
    if _is_ours(error):
        return str(error)
    kind = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{kind}: {error.msg}"
    if isinstance(error, ImportError) and _is_dotted(error.name):
        return f"{kind}: {error.name}"
    return kind


def _is_ours(error: BaseException) -> bool:
    if isinstance(error, ConfigureAuthError):
        return True
    # An extra of ours is missing.
    raised = traceback.extract_tb(error.__traceback__)[-1:]
    return type(error) is ImportError and any(frame.filename.startswith(_HERE) for frame in raised)


def _is_dotted(name: str | None) -> bool:
    return name is not None and all(part.isidentifier() for part in name.split("."))


def _plain(text: str) -> str:
    """Without what a terminal would obey, or show in another order."""
    return "".join(" " if unicodedata.category(char).startswith("C") else char for char in text)
