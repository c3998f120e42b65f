"""`flask configure ...`: the same commands with the settings and the store of a Flask app."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, NoAppException, ScriptInfo

from . import store
from .options import error_messages, option_errors
from .register_callback import register_callback, register_targets
from .verify import verify, verify_options

if TYPE_CHECKING:
    from .apps.targets import Target

configure: AppGroup = AppGroup("configure", help="Sign-in with Configure: register callbacks, maintain the store.")


def _add(command: click.Command, run: Callable[[tuple[Target, ...]], None]) -> None:
    @configure.command(command.name, help=command.help)
    def perform() -> None:
        from .apps.targets import at_least_one, closing_targets, targets_in

        app = current_app._get_current_object()  # type: ignore[attr-defined]  # the app behind the proxy
        with error_messages(), closing_targets(at_least_one(targets_in(app), "this app")) as found:
            run(found)


_add(store.tables, store.tables_of_targets)
_add(store.purge, store.purge_stores)
_add(store.reseal, store.reseal_stores)
_add(register_callback, register_targets)


@configure.command("verify", with_appcontext=False, help=verify.help)
@verify_options
@click.pass_context
def verify_current(context: click.Context, /, **how: Any) -> None:
    from .checks.run import verify_deployment

    load = partial(_targets, context.ensure_object(ScriptInfo))
    with option_errors("--users"):
        code = verify_deployment(os.environ, load, **how)
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
