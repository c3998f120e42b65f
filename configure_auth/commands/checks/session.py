"""The app's session: the key that signs it, and its cookie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from ...flows import Login, Messages
from ...flows.response import COOKIE_NAME, LOOPBACK_COOKIE_NAME
from ...flows.sign_in.routes import SignInFeature
from ...keys import MAKE_KEY, key_weakness
from .application import Application, PageResponse, Session
from .check import app_check
from .deployment import Deployment
from .findings import End, Finding, failed, passed, skipped, warned, worst
from .routes import prefetch

_LEAST = 16
"""Characters of the shortest key that sessions are signed with."""


@app_check("the session key")
async def secret_key(deployment: Deployment, application: Application) -> Finding:
    session = await _session(deployment, application)
    if isinstance(session, Finding):
        return session
    if not session.is_signed:
        return skipped("the app has its own session implementation")
    where = application.framework.options["secret_key"]
    if not session.secret_key:
        return failed(f"{where} isn't set, so the app has no sessions", f"{MAKE_KEY}, and set it")
    weakness = key_weakness(session.secret_key, _LEAST)
    if weakness is None:
        return passed("is set, and long enough")
    report = warned if deployment.settings.is_local else failed
    return report(f"{where} {weakness}: sessions can be forged with it", f"{MAKE_KEY}; all users are signed out once")


async def _session(deployment: Deployment, application: Application) -> Session | Finding:
    """Return the app's session, or why there is none to judge."""
    wanted = deployment.site.session
    if wanted is False or (wanted is None and application.session is None):
        return skipped("the app has no session: session=False" if wanted is False else "found no session of the app's")
    if application.session is not None:
        return application.session
    # Another middleware may provide one: our own routes tell.
    for feature in deployment.registered.values():
        if isinstance(feature, SignInFeature):
            response = await prefetch(application, feature)
            if isinstance(response, PageResponse) and response.has_session:
                return skipped("the session is not Starlette's own, so its settings are unknown")
            if isinstance(response, PageResponse) and response.has_session is False:
                return failed(
                    "our routes have no session",
                    "add Middleware(SessionMiddleware, secret_key=...) from starlette.middleware.sessions to the app, "
                    "or pass session=False to ConfigureAuth",
                )
            return skipped("found no SessionMiddleware of Starlette, and our routes gave no response")
    return skipped("found no SessionMiddleware of Starlette")


@app_check("the session cookie", after=("app", "mount"))
async def session_cookie(deployment: Deployment, application: Application) -> Finding:
    session = await _session(deployment, application)
    if isinstance(session, Finding):
        # The check of the key has reported that there is none.
        return session if session.end is End.SKIPPED else skipped("needs: the session key")
    found = list(_faults(deployment, session, application.framework.options))
    if found:
        return worst(found)
    strict = (session.same_site or "").lower() == "strict"
    return passed(f"{session.name}{', SameSite=Strict, which our callbacks handle' if strict else ''}")


def _faults(deployment: Deployment, session: Session, names: Mapping[str, str]) -> Iterator[Finding]:
    app_url = urlsplit(deployment.settings.app_url or "http://localhost")
    if session.name in (COOKIE_NAME, LOOPBACK_COOKIE_NAME):
        yield failed(
            f"its name {session.name} is that of our own cookie: they overwrite each other",
            f"set another name with {names['name']}",
        )
    if (session.same_site or "").lower() == "none" and not session.is_secure:
        yield failed(
            "it is SameSite=None without Secure, which browsers reject",
            f"set {names['same_site']}; a sign-in needs nothing weaker",
        )
    elif app_url.scheme == "https" and not session.is_secure:
        yield failed(
            "it isn't Secure, so that a request over http discloses the session to an eavesdropper",
            f"set {names['secure']}",
        )
    elif app_url.scheme == "http" and session.is_secure:
        yield warned(
            "it is Secure, but the app is on http: Safari rejects such a cookie, even on localhost",
            f"set {names['insecure']} on localhost",
        )
    missing = _not_covered(deployment, session.path, app_url.path)
    if missing:
        yield failed(
            f"its path {session.path} doesn't include {missing}: no user is signed in there",
            f'set {names["path"]} to "{app_url.path or "/"}"',
        )
    if not session.is_http_only:
        yield warned("it isn't HttpOnly: scripts in a page can read it", f"set {names['http_only']}")
    if session.domain:
        yield warned(
            f"it is sent to {session.domain} and all its subdomains, each of which can read and overwrite it",
            f"remove {names['domain']}, unless several hosts must share the session",
        )


def _not_covered(deployment: Deployment, cookie_path: str, mount: str) -> str | None:
    """Return a route of ours that needs a user but doesn't get the cookie (RFC 6265, section 5.1.4); None if all do."""
    for feature in deployment.registered.values():
        if isinstance(feature, Login | Messages):
            continue
        path = f"{mount}{feature.path}/"
        if not path.startswith(f"{cookie_path.rstrip('/')}/"):
            return path
    return None
