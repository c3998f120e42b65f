"""Run pyright's `--verifytypes`: every public symbol must have a known type. `make check` runs this.

Pyright reads a library's imports only from the folder that the library is in, and not the sources of this checkout: it
gets a folder with links to the installed packages, and with a copy of ours.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

PACKAGE = Path(__file__).parents[2] / "configure_auth"


def main() -> int:
    with TemporaryDirectory() as name:
        library = Path(name, "library")
        library.mkdir()
        for installed in Path(sysconfig.get_path("purelib")).iterdir():
            (library / installed.name).symlink_to(installed)
        if (library / "configure_auth").is_symlink():
            (library / "configure_auth").unlink()
        shutil.copytree(PACKAGE, library / "configure_auth", ignore=shutil.ignore_patterns("__pycache__"))
        command = [
            "basedpyright",
            "--pythonpath",
            sys.executable,
            "--verifytypes",
            "configure_auth",
            "--ignoreexternal",
        ]
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=name,
            env={**os.environ, "PYTHONPATH": str(library)},
            capture_output=True,
            text=True,
            check=False,
        )
    if re.search(r"^Type completeness score: 100%$", ended.stdout, re.MULTILINE):
        return 0
    print(ended.stdout.replace(f"{library}/", ""), ended.stderr, sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
