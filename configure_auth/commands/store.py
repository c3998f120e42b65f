"""`tables`, `purge` and `reseal` of a store by its URL, and the messages of these commands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import error_messages, store_option

if TYPE_CHECKING:
    from ..flows import Performer, Resealed, Site

__all__ = ["purge", "report_purge", "report_reseal", "report_tables", "reseal", "tables"]


@click.command()
@store_option
@click.option("--sql", is_flag=True, help="Print the SQL instead, for a database that you may not change.")
def tables(store: str, sql: bool) -> None:
    """Create the store's tables, or update them for this version."""
    from ..stores.opening import make_tables, table_statements

    with error_messages():
        if sql:
            click.echo("\n\n".join(table_statements()))
        else:
            report_tables(make_tables(store, Path.cwd()))


@click.command()
@store_option
@click.option("--states", envvar="CONFIGURE_STATES", show_envvar=True, help="URL for states=..., if it is used.")
def purge(store: str, states: str | None) -> None:
    """Delete expired sign-in attempts. The app does this too, little by little."""
    from .. import flows

    with error_messages(), _opened(store, states) as performer:
        report_purge(flows.run(flows.purge(time.time), performer))


@click.command()
@store_option
def reseal(store: str) -> None:
    """Encrypt every stored token with the first of CONFIGURE_TOKEN_KEYS; settings come from the environment."""
    from .. import flows
    from ..settings import Settings

    with error_messages():
        settings = Settings.from_env()
        site = flows.AppOptions(user_id=lambda: None).site(settings, settings.required_token_keys)
        with _opened(store, None, site) as performer:
            report_reseal(flows.run(flows.reseal(site), performer))


def report_tables(found: int) -> None:
    """Print the result of `make_tables`."""
    from ..stores.schema import SCHEMA

    done = (
        "are there already" if found == SCHEMA else "were made" if found == 0 else f"were changed from schema {found}"
    )
    click.echo(f"the tables of schema {SCHEMA} {done}")


def report_purge(deleted: int) -> None:
    """Print the result of `flows.purge`."""
    click.echo(f"deleted {deleted} ended attempts")


def report_reseal(done: Resealed) -> None:
    """Print the result of `flows.reseal`; exit code 1 while an older key is still needed."""
    click.echo(str(done), err=not done.is_complete)
    if not done.is_complete:
        raise click.exceptions.Exit(1)


@contextmanager
def _opened(store: str, states: str | None, site: Site | None = None) -> Iterator[Performer]:
    from ..client.client import Configure
    from ..flows import Performer
    from ..settings import Settings
    from ..stores.opening import open_stores

    stores = open_stores(
        store,
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
