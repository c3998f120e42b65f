"""The OAuth clients of a developer account: which callbacks they are registered with."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlsplit

from ..errors import ConfigureError
from ..runtime.frozen import dataclass
from ..settings import Settings
from .call import HttpCall
from .wire import ResponseBody, invalid, is_token, json_body, read_response, require_text, require_token


@dataclass(frozen=True, kw_only=True)
class OAuthClient:
    """An OAuth client, as Configure lists it; its secret is shown once, at its making, and never here."""

    client_id: str
    client_name: str | None = None
    agent: str | None = None
    redirect_uris: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RegisteredCallbacks:
    """The callbacks of a client after a change. `changed` is false where there was nothing to do."""

    redirect_uris: tuple[str, ...]
    changed: bool


def list_oauth_clients(settings: Settings) -> HttpCall[tuple[OAuthClient, ...]]:
    """The OAuth clients of the account that the secret key belongs to.

    Raises:
        ConfigureError: AUTH_REQUIRED where the key is refused, ACCESS_DENIED where it isn't a secret key.
    """
    return HttpCall(
        method="GET",
        url=f"{settings.base_url}/v1/developer/oauth/clients",
        headers={"X-API-Key": settings.required_api_key.reveal()},
        parse=lambda response: tuple(
            _client(item) for item in read_response(response, "the list of OAuth clients").objects("clients") or ()
        ),
    )


def add_redirect_uris(
    settings: Settings, client_id: str, redirect_uris: Sequence[str]
) -> HttpCall[RegisteredCallbacks]:
    """Register callbacks with a client that exists; none is taken away, and no client is made.

    Args:
        client_id: the client, `oc_...`.
        redirect_uris: absolute URLs, which Configure will compare byte for byte.

    Raises:
        ConfigureError: INVALID_INPUT before anything is sent; NOT_FOUND where the client isn't the account's;
            SERVER_ERROR for a response that doesn't list the client's callbacks.
    """
    require_token("client_id", client_id, 255)
    if isinstance(redirect_uris, str) or not redirect_uris:
        raise invalid("redirect_uris must be a list of at least one URL")
    for uri in redirect_uris:
        _require_redirect_uri(uri)
    return HttpCall(
        method="PATCH",
        url=f"{settings.base_url}/v1/developer/oauth/clients/{quote(client_id, safe='')}",
        headers={"Content-Type": "application/json", "X-API-Key": settings.required_api_key.reveal()},
        content=json_body({"add_redirect_uris": list(redirect_uris)}),
        parse=lambda response: _callbacks(read_response(response, "the registration of callbacks")),
    )


def _require_redirect_uri(uri: str) -> None:
    """Refuse, before anything is sent, an address that Configure doesn't register."""
    require_text("redirect_uri", uri)
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        host = None
    if not host:
        raise _refused("must be an absolute URL")
    if not is_token(uri, 2048) or any(mark in uri for mark in "*#\\") or "@" in parts.netloc:
        raise _refused("has a space, a wildcard, a fragment, a backslash, user info, or a letter outside ASCII in it")
    # Not [::1], which other parts of Configure take for loopback too. A subdomain of localhost is left to Configure:
    # a sandbox takes it.
    local = host == "127.0.0.1" or f".{host}".endswith(".localhost")
    if parts.scheme != "https" and (parts.scheme != "http" or not local):
        raise _refused("must be https, or http on localhost or 127.0.0.1")


def _refused(why: str) -> ConfigureError:
    return invalid(f"the redirect_uri {why}; CONFIGURE_APP_URL and path= make it")


def _client(body: ResponseBody) -> OAuthClient:
    return OAuthClient(
        client_id=body.required_text("client_id"),
        client_name=body.text("client_name"),
        agent=body.text("agent"),
        redirect_uris=body.texts("redirect_uris") or (),
    )


def _callbacks(body: ResponseBody) -> RegisteredCallbacks:
    redirect_uris = body.texts("redirect_uris")
    if redirect_uris is None:
        body.refuse("redirect_uris")
    # Configure's own client takes anything but false for a change.
    return RegisteredCallbacks(redirect_uris=redirect_uris, changed=body.boolean("changed") is not False)
