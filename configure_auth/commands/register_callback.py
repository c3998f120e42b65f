"""`register-callback`: the app's callbacks at Configure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import app_options, error_messages, path_options, require_no_paths

if TYPE_CHECKING:
    from ..flows import Registration
    from .apps.targets import Target


@click.command("register-callback")
@path_options
@app_options
def register_callback(
    env_file: Path | None, app_name: str | None, link_path: str | None, login_path: str | None
) -> None:
    """Register your callbacks at Configure: the link's return_to and the login's redirect_uri."""
    from .. import flows
    from ..settings import Settings
    from .apps.loading import read_environment
    from .apps.targets import closing_targets, load_targets, perform_without_app

    require_no_paths(app_name, link_path, login_path)
    with error_messages():
        environment = read_environment(env_file)
        if app_name is not None:
            with closing_targets(load_targets(app_name, environment)) as found:
                register_targets(found)
        else:
            settings = Settings.from_mapping(environment)
            # Without a client there is no login, unless its path is given.
            usual = flows.LOGIN_PATH if settings.oauth_client_id is not None else None
            link, login = link_path or flows.LINK_PATH, login_path or usual
            _report(perform_without_app(settings, flows.register_paths(settings, link=link, login=login)))


def register_targets(targets: tuple[Target, ...]) -> None:
    """Register the callbacks of each target, and report it; exit code 1 if one failed or lacks a setting."""
    from .. import flows

    _report([one for target in targets for one in target.run(flows.register_callbacks(target.features))])


def _report(done: Sequence[Registration]) -> None:
    if all(one.end == "skipped" for one in done):
        raise click.ClickException("; ".join(dict.fromkeys(one.why for one in done if one.why)))
    undone = [one for one in done if one.end == "failed" or one.needs_setting]
    for one in done:
        click.echo(str(one), err=one in undone)
    if undone:
        raise click.exceptions.Exit(1)
