"""`tables`, `purge` and `reseal`: the store of an app, or one named by its URL. Only `tables` creates anything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from .options import add_options, app_options, error_messages

if TYPE_CHECKING:
    from ..flows import Flow, Site
    from ..stores import Stores
    from .apps.targets import Target

T = TypeVar("T")

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
    with error_messages(), _stores(app_name, env_file, store, states) as found:
        purge_stores(found)


@click.command()
@_store_options
def reseal(env_file: Path | None, app_name: str | None, store: str | None) -> None:
    """Encrypt every stored token with the first of CONFIGURE_TOKEN_KEYS.

    Exit code 1: an older key is still needed.
    """
    with error_messages(), _stores(app_name, env_file, store, sealed=True) as found:
        reseal_stores(found)


def tables_of_targets(targets: tuple[Target, ...]) -> None:
    """Create or update the tables of each target, and report it."""
    for target in targets:
        _report_tables(target.stores.path, target.make_tables())


def purge_stores(stores: Sequence[Target | _NamedStore]) -> None:
    """Purge each store, and report it."""
    from .. import flows

    for one in stores:
        _require_store(one.stores)
        clock = time.time if one.site is None else one.site.clock
        click.echo(f"{_where(one.stores.path)}deleted {one.run(flows.purge(clock))} ended attempts")


def reseal_stores(stores: Sequence[Target | _NamedStore]) -> None:
    """Reseal each store, and report it; exit code 1 while an older key is still needed."""
    from .. import flows

    for one in stores:
        _require_store(one.stores)
    done = [(one.stores.path, one.run(flows.reseal(one.site))) for one in stores if one.site is not None]
    for path, resealed in done:
        click.echo(f"{_where(path)}{resealed}", err=not resealed.is_complete)
    if not all(resealed.is_complete for _, resealed in done):
        raise click.exceptions.Exit(1)


def _report_tables(path: Path | None, found: int) -> None:
    from ..stores.schema import SCHEMA

    done = (
        "are there already" if found == SCHEMA else "were made" if found == 0 else f"were changed from schema {found}"
    )
    click.echo(f"{_where(path)}the tables of schema {SCHEMA} {done}")


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


@dataclass(frozen=True)
class _NamedStore:
    """A store named by its URL, with what the commands use of a `Target`; without `site` it has no keys."""

    stores: Stores
    site: Site | None

    def run(self, flow: Flow[T]) -> T:
        from ..client.client import Configure
        from ..flows import Performer, run
        from ..settings import Settings

        with Configure(Settings()) as client:
            return run(flow, Performer(client, self.stores, None, lambda event: None))


@contextmanager
def _stores(
    app_name: str | None,
    env_file: Path | None,
    store: str | None,
    states: str | None = None,
    *,
    sealed: bool = False,
) -> Iterator[Sequence[Target | _NamedStore]]:
    """Open the stores of an app, or the one that is named by its URL."""
    if app_name is not None:
        with _targets(app_name, env_file, store, states) as found:
            yield found
        return
    from .. import flows
    from ..errors import SettingsError
    from ..settings import Settings
    from ..stores.opening import open_stores

    environment, site = _environment(env_file), None
    if sealed:
        settings = Settings.from_mapping(environment)
        site = flows.AppOptions(user_id=lambda: None).site(settings, settings.required_token_keys)
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
        yield (_NamedStore(stores, site),)
    finally:
        stores.close()
