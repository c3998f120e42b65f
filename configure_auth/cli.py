"""`python -m configure_auth ...`"""

from __future__ import annotations

import click

__all__ = ["main"]


@click.group()
@click.version_option(package_name="configure_auth")
def main() -> None:
    """Sign-in with Configure for Python web apps."""


@main.command()
@click.option(
    "--port", default=4010, show_default=True, type=click.IntRange(1, 65533), help="The first of three ports."
)
@click.option(
    "--app-url", default="http://localhost:3000", show_default=True, help="Your app, whose callbacks it knows."
)
def sandbox(port: int, app_url: str) -> None:
    """Serve a strict local Configure until Ctrl-C; prints the settings for your app."""
    try:
        from .sandbox import PortInUse, serve
    except ImportError as error:
        raise click.ClickException("the sandbox needs more: pip install 'configure_auth[sandbox]'") from error

    def announce(settings: str) -> None:
        click.echo(f"A local Configure runs on http://127.0.0.1:{port}. Settings for your app:\n\n{settings}\n")
        click.echo("Any phone number signs in; the code is 000000. Ctrl-C ends it.")

    try:
        serve(port, app_url=app_url, announce=announce)
    except PortInUse as error:
        raise click.ClickException(str(error)) from error
