"""`python -m configure_auth ...`"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import ConfigureAuthError
from .sandbox import sandbox

if TYPE_CHECKING:
    from ..flows import Performer, Registration, Resealed, Site

__all__ = [
    "as_sentences",
    "main",
    "of_option",
    "tell_of_registrations",
    "tell_of_reseal",
    "tell_of_tables",
    "verifying",
]

F = TypeVar("F", bound=Callable[..., object])


class _WrongOption(click.ClickException):
    """One sentence, with the exit code of a wrong option."""

    exit_code = 2


@contextmanager
def of_option(name: str) -> Iterator[None]:
    """Show an error of ours as that of an option's value; exit code 2."""
    try:
        yield
    except ConfigureAuthError as error:
        raise _WrongOption(f"{name}: {error}") from error


@contextmanager
def as_sentences() -> Iterator[None]:
    """Show an error of ours as its one sentence, without a traceback; exit code 1."""
    try:
        yield
    except ConfigureAuthError as error:
        raise click.ClickException(str(error)) from error


def tell_of_tables(found: int) -> None:
    """Say what `make_tables` did."""
    from ..stores.schema import SCHEMA

    done = (
        "are there already" if found == SCHEMA else "were made" if found == 0 else f"were changed from schema {found}"
    )
    click.echo(f"the tables of schema {SCHEMA} {done}")


@click.group()
@click.version_option(package_name="configure_auth")
def main() -> None:
    """Sign-in with Configure for Python web apps."""


main.add_command(sandbox)


def tell_of_registrations(done: Sequence[Registration]) -> None:
    """Say what became of the callbacks; exit code 1 where one failed, or a setting that it needs is missing."""
    if all(one.end == "skipped" for one in done):
        raise click.ClickException("; ".join(dict.fromkeys(one.why for one in done if one.why)))
    undone = [one for one in done if one.end == "failed" or one.needs_setting]
    for one in done:
        click.echo(str(one), err=one in undone)
    if undone:
        raise click.exceptions.Exit(1)


def tell_of_reseal(done: Resealed) -> None:
    """Say what a re-sealing did; exit code 1 where a key is still needed."""
    click.echo(str(done), err=not done.is_complete)
    if not done.is_complete:
        raise click.exceptions.Exit(1)


def _blocking(url: str) -> str:
    """The same store without an asynchronous driver, which has no event loop here."""
    return url.replace("+aiosqlite:", ":").replace("+psycopg_async:", ":")


@contextmanager
def _opened(store: str, states: str | None, site: Site | None = None) -> Iterator[Performer]:
    from ..client.client import Configure
    from ..flows import Performer
    from ..settings import Settings
    from ..stores.opening import open_stores

    stores = open_stores(
        _blocking(store),
        states,
        agent="" if site is None else site.agent,
        fingerprints=() if site is None else site.sealer.fingerprints,
        folder=Path.cwd(),
        extra="postgresql",
        awaited=False,
        local=True,
    )
    try:
        yield Performer(Configure(Settings()), stores, None, lambda event: None)
    finally:
        stores.close()


_store = click.option(
    "--store", envvar="CONFIGURE_STORE", required=True, help="The store's URL, as ConfigureAuth(store=...) has it."
)
_states = click.option("--states", envvar="CONFIGURE_STATES", help="The URL of states=..., where there is one.")


@main.command()
@_store
@click.option("--sql", is_flag=True, help="Print the statements instead, for a database that somebody else keeps.")
def tables(store: str, sql: bool) -> None:
    """Make the store's tables, or change them for this version."""
    from ..stores.opening import make_tables, table_statements

    with as_sentences():
        if sql:
            click.echo("\n\n".join(table_statements(store)))
        else:
            tell_of_tables(make_tables(_blocking(store), Path.cwd()))


@main.command()
@_store
@_states
def purge(store: str, states: str | None) -> None:
    """Delete the attempts to sign in that have ended. They also go bit by bit, as new ones come."""
    from .. import flows

    with as_sentences(), _opened(store, states) as runtime:
        click.echo(f"deleted {flows.run(flows.purge(time.time), runtime)} ended attempts")


@main.command()
@_store
def reseal(store: str) -> None:
    """Seal every stored token with the first of CONFIGURE_TOKEN_KEYS; agent and keys come from the environment."""
    from .. import flows
    from ..settings import Settings

    with as_sentences():
        settings = Settings.from_env()
        site = flows.AppOptions(user_id=lambda: None).site(settings, settings.required_token_keys)
        with _opened(store, None, site) as runtime:
            tell_of_reseal(flows.run(flows.reseal(site), runtime))


def _path(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    from ..errors import SettingsError
    from ..flows import require_path

    if value is not None:
        try:
            require_path(value)
        except SettingsError as error:
            raise click.BadParameter(str(error)) from error
        if value.endswith("/callback"):
            raise click.BadParameter("that is a callback; give what path= says, without /callback")
    return value


def _about_an_app(command: F) -> F:
    """The options that say which settings, and which app."""
    for option in (
        click.option(
            "--login-path", callback=_path, help="path= of login(...), without an app.  [default: /auth/configure]"
        ),
        click.option(
            "--link-path", callback=_path, help="path= of account_link(...), without an app.  [default: /configure]"
        ),
        click.option("--app", "app_name", metavar="MODULE:NAME", help="Your app, which says where its routes lie."),
        click.option(
            "--env-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="A .env file, whose values go before the environment's.",
        ),
    ):
        command = option(command)
    return command


def _refuse_paths_of_an_app(app_name: str | None, *paths: str | None) -> None:
    if app_name is not None and any(paths):
        raise click.UsageError("--app says where the routes lie; leave --link-path and --login-path out")


@main.command("register-callback")
@_about_an_app
def register_callback(
    env_file: Path | None, app_name: str | None, link_path: str | None, login_path: str | None
) -> None:
    """Tell Configure where people come back: the link's return_to and the login's redirect_uri."""
    from .. import flows
    from ..settings import Settings
    from . import targets

    _refuse_paths_of_an_app(app_name, link_path, login_path)
    with as_sentences():
        environment = targets.environment_of(env_file)
        if app_name is not None:
            found = targets.targets_of(app_name, environment)
            done = [one for target in found for one in target.run(flows.register_callbacks(target.features))]
        else:
            settings = Settings.from_mapping(environment)
            # Without a client there is no login, unless its path is named.
            usual = flows.LOGIN_PATH if settings.oauth_client_id is not None else None
            link, login = link_path or flows.LINK_PATH, login_path or usual
            done = [*targets.performed(settings, flows.register_paths(settings, link=link, login=login))]
    tell_of_registrations(done)


def verifying(command: F) -> F:
    """The options of a `verify` command, here and on Flask."""
    for option in (
        click.option(
            "--users",
            metavar="MODULE:NAME",
            help="Your mapped class or table of users, where it can't be found in the app.",
        ),
        click.option(
            "--patience",
            default=300.0,
            show_default=True,
            type=click.FloatRange(1, 3600),
            help="Seconds that you have for signing in.",
        ),
        click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts."),
        click.option("--offline", is_flag=True, help="Leave the real sign-in out, which takes a person and a browser."),
    ):
        command = option(command)
    return command


@main.command()
@verifying
@_about_an_app
def verify(
    env_file: Path | None,
    app_name: str | None,
    link_path: str | None,
    login_path: str | None,
    users: str | None,
    **how: Any,
) -> None:
    """Check keys, callbacks and an app's set-up against Configure. It ends with a sign-in in your browser.

    Exit code 1: something is wrong. 3: nothing seems wrong, but somebody who was asked didn't answer.
    """
    from .. import flows
    from . import checks as verification
    from . import targets

    _refuse_paths_of_an_app(app_name, link_path, login_path)
    if users is not None and app_name is None:
        raise click.UsageError("--users is about an app: give --app too")
    with as_sentences():
        environment = targets.environment_of(env_file)
    if app_name is None:
        link, login = link_path or flows.LINK_PATH, login_path or flows.LOGIN_PATH
        code = verification.verify_settings(environment, link_path=link, login_path=login, **how)
    else:
        found = partial(targets.targets_of, app_name, environment)
        with of_option("--users"):
            code = verification.verify_app(found, environment, users=users, **how)
    raise click.exceptions.Exit(code)
