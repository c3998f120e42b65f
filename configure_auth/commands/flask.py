"""`flask configure ...`: the same commands with the settings and the store of a Flask app."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, NoAppException, ScriptInfo

from .options import error_messages, option_errors
from .register_callback import report_registrations
from .store import report_purge, report_reseal, report_tables
from .verify import verify_options

if TYPE_CHECKING:
    from ..flask.extension import Installed
    from .apps.targets import Target

__all__ = ["configure"]

configure: AppGroup = AppGroup("configure", help="Sign-in with Configure: register callbacks, maintain the store.")


def _installed() -> tuple[Installed, ...]:
    from ..flask.extension import installations

    found = installations(current_app)
    if not found:
        raise click.ClickException("this app has no Configure yet: call configure_auth.init_app(app)")
    return found


@configure.command()
def tables() -> None:
    """Create the store's tables, or update them for this version."""
    for installed in _installed():
        with error_messages():
            report_tables(installed.make_tables())


@configure.command()
def purge() -> None:
    """Delete expired sign-in attempts."""
    from .. import flows

    for installed in _installed():
        with error_messages():
            report_purge(installed.run(flows.purge(installed.site.clock)))


@configure.command()
def reseal() -> None:
    """Encrypt every stored token with the first of CONFIGURE_TOKEN_KEYS."""
    from .. import flows

    for installed in _installed():
        with error_messages():
            report_reseal(installed.run(flows.reseal(installed.site)))


@configure.command("register-callback")
def register_callback() -> None:
    """Register your callbacks at Configure: the link's return_to and the login's redirect_uri."""
    from .. import flows

    with error_messages():
        done = [
            one for installed in _installed() for one in installed.run(flows.register_callbacks(installed.all_features))
        ]
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
