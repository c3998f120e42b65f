"""A run of `verify`: the settings, what Configure says about them, the app's own configuration, and a real sign-in."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ...errors import ConfigureAuthError, NotConfigured
from ...flows import LINK_PATH, LOGIN_PATH
from ...values import Secret
from ..apps.loading import import_object
from ..apps.targets import Target, closing_targets, perform_without_app
from . import sign_in
from .advisories import versions
from .application import Application
from .bearer_keys import bearer
from .check import Check, PerformFlow, perform_check, run_checks, unmet_need
from .csp import csp
from .deployment import Deployment
from .findings import End, Finding, Result, catch_errors, failed, passed, skipped, warned
from .process import open_browser, reserved_stdout
from .receiver import receiving
from .report import Report, exit_code, report_for
from .routes import login_guard, mount
from .session import secret_key, session_cookie
from .settings import configuration_of, read_settings
from .sign_in import StartedSignIn
from .store import store, user_ids, workers
from .upstream import UPSTREAM_CHECKS

APP_CHECKS = (mount, secret_key, session_cookie, store, workers, user_ids, bearer, login_guard, versions, csp)


def verify_deployment(
    environment: Mapping[str, str],
    load: Callable[[], Sequence[Target]] | None = None,
    *,
    users: str | None = None,
    link_path: str = LINK_PATH,
    login_path: str = LOGIN_PATH,
    offline: bool,
    as_json: bool,
    patience: float,
) -> int:
    """Verify the settings in an environment, or each `ConfigureAuth` of an app; return the exit code.

    Args:
        load: imports the app. If it fails, the settings in the environment are verified all the same, because most
            often one of them is the cause.
        users: `module:name` of the app's mapped class or table of users.
        link_path, login_path: paths of the routes, without an app.
        offline: skip the sign-in.
        as_json: report as JSON.
        patience: seconds to wait for the sign-in.

    Raises:
        SettingsError: `users` can't be imported.
    """
    # Variables that `load` sets are for the app, and not for the browser.
    own_environment = dict(os.environ)
    wait = None if offline else patience
    with reserved_stdout() as out:
        report = report_for(out, as_json=as_json)
        done: list[Result] = []
        targets: tuple[Target, ...] = ()
        failure = None
        try:
            targets = () if load is None else tuple(load())
        except ConfigureAuthError as error:
            failure, wait = error, None
        with closing_targets(targets):
            table = import_object(users) if users is not None and targets else None
            for number, target in enumerate(targets, 1):
                settings, results = read_settings(configuration_of(target.features.site.settings, environment))
                application = catch_errors(partial(describe, target, table))
                deployment = Deployment(
                    settings=settings,
                    features=target.features,
                    application=None if isinstance(application, Finding) else application,
                    environment=environment,
                )
                found_of_app = application if isinstance(application, Finding) else _routes(target, results)
                results.insert(0, _app_result(found_of_app))
                found = verify(
                    deployment,
                    results,
                    APP_CHECKS,
                    target.perform,
                    report,
                    patience=wait,
                    was_asked=any(_is_sign_in(result) for result in done),
                    environment=own_environment,
                )
                done += found if len(targets) == 1 else (replace(one, name=f"{number}.{one.name}") for one in found)
        if not targets:
            settings, results = read_settings(environment)
            if failure is not None:
                results.append(_app_result(_unusable(failure, results, "it can't be loaded")))
            deployment = Deployment(settings=settings, link_path=link_path, login_path=login_path)
            done += verify(deployment, results, (), partial(perform_without_app, settings), report, patience=wait)
        report.summarize(done)
        return exit_code(done)


def describe(target: Target, users: object | None = None) -> Application | None:
    """Return the app's own configuration; None if a Starlette `ConfigureAuth` was named instead of an app."""
    if target.framework == "Flask":
        from .flask_app import application_of as of_flask

        return of_flask(target.app, target.features.site, users)
    from .starlette_app import application_of as of_starlette

    return of_starlette(target.app, target.features.site, users)


def verify(
    deployment: Deployment,
    settings: Sequence[Result],
    app_checks: Sequence[Check],
    perform: PerformFlow,
    report: Report,
    *,
    patience: float | None,
    was_asked: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> tuple[Result, ...]:
    """Run every check that can be run; return the results, those of the settings first.

    Args:
        settings: results of `read_settings`, which other checks may need.
        app_checks: checks of the app's own configuration.
        patience: seconds to wait for the sign-in; None skips it.
        was_asked: there was a sign-in for another `ConfigureAuth` of this app.
        environment: of the browser.
    """
    results = {result.name: result for result in settings}
    for result in settings:
        report.ended(result)
    results = run_checks((*UPSTREAM_CHECKS, *app_checks), deployment, perform, report, results)
    if patience is not None:
        started = _start_sign_in(deployment, settings, results, was_asked=was_asked)
        wait = partial(_wait_for_callback, report, patience, environment)
        for result in _finish_sign_in(deployment, perform, report, started, wait):
            report.ended(result)
            results[result.name] = result
    return tuple(results.values())


def _start_sign_in(
    deployment: Deployment, settings: Sequence[Result], results: Mapping[str, Result], *, was_asked: bool
) -> StartedSignIn | Finding:
    """Start the sign-in, unless a finding shows that it can't be completed."""
    needs = ("authorize", "accounts") if deployment.has_login else ("return_to", "sign_in_page")
    # A malformed setting was left out: the sign-in would use its default.
    missing = sign_in.why_impossible(deployment) or unmet_need(
        results, needs=needs, after=[result.name for result in settings]
    )
    if missing is not None:
        return missing
    if was_asked:
        return skipped("one sign-in is enough, and another ConfigureAuth of this app had it")
    return catch_errors(partial(sign_in.start, deployment))


def _finish_sign_in(
    deployment: Deployment,
    perform: PerformFlow,
    report: Report,
    value: object,
    wait: Callable[[StartedSignIn], tuple[StartedSignIn, Secret] | Finding],
) -> Iterator[Result]:
    """Run three steps, each with the value of the one before; a finding ends them."""
    steps: tuple[tuple[str, str, Callable[[Any], object]], ...] = (
        ("sign_in", "a sign-in in the browser", lambda started: catch_errors(partial(wait, started))),
        (
            "exchange",
            "the exchange of its code",
            lambda end: perform_check(perform, partial(sign_in.exchange, deployment, *end)),
        ),
        (
            "profile_read",
            "a read of the profile",
            lambda token: perform_check(perform, partial(sign_in.read, deployment, token)),
        ),
    )
    for name, title, step in steps:
        if not isinstance(value, Finding):
            report.started(title)
            value = step(value)
        yield Result(name=name, title=title, finding=value if isinstance(value, Finding) else passed("succeeded"))
        if isinstance(value, Finding) and value.end is not End.SKIPPED:
            value = skipped(f"needs: {title}")


def _wait_for_callback(
    report: Report, patience: float, environment: Mapping[str, str], started: StartedSignIn
) -> tuple[StartedSignIn, Secret] | Finding:
    try:
        with receiving(started) as receiver:
            report.show_sign_in(started.url)
            with open_browser(started.url, environment):
                parameters = receiver.wait(patience)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return failed(
                f"can't listen at {started.callback}: {error.strerror}",
                "set CONFIGURE_APP_URL to a URL of this machine with a port above 1023, or use --offline",
            )
        return failed(
            f"the port of {started.callback} is in use",
            "stop your app for the moment, or skip the sign-in with --offline",
        )
    if parameters is None and receiver.got_foreign_callback:
        return failed(
            "the callback was requested with another state than this sign-in's",
            "run it again, and sign in at the URL that it shows, in one window only",
        )
    if parameters is None:
        return failed(f"no callback within {patience:.0f} s", "run it again, and sign in at the URL that it shows")
    code = sign_in.code_of(parameters)
    return code if isinstance(code, Finding) else (started, code)


def _unusable(error: ConfigureAuthError, results: Sequence[Result], found: str) -> Finding:
    causes = (result for result in results if result.finding.end is End.FAILED)
    if any(one.name in str(error) or (one.finding.remedy or one.name) in str(error) for one in causes):
        return skipped(f"{found} until that is fixed")
    return failed(found, str(error))


def _routes(target: Target, results: Sequence[Result]) -> Finding:
    try:
        for feature in target.features.registered.values():
            target.features.require(feature.needs)
    except NotConfigured as error:
        return _unusable(error, results, "its routes respond 503 not_configured")
    routes = ", ".join(target.features.registered)
    if routes:
        return passed(f"has {routes}")
    return warned(
        "has no routes of ours",
        "register configure_auth.account_link(...), login(...) or messages(...) before running verify",
    )


def _app_result(finding: Finding) -> Result:
    return Result(name="app", title="the app", finding=finding)


def _is_sign_in(result: Result) -> bool:
    return result.name.endswith(".sign_in") and result.finding.end is not End.SKIPPED
