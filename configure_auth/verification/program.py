"""The whole of it: the settings, what Configure says of them, the app around them, and a real sign-in."""

from __future__ import annotations

import errno
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import sign_in
from .check import Check, End, Finding, Perform, Result, failed, guarded, passed, run_checks, skipped
from .receiver import receiving
from .registered import REGISTERED
from .report import Report
from .sign_in import Begun
from .subject import Subject

__all__ = ["verify"]


def verify(
    subject: Subject,
    settings: Sequence[Result],
    application: Sequence[Check],
    perform: Perform,
    report: Report,
    *,
    patience: float | None,
) -> tuple[Result, ...]:
    """Make every check that can be made.

    Args:
        settings: what `read_settings` said, which the other checks may need.
        application: checks of the app's own set-up.
        patience: seconds that a person has for signing in; None leaves the sign-in out.

    Returns:
        the results, those of the settings first.
    """
    results = {result.name: result for result in settings}
    for result in settings:
        report.ended(result)
    results = run_checks((*REGISTERED, *application), subject, perform, report, results)
    if patience is not None:
        for result in _signed_in(subject, perform, report, results, patience):
            report.ended(result)
            results[result.name] = result
    return tuple(results.values())


def _signed_in(
    subject: Subject,
    perform: Perform,
    report: Report,
    results: Mapping[str, Result],
    patience: float,
) -> Iterator[Result]:
    """The three steps of a sign-in; each takes what the one before gave, and a finding ends them."""
    steps: tuple[tuple[str, str, Callable[[Any], object]], ...] = (
        ("sign_in", "a sign-in in the browser", lambda begun: _came_back(begun, report, patience)),
        ("exchange", "the exchange of its code", lambda end: perform(guarded(sign_in.exchange(subject, *end)))),
        ("profile_read", "a read of the profile", lambda token: perform(guarded(sign_in.read(subject, token)))),
    )
    value: object = _ready(subject, results)
    for name, title, step in steps:
        if not isinstance(value, Finding):
            report.begins(title)
            value = step(value)
        yield Result(name=name, title=title, finding=value if isinstance(value, Finding) else passed("it went through"))
        if isinstance(value, Finding) and value.end is not End.SKIPPED:
            value = skipped(f"needs: {title}")


def _ready(subject: Subject, results: Mapping[str, Result]) -> Begun | Finding:
    needed = "authorize" if subject.has_login else "return_to"
    if results[needed].finding.end is End.FAILED or results["api_key"].finding.end is not End.PASSED:
        return skipped(f"needs: {results[needed].title}")
    return sign_in.begin(subject)


def _came_back(begun: Begun, report: Report, patience: float) -> tuple[Begun, Mapping[str, str]] | Finding:
    try:
        with receiving(begun) as receiver:
            report.asks(begun.url)
            webbrowser.open(begun.url)
            returned = receiver.wait(patience)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        return failed(
            f"another program has the port that {begun.callback} leads to",
            "stop your app for the moment, or leave the sign-in out with --offline",
        )
    if returned is None:
        return failed(
            f"nobody came back within {patience:.0f} s", "run it again, and sign in at the page that it shows"
        )
    return begun, returned
