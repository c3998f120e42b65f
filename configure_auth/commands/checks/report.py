"""How results are told: on a terminal, in plain lines, or as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

import click

from .check import End, Result, Watch

__all__ = ["JsonReport", "LineReport", "Report", "TerminalReport", "exit_code", "report_for"]

_LOOK = {
    End.PASSED: ("✓", "green"),
    End.WARNED: ("!", "yellow"),
    End.FAILED: ("✗", "red"),
    End.UNKNOWN: ("?", "yellow"),
    End.SKIPPED: ("-", "bright_black"),
}


@dataclass(frozen=True, slots=True)
class Report(Watch):
    """A watch that also says how it all ended, and asks a person to sign in. `out` is standard output otherwise."""

    out: TextIO | None = None

    def asks(self, url: str) -> None:
        """Show where to sign in."""

    def summed_up(self, results: Sequence[Result]) -> None:
        """Say how it all ended."""


@dataclass(frozen=True, slots=True)
class LineReport(Report):
    """A line for each check, and what to do below it; for logs and pipes."""

    def begins(self, title: str) -> None:
        """Nothing: a log shows what ended."""

    def ended(self, result: Result) -> None:
        finding = result.finding
        click.echo(_visible(f"{finding.end.value:8}{result.title}: {finding.found}"), self.out)
        if finding.remedy is not None:
            click.echo(_visible(f"        do: {finding.remedy}"), self.out)

    def asks(self, url: str) -> None:
        click.echo(f"sign in: {url}", self.out)

    def summed_up(self, results: Sequence[Result]) -> None:
        click.echo(_summary(results), self.out)


@dataclass(frozen=True, slots=True)
class TerminalReport(Report):
    """Marks and colours, and a line about what is going on that goes when it ends. `colour` is off by NO_COLOR."""

    colour: bool = False

    def begins(self, title: str) -> None:
        # What wraps can't be cleared: only the line with the cursor is.
        room = _columns(self.out) - 1
        self._rewrite(self._styled(_visible(f"  … {title}")[:room], "bright_black"), end=False)

    def ended(self, result: Result) -> None:
        finding = result.finding
        mark, colour = _LOOK[finding.end]
        self._rewrite(f"{self._styled(mark, colour)} {_visible(f'{result.title}: {finding.found}')}", end=True)
        if finding.remedy is not None:
            click.echo(self._styled(_visible(f"  → {finding.remedy}"), colour), self.out)

    def asks(self, url: str) -> None:
        self._rewrite(f"  Sign in here; your browser should have it open:\n  {url}", end=True)

    def summed_up(self, results: Sequence[Result]) -> None:
        end = {0: End.PASSED, 3: End.UNKNOWN}.get(exit_code(results), End.FAILED)
        click.echo(f"\n{self._styled(_summary(results), _LOOK[end][1])}", self.out)

    def _styled(self, text: str, colour: str) -> str:
        return click.style(text, fg=colour) if self.colour else text

    def _rewrite(self, text: str, *, end: bool) -> None:
        click.echo(f"\r\x1b[K{text}", self.out, nl=end, color=True)


@dataclass(frozen=True, slots=True)
class JsonReport(Report):
    """One JSON object at the end; where to sign in goes to standard error."""

    def begins(self, title: str) -> None:
        """Nothing until the end."""

    def ended(self, result: Result) -> None:
        """Nothing until the end."""

    def asks(self, url: str) -> None:
        click.echo(f"sign in: {url}", err=True)

    def summed_up(self, results: Sequence[Result]) -> None:
        told = [
            {
                "name": result.name,
                "title": result.title,
                "end": result.finding.end.value,
                "found": result.finding.found,
                "remedy": result.finding.remedy,
            }
            for result in results
        ]
        click.echo(json.dumps({"exit_code": exit_code(results), "checks": told}, indent=2), self.out)


def report_for(out: TextIO, *, as_json: bool) -> Report:
    """The report that fits what it is written to."""
    if as_json:
        return JsonReport(out)
    if out.isatty() and os.environ.get("TERM") != "dumb" and _has_marks(out.encoding):
        return TerminalReport(out, colour=not os.environ.get("NO_COLOR"))
    return LineReport(out)


def _visible(text: str) -> str:
    """With escapes for what a terminal would obey, or show in another order: others' words may be in it."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _columns(out: TextIO | None) -> int:
    try:
        return os.get_terminal_size(1 if out is None else out.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _has_marks(encoding: str) -> bool:
    try:
        "".join(["…→", *(mark for mark, _ in _LOOK.values())]).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def exit_code(results: Sequence[Result]) -> int:
    """0: nothing is wrong. 1: something is. 3: nothing seems wrong, but somebody who was asked didn't answer."""
    ends = {result.finding.end for result in results}
    if End.FAILED in ends:
        return 1
    return 3 if End.UNKNOWN in ends else 0


def _summary(results: Sequence[Result]) -> str:
    counts = {end: sum(result.finding.end is end for result in results) for end in End}
    return ", ".join(f"{count} {end.value}" for end, count in counts.items() if count)
