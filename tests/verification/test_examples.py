"""The example apps have nothing to mend, on localhost and where people reach them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configure_auth.commands.apps.targets import Target, targets_in
from configure_auth.commands.checks.findings import End
from configure_auth.sandbox import Sandbox
from example_apps import cli_bot, fastapi_app, flask_app, starlette_app

from .apps import LIVE, LOCAL, PLANTED, judged

EXAMPLES = {one.__name__.rpartition(".")[2]: one for one in (cli_bot, fastapi_app, flask_app, starlette_app)}


def _target(app: Any) -> Target:
    (target,) = targets_in(app)
    return target


@pytest.mark.parametrize("app_url", [LOCAL, LIVE, f"{LIVE}/shop"])
@pytest.mark.parametrize("name", [*EXAMPLES, "message_agent"])
def test_an_example_app_has_nothing_to_mend(
    configure_sandbox: Sandbox, tmp_path: Path, name: str, app_url: str
) -> None:
    settings = {
        **configure_sandbox.environment(app_url),
        "CONFIGURE_TOKEN_KEYS": PLANTED["CONFIGURE_TOKEN_KEYS"],
        "CONFIGURE_STORE": f"sqlite:///{tmp_path / 'kept.db'}",
    }
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
    assert warned == (set() if name in ("cli_bot", "message_agent") else {"csp"})
    assert found["store"].end is End.PASSED
