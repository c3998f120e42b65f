"""What Configure says: of the key, of the OAuth client, and of the addresses that people come back to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from ...client.call import Call
from ...client.developer import list_oauth_clients
from ...client.oauth_messages import authorization_url, code_challenge
from ...client.probes import AuthorizeFault, is_page, probe_authorize, probe_key, probe_page, probe_script
from ...client.sign_in import list_sign_in_return_destinations
from ...client.wire import is_token
from ...errors import ApiCode, ConfigureError, SettingsError
from ...flows.effects import Flow
from ...flows.registration import LINK_PATH, return_destinations
from ...flows.sign_in.login import check_sso_redirect_uri
from ...settings import Settings
from .check import Check, Finding, failed, passed, skipped, unanswered, unknown, warned
from .subject import NOWHERE, Subject

__all__ = ["UPSTREAM"]

T = TypeVar("T")

_STATE = "configure_auth_verify"
_REGISTER = "run register-callback, or add it at configure.dev/sso"


async def _api_key(subject: Subject) -> Finding:
    base_url = subject.settings.base_url
    try:
        fault = await probe_key(subject.settings)
    except ConfigureError as error:
        if error.code is ApiCode.NETWORK_ERROR:
            return unknown(f"nothing answers at {base_url}", "see that CONFIGURE_BASE_URL and the network are right")
        return unanswered(error)
    if fault == "unknown":
        return failed(
            "Configure doesn't know this key: it was revoked or rotated, or is of another environment",
            "copy the secret key of your agent from configure.dev/login into CONFIGURE_API_KEY",
        )
    if fault == "publishable":
        return failed("Configure says that this is no secret key", "set CONFIGURE_API_KEY to the key with sk_")
    if fault == "elsewhere":
        return failed(f"what answers at {base_url} isn't Configure's API", _elsewhere(subject.settings, "base_url"))
    return passed("Configure takes it")


async def _agent(subject: Subject) -> Finding:
    agent = subject.settings.required_agent
    try:
        await list_sign_in_return_destinations(subject.settings)
    except ConfigureError as error:
        if error.code in (ApiCode.ACCESS_DENIED, ApiCode.AUTH_REQUIRED, ApiCode.NOT_FOUND, ApiCode.INVALID_INPUT):
            return failed(
                f"the key doesn't speak for the agent {agent}",
                "set CONFIGURE_AGENT to the handle of the agent that the key in CONFIGURE_API_KEY belongs to",
            )
        return unanswered(error)
    return passed(f"the key is the agent {agent}'s")


async def _callback(subject: Subject) -> Finding:
    wanted = subject.redirect_uri
    client_id = subject.settings.required_oauth_client_id
    try:
        check_sso_redirect_uri(subject.settings, wanted)
    except SettingsError as error:
        return failed(f"CONFIGURE_SSO_REDIRECT_URI says {subject.settings.sso_redirect_uri}", str(error))
    try:
        clients = await list_oauth_clients(subject.settings)
    except ConfigureError as error:
        if error.code in (ApiCode.ACCESS_DENIED, ApiCode.AUTH_REQUIRED, ApiCode.NOT_FOUND):
            return skipped("Configure doesn't show this key what is registered; authorize is asked next")
        return unanswered(error)
    client = next((one for one in clients if one.client_id == client_id), None)
    if client is None:
        return failed(
            f"the account of this key has no OAuth client {client_id}",
            "copy id and secret of your agent's OAuth client: key and client must be of one account",
        )
    if client.agent not in (None, subject.settings.required_agent):
        return failed(
            f"the OAuth client is the agent {_shown(client.agent)}'s, not {subject.settings.required_agent}'s",
            "take the five values of one and the same agent",
        )
    if wanted in client.redirect_uris:
        return passed(wanted)
    return _not_registered(wanted, client.redirect_uris)


async def _return_to(subject: Subject) -> Finding:
    wanted = subject.return_to
    known = await return_destinations(subject.settings)
    if wanted in known:
        return passed(wanted)
    # Another path may be another app's, or another purpose. Whoever names a path has a link.
    unsaid = subject.has_link is None and subject.link_path == LINK_PATH
    if unsaid and {_difference(wanted, one) for one in known} <= {None, "the path"}:
        return skipped("none like it is registered; only account_link(...) needs it")
    return _not_registered(wanted, known)


async def _authorize(subject: Subject) -> Finding:
    # As Configure's own programs ask, which is at the API's origin: it answers with the page itself, or with an error.
    settings = subject.settings
    try:
        fault = await _asked(subject, settings.base_url)
    except ConfigureError as error:
        return _not_there(error, settings, "base_url")
    if fault == "request":
        return failed(
            "Configure refuses the request, though client, callback and scopes are known",
            "if login(resource=...) or CONFIGURE_BASE_URL is set, it must be what Configure calls its API",
        )
    if fault == "moved":
        return unknown(
            f"{settings.base_url} leads elsewhere, and says nothing of client, callback and scopes",
            _elsewhere(settings, "base_url"),
        )
    return _refused(subject, fault) or passed(f"{settings.base_url} takes client, callback and scopes")


async def _accounts_page(subject: Subject) -> Finding:
    # Where people are sent. Nobody has documented what this page answers to a program, but that it leads somewhere.
    settings = subject.settings
    try:
        fault = await _asked(subject, settings.accounts_url)
    except ConfigureError as error:
        return _not_there(error, settings, "accounts_url")
    if fault == "request":
        return unknown(f"{settings.accounts_url} refuses the request, and doesn't say why", _LOOK)
    return _refused(subject, fault) or passed(f"{settings.accounts_url} shows a page")


async def _asked(subject: Subject, origin: str) -> AuthorizeFault | None:
    client = subject.client
    url = authorization_url(
        f"{origin}/oauth/authorize",
        client_id=subject.settings.required_oauth_client_id,
        redirect_uri=subject.redirect_uri,
        scopes=client.scopes,
        code_challenge=code_challenge(_STATE),
        state=_STATE,
        resource=client.resource,
    )
    return await _answered(probe_authorize(url))


def _refused(subject: Subject, fault: AuthorizeFault | None) -> Finding | None:
    """What is wrong wherever it is said."""
    if fault == "client":
        return failed(
            "Configure doesn't know the OAuth client",
            "set CONFIGURE_OAUTH_CLIENT_ID (oc_...) to that of your agent, at configure.dev/sso",
        )
    if fault == "scope":
        return failed(
            f"the OAuth client isn't registered for all of: {' '.join(subject.client.scopes)}",
            "add the scope to the client at configure.dev/sso, or ask for fewer with login(scopes=(...))",
        )
    if fault == "redirect_uri":
        return failed(f"the OAuth client isn't registered for {subject.redirect_uri}", _REGISTER)
    return failed("Configure sends people on with an error", _LOOK) if fault == "turned_back" else None


async def _sign_in_page(subject: Subject) -> Finding:
    settings = subject.settings
    url = f"{settings.sign_in_url}/{settings.required_agent}"
    try:
        fault = await _answered(probe_page(url))
    except ConfigureError as error:
        return _not_there(error, settings, "sign_in_url", "; and see that CONFIGURE_AGENT is right")
    if fault is not None:
        return failed("Configure sends people on with an error", _LOOK)
    return passed(f"{url} shows a page")


async def _script(subject: Subject) -> Finding:
    settings = subject.settings
    url = f"{settings.script_url}/js/configure.js"
    try:
        fault = await _answered(probe_script(url))
    except ConfigureError as error:
        return _not_there(error, settings, "script_url")
    if fault is not None:
        return failed(f"what answers at {url} isn't the script", _elsewhere(settings, "script_url"))
    return passed(f"{url} is there")


async def _answered(call: Call[T]) -> T | None:
    """Send a probe; a page that is no answer of an API's has no fault."""
    try:
        return await call
    except ConfigureError as error:
        if is_page(error):
            return None
        raise


def _not_there(error: ConfigureError, settings: Settings, name: str, more: str = "") -> Finding:
    origin: str = getattr(settings, name)
    if error.code is ApiCode.NETWORK_ERROR:
        return unknown(f"nothing answers at {origin}", f"see that CONFIGURE_{name.upper()} and the network are right")
    status = error.status_code
    if status in (404, 410):
        return failed(
            f"what answers at {origin} has no such page (HTTP {status})", f"{_elsewhere(settings, name)}{more}"
        )
    if error.retryable or status is None or status == 429 or status >= 500:
        return unanswered(error)
    # What a page says to a program is nobody's promise; people may see another one. The API is for programs.
    if status in (401, 403, 405, 406) and name != "base_url":
        return warned(f"{origin} shows programs no page (HTTP {status}), and may show people one", _LOOK)
    return unknown(f"{origin} answers in a way that tells nothing (HTTP {status})", _LOOK)


_LOOK = "try it in a browser: press the app's button, and see what comes"


def _elsewhere(settings: Settings, name: str) -> str:
    """What to do where somebody else answers at an origin than should."""
    if getattr(settings, name) == getattr(Settings, name):
        return "see that no proxy or DNS server answers in Configure's place, and ask again later"
    return f"unset CONFIGURE_{name.upper()}, or set it to the sandbox's address for it"


# What is registered but for a trifle.


def _not_registered(wanted: str, registered: Sequence[str]) -> Finding:
    for one in registered:
        difference = _difference(wanted, one)
        if difference is not None:
            return failed(
                f"{wanted} isn't registered; {_shown(one)} is, which differs by {difference}",
                f"the two must be equal byte for byte: {_REGISTER}; or change CONFIGURE_APP_URL or path=",
            )
    return failed(f"{wanted} isn't registered, and nothing like it", _REGISTER)


def _difference(wanted: str, other: str) -> str | None:
    """The one thing in which two addresses differ, as a person overlooks it; None where they have little in common."""
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
        return "capital letters or a fragment"
    if "the path" in differences and len(differences) > 1:
        return None
    return " and ".join(differences) if len(differences) <= 2 else None


def _shown(text: str) -> str:
    """The other side's words so that none of their letters deceives the reader."""
    return text if is_token(text) else ascii(text)


def _path(one: SplitResult, two: SplitResult) -> str:
    if one.path.rstrip("/") == two.path.rstrip("/"):
        return "the slash at its end"
    return "capital letters in the path" if one.path.lower() == two.path.lower() else "the path"


def _of_login(flow: Callable[[Subject], Flow[Finding]]) -> Callable[[Subject], Flow[Finding]]:
    """A check that makes sense with a login only."""

    async def checked(subject: Subject) -> Finding:
        if not subject.has_login:
            return skipped("there is no login(...)")
        if subject.settings.app_url is None:
            return NOWHERE
        return await flow(subject)

    return checked


async def _of_link(subject: Subject) -> Finding:
    if subject.has_link is False:
        return skipped("there is no account_link(...)")
    if subject.settings.app_url is None:
        return NOWHERE
    return await _return_to(subject)


async def _of_element(subject: Subject) -> Finding:
    if subject.settings.publishable_key is None:
        return skipped("only Configure's element in a page needs it")
    return await _script(subject)


_KEY = "CONFIGURE_API_KEY"
_CLIENT = ("agent", "CONFIGURE_OAUTH_CLIENT_ID", "CONFIGURE_OAUTH_CLIENT_SECRET", "CONFIGURE_APP_URL")

UPSTREAM = (
    # A malformed origin was left out of the settings, and Configure's own is not to be asked in its place.
    Check(name="api_key", title="the key at Configure", flow=_api_key, needs=(_KEY,), after=("CONFIGURE_BASE_URL",)),
    Check(name="agent", title="the agent of the key", flow=_agent, needs=("api_key", "CONFIGURE_AGENT")),
    Check(name="callback", title="the login's callback at Configure", flow=_of_login(_callback), needs=_CLIENT),
    Check(
        name="authorize",
        title="client, callback and scopes",
        flow=_of_login(_authorize),
        needs=_CLIENT,
        after=("callback",),
    ),
    Check(
        name="accounts",
        title="the page of the login",
        flow=_of_login(_accounts_page),
        needs=_CLIENT,
        after=("callback", "authorize", "CONFIGURE_ACCOUNTS_URL"),
    ),
    Check(
        name="return_to", title="the link's way back at Configure", flow=_of_link, needs=("agent", "CONFIGURE_APP_URL")
    ),
    Check(
        name="sign_in_page",
        title="the page of the link",
        flow=_sign_in_page,
        needs=("agent",),
        after=("CONFIGURE_SIGN_IN_URL",),
    ),
    Check(
        name="script",
        title="Configure's script",
        flow=_of_element,
        after=("CONFIGURE_PUBLISHABLE_KEY", "CONFIGURE_SCRIPT_URL"),
    ),
)
