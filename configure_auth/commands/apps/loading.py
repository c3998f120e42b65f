"""Environment files, and the import of an app. Errors of the app are reported without their text."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from ...errors import ConfigureAuthError, SettingsError
from ...flows.registration import dry_run

_PACKAGE = str(Path(__file__).parents[2]) + os.sep


def read_environment(env_file: Path | None = None) -> dict[str, str]:
    """Return the variables of the process, overridden by those of a file. Values are not expanded.

    Raises:
        SettingsError: the file can't be read, or python-dotenv isn't installed.
    """
    if env_file is None:
        return dict(os.environ)
    try:
        from dotenv import dotenv_values
    except ImportError as error:
        raise SettingsError("an environment file needs python-dotenv: pip install python-dotenv") from error
    try:
        # dotenv_values(path) reads a missing file as empty. A key may contain a dollar sign, so no interpolation.
        with env_file.open(encoding="utf-8-sig") as file:
            values = dotenv_values(stream=file, interpolate=False)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise SettingsError(f"{env_file} can't be read as an environment file: {why}") from error
    if any("\0" in text for pair in values.items() for text in pair if text is not None):
        raise SettingsError(f"{env_file} contains a NUL character, which no variable can contain")
    if any(not name or "=" in name for name in values):
        raise SettingsError(f'{env_file} has a variable name that is empty or contains "="')
    # A name without "=" sets nothing.
    return {**os.environ, **{name: value for name, value in values.items() if value is not None}}


def import_object(name: str) -> object:
    """Import what `module:attribute` names. The working directory is searched first.

    Raises:
        SettingsError: the name is malformed, nothing has it, or the import fails.
    """
    path, mark, attributes = name.partition(":")
    if not mark or not all(part.isidentifier() for part in (*path.split("."), *attributes.split("."))):
        raise SettingsError(f"{name!a} doesn't name an app: write module:attribute, such as shop:app")
    found: object = _import_module(path)
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise SettingsError(f"module {path} has no attribute {attributes}") from None
    return found


def _import_module(path: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        # An installed script has its own folder there instead.
        sys.path.insert(0, here)
    with looking_at(f"the import of {path}", by=f"python -c 'import {path}'"):
        try:
            return importlib.import_module(path)
        except ModuleNotFoundError as error:
            if not f"{path}.".startswith(f"{error.name}."):
                raise
            missing = error.name
    raise SettingsError(f"there is no module {missing} in {here} or elsewhere on Python's path")


@contextmanager
def looking_at(what: str, *, by: str) -> Iterator[None]:
    """Run code of the app while `ensure_callback` has no effect.

    Args:
        what: the subject of the error message.
        by: a command that shows the whole error. The message has its type and line only: its text may quote a password.

    Raises:
        SettingsError: in place of any exception.
    """
    token = dry_run.set(True)
    try:
        yield
    except (Exception, SystemExit) as error:
        more = "" if _is_ours(error) else f" ({by} shows the whole error)"
        raise SettingsError(_printable(f"{what} failed{source_line(error)}: {_summary(error)}{more}")) from error
    finally:
        dry_run.reset(token)


def source_line(error: BaseException) -> str:
    """Return the innermost line of the app's own code in a traceback, as " at file:line"; "" if there is none."""
    if isinstance(error, SyntaxError) and error.filename is not None and not error.filename.startswith("<"):
        return _printable(f" at {error.filename}:{error.lineno}")
    foreign = (_PACKAGE, "<", *(sysconfig.get_paths()[key] + os.sep for key in ("stdlib", "purelib", "platlib")))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(foreign):
            return _printable(f" at {frame.filename}:{frame.lineno}")
    return ""


def _summary(error: BaseException) -> str:
    """Return the message of an error of ours; of any other its type, and what Python itself adds to it."""
    if _is_ours(error):
        return str(error)
    kind = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{kind}: {error.msg}"
    if isinstance(error, ImportError) and error.name and all(part.isidentifier() for part in error.name.split(".")):
        return f"{kind}: {error.name}"
    return kind


def _is_ours(error: BaseException) -> bool:
    if isinstance(error, ConfigureAuthError):
        return True
    # Raised where one of our optional dependencies is missing.
    raised = traceback.extract_tb(error.__traceback__)[-1:]
    return type(error) is ImportError and any(frame.filename.startswith(_PACKAGE) for frame in raised)


def _printable(text: str) -> str:
    """Replace control and format characters, which a terminal would interpret."""
    return "".join(" " if unicodedata.category(char).startswith("C") else char for char in text)
