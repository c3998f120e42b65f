"""A terminal, as far as the command uses one: what stands on it at the end, and what was written to it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from dataclasses import dataclass

from .setups import SetUp, Told

__all__ = ["Shown", "show", "shown"]

_PIECE = re.compile(r"\x1b\[(?P<argument>[0-9;]*)(?P<verb>[A-Za-z])|(?P<plain>[^\x1b])", re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """`written` is as it was sent; `rows` can be read in the end; `text` is that without the terminal's wraps."""

    told: Told
    written: str
    rows: list[str]
    text: str


def show(written: str, columns: int) -> tuple[list[str], str]:
    """Play it to a screen that is so wide and endlessly high: its rows, and its text."""
    rows, wrapped, row, column = [""], set[int](), 0, 0
    for piece in _PIECE.finditer(written):
        verb, plain = piece["verb"], piece["plain"]
        if verb == "K":
            assert piece["argument"] in ("", "0")
            rows[row] = rows[row][:column]
        elif verb is not None:
            assert verb == "m", f"nothing but colours and clearing is expected: {piece[0]!r}"
        elif plain == "\r":
            column = 0
        elif plain == "\n":
            row += 1
            rows += [""] * (row == len(rows))
        else:
            if column == columns:
                wrapped.add(row)
                row, column = row + 1, 0
                rows += [""] * (row == len(rows))
            rows[row] = rows[row][:column].ljust(column) + plain + rows[row][column + 1 :]
            column += 1
    return rows, "".join(line if number in wrapped else f"{line}\n" for number, line in enumerate(rows)).rstrip("\n")


def shown(setup: SetUp, *arguments: str, columns: int = 100, **more: str) -> Shown:
    """Run the command, without a sign-in, on a terminal of its own."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        setup.command("--offline", *arguments),
        cwd=setup.folder,
        env=setup.environment(**more),
        stdin=its,
        stdout=its,
        stderr=subprocess.PIPE,
    )
    os.close(its)
    written = b""
    # Whoever hangs, hangs up.
    patience = threading.Timer(120, process.kill)
    patience.start()
    while part := _read(ours):
        written += part
    patience.cancel()
    patience.join()
    os.close(ours)
    _, errors = process.communicate(timeout=60)
    text = written.decode()
    told = setup.told(process.returncode, text, errors.decode())
    return Shown(told, text, *show(text, columns))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # How Linux says that nobody has the other side open.
        return b""
