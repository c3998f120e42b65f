"""`verify`: checks of the settings, the app and a real sign-in."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from .options import AddOptions, add_options, app_options, error_messages, option_errors, path_options, require_no_paths

verify_options: AddOptions = add_options(
    click.option(
        "--users", metavar="MODULE:NAME", help="Your mapped class or table of users, if it isn't found in the app."
    ),
    click.option(
        "--patience",
        default=300.0,
        show_default=True,
        type=click.FloatRange(1, 3600),
        help="Seconds to wait for your sign-in.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for scripts."),
    click.option("--no-browser", "--offline", "offline", is_flag=True, help="Skip the sign-in in your browser."),
)
"""The options that `verify` has here and in Flask's command line."""


@click.command()
@verify_options
@path_options
@app_options
def verify(
    env_file: Path | None,
    app_name: str | None,
    link_path: str | None,
    login_path: str | None,
    users: str | None,
    **how: Any,
) -> None:
    """Check keys, callbacks and your app's configuration, and sign in once in your browser.

    Exit code 1: something is wrong. 3: nothing seems wrong, but a response was missing or inconclusive.
    """
    from .. import flows
    from .apps.loading import read_environment
    from .apps.targets import load_targets
    from .checks.run import verify_deployment

    require_no_paths(app_name, link_path, login_path)
    if users is not None and app_name is None:
        raise click.UsageError("--users needs --app")
    with error_messages():
        environment = read_environment(env_file)
    load = None if app_name is None else partial(load_targets, app_name, environment)
    link, login = link_path or flows.LINK_PATH, login_path or flows.LOGIN_PATH
    with option_errors("--users"):
        code = verify_deployment(environment, load, users=users, link_path=link, login_path=login, **how)
    raise click.exceptions.Exit(code)
