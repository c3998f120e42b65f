"""`flask configure ...`: what is done once, from the app's own settings."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, NoAppException, ScriptInfo

from .. import flows
from ..commands.main import as_sentences, of_option, tell_of_registrations, tell_of_reseal, tell_of_tables, verifying
from ..commands.targets import Target, at_least_one, looking_at, target_of
from .extension import Installed, installations

__all__ = ["configure"]

configure = AppGroup("configure", help="Sign-in with Configure: register callbacks, keep the store in order.")


def _installed() -> tuple[Installed, ...]:
    found = installations(current_app)
    if not found:
        raise click.ClickException("this app has no Configure yet: call configure_auth.init_app(app)")
    return found


@configure.command()
def tables() -> None:
    """Make the store's tables, or change them for this version."""
    for installed in _installed():
        with as_sentences():
            tell_of_tables(installed.make_tables())


@configure.command()
def purge() -> None:
    """Delete the attempts to sign in that have ended."""
    for installed in _installed():
        with as_sentences():
            click.echo(f"deleted {installed.run(flows.purge(installed.site.clock))} ended attempts")


@configure.command()
def reseal() -> None:
    """Seal every stored token with the first of CONFIGURE_TOKEN_KEYS."""
    for installed in _installed():
        with as_sentences():
            tell_of_reseal(installed.run(flows.reseal(installed.site)))


@configure.command("register-callback")
def register_callback() -> None:
    """Tell Configure where people come back: the login's redirect_uri and the link's return_to."""
    with as_sentences():
        done = [
            one for installed in _installed() for one in installed.run(flows.register_callbacks(installed.all_features))
        ]
    tell_of_registrations(done)


@configure.command(with_appcontext=False)
@verifying
@click.pass_context
def verify(context: click.Context, /, **how: Any) -> None:
    """Check keys, callbacks and this app's set-up against Configure. It ends with a sign-in in your browser.

    Exit code 1: something is wrong. 3: nothing seems wrong, but somebody who was asked didn't answer.
    """
    from ..commands import checks as verification

    load = partial(_targets, context.ensure_object(ScriptInfo))
    with of_option("--users"):
        code = verification.verify_app(load, os.environ, **how)
    raise click.exceptions.Exit(code)


def _targets(script: ScriptInfo) -> tuple[Target, ...]:
    # Here and not before the command: a setting that stops the app from being made is what it is asked for.
    with looking_at("the import of the app", by="flask routes"):
        app = _loaded(script)
    return at_least_one(tuple(target_of(installed) for installed in installations(app)), "this app")


def _loaded(script: ScriptInfo) -> Flask:
    try:
        return script.load_app()
    except NoAppException as error:
        # Flask quotes the traceback of a failed import in its own error.
        if isinstance(error.__context__, ImportError):
            raise error.__context__ from None
        raise
