"""`tables`, `purge` and `reseal`: the store of an app, or one named by its URL. Only `tables` creates anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import add_options, app_options, error_messages

if TYPE_CHECKING:
    from ..flows import Resealed, Site
    from ..stores import Stores
    from .apps.targets import Target

_ABSOLUTE = "give an absolute path (sqlite:////srv/app/configure.db), or --app, or use `flask configure ...`"


_store_options = add_options(
    click.option(
        "--store",
        help="URL of the store, without --app. An SQLite file's path must be absolute.  [env var: CONFIGURE_STORE]",
    ),
    app_options,
)


@click.command()
@_store_options
@click.option("--sql", is_flag=True, help="Print the SQL instead, for a database that you may not change.")
def tables(env_file: Path | None, app_name: str | None, store: str | None, sql: bool) -> None:
    """Create the store's tables, or update them for this version."""
    from ..stores.opening import make_tables
    from ..stores.schema import statements

    with error_messages():
        if sql:
            click.echo("\n\n".join(f"{statement};" for statement in statements()))
        elif app_name is not None:
            with _targets(app_name, env_file, store) as found:
                tables_of_targets(found)
        else:
            url = _url(store, _environment(env_file))
            _report_tables(sqlite_path(url), make_tables(url, Path.cwd()))


@click.command()
@_store_options
@click.option("--states", help="URL of states=..., if it is used, without --app.  [env var: CONFIGURE_STATES]")
def purge(env_file: Path | None, app_name: str | None, store: str | None, states: str | None) -> None:
    """Delete expired sign-in attempts. The app does this too, little by little."""
    from .. import flows

    with error_messages():
        if app_name is not None:
            with _targets(app_name, env_file, store, states) as found:
                purge_targets(found)
        else:
            with _opened(store, states, _environment(env_file)) as (stores, run):
                _report_purge(stores, run(flows.purge(time.time)))


@click.command()
@_store_options
def reseal(env_file: Path | None, app_name: str | None, store: str | None) -> None:
    """Encrypt every stored token with the first of CONFIGURE_TOKEN_KEYS.

    Exit code 1: an older key is still needed.
    """
    from .. import flows
    from ..settings import Settings

    with error_messages():
        if app_name is not None:
            with _targets(app_name, env_file, store) as found:
                reseal_targets(found)
        else:
            environment = _environment(env_file)
            settings = Settings.from_mapping(environment)
            site = flows.AppOptions(user_id=lambda: None).site(settings, settings.required_token_keys)
            with _opened(store, None, environment, site) as (stores, run):
                _report_reseal([(stores, run(flows.reseal(site)))])


def tables_of_targets(targets: tuple[Target, ...]) -> None:
    """Create or update the tables of each target, and report it."""
    for target in targets:
        _report_tables(target.stores.path, target.make_tables())


def purge_targets(targets: tuple[Target, ...]) -> None:
    """Purge the store of each target, and report it."""
    from .. import flows

    for target in targets:
        _require_store(target.stores)
        _report_purge(target.stores, target.run(flows.purge(target.features.site.clock)))


def reseal_targets(targets: tuple[Target, ...]) -> None:
    """Reseal the store of each target, and report it; exit code 1 while an older key is still needed."""
    from .. import flows

    for target in targets:
        _require_store(target.stores)
    _report_reseal([(target.stores, target.run(flows.reseal(target.features.site))) for target in targets])


def _report_tables(path: Path | None, found: int) -> None:
    from ..stores.schema import SCHEMA

    done = (
        "are there already" if found == SCHEMA else "were made" if found == 0 else f"were changed from schema {found}"
    )
    click.echo(f"{_where(path)}the tables of schema {SCHEMA} {done}")


def _report_purge(stores: Stores, deleted: int) -> None:
    click.echo(f"{_where(stores.path)}deleted {deleted} ended attempts")


def _report_reseal(done: list[tuple[Stores, Resealed]]) -> None:
    for stores, one in done:
        click.echo(f"{_where(stores.path)}{one}", err=not one.is_complete)
    if not all(one.is_complete for _, one in done):
        raise click.exceptions.Exit(1)


def _where(path: Path | None) -> str:
    return "" if path is None else f"{path}: "


def _require_store(stores: Stores) -> None:
    """Refuse an SQLite file that doesn't exist: its first use would create it."""
    from ..errors import SettingsError

    if stores.path is not None and not stores.path.is_file():
        raise SettingsError(f"{stores.path} doesn't exist: check the store's path; the app creates it at its first use")


@contextmanager
def _targets(app_name: str, env_file: Path | None, *urls: str | None) -> Iterator[tuple[Target, ...]]:
    from .apps.targets import closing_targets, load_targets

    if any(urls):
        raise click.UsageError("the store is the one of --app; remove --store and --states")
    with closing_targets(load_targets(app_name, _environment(env_file))) as found:
        yield found


def _environment(env_file: Path | None) -> Mapping[str, str]:
    from .apps.loading import read_environment

    return read_environment(env_file)


def _url(store: str | None, environment: Mapping[str, str]) -> str:
    from ..errors import SettingsError

    url = store if store is not None else environment.get("CONFIGURE_STORE")
    if not url:
        raise SettingsError("no store is named: give --store URL, --app MODULE:NAME, or set CONFIGURE_STORE")
    if url.startswith("sqlite") and sqlite_path(url) is None:
        raise SettingsError(f"a relative path is one in the app's own folder, which isn't known here: {_ABSOLUTE}")
    return url


def sqlite_path(url: str) -> Path | None:
    """Return the absolute path of an SQLite URL; None for a relative one, or another store."""
    scheme, _, rest = url.partition("://")
    path = Path(rest.removeprefix("/"))
    return path if scheme.partition("+")[0] == "sqlite" and path.is_absolute() else None


@contextmanager
def _opened(
    store: str | None, states: str | None, environment: Mapping[str, str], site: Site | None = None
) -> Iterator[tuple[Stores, Callable[[Any], Any]]]:
    from ..client.client import Configure
    from ..errors import SettingsError
    from ..flows import Performer, run
    from ..settings import Settings
    from ..stores.opening import open_stores

    url = _url(store, environment)
    if url == "memory://":
        raise SettingsError("memory:// is the memory of the app's process, which a command can't read")
    stores = open_stores(
        url,
        environment.get("CONFIGURE_STATES") if states is None else states,
        agent="" if site is None else site.agent,
        fingerprints=() if site is None else site.fingerprints,
        folder=Path.cwd(),
        awaited=False,
        local=True,
    )
    try:
        _require_store(stores)
        with Configure(Settings()) as client:
            performer = Performer(client, stores, None, lambda event: None)
            yield stores, lambda flow: run(flow, performer)
    finally:
        stores.close()
