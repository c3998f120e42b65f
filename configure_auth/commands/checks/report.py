"""Output of results: on a terminal, in plain lines, or as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TextIO

import click

from .findings import End, Result

_LOOK = {
    End.PASSED: ("✓", "green"),
    End.WARNED: ("!", "yellow"),
    End.FAILED: ("✗", "red"),
    End.UNKNOWN: ("?", "yellow"),
    End.SKIPPED: ("-", "bright_black"),
}


@dataclass(frozen=True, slots=True)
class Report:
    """Output of the results as they come, of the sign-in's URL, and of a summary. `out` defaults to standard output."""

    out: TextIO | None = None

    def started(self, title: str) -> None:
        """Is called when a check starts. Logs and JSON have results only."""

    def ended(self, result: Result) -> None:
        """Is called when a check has ended."""

    def show_sign_in(self, url: str) -> None:
        """Show the URL at which to sign in."""
        click.echo(f"sign in: {url}", self.out)

    def summarize(self, results: Sequence[Result]) -> None:
        """Write the end of the report."""
        click.echo(_summary(results), self.out)


@dataclass(frozen=True, slots=True)
class LineReport(Report):
    """A line for each check, and its remedy below it; for logs and pipes."""

    def ended(self, result: Result) -> None:
        finding = result.finding
        click.echo(_escaped(f"{finding.end.value:8}{result.title}: {finding.found}"), self.out)
        if finding.remedy is not None:
            click.echo(_escaped(f"        do: {finding.remedy}"), self.out)


@dataclass(frozen=True, slots=True)
class TerminalReport(Report):
    """Marks and colours, and a progress line that the result replaces. `colour` is disabled by NO_COLOR."""

    colour: bool = False

    def started(self, title: str) -> None:
        # Only the cursor's line can be cleared, so it must not wrap.
        room = _columns(self.out) - 1
        self._rewrite(self._styled(_escaped(f"  … {title}")[:room], "bright_black"), end=False)

    def ended(self, result: Result) -> None:
        finding = result.finding
        mark, colour = _LOOK[finding.end]
        self._rewrite(f"{self._styled(mark, colour)} {_escaped(f'{result.title}: {finding.found}')}", end=True)
        if finding.remedy is not None:
            click.echo(self._styled(_escaped(f"  → {finding.remedy}"), colour), self.out)

    def show_sign_in(self, url: str) -> None:
        self._rewrite(f"  Sign in in your browser, at:\n  {url}", end=True)

    def summarize(self, results: Sequence[Result]) -> None:
        end = {0: End.PASSED, 3: End.UNKNOWN}.get(exit_code(results), End.FAILED)
        click.echo(f"\n{self._styled(_summary(results), _LOOK[end][1])}", self.out)

    def _styled(self, text: str, colour: str) -> str:
        return click.style(text, fg=colour) if self.colour else text

    def _rewrite(self, text: str, *, end: bool) -> None:
        click.echo(f"\r\x1b[K{text}", self.out, nl=end, color=True)


@dataclass(frozen=True, slots=True)
class JsonReport(Report):
    """One JSON object at the end; the sign-in's URL goes to standard error."""

    def show_sign_in(self, url: str) -> None:
        click.echo(f"sign in: {url}", err=True)

    def summarize(self, results: Sequence[Result]) -> None:
        checks = [{"name": one.name, "title": one.title, **asdict(one.finding)} for one in results]
        click.echo(json.dumps({"exit_code": exit_code(results), "checks": checks}, indent=2), self.out)


def report_for(out: TextIO, *, as_json: bool) -> Report:
    """Choose the report for a stream."""
    if as_json:
        return JsonReport(out)
    if out.isatty() and os.environ.get("TERM") != "dumb" and _has_marks(out.encoding):
        return TerminalReport(out, colour=not os.environ.get("NO_COLOR"))
    return LineReport(out)


def _escaped(text: str) -> str:
    """Escape control and format characters: text of third parties may contain them."""
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
    """Return 0 if nothing is wrong, 1 if something is, 3 if a response was missing or inconclusive."""
    ends = {result.finding.end for result in results}
    if End.FAILED in ends:
        return 1
    return 3 if End.UNKNOWN in ends else 0


def _summary(results: Sequence[Result]) -> str:
    counts = {end: sum(result.finding.end is end for result in results) for end in End}
    return ", ".join(f"{count} {end.value}" for end, count in counts.items() if count)
