"""The checks of the app around: its session, its store, its people, and what stands in front of our routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ...flows.effects import Flow
from .bearers import bearer
from .check import Check, Finding, skipped
from .facts import Application
from .policies import csp
from .sessions import secret_key, session_cookie
from .storage import store, user_ids, workers
from .visits import login_guard, mount

if TYPE_CHECKING:
    from .subject import Subject

__all__ = ["APPLICATION"]

Judge: TypeAlias = "Callable[[Subject, Application], Flow[Finding]]"


def _of_app(judge: Judge) -> Callable[[Subject], Flow[Finding]]:
    """A check of an app that was loaded."""

    async def checked(subject: Subject) -> Finding:
        if subject.application is None or subject.features is None:
            return skipped("no app was named")
        return await judge(subject, subject.application)

    return checked


APPLICATION = (
    Check(name="mount", title="the path of the app", flow=_of_app(mount), after=("app",)),
    Check(name="secret_key", title="the key of the sessions", flow=_of_app(secret_key), after=("app",)),
    Check(
        name="session_cookie", title="the cookie of the sessions", flow=_of_app(session_cookie), after=("app", "mount")
    ),
    Check(name="store", title="the store", flow=_of_app(store), after=("app",)),
    Check(name="workers", title="the workers", flow=_of_app(workers), after=("app",)),
    Check(name="user_ids", title="the ids of the users", flow=_of_app(user_ids), after=("app",)),
    Check(name="bearer", title="the keys of bearer tokens", flow=_of_app(bearer), after=("app",)),
    Check(
        name="login_guard", title="the way to the sign-in", flow=_of_app(login_guard), after=("app",), needs=("mount",)
    ),
    Check(name="csp", title="the Content-Security-Policy", flow=_of_app(csp), after=("app",)),
)
