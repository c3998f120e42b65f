"""Standard output and the environment, which this process shares with the app and a browser."""

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

_STDOUT, _STDERR = 1, 2


@contextmanager
def reserved_stdout() -> Iterator[TextIO]:
    """Reserve standard output for the report: what the app, a library or a child prints goes to standard error.

    In a program it stays redirected until exit, because the app may print then too.

    Yields:
        the stream for the report.
    """
    ours, is_program = sys.stdout, _descriptor(sys.stdout) == _STDOUT
    ours.flush()
    kept = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    if is_program:
        # A finding may quote characters that the encoding lacks.
        ours = open(kept, "w", encoding=ours.encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    try:
        with redirect_stdout(sys.stderr):
            yield ours
    finally:
        ours.flush()
        if not is_program:
            os.dup2(kept, _STDOUT)
            os.close(kept)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (io.UnsupportedOperation, ValueError):
        return None


@contextmanager
def open_browser(url: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Open a browser in a thread, because a terminal browser blocks until it is closed.

    Args:
        environment: the browser's environment, from which our own variables are removed. BROWSER is read from it.
    """
    saved = dict(os.environ)
    _set_environment({name: value for name, value in environment.items() if not name.startswith("CONFIGURE_")})
    try:
        threading.Thread(target=partial(_open, url), name="configure_auth browser", daemon=True).start()
        yield
    finally:
        _set_environment(saved)


def _open(url: str) -> None:
    # Without a browser, the user opens the URL that was printed.
    with suppress(webbrowser.Error, OSError, ValueError):
        webbrowser.open(url)


def _set_environment(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
