"""Installs the wheel beside exact pins of apps, sees that none of them moves, and runs a program there.

That is `journey.py`, or `extensions.py` for the extensions that the documentation has code for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from wheel import ENVIRONMENT, ROOT, run  # type: ignore[import-not-found]  # the program beside this one

PINS: dict[str, tuple[str, ...]] = {
    "fastapi 0.110": ("fastapi==0.110.3",),
    "fastapi 0.115": ("fastapi==0.115.14",),
    "fastapi 0.128": ("fastapi==0.128.8",),
    "fastapi newest": ("fastapi",),
    "open-webui": ("fastapi==0.136.3", "authlib==1.7.2", "sqlalchemy==2.0.50"),
    "flask 2.2": ("flask==2.2.5", "werkzeug==2.2.3"),
    "flask 2.3": ("flask==2.3.3",),
    "flask app with a lock file": (
        "flask==3.0.0",
        "werkzeug==3.0.1",
        "sqlalchemy==2.0.23",
        "jinja2==3.1.2",
        "click==8.1.7",
        "markupsafe==2.1.3",
        "requests==2.31.0",
        "typing_extensions==4.8.0",
    ),
    "flask-security": ("flask-security[common,fsqla]",),
    "flask-appbuilder": ("flask-appbuilder[oauth]",),
}
"""By the name of a lane: `python versions.py NAME ...` runs some of them."""


def main(names: list[str]) -> None:
    """Run lanes, all of them by default; an exception is a failure."""
    with tempfile.TemporaryDirectory(prefix="configure_auth-versions-") as made:
        folder = Path(made)
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
        (wheel,) = folder.glob("*.whl")
        for name in names or PINS:
            lane(folder / name.replace(" ", "-"), wheel, name.split()[0].replace("open-webui", "fastapi"), PINS[name])
            print(f"{name}: link, login, disconnect work, no library moved", flush=True)


def lane(folder: Path, wheel: Path, framework: str, pins: tuple[str, ...]) -> None:
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", str(python)]

    def installed() -> dict[str, str]:
        listed = subprocess.run([*pip, "freeze"], env=ENVIRONMENT, check=True, capture_output=True, text=True)
        return dict(line.split("==") for line in listed.stdout.splitlines() if "==" in line)

    # `httpx`: the TestClient of older Starlettes has it in its app's tests.
    run(*pip, "install", "--quiet", *pins, "httpx", cwd=folder)
    before = installed()
    extra = "flask" if framework.startswith("flask") else "starlette"
    (folder / "requirements.txt").write_text("\n".join(pins))
    locked = ["-c", "requirements.txt"] if folder.name.endswith("lock-file") else []
    run(*pip, "install", "--quiet", *locked, f"configure_auth[{extra},sandbox] @ {wheel.as_uri()}", cwd=folder)
    after = installed()
    moved = {name: (version, after.get(name)) for name, version in before.items() if after.get(name) != version}
    if moved:
        raise SystemExit(f"installing configure_auth moved {moved}")
    # Without the checkout's folder on the path.
    own = "extensions.py" if framework.startswith("flask-") else "journey.py"
    program = folder / own
    program.write_bytes((ROOT / "tests/support" / own).read_bytes())
    more = [ROOT / "docs"] if own == "extensions.py" else []
    run(python, "-W", "error::DeprecationWarning:configure_auth", program, framework, folder, *more, cwd=folder)


if __name__ == "__main__":
    main(sys.argv[1:])
