"""How results are told: on a terminal, in plain lines, or as JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

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


class Report(Watch):
    """A watch that also says how it all ended, and asks a person to sign in."""

    def asks(self, url: str) -> None:
        """Show where to sign in."""

    def summed_up(self, results: Sequence[Result]) -> None:
        """Say how it all ended."""


class LineReport(Report):
    """A line for each check, and what to do below it; for logs and pipes."""

    def begins(self, title: str) -> None:
        """Nothing: a log shows what ended."""

    def ended(self, result: Result) -> None:
        finding = result.finding
        click.echo(f"{finding.end.value:8}{result.title}: {finding.found}")
        if finding.remedy is not None:
            click.echo(f"        do: {finding.remedy}")

    def asks(self, url: str) -> None:
        click.echo(f"sign in: {url}")
        sys.stdout.flush()

    def summed_up(self, results: Sequence[Result]) -> None:
        click.echo(_summary(results))


@dataclass(frozen=True, slots=True)
class TerminalReport(Report):
    """Marks and colours, and a line about what is going on that goes when it ends. `colour` is off by NO_COLOR."""

    colour: bool

    def begins(self, title: str) -> None:
        # What wraps can't be cleared: only the line with the cursor is.
        room = shutil.get_terminal_size().columns - 1
        self._rewrite(self._styled(f"  … {title}"[:room], "bright_black"), end=False)

    def ended(self, result: Result) -> None:
        finding = result.finding
        mark, colour = _LOOK[finding.end]
        self._rewrite(f"{self._styled(mark, colour)} {result.title}: {finding.found}", end=True)
        if finding.remedy is not None:
            click.echo(self._styled(f"  → {finding.remedy}", colour))

    def asks(self, url: str) -> None:
        self._rewrite(f"  Sign in here; your browser should have it open:\n  {url}", end=True)

    def summed_up(self, results: Sequence[Result]) -> None:
        end = {0: End.PASSED, 3: End.UNKNOWN}.get(exit_code(results), End.FAILED)
        click.echo(f"\n{self._styled(_summary(results), _LOOK[end][1])}")

    def _styled(self, text: str, colour: str) -> str:
        return click.style(text, fg=colour) if self.colour else text

    def _rewrite(self, text: str, *, end: bool) -> None:
        click.echo(f"\r\x1b[K{text}", nl=end, color=True)
        sys.stdout.flush()


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
        click.echo(json.dumps({"exit_code": exit_code(results), "checks": told}, indent=2))


def report_for(*, as_json: bool) -> Report:
    """The report that fits where standard output goes."""
    if as_json:
        return JsonReport()
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and _has_marks(sys.stdout.encoding):
        return TerminalReport(colour=not os.environ.get("NO_COLOR"))
    return LineReport()


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
