"""The whole of it: the settings, what Configure says of them, the app around them, and a real sign-in."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ...values import Secret
from . import sign_in
from .check import Check, End, Finding, Perform, Result, failed, guarded, lacking, made, passed, run_checks, skipped
from .process import browser_opened
from .receiver import receiving
from .report import Report
from .sign_in import Begun
from .subject import Subject
from .upstream import UPSTREAM

__all__ = ["verify"]


def verify(
    subject: Subject,
    settings: Sequence[Result],
    application: Sequence[Check],
    perform: Perform,
    report: Report,
    *,
    patience: float | None,
    was_asked: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> tuple[Result, ...]:
    """Make every check that can be made.

    Args:
        settings: what `read_settings` said, which the other checks may need.
        application: checks of the app's own set-up.
        patience: seconds that a person has for signing in; None leaves the sign-in out.
        was_asked: a person was asked to sign in for another `ConfigureAuth` of this app.
        environment: what a browser is opened with.

    Returns:
        the results, those of the settings first.
    """
    results = {result.name: result for result in settings}
    for result in settings:
        report.ended(result)
    results = run_checks((*UPSTREAM, *application), subject, perform, report, results)
    if patience is not None:
        ready = _ready(subject, settings, results, was_asked=was_asked)
        for result in _signed_in(subject, perform, report, ready, partial(_came_back, report, patience, environment)):
            report.ended(result)
            results[result.name] = result
    return tuple(results.values())


def _signed_in(
    subject: Subject,
    perform: Perform,
    report: Report,
    value: object,
    came_back: Callable[[Begun], tuple[Begun, Secret] | Finding],
) -> Iterator[Result]:
    """The three steps of a sign-in; each takes what the one before gave, and a finding ends them."""
    steps: tuple[tuple[str, str, Callable[[Any], object]], ...] = (
        ("sign_in", "a sign-in in the browser", came_back),
        ("exchange", "the exchange of its code", lambda end: perform(guarded(sign_in.exchange(subject, *end)))),
        ("profile_read", "a read of the profile", lambda token: perform(guarded(sign_in.read(subject, token)))),
    )
    for name, title, step in steps:
        if not isinstance(value, Finding):
            report.begins(title)
            value = made(partial(step, value))
        yield Result(name=name, title=title, finding=value if isinstance(value, Finding) else passed("it went through"))
        if isinstance(value, Finding) and value.end is not End.SKIPPED:
            value = skipped(f"needs: {title}")


def _ready(
    subject: Subject, settings: Sequence[Result], results: Mapping[str, Result], *, was_asked: bool
) -> Begun | Finding:
    """The sign-in, where nothing is known that would keep a person from its end."""
    needs = ("authorize", "accounts") if subject.has_login else ("return_to", "sign_in_page")
    # What is malformed was left out, so that a sign-in would be one of other settings.
    missing = sign_in.hindrance(subject) or lacking(results, needs=needs, after=[result.name for result in settings])
    if missing is not None:
        return missing
    if was_asked:
        return skipped("one sign-in is enough, and another ConfigureAuth of this app had it")
    return made(partial(sign_in.begin, subject))


def _came_back(
    report: Report, patience: float, environment: Mapping[str, str], begun: Begun
) -> tuple[Begun, Secret] | Finding:
    try:
        with receiving(begun) as receiver:
            report.asks(begun.url)
            with browser_opened(begun.url, environment):
                returned = receiver.wait(patience)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return failed(
                f"nothing can listen where {begun.callback} leads to: {error.strerror}",
                "set CONFIGURE_APP_URL to an address of this machine with a port above 1023, or use --offline",
            )
        return failed(
            f"another program has the port that {begun.callback} leads to",
            "stop your app for the moment, or leave the sign-in out with --offline",
        )
    if returned is None and receiver.met_strangers:
        return failed(
            "somebody came to the callback, but not with the state of this sign-in",
            "run it again, and sign in at the page that it shows, in one window only",
        )
    if returned is None:
        return failed(
            f"nobody came back within {patience:.0f} s", "run it again, and sign in at the page that it shows"
        )
    code = sign_in.code_of(begun, returned)
    return code if isinstance(code, Finding) else (begun, code)
