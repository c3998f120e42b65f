"""The package on a system without what only POSIX has, as Windows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
import os, sys

for name in ("fork", "forkpty", "register_at_fork", "getuid", "geteuid"):
    delattr(os, name)
sys.modules["fcntl"] = None

from pathlib import Path

import configure_auth.flask, configure_auth.starlette
from configure_auth.sandbox import Sandbox
from tests.support.web import Options, running

adapter, store, folder = sys.argv[1:]
with Sandbox() as sandbox, running(adapter, sandbox, Path(folder), Options(stores={"store": store})) as web:
    with web.browser() as browser:
        assert browser.login().headers["location"] == "/"
        browser.link("+15550100001")
        print(browser.account()["kind"])
"""


@pytest.mark.parametrize("adapter", ["flask", "starlette"])
def test_sign_in(adapter: str, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'configure.db'}"

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, adapter, address, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "agent\n"
