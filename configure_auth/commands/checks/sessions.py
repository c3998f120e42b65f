"""The app's own session: what signs it, and the cookie that it is kept in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...flows import Login, Messages
from ...flows.sign_in.routes import SignInFeature
from ...keys import MAKE_KEY, key_weakness
from .check import End, Finding, failed, passed, skipped, warned, worst
from .facts import Application, Session, Visited
from .visits import knock

if TYPE_CHECKING:
    from .subject import Subject

__all__ = ["secret_key", "session_cookie"]

_LEAST = 16
"""Characters of the shortest key that sessions are signed with."""

_OURS = ("__Host-configure", "configure_dev")


async def secret_key(subject: Subject, application: Application) -> Finding:
    session = await _session(subject, application)
    if isinstance(session, Finding):
        return session
    if not session.is_signed:
        return skipped("the app keeps its sessions in a way of its own")
    where = "SECRET_KEY" if application.framework == "Flask" else "SessionMiddleware(secret_key=...)"
    if not session.secret_key:
        return failed(f"{where} isn't set, so the app has no sessions", f"{MAKE_KEY}, and set it")
    weakness = key_weakness(session.secret_key, _LEAST)
    if weakness is None:
        return passed("is set, and long enough")
    guessable = len(session.secret_key.reveal()) < _LEAST
    judge = warned if subject.settings.is_local and not guessable else failed
    return judge(f"{where} {weakness}: sessions can be forged with it", f"{MAKE_KEY}; everybody is signed out once")


async def _session(subject: Subject, application: Application) -> Session | Finding:
    """The session as far as it can be seen."""
    assert subject.features is not None
    if not subject.features.site.session:
        return skipped("it has none, as session=False says")
    if application.session is not None:
        return application.session
    # Another middleware may keep one: whether there is one shows at our own routes.
    for feature in subject.features.registered.values():
        if isinstance(feature, SignInFeature):
            visited = await knock(application, feature)
            if isinstance(visited, Visited) and visited.has_session:
                return skipped("another middleware than Starlette's own keeps it, whose settings can't be seen")
            if isinstance(visited, Visited) and visited.has_session is False:
                return failed(
                    "there is no session around our routes",
                    "add Middleware(SessionMiddleware, secret_key=...) from starlette.middleware.sessions to the app, "
                    "or say ConfigureAuth(session=False)",
                )
            return skipped("no SessionMiddleware of Starlette's can be seen, and our routes gave no answer")
    return skipped("no SessionMiddleware of Starlette's can be seen")


async def session_cookie(subject: Subject, application: Application) -> Finding:
    session = await _session(subject, application)
    if isinstance(session, Finding):
        # That there is none is said once, of its key.
        return session if session.end is End.SKIPPED else skipped("needs: the key of the sessions")
    names = _NAMES[application.framework]
    found = list(_faults(subject, session, names))
    if found:
        return worst(found)
    strict = (session.same_site or "").lower() == "strict"
    return passed(f"{session.name}{', SameSite=Strict, with which our callbacks live' if strict else ''}")


_NAMES = {
    "Flask": {
        "secure": "SESSION_COOKIE_SECURE=True",
        "insecure": "SESSION_COOKIE_SECURE=False",
        "same_site": 'SESSION_COOKIE_SAMESITE="Lax"',
        "http_only": "SESSION_COOKIE_HTTPONLY=True",
        "domain": "SESSION_COOKIE_DOMAIN",
        "name": "SESSION_COOKIE_NAME",
        "path": "SESSION_COOKIE_PATH",
    },
    "Starlette": {
        "secure": "SessionMiddleware(https_only=True)",
        "insecure": "SessionMiddleware(https_only=False)",
        "same_site": 'SessionMiddleware(same_site="lax")',
        "http_only": "HttpOnly on the session's cookie",
        "domain": "SessionMiddleware(domain=...)",
        "name": "SessionMiddleware(session_cookie=...)",
        "path": "SessionMiddleware(path=...)",
    },
}


def _faults(subject: Subject, session: Session, names: dict[str, str]) -> Iterator[Finding]:
    app_url = urlsplit(subject.settings.app_url or "http://localhost")
    if session.name in _OURS:
        yield failed(
            f"it is called {session.name}, as our own cookie is: each would overwrite the other",
            f"give it another name with {names['name']}",
        )
    if (session.same_site or "").lower() == "none" and not session.is_secure:
        yield failed(
            "it is SameSite=None without Secure, which browsers throw away",
            f"set {names['same_site']}; a sign-in needs nothing weaker",
        )
    elif app_url.scheme == "https" and not session.is_secure:
        yield failed(
            "it isn't Secure, so that one request over http shows the session to whoever listens",
            f"set {names['secure']}",
        )
    elif app_url.scheme == "http" and session.is_secure:
        yield warned(
            "it is Secure, and the app is on http: Safari keeps no such cookie, not even on localhost",
            f"set {names['insecure']} on localhost",
        )
    missed = _not_covered(subject, session.path, app_url.path)
    if missed:
        yield failed(
            f"its path {session.path} doesn't cover {missed}: nobody is signed in there",
            f'set {names["path"]} to "{app_url.path or "/"}"',
        )
    if not session.is_http_only:
        yield warned("it isn't HttpOnly: every script of a page can read it", f"set {names['http_only']}")
    if session.domain:
        yield warned(
            f"it is for {session.domain} and all hosts below: whoever has one of those can read it and overwrite it",
            f"leave {names['domain']} out, unless several hosts must share the session",
        )


def _not_covered(subject: Subject, cookie_path: str, mount: str) -> str | None:
    """The first path of ours that needs a user and to which the cookie isn't sent (RFC 6265, section 5.1.4)."""
    assert subject.features is not None
    for feature in subject.features.registered.values():
        if isinstance(feature, Login | Messages):
            continue
        path = f"{mount}{feature.path}/"
        if not path.startswith(f"{cookie_path.rstrip('/')}/"):
            return path
    return None
