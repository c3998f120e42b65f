"""What Configure says about the API key, the agent, the OAuth client and the callbacks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from ...client.call import HttpCall
from ...client.oauth_clients import list_oauth_clients
from ...client.oauth_messages import authorization_url, code_challenge
from ...client.probes import AuthorizeFault, is_page, probe_authorize, probe_key, probe_page, probe_script
from ...client.sign_in import SignInCalls
from ...client.wire import is_token
from ...errors import ApiCode, ConfigureError, SettingsError
from ...flows.registration import LINK_PATH, return_destinations
from ...flows.sign_in.login import check_sso_redirect_uri
from ...settings import Settings
from .check import CheckFlow, check
from .deployment import NO_APP_URL, Deployment
from .findings import Finding, failed, no_answer, passed, skipped, unknown, warned

T = TypeVar("T")

_CLIENT = ("agent", "CONFIGURE_OAUTH_CLIENT_ID", "CONFIGURE_OAUTH_CLIENT_SECRET", "CONFIGURE_APP_URL")
_STATE = "configure_auth_verify"
_REGISTER = "run register-callback, or add it at configure.dev/sso"


def _of_login(flow: CheckFlow) -> CheckFlow:
    """Skip a check without a login."""

    @wraps(flow)
    async def checked(deployment: Deployment) -> Finding:
        if not deployment.has_login:
            return skipped("there is no login(...)")
        if deployment.settings.app_url is None:
            return NO_APP_URL
        return await flow(deployment)

    return checked


# Without `after`, a malformed origin would be replaced by Configure's own.
@check("the key at Configure", needs=("CONFIGURE_API_KEY",), after=("CONFIGURE_BASE_URL",))
async def api_key(deployment: Deployment) -> Finding:
    base_url = deployment.settings.base_url
    try:
        fault = await probe_key(deployment.settings)
    except ConfigureError as error:
        if error.code is ApiCode.NETWORK_ERROR:
            return unknown(f"no response from {base_url}", "check CONFIGURE_BASE_URL and the network")
        return no_answer(error)
    if fault == "unknown":
        return failed(
            "Configure doesn't know this key: it was revoked or rotated, or belongs to another environment",
            "copy the secret key of your agent from configure.dev/login into CONFIGURE_API_KEY",
        )
    if fault == "publishable":
        return failed("Configure rejects this key as not secret", "set CONFIGURE_API_KEY to the key with sk_")
    if fault == "elsewhere":
        return failed(f"{base_url} isn't Configure's API", _wrong_server(deployment.settings, "base_url"))
    return passed("Configure accepts it")


@check("the agent of the key", needs=("api_key", "CONFIGURE_AGENT"))
async def agent(deployment: Deployment) -> Finding:
    handle = deployment.settings.required_agent
    try:
        await SignInCalls(deployment.settings).list_sign_in_return_destinations()
    except ConfigureError as error:
        if error.code in (ApiCode.ACCESS_DENIED, ApiCode.AUTH_REQUIRED, ApiCode.NOT_FOUND, ApiCode.INVALID_INPUT):
            return failed(
                f"the key doesn't belong to the agent {handle}",
                "set CONFIGURE_AGENT to the handle of the agent that CONFIGURE_API_KEY belongs to",
            )
        return no_answer(error)
    return passed(f"the key belongs to the agent {handle}")


@check("the login's callback at Configure", needs=_CLIENT)
@_of_login
async def callback(deployment: Deployment) -> Finding:
    wanted = deployment.redirect_uri
    client_id = deployment.settings.required_oauth_client_id
    try:
        check_sso_redirect_uri(deployment.settings, wanted)
    except SettingsError as error:
        return failed(f"CONFIGURE_SSO_REDIRECT_URI is {deployment.settings.sso_redirect_uri}", str(error))
    try:
        clients = await list_oauth_clients(deployment.settings)
    except ConfigureError as error:
        if error.code in (ApiCode.ACCESS_DENIED, ApiCode.AUTH_REQUIRED, ApiCode.NOT_FOUND):
            return skipped("Configure doesn't list OAuth clients for this key; authorize is checked next")
        return no_answer(error)
    client = next((one for one in clients if one.client_id == client_id), None)
    if client is None:
        return failed(
            f"the account of this key has no OAuth client {client_id}",
            "use the id and secret of this agent's OAuth client; API key and client must belong to the same account",
        )
    if client.agent not in (None, deployment.settings.required_agent):
        return failed(
            f"the OAuth client belongs to agent {_escaped(client.agent)}, not {deployment.settings.required_agent}",
            "use the credentials of one agent for all settings",
        )
    if wanted in client.redirect_uris:
        return passed(wanted)
    return _not_registered(wanted, client.redirect_uris)


@check("the link's callback at Configure", needs=("agent", "CONFIGURE_APP_URL"))
async def return_to(deployment: Deployment) -> Finding:
    if deployment.has_link is False:
        return skipped("there is no account_link(...)")
    if deployment.settings.app_url is None:
        return NO_APP_URL
    wanted = deployment.return_to
    known = await return_destinations(deployment.settings)
    if wanted in known:
        return passed(wanted)
    # Another path may belong to another app. --link-path says that there is a link.
    is_optional = deployment.has_link is None and deployment.link_path == LINK_PATH
    if is_optional and {_difference(wanted, one) for one in known} <= {None, "the path"}:
        return skipped("not registered; only account_link(...) needs it")
    return _not_registered(wanted, known)


@check("the authorization request", needs=_CLIENT, after=("callback",))
@_of_login
async def authorize(deployment: Deployment) -> Finding:
    # Configure's own programs use the API's origin, which responds with the page itself or an error.
    settings = deployment.settings
    fault = await _authorize_fault(deployment, "base_url")
    if isinstance(fault, Finding):
        return fault
    if fault == "request":
        return failed(
            "Configure rejects the request, although client, callback and scopes are known",
            "login(resource=...) and CONFIGURE_BASE_URL, if set, must be the identifier of Configure's API",
        )
    if fault == "moved":
        return unknown(
            f"{settings.base_url} redirects, and says nothing about client, callback and scopes",
            _wrong_server(settings, "base_url"),
        )
    return _refused(deployment, fault) or passed(f"{settings.base_url} accepts client, callback and scopes")


@check("the login page", needs=_CLIENT, after=("callback", "authorize", "CONFIGURE_ACCOUNTS_URL"))
@_of_login
async def accounts(deployment: Deployment) -> Finding:
    # Where users are sent. What this page responds to programs is undocumented, apart from its redirects.
    settings = deployment.settings
    fault = await _authorize_fault(deployment, "accounts_url")
    if isinstance(fault, Finding):
        return fault
    if fault == "request":
        return unknown(f"{settings.accounts_url} rejects the request without a reason", _LOOK)
    return _refused(deployment, fault) or passed(f"{settings.accounts_url} shows a page")


async def _authorize_fault(deployment: Deployment, name: str) -> AuthorizeFault | Finding | None:
    client, settings = deployment.client, deployment.settings
    url = authorization_url(
        f"{getattr(settings, name)}/oauth/authorize",
        client_id=settings.required_oauth_client_id,
        redirect_uri=deployment.redirect_uri,
        scopes=client.scopes,
        code_challenge=code_challenge(_STATE),
        state=_STATE,
        resource=client.resource,
    )
    return await _probe(probe_authorize(url), settings, name)


def _refused(deployment: Deployment, fault: AuthorizeFault | None) -> Finding | None:
    """Return the finding for a fault that both origins report in the same way."""
    if fault == "client":
        return failed(
            "Configure doesn't know the OAuth client",
            "set CONFIGURE_OAUTH_CLIENT_ID (oc_...) to your agent's client, at configure.dev/sso",
        )
    if fault == "scope":
        return failed(
            f"the OAuth client isn't registered for all of: {' '.join(deployment.client.scopes)}",
            "add the scope to the client at configure.dev/sso, or ask for fewer with login(scopes=(...))",
        )
    if fault == "redirect_uri":
        return failed(f"the OAuth client isn't registered for {deployment.redirect_uri}", _REGISTER)
    return failed("Configure redirects with an error", _LOOK) if fault == "turned_back" else None


@check("the link page", needs=("agent",), after=("CONFIGURE_SIGN_IN_URL",))
async def sign_in_page(deployment: Deployment) -> Finding:
    settings = deployment.settings
    url = f"{settings.sign_in_url}/{settings.required_agent}"
    fault = await _probe(probe_page(url), settings, "sign_in_url", "; and check CONFIGURE_AGENT")
    if isinstance(fault, Finding):
        return fault
    return passed(f"{url} shows a page") if fault is None else failed("Configure redirects with an error", _LOOK)


@check("Configure's script", after=("CONFIGURE_PUBLISHABLE_KEY", "CONFIGURE_SCRIPT_URL"))
async def script(deployment: Deployment) -> Finding:
    settings = deployment.settings
    if settings.publishable_key is None:
        return skipped("only Configure's element in a page needs it")
    url = f"{settings.script_url}/js/configure.js"
    fault = await _probe(probe_script(url), settings, "script_url")
    if isinstance(fault, Finding):
        return fault
    if fault is not None:
        return failed(f"{url} isn't the script", _wrong_server(settings, "script_url"))
    return passed(f"{url} exists")


async def _probe(call: HttpCall[T], settings: Settings, name: str, more: str = "") -> T | Finding | None:
    """Return the fault of a page at the origin that a setting names, or a finding if the page gave no answer.

    A page that isn't an API response has no fault.
    """
    try:
        return await call
    except ConfigureError as failure:
        if is_page(failure):
            return None
        error = failure
    origin: str = getattr(settings, name)
    if error.code is ApiCode.NETWORK_ERROR:
        return unknown(f"no response from {origin}", f"check CONFIGURE_{name.upper()} and the network")
    status = error.status_code
    if status in (404, 410):
        return failed(f"{origin} has no such page (HTTP {status})", f"{_wrong_server(settings, name)}{more}")
    if error.retryable or status is None or status == 429 or status >= 500:
        return no_answer(error)
    # A page may treat browsers and programs differently; the API is for programs.
    if status in (401, 403, 405, 406) and name != "base_url":
        return warned(f"{origin} refuses programs (HTTP {status}); browsers may get the page", _LOOK)
    return unknown(f"inconclusive response from {origin} (HTTP {status})", _LOOK)


_LOOK = "try it in a browser: press the app's button"


def _wrong_server(settings: Settings, name: str) -> str:
    """Return what to do if the server at an origin isn't Configure's."""
    if getattr(settings, name) == getattr(Settings, name):
        return "check that no proxy or DNS server answers in Configure's place, and try again later"
    return f"unset CONFIGURE_{name.upper()}, or set it to the sandbox's URL"


# Registered URIs that are almost equal.


def _not_registered(wanted: str, registered: Sequence[str]) -> Finding:
    for one in registered:
        difference = _difference(wanted, one)
        if difference is not None:
            return failed(
                f"{wanted} isn't registered; {_escaped(one)} is, which differs in {difference}",
                f"both must be identical: {_REGISTER}; or change CONFIGURE_APP_URL or path=",
            )
    return failed(f"{wanted} isn't registered, nor anything similar", _REGISTER)


def _difference(wanted: str, other: str) -> str | None:
    """Return the small difference of two URLs that is easy to overlook; None if they differ in more."""
    try:
        one, two = urlsplit(wanted), urlsplit(other)
        ports = one.port, two.port
    except ValueError:
        return None
    differences = [
        name
        for name, differs in (
            ("the scheme", one.scheme != two.scheme),
            ("the host", one.hostname != two.hostname),
            ("the port", ports[0] != ports[1]),
            (_path(one, two), one.path != two.path),
            ("the query", one.query != two.query),
        )
        if differs
    ]
    if not differences:
        return "upper and lower case, or a fragment"
    if "the path" in differences and len(differences) > 1:
        return None
    return " and ".join(differences) if len(differences) <= 2 else None


def _escaped(text: str) -> str:
    """Escape text of Configure's that has look-alike or control characters."""
    return text if is_token(text) else ascii(text)


def _path(one: SplitResult, two: SplitResult) -> str:
    if one.path.rstrip("/") == two.path.rstrip("/"):
        return "the trailing slash"
    return "upper and lower case in the path" if one.path.lower() == two.path.lower() else "the path"


UPSTREAM_CHECKS = (api_key, agent, callback, authorize, accounts, return_to, sign_in_page, script)
