"""Options and error messages that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Protocol, TypeVar

import click

from ..errors import ConfigureAuthError

F = TypeVar("F", bound=Callable[..., object])


class InvalidOption(click.ClickException):
    """An invalid option, as one sentence; exit code 2."""

    exit_code = 2


@contextmanager
def option_errors(name: str) -> Iterator[None]:
    """Report an error of ours as an invalid value of an option; exit code 2."""
    try:
        yield
    except ConfigureAuthError as error:
        raise InvalidOption(f"{name}: {error}") from error


@contextmanager
def error_messages() -> Iterator[None]:
    """Report an error of ours as one sentence without a traceback; exit code 1."""
    try:
        yield
    except ConfigureAuthError as error:
        raise click.ClickException(str(error)) from error


class AddOptions(Protocol):
    """A decorator that adds options to a command."""

    def __call__(self, command: F, /) -> F: ...


def add_options(*options: AddOptions) -> AddOptions:
    """Return a decorator that adds several options; the last one is listed first."""

    def add(command: F, /) -> F:
        return reduce(lambda made, option: option(made), options, command)

    return add


def _path(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    from ..errors import SettingsError
    from ..flows import require_path

    if value is not None:
        try:
            require_path(value)
        except SettingsError as error:
            raise click.BadParameter(str(error)) from error
        if value.endswith("/callback"):
            raise click.BadParameter("this is a callback; give the value of path=, without /callback")
    return value


def require_no_paths(app_name: str | None, *paths: str | None) -> None:
    """Refuse --link-path and --login-path beside --app."""
    if app_name is not None and any(paths):
        raise click.UsageError("the routes are read from --app; remove --link-path and --login-path")


app_options: AddOptions = add_options(
    click.option("--app", "app_name", metavar="MODULE:NAME", help="Your app: its settings, routes and store."),
    click.option(
        "--env-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A .env file; its variables override the environment's.",
    ),
)
path_options: AddOptions = add_options(
    click.option(
        "--login-path", callback=_path, help="path= of login(...), without --app.  [default: /auth/configure]"
    ),
    click.option(
        "--link-path", callback=_path, help="path= of account_link(...), without --app.  [default: /configure]"
    ),
)
