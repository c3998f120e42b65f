"""What Configure says: of the key, of the OAuth client, and of the addresses that people come back to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import SplitResult, urlsplit

from ..api.developer import list_oauth_clients
from ..api.probes import is_page, probe_authorize, probe_key, probe_page
from ..api.sign_in import list_sign_in_return_destinations
from ..errors import ApiCode, ConfigureError, SettingsError
from ..flows.effects import Flow, send
from ..flows.login import require_agreement
from ..oauth import authorization_url, code_challenge
from .check import Check, Finding, failed, passed, skipped, unanswered, unknown
from .subject import Subject

__all__ = ["REGISTERED"]

_STATE = "configure_verify"
_REGISTER = "run register-callback, or add it at configure.dev/sso"


def _api_key(subject: Subject) -> Flow[Finding]:
    base_url = subject.settings.base_url
    try:
        fault = yield from send(probe_key(subject.settings))
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
        return failed(
            f"what answers at {base_url} isn't Configure's API",
            "unset CONFIGURE_BASE_URL, or set it to the sandbox's first address",
        )
    return passed("Configure takes it")


def _agent(subject: Subject) -> Flow[Finding]:
    agent = subject.settings.required_agent
    try:
        yield from send(list_sign_in_return_destinations(subject.settings))
    except ConfigureError as error:
        if error.code in (ApiCode.ACCESS_DENIED, ApiCode.AUTH_REQUIRED, ApiCode.NOT_FOUND, ApiCode.INVALID_INPUT):
            return failed(
                f"the key doesn't speak for the agent {agent}",
                "set CONFIGURE_AGENT to the handle of the agent that the key in CONFIGURE_API_KEY belongs to",
            )
        return unanswered(error)
    return passed(f"the key is the agent {agent}'s")


def _callback(subject: Subject) -> Flow[Finding]:
    wanted = subject.redirect_uri
    client_id = subject.settings.required_oauth_client_id
    try:
        require_agreement(subject.settings, wanted)
    except SettingsError as error:
        return failed(f"CONFIGURE_SSO_REDIRECT_URI says {subject.settings.sso_redirect_uri}", str(error))
    try:
        clients = yield from send(list_oauth_clients(subject.settings))
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
            f"the OAuth client is the agent {client.agent}'s, not {subject.settings.required_agent}'s",
            "take the five values of one and the same agent",
        )
    if wanted in client.redirect_uris:
        return passed(wanted)
    return _not_registered(wanted, client.redirect_uris)


def _return_to(subject: Subject) -> Flow[Finding]:
    wanted = subject.return_to
    known = [one.destination for one in (yield from send(list_sign_in_return_destinations(subject.settings)))]
    if wanted in known:
        return passed(wanted)
    # Another path may be another app's, or another purpose.
    if subject.has_link is None and {_difference(wanted, one) for one in known} <= {None, "the path"}:
        return skipped("none like it is registered; only account_link(...) needs it")
    return _not_registered(wanted, known)


def _authorize(subject: Subject) -> Flow[Finding]:
    # As Configure's own programs ask, which is at the API's origin.
    return (yield from _asked(subject, subject.settings.base_url, "CONFIGURE_BASE_URL"))


def _accounts_page(subject: Subject) -> Flow[Finding]:
    # Where people are sent. Nobody has documented what this page answers to a program, but that it leads somewhere.
    return (yield from _asked(subject, subject.settings.accounts_url, "CONFIGURE_ACCOUNTS_URL"))


def _asked(subject: Subject, origin: str, variable: str) -> Flow[Finding]:
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
    try:
        fault = yield from send(probe_authorize(url))
    except ConfigureError as error:
        return passed(f"{origin} shows its page") if is_page(error) else _not_there(error, origin, variable)
    if fault == "client":
        return failed(
            "Configure doesn't know the OAuth client",
            "set CONFIGURE_OAUTH_CLIENT_ID (oc_...) to that of your agent, at configure.dev/sso",
        )
    if fault == "scope":
        return failed(
            f"the OAuth client isn't registered for all of: {' '.join(client.scopes)}",
            "add the scope to the client at configure.dev/sso, or ask for fewer with login(scopes=(...))",
        )
    if fault == "redirect_uri":
        return failed(f"the OAuth client isn't registered for {subject.redirect_uri}", _REGISTER)
    if fault is not None:
        return failed(
            "Configure refuses the request, though client, callback and scopes are known",
            "if login(resource=...) or CONFIGURE_BASE_URL is set, it must be what Configure calls its API",
        )
    return passed(f"{origin} takes client, callback and scopes")


def _sign_in_page(subject: Subject) -> Flow[Finding]:
    settings = subject.settings
    return (yield from _shown(settings.sign_in_url, f"/{settings.required_agent}", "CONFIGURE_SIGN_IN_URL"))


def _script(subject: Subject) -> Flow[Finding]:
    return (yield from _shown(subject.settings.script_url, "/js/configure.js", "CONFIGURE_SCRIPT_URL"))


def _shown(origin: str, path: str, variable: str) -> Flow[Finding]:
    try:
        yield from send(probe_page(f"{origin}{path}"))
    except ConfigureError as error:
        if not is_page(error):
            return _not_there(error, origin, variable)
    return passed(f"{origin}{path} is there")


def _not_there(error: ConfigureError, origin: str, variable: str) -> Finding:
    if error.code is ApiCode.NETWORK_ERROR:
        return unknown(f"nothing answers at {origin}", f"see that {variable} and the network are right")
    if error.retryable or error.status_code is None:
        return unanswered(error)
    return failed(
        f"what answers at {origin} has no such page (HTTP {error.status_code})",
        f"unset {variable}, or set it to the sandbox's address for it; and see that CONFIGURE_AGENT is right",
    )


# What is registered but for a trifle.


def _not_registered(wanted: str, registered: Sequence[str]) -> Finding:
    for one in registered:
        difference = _difference(wanted, one)
        if difference is not None:
            return failed(
                f"{wanted} isn't registered; {one} is, which differs by {difference}",
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
    if one.path != two.path and differences[-1] == "the path" and len(differences) > 1:
        return None
    return " and ".join(differences) if len(differences) <= 2 else None


def _path(one: SplitResult, two: SplitResult) -> str:
    if one.path.rstrip("/") == two.path.rstrip("/"):
        return "the slash at its end"
    return "capital letters in the path" if one.path.lower() == two.path.lower() else "the path"


def _of_login(flow: Callable[[Subject], Flow[Finding]]) -> Callable[[Subject], Flow[Finding]]:
    """A check that makes sense with a login only."""

    def checked(subject: Subject) -> Flow[Finding]:
        if not subject.has_login:
            return skipped("there is no login(...)")
        return (yield from flow(subject))

    return checked


def _of_link(subject: Subject) -> Flow[Finding]:
    if subject.has_link is False:
        return skipped("there is no account_link(...)")
    return (yield from _return_to(subject))


def _of_element(subject: Subject) -> Flow[Finding]:
    if subject.settings.publishable_key is None:
        return skipped("only Configure's element in a page needs it")
    return (yield from _script(subject))


_KEY = "CONFIGURE_API_KEY"
_CLIENT = ("agent", "CONFIGURE_OAUTH_CLIENT_ID", "CONFIGURE_OAUTH_CLIENT_SECRET", "CONFIGURE_APP_URL")

REGISTERED = (
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
