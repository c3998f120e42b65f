"""What this process shares with the app's code and with a browser: its standard output, and its environment."""

from __future__ import annotations

import io
import os
import sys
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from typing import TextIO

__all__ = ["browser_opened", "output_kept"]

_STDOUT, _STDERR = 1, 2


@contextmanager
def output_kept() -> Iterator[TextIO]:
    """Keep standard output for a report: what the app, a library or a child prints goes to standard error.

    A program's own stays turned aside to its end, when an app may print too.

    Yields:
        what the report is written to.
    """
    ours, is_program = sys.stdout, _number(sys.stdout) == _STDOUT
    ours.flush()
    kept = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    if is_program:
        # Whatever a finding quotes can be told, if need be by its number.
        ours = open(kept, "w", encoding=ours.encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    try:
        with redirect_stdout(sys.stderr):
            yield ours
    finally:
        ours.flush()
        if not is_program:
            os.dup2(kept, _STDOUT)
            os.close(kept)


def _number(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (io.UnsupportedOperation, ValueError):
        return None


@contextmanager
def browser_opened(url: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Open a browser at a URL, and wait neither for it nor for its end, as a browser in a terminal has one.

    Args:
        environment: what it is started with, and BROWSER is read from, but for our own variables.
    """
    present = dict(os.environ)
    _become({name: value for name, value in environment.items() if not name.startswith("CONFIGURE_")})
    try:
        threading.Thread(target=partial(_open, url), name="configure_auth browser", daemon=True).start()
        yield
    finally:
        _become(present)


def _open(url: str) -> None:
    # Where none can be opened, a person goes to the address that was shown.
    with suppress(webbrowser.Error, OSError, ValueError):
        webbrowser.open(url)


def _become(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
