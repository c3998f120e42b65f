"""`flask configure ...`: what is done once, from the app's own settings."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import AppGroup

from ..errors import ConfigureAuthError
from .extension import installations

__all__ = ["configure"]

configure = AppGroup("configure", help="Sign-in with Configure: tell Configure about this app.")


@configure.command("register-callback")
def register_callback() -> None:
    """Tell Configure where people come back: the login's redirect_uri and the link's return_to."""
    try:
        registrations = [one for installed in installations(current_app) for one in installed.register_callbacks()]
    except ConfigureAuthError as error:
        raise click.ClickException(str(error)) from error
    if not registrations:
        raise click.ClickException("this app has no Configure routes: register account_link(...) or login(...) first")
    for registration in registrations:
        click.echo(str(registration), err=registration.end == "failed")
    if any(registration.end == "failed" for registration in registrations):
        raise click.exceptions.Exit(1)
