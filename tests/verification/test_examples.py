"""The example apps have nothing to mend, on localhost and where people reach them."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from configure_auth import SettingsError
from configure_auth.commands.apps.targets import Target, targets_in
from configure_auth.commands.checks.findings import End
from configure_auth.sandbox import Sandbox
from example_apps import cli_bot, fastapi_app, flask_app, starlette_app

from .apps import LIVE, LOCAL, PLANTED, judged

EXAMPLES = {one.__name__.rpartition(".")[2]: one for one in (cli_bot, fastapi_app, flask_app, starlette_app)}


def _target(app: Any) -> Target:
    (target,) = targets_in(app)
    return target


def _settings(sandbox: Sandbox, app_url: str, folder: Path) -> dict[str, str]:
    return {
        **sandbox.environment(app_url),
        "CONFIGURE_TOKEN_KEYS": PLANTED["CONFIGURE_TOKEN_KEYS"],
        "CONFIGURE_STORE": f"sqlite:///{folder / 'kept.db'}",
    }


@pytest.mark.parametrize(
    ("name", "app_url"),
    [*product([*EXAMPLES, "message_agent"], [LOCAL, LIVE]), ("message_agent", f"{LIVE}/shop")],
)
def test_an_example_app_has_nothing_to_mend(
    configure_sandbox: Sandbox, tmp_path: Path, name: str, app_url: str
) -> None:
    settings = _settings(configure_sandbox, app_url, tmp_path)
    if name == "message_agent":
        from example_apps.message_agent.web import create_app

        app: Any = create_app(settings, instance_path=tmp_path)
    else:
        app = EXAMPLES[name].create_app(settings, instance_path=tmp_path)
    found = judged(_target(app))

    wrong = {check: one for check, one in found.items() if one.end in (End.FAILED, End.UNKNOWN)}
    assert wrong == {}
    # Their policies leave Configure's element out, which only the bot's page shows.
    warned = {check for check, one in found.items() if one.end is End.WARNED}
    assert warned - {"versions"} == (set() if name in ("cli_bot", "message_agent") else {"csp"})
    assert found["store"].end is End.PASSED


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_app_of_the_root_names_its_page_below_a_prefix(
    configure_sandbox: Sandbox, tmp_path: Path, name: str
) -> None:
    """Their pages are written as paths from the root, to which a redirect would leave the prefix."""
    page = "/" if name == "cli_bot" else "/settings"
    with pytest.raises(SettingsError, match=f"after_link='{page}' is outside .* write '/shop{page}'"):
        EXAMPLES[name].create_app(_settings(configure_sandbox, f"{LIVE}/shop", tmp_path), instance_path=tmp_path)
