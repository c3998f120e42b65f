"""One check of a deployment, and a run of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, TypeAlias, TypeVar, cast

from ...flows.effects import Flow
from .application import Application
from .deployment import Deployment
from .findings import End, Finding, Result, catch_errors, skipped
from .report import Report

T = TypeVar("T")
PerformFlow: TypeAlias = Callable[[Flow[Any]], Any]
"""Performs a flow, with the app's client and store if there is an app."""


CheckFlow: TypeAlias = Callable[[Deployment], Flow[Finding]]
AppCheckFlow: TypeAlias = Callable[[Deployment, Application], Flow[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that can be wrong; `check` and `app_check` say what the fields mean."""

    name: str
    title: str
    flow: CheckFlow
    needs: tuple[str, ...]
    after: tuple[str, ...]


def check(title: str, *, needs: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Callable[[CheckFlow], Check]:
    """Make a function that makes a flow a check. Its name is the check's, which is stable, for scripts.

    Args:
        title: for people.
        needs: names of checks that must have passed.
        after: names of checks that must not have failed: they have reported the cause already.
    """
    return lambda flow: Check(name=flow.__name__, title=title, flow=flow, needs=needs, after=after)


def app_check(
    title: str, *, needs: tuple[str, ...] = (), after: tuple[str, ...] = ("app",)
) -> Callable[[AppCheckFlow], Check]:
    """Make a function a check of an app's own configuration, which is skipped without an app; as `check`."""

    def add(flow: AppCheckFlow) -> Check:
        @wraps(flow)
        async def checked(deployment: Deployment) -> Finding:
            if deployment.application is None or deployment.features is None:
                return skipped("no app was named")
            return await flow(deployment, deployment.application)

        return check(title, needs=needs, after=after)(checked)

    return add


def perform_check(perform: PerformFlow, check: Callable[[], Flow[T]]) -> T | Finding:
    """Perform a flow; whatever it raises becomes a finding."""

    def performed() -> T:
        with closing(check()) as flow:  # the app may fail before it starts the flow
            return cast(T, perform(flow))

    return catch_errors(performed)


def run_checks(
    checks: Iterable[Check],
    deployment: Deployment,
    perform: PerformFlow,
    report: Report,
    earlier: Mapping[str, Result],
) -> dict[str, Result]:
    """Run checks one after the other; return their results after the `earlier` ones."""
    results = dict(earlier)
    for check in checks:
        finding = unmet_need(results, needs=check.needs, after=check.after)
        if finding is None:
            report.started(check.title)
            finding = perform_check(perform, partial(check.flow, deployment))
        results[check.name] = Result(name=check.name, title=check.title, finding=finding)
        report.ended(results[check.name])
    return results


def unmet_need(results: Mapping[str, Result], *, needs: Iterable[str], after: Iterable[str] = ()) -> Finding | None:
    """Return why a check is skipped, or None if it can run; `needs` and `after` as for `Check`."""
    unmet = [name for name in needs if name not in results or results[name].finding.end not in _GOOD]
    unmet += [name for name in after if name in results and results[name].finding.end is End.FAILED]
    if not unmet:
        return None
    return skipped(f"needs: {results[unmet[0]].title if unmet[0] in results else unmet[0]}")


_GOOD = (End.PASSED, End.WARNED)
