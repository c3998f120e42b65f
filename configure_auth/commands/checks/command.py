"""From a command line to the checks: of settings alone, or of every `ConfigureAuth` in an app."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ...errors import ConfigureAuthError
from ..targets import Target, attribute_of, performed
from .app_checks import APPLICATION
from .check import End, Finding, Result, failed, made, passed, skipped, warned
from .configuration import configuration_of, read_settings
from .process import output_kept
from .program import verify
from .report import Report, exit_code, report_for
from .subject import Subject

__all__ = ["verify_app", "verify_settings"]

_ROUTES = "register configure_auth.account_link(...), login(...) or messages(...) before it is verified"


def verify_settings(
    environment: Mapping[str, str],
    *,
    link_path: str,
    login_path: str,
    offline: bool,
    as_json: bool,
    patience: float,
) -> int:
    """Verify the settings in an environment; the exit code.

    Args:
        link_path, login_path: where the app's routes lie.
        offline: leave the sign-in out.
        as_json: say it as JSON.
        patience: seconds that a person has for signing in.
    """
    with output_kept() as out:
        report = report_for(out, as_json=as_json)
        settings, results = read_settings(environment)
        subject = Subject(settings=settings, link_path=link_path, login_path=login_path)
        wait = None if offline else patience
        return _summed_up(report, _verified_alone(subject, results, report, wait))


def verify_app(
    load: Callable[[], Sequence[Target]],
    environment: Mapping[str, str],
    *,
    users: str | None,
    offline: bool,
    as_json: bool,
    patience: float,
) -> int:
    """Verify an app with each `ConfigureAuth` in it; the exit code.

    Args:
        load: gives what is in the app, or raises what its import raised. Then what can be said of the settings in the
            environment is said all the same, for most often one of them is the cause.
        users: `module:name` of the app's mapped class or table of users, where it can't be found in the app.
        offline, as_json, patience: as for `verify_settings`.

    Raises:
        SettingsError: what `users` names can't be had.
    """
    # What is read from a file for the app is no business of a browser's.
    own = dict(os.environ)
    with output_kept() as out:
        report = report_for(out, as_json=as_json)
        try:
            targets = load()
        except ConfigureAuthError as error:
            settings, results = read_settings(environment)
            results.append(_app(_not_made(error, results)))
            return _summed_up(report, _verified_alone(Subject(settings=settings), results, report, None))
        table = None if users is None else attribute_of(users)
        done: list[Result] = []
        for number, target in enumerate(targets, 1):
            settings, results = read_settings(configuration_of(target.features.site.settings, environment))
            application = made(partial(target.describe, table))
            subject = Subject(
                settings=settings,
                features=target.features,
                application=None if isinstance(application, Finding) else application,
                environment=environment,
            )
            results.insert(0, _app(application if isinstance(application, Finding) else _routes(target)))
            found = verify(
                subject,
                results,
                APPLICATION,
                target.perform,
                report,
                patience=None if offline else patience,
                was_asked=any(_is_sign_in(result) for result in done),
                environment=own,
            )
            done += found if len(targets) == 1 else (replace(one, name=f"{number}.{one.name}") for one in found)
        return _summed_up(report, done)


def _routes(target: Target) -> Finding:
    routes = ", ".join(target.features.registered)
    return passed(f"has {routes}") if routes else warned("has no routes of ours", _ROUTES)


def _is_sign_in(result: Result) -> bool:
    return result.name.endswith(".sign_in") and result.finding.end is not End.SKIPPED


def _verified_alone(
    subject: Subject, results: Sequence[Result], report: Report, patience: float | None
) -> tuple[Result, ...]:
    perform = partial(performed, subject.settings)
    return verify(subject, results, (), perform, report, patience=patience)


def _not_made(error: ConfigureAuthError, results: Sequence[Result]) -> Finding:
    named = (result for result in results if result.finding.end is End.FAILED)
    if any(one.name in str(error) or (one.finding.remedy or one.name) in str(error) for one in named):
        return skipped("it can't be made before that is mended")
    return failed("it can't be made", str(error))


def _app(finding: Finding) -> Result:
    return Result(name="app", title="the app", finding=finding)


def _summed_up(report: Report, results: Sequence[Result]) -> int:
    report.summed_up(results)
    return exit_code(results)
