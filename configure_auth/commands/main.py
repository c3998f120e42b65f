"""`python -m configure_auth ...`. Each command imports what it needs when it runs."""

from __future__ import annotations

import logging

import click

from .copy import copy
from .register_callback import register_callback
from .sandbox import sandbox
from .store import purge, reseal, tables
from .verify import verify


@click.group()
@click.version_option(package_name="configure_auth")
def main() -> None:
    """Sign-in with Configure for Python web apps."""
    # Its pool would print each failed connection beside our sentence.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())


for _command in (sandbox, verify, register_callback, tables, purge, reseal, copy):
    main.add_command(_command)
