"""Builds the wheel, and tries it where the checkout can't be imported: each extra alone, and a part of the suite."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]

USES = {
    "": "import configure_auth; configure_auth.Settings()",
    "bearer": "from configure_auth import BearerUser; BearerUser.supabase('https://project.example')",
    "flask": "from configure_auth.flask import ConfigureAuth; ConfigureAuth(store='memory://', user_id=lambda: None)",
    "starlette": (
        "from configure_auth.starlette import ConfigureAuth;"
        "ConfigureAuth(store='memory://', user_id=lambda request: None)"
    ),
    "postgresql": "import configure_auth, psycopg",
    "redis": "import configure_auth, redis",
    "messages": "from configure_auth import MessageAgent; MessageAgent",
    "sandbox": "from configure_auth.sandbox import Sandbox\nwith Sandbox() as sandbox: print(sandbox.api_url)",
}
"""What each extra is enough for."""

TESTS = ("tests/behaviour/test_link.py", "tests/behaviour/test_login.py", "tests/public/test_plugin.py")

ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "CONFIGURE"))
}


SETTINGS = {"CONFIGURE_AGENT": "acme", "CONFIGURE_TOKEN_KEYS": "a-key-of-43-characters-for-an-app-on-the-web"}


def run(*command: str | Path, cwd: Path, **more: str) -> None:
    subprocess.run([str(part) for part in command], cwd=cwd, env=ENVIRONMENT | more, check=True)


def environment(folder: Path, *wanted: str) -> Path:
    """The interpreter of a new environment with these requirements."""
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "-c"]
    run(*pip, ROOT / "tests/constraints.txt", *wanted, cwd=folder)
    return python


def main() -> None:
    """Run all of it; an exception is a failure."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    if set(USES) != {"", *extras}:
        raise SystemExit(f"USES must name each extra: {sorted(extras)}")
    with tempfile.TemporaryDirectory(prefix="configure_auth-wheel-") as made:
        folder = Path(made)
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
        (wheel,) = folder.glob("*.whl")
        for extra, program in USES.items():
            name = f"configure_auth[{extra}]" if extra else "configure_auth"
            print(f"{name} alone", flush=True)
            python = environment(folder / f"with-{extra}", f"{name} @ {wheel.as_uri()}")
            run(python, "-W", "error", "-c", program, cwd=folder, **SETTINGS)
        every = f"configure_auth[{','.join(extras)}] @ {wheel.as_uri()}"
        test = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["test"]
        python = environment(folder / "all", every, *test)
        for part in ("tests", "example_apps", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
        where = (
            "import configure_auth, sys; assert configure_auth.__file__.startswith(sys.prefix), configure_auth.__file__"
        )
        run(python, "-c", where, cwd=folder)
        run(python, "-m", "pytest", "-q", "-p", "randomly", *TESTS, cwd=folder)


if __name__ == "__main__":
    main()
