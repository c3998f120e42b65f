"""A real sign-in in a browser: the exchange of its code, and one read of the profile."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

from ...client.oauth import exchange_authorization_code
from ...client.profile import ProfileResponse, RuntimeScope, Subject, read_profile
from ...client.sign_in import SignInCalls
from ...errors import ApiCode, Code, ConfigureError, SignInError
from ...flows.sign_in.link import check_grant, is_code_expired
from ...flows.sign_in.login import fetch_identity
from ...settings import is_loopback
from ...values import Secret
from .deployment import NO_APP_URL, Deployment
from .findings import Finding, failed, no_answer, passed, skipped

_WORD = re.compile(r"[a-z_]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedSignIn:
    """A sign-in to finish in the browser: the page to open, and its callback. Only a login has a PKCE `verifier`."""

    url: str = field(repr=False)
    callback: str
    state: Secret
    verifier: Secret | None


ExchangedToken: TypeAlias = tuple[Secret, tuple[str, ...] | None]
"""The token for a code, and its scopes: None for the link's agent token."""


def why_impossible(deployment: Deployment) -> Finding | None:
    """Return why no sign-in can be tried although nothing is wrong; None if it can."""
    callback = _callback(deployment)
    if deployment.is_test_key:
        return skipped("a test-mode key (sk_test_) can't sign in")
    if not deployment.has_login and deployment.has_link is not True and deployment.features is not None:
        return skipped("the app has neither login(...) nor account_link(...)")
    if deployment.settings.app_url is None:
        return NO_APP_URL
    if not is_loopback(urlsplit(callback).hostname) or not callback.startswith("http:"):
        return skipped(
            f"its callback {callback} isn't on this machine; to try one, set CONFIGURE_APP_URL=http://localhost:3000 "
            "and run register-callback"
        )
    return None


def start(deployment: Deployment) -> StartedSignIn:
    """Start the login's sign-in, or the link's if there is no login."""
    callback = _callback(deployment)
    state, verifier = secrets.token_urlsafe(32), Secret(secrets.token_urlsafe(32))
    if deployment.has_login:
        url = deployment.client.authorize(redirect_uri=callback, state=state, verifier=verifier)
        return StartedSignIn(url=url, callback=callback, state=Secret(state), verifier=verifier)
    url = SignInCalls(deployment.settings).sign_in_url(return_to=callback, state=state)
    return StartedSignIn(url=url, callback=callback, state=Secret(state), verifier=None)


def _callback(deployment: Deployment) -> str:
    return deployment.redirect_uri if deployment.has_login else deployment.return_to


def code_of(returned: Mapping[str, str]) -> Secret | Finding:
    """Return the code in the callback's parameters, or why there is none."""
    if "error" in returned or not returned.get("code"):
        # Any page that knows the state may have made the parameters: only a plain error code is shown.
        word = returned.get("error", "")
        why = f" ({word})" if _WORD.fullmatch(word) else ""
        return failed(f"Configure redirected back without a code{why}", "run it again, and press Allow")
    return Secret(returned["code"])


async def exchange(deployment: Deployment, started: StartedSignIn, code: Secret) -> Finding | ExchangedToken:
    """Exchange the code for a token, or return why the app wouldn't accept it."""
    try:
        if started.verifier is None:
            grant = await SignInCalls(deployment.settings).exchange_sign_in_code(code)
            check_grant(grant, deployment.settings.required_agent)
            return grant.token, None
        tokens = await exchange_authorization_code(
            deployment.settings,
            code=code,
            redirect_uri=started.callback,
            code_verifier=started.verifier,
            resource=deployment.client.resource,
            scopes=deployment.client.scopes,
        )
    except SignInError as error:
        return _rejected(error)
    except ConfigureError as error:
        return _refused(error, is_link=started.verifier is None)
    missing = sorted(set(deployment.client.scopes) - set(tokens.scopes))
    if missing:
        return failed(
            f"Configure granted fewer scopes than requested: {' '.join(missing)} is missing",
            "the user removed it, or the client isn't registered for it at configure.dev/sso",
        )
    return tokens.access_token, tokens.scopes


def _rejected(error: SignInError) -> Finding:
    """Return the finding for a grant that the app would reject."""
    if error.code is Code.NOT_APPROVED:
        return failed(str(error), "run it again, and press Allow")
    return failed(
        str(error),
        "use the credentials of one agent for all settings and run it again; if it persists, only Configure can fix it",
    )


def _refused(error: ConfigureError, *, is_link: bool) -> Finding:
    if error.backend_code == "invalid_client":
        return failed(
            "Configure rejects the client secret: it is wrong, or was rotated",
            "set CONFIGURE_OAUTH_CLIENT_SECRET to the current one; each run of Configure's setup creates a new one",
        )
    if error.backend_code == "invalid_grant" or (is_link and is_code_expired(error)):
        return failed("Configure says that the code has expired", "run it again without a pause after Allow")
    return no_answer(error)


async def read(deployment: Deployment, exchanged: ExchangedToken) -> Finding:
    """Read the profile once, without a pending commit; for a login, introspect the token too (RFC 7662)."""
    settings, (token, scopes) = deployment.settings, exchanged
    answer: ProfileResponse | None
    try:
        if scopes is None:
            reading = read_profile(settings, Subject(token=token), sections=("identity",), scope=RuntimeScope())
            answer = await reading
        else:
            clock = time.time if deployment.features is None else deployment.site.clock
            _, answer = await fetch_identity(settings, token, scopes, clock)
    except SignInError as error:
        return _rejected(error)
    except ConfigureError as error:
        if error.code is ApiCode.SERVER_ERROR and error.status_code is not None and error.status_code < 300:
            # A sign-in in the app fails with the same message.
            return failed(str(error), "run it again; if it persists, only Configure can fix it")
        if error.backend_code == "insufficient_scope":
            return failed(
                "the token may not read the profile",
                "request profile.read with login(scopes=...), and register it for the client",
            )
        if error.code in (ApiCode.ACCESS_DENIED, ApiCode.AUTH_REQUIRED):
            return failed(
                "the key may not use this token: key and OAuth client belong to different agents",
                "use the credentials of one agent for all settings",
            )
        return no_answer(error)
    if answer is None:
        return skipped("login(scopes=...) doesn't include profile.read")
    return passed("read" if answer.identity.name is None else "read, with a name")
