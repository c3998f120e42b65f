"""`flask configure ...`: the same commands with the settings and the store of a Flask app."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, NoAppException, ScriptInfo

from .options import error_messages, option_errors
from .register_callback import report_registrations
from .store import purge_targets, reseal_targets, tables_of_targets
from .verify import verify_options

if TYPE_CHECKING:
    from .apps.targets import Target

configure: AppGroup = AppGroup("configure", help="Sign-in with Configure: register callbacks, maintain the store.")


@contextmanager
def _current() -> Iterator[tuple[Target, ...]]:
    from .apps.targets import at_least_one, closing_targets, targets_in

    app = current_app._get_current_object()  # type: ignore[attr-defined]  # the app behind the proxy
    with error_messages(), closing_targets(at_least_one(targets_in(app), "this app")) as found:
        yield found


@configure.command()
def tables() -> None:
    """Create the store's tables, or update them for this version."""
    with _current() as found:
        tables_of_targets(found)


@configure.command()
def purge() -> None:
    """Delete expired sign-in attempts."""
    with _current() as found:
        purge_targets(found)


@configure.command()
def reseal() -> None:
    """Encrypt every stored token with the first of CONFIGURE_TOKEN_KEYS.

    Exit code 1: an older key is still needed.
    """
    with _current() as found:
        reseal_targets(found)


@configure.command("register-callback")
def register_callback() -> None:
    """Register your callbacks at Configure: the link's return_to and the login's redirect_uri."""
    from .. import flows

    with _current() as found:
        done = [one for target in found for one in target.run(flows.register_callbacks(target.features))]
    report_registrations(done)


@configure.command(with_appcontext=False)
@verify_options
@click.pass_context
def verify(context: click.Context, /, **how: Any) -> None:
    """Check keys, callbacks and this app's configuration, and sign in once in your browser.

    Exit code 1: something is wrong. 3: nothing seems wrong, but a response was missing or inconclusive.
    """
    from .checks.run import verify_app

    load = partial(_targets, context.ensure_object(ScriptInfo))
    with option_errors("--users"):
        code = verify_app(load, os.environ, **how)
    raise click.exceptions.Exit(code)


def _targets(script: ScriptInfo) -> tuple[Target, ...]:
    from .apps.loading import looking_at
    from .apps.targets import at_least_one, targets_in

    # Loaded by the check and not before the command: a setting that stops the app is what verify looks for.
    with looking_at("the import of the app", by="flask routes"):
        app = _load(script)
    return at_least_one(targets_in(app), "this app")


def _load(script: ScriptInfo) -> Flask:
    try:
        return script.load_app()
    except NoAppException as error:
        # Flask quotes the traceback of a failed import in its own error.
        if isinstance(error.__context__, ImportError):
            raise error.__context__ from None
        raise
