"""The checks of an app's own configuration: its session, store, users, and what handles requests before our routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ...flows.effects import Flow
from .advisories import versions
from .application import Application
from .bearer_keys import bearer
from .check import Check
from .csp import csp
from .deployment import Deployment
from .findings import Finding, skipped
from .routes import login_guard, mount
from .session import secret_key, session_cookie
from .store import store, user_ids, workers

AppCheck: TypeAlias = Callable[[Deployment, Application], Flow[Finding]]


def _of_app(check: AppCheck) -> Callable[[Deployment], Flow[Finding]]:
    async def checked(deployment: Deployment) -> Finding:
        if deployment.application is None or deployment.features is None:
            return skipped("no app was named")
        return await check(deployment, deployment.application)

    return checked


_APP = ("app",)

APP_CHECKS = (
    Check(name="mount", title="the app's path", flow=_of_app(mount), after=_APP),
    Check(name="secret_key", title="the session key", flow=_of_app(secret_key), after=_APP),
    Check(name="session_cookie", title="the session cookie", flow=_of_app(session_cookie), after=(*_APP, "mount")),
    Check(name="store", title="the store", flow=_of_app(store), needs=_APP),
    Check(name="workers", title="the workers", flow=_of_app(workers), after=_APP),
    Check(name="user_ids", title="the user ids", flow=_of_app(user_ids), after=_APP),
    Check(name="bearer", title="the keys of bearer tokens", flow=_of_app(bearer), after=_APP),
    Check(name="login_guard", title="access to our routes", flow=_of_app(login_guard), needs=(*_APP, "mount")),
    Check(name="versions", title="the versions of libraries", flow=_of_app(versions), after=_APP),
    Check(name="csp", title="the Content-Security-Policy", flow=_of_app(csp), after=_APP),
)
