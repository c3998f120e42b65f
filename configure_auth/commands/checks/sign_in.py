"""A real sign-in: a person in a browser, the exchange of the code, and one read of the profile."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ...client.oauth import exchange_authorization_code
from ...client.profile import ProfileResponse, RuntimeScope, read_profile
from ...client.profile import Subject as Person
from ...client.sign_in import exchange_sign_in_code, sign_in_url
from ...errors import ApiCode, Code, ConfigureError, SignInError
from ...flows.sign_in.link import check_grant, is_over
from ...flows.sign_in.login import fetch_identity
from ...settings import is_loopback
from ...values import Secret
from .check import Finding, failed, passed, skipped, unanswered
from .subject import NOWHERE, Subject

__all__ = ["Begun", "Exchanged", "begin", "code_of", "exchange", "hindrance", "read"]

_WORD = re.compile(r"[a-z_]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A sign-in that a person is to finish: the page to open, and where it ends. `verifier` is the login's."""

    url: str = field(repr=False)
    callback: str
    state: Secret
    verifier: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What the code was worth. `scopes` are the login's; None for an agent token, which has none."""

    token: Secret
    scopes: tuple[str, ...] | None


def hindrance(subject: Subject) -> Finding | None:
    """Why there can be no sign-in here, though nothing is wrong."""
    callback = _callback(subject)
    if subject.is_test_key:
        return skipped("a test-mode key (sk_test_) signs nobody in")
    if not subject.has_login and subject.has_link is not True and subject.features is not None:
        return skipped("the app has neither login(...) nor account_link(...)")
    if subject.settings.app_url is None:
        return NOWHERE
    if not is_loopback(urlsplit(callback).hostname) or not callback.startswith("http:"):
        return skipped(
            f"it would end at {callback}, which isn't on this machine; with CONFIGURE_APP_URL=http://localhost:3000, "
            "and register-callback for it, it can be made"
        )
    return None


def begin(subject: Subject) -> Begun:
    """The sign-in of the login, or of the link where there is no login."""
    callback = _callback(subject)
    state, verifier = secrets.token_urlsafe(32), Secret(secrets.token_urlsafe(32))
    if subject.has_login:
        url = subject.client.authorize(redirect_uri=callback, state=state, verifier=verifier)
        return Begun(url=url, callback=callback, state=Secret(state), verifier=verifier)
    url = sign_in_url(subject.settings, return_to=callback, state=state)
    return Begun(url=url, callback=callback, state=Secret(state), verifier=None)


def _callback(subject: Subject) -> str:
    return subject.redirect_uri if subject.has_login else subject.return_to


def code_of(begun: Begun, returned: Mapping[str, str]) -> Secret | Finding:
    """The code that a person came back with, or why there is none."""
    if not secrets.compare_digest(returned.get("state", "").encode(), begun.state.reveal().encode()):
        return failed("the state that came back is another one", "start again, in one window only")
    if "error" in returned or not returned.get("code"):
        # The address is of whoever knows the state: a word of its error is told, and nothing else.
        word = returned.get("error", "")
        why = f" ({word})" if _WORD.fullmatch(word) else ""
        return failed(f"Configure sent the person back without a code{why}", "start again, and press Allow")
    return Secret(returned["code"])


async def exchange(subject: Subject, begun: Begun, code: Secret) -> Finding | Exchanged:
    """Exchange the code: the token, or why there is none that the app would take."""
    try:
        if begun.verifier is None:
            grant = await exchange_sign_in_code(subject.settings, code)
            check_grant(grant, subject.settings.required_agent)
            return Exchanged(token=grant.token, scopes=None)
        tokens = await exchange_authorization_code(
            subject.settings,
            code=code,
            redirect_uri=begun.callback,
            code_verifier=begun.verifier,
            resource=subject.client.resource,
            scopes=subject.client.scopes,
        )
    except SignInError as error:
        return _not_taken(error)
    except ConfigureError as error:
        return _refused(error, is_link=begun.verifier is None)
    missing = sorted(set(subject.client.scopes) - set(tokens.scopes))
    if missing:
        return failed(
            f"Configure granted less than was asked for: {' '.join(missing)} is missing",
            "the person took it away, or the client isn't registered for it at configure.dev/sso",
        )
    return Exchanged(token=tokens.access_token, scopes=tokens.scopes)


def _not_taken(error: SignInError) -> Finding:
    """What the app would refuse, by the same judgement."""
    if error.code is Code.NOT_APPROVED:
        return failed(str(error), "run it again, and press Allow")
    return failed(
        str(error),
        "take all values of one and the same agent, and run it again; if it stays so, only Configure can mend it",
    )


def _refused(error: ConfigureError, *, is_link: bool) -> Finding:
    if error.backend_code == "invalid_client":
        return failed(
            "Configure refuses the client's secret: it is wrong, or was rotated since",
            "copy the present one into CONFIGURE_OAUTH_CLIENT_SECRET; running Configure's set-up again makes a new one",
        )
    if error.backend_code == "invalid_grant" or (is_link and is_over(error)):
        return failed("Configure no longer takes the code", "run it again, and don't wait between Allow and the end")
    return unanswered(error)


async def read(subject: Subject, exchanged: Exchanged) -> Finding:
    """Read the profile once, in a scope of its own, so that nothing is owed for it; for a login, ask whose it is."""
    settings, token = subject.settings, exchanged.token
    answer: ProfileResponse | None
    try:
        if exchanged.scopes is None:
            reading = read_profile(settings, Person(token=token), sections=("identity",), scope=RuntimeScope())
            answer = await reading
        else:
            clock = time.time if subject.features is None else subject.features.site.clock
            _, answer = await fetch_identity(settings, token, exchanged.scopes, clock)
    except SignInError as error:
        return _not_taken(error)
    except ConfigureError as error:
        if error.code is ApiCode.SERVER_ERROR and error.status_code is not None and error.status_code < 300:
            # A sign-in in the app ends at the same sentence.
            return failed(str(error), "run it again; if it stays so, only Configure can mend it")
        if error.backend_code == "insufficient_scope":
            return failed(
                "the token may not read the profile",
                "ask for profile.read with login(scopes=...), and register it at the client",
            )
        if error.code in (ApiCode.ACCESS_DENIED, ApiCode.AUTH_REQUIRED):
            return failed(
                "the key may not read with this token: key and OAuth client are of two agents",
                "take the five values of one and the same agent",
            )
        return unanswered(error)
    if answer is None:
        return skipped("login(scopes=...) doesn't ask for profile.read")
    return passed("read" if answer.identity.name is None else "read, with a name in it")
