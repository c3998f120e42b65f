"""`sandbox`: a local Configure for development."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import InvalidOption


@click.command()
@click.option(
    "--port",
    default=4010,
    show_default=True,
    type=click.IntRange(1, 65533),
    help="Port of the API. The next two are used too.",
)
@click.option(
    "--app-url",
    default="http://localhost:3000",
    show_default=True,
    help="URL of your app, whose callbacks are registered.",
)
@click.option(
    "--app-port", type=click.IntRange(1, 65535), help="Port of your app, for --app-url http://localhost:PORT."
)
@click.option(
    "--write-env",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the settings for your app into this .env file. Other lines of it stay as they are.",
)
@click.option(
    "--seed", type=click.Path(path_type=Path), help="People, agents, addresses and faults: a .json or .toml file."
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="LINE",
    help='A fault, as "POST /oauth/token status=503 times=2". May be given several times.',
)
@click.option("--host", default="127.0.0.1", show_default=True, help="IP address to listen on; 0.0.0.0 in a container.")
@click.option(
    "--public-url",
    metavar="URL",
    help="URL under which the API port is reached, as http://sandbox:4010.  [default: http://127.0.0.1:PORT]",
)
@click.option(
    "--browser-url",
    metavar="URL",
    help="The same for browsers, where they need another one than your app. The next two ports follow; "
    "{port} stands for the port where each has a host of its own.  [default: --public-url]",
)
@click.pass_context
def sandbox(context: click.Context, /, port: int, app_port: int | None, **options: Any) -> None:
    """Serve a strict local Configure until Ctrl-C; prints the settings for your app."""
    try:
        from ..sandbox import PortInUse, SandboxError, serve
    except ImportError as error:
        raise click.ClickException("the sandbox needs more: pip install 'configure_auth[sandbox]'") from error
    if app_port is not None:
        if context.get_parameter_source("app_url") is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError("--app-port is short for --app-url http://localhost:PORT: give one of them")
        options["app_url"] = f"http://localhost:{app_port}"
    try:
        serve(port, announce=click.echo, **options)
    except PortInUse as error:
        raise click.ClickException(str(error)) from error
    except SandboxError as error:
        raise InvalidOption(str(error)) from error
