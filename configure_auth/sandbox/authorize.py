"""GET /oauth/authorize: "Continue with Configure"."""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import Response

from .database import Database, RegisteredClient
from .http_messages import ApiRequest, OAuthError, UnregisteredAddress
from .interactions import OAuthRequest
from .pages import error_page
from .sign_in_steps import begin

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9\-_]{43}")
MAX_STATE: Final = 4096


def authorize(db: Database, incoming: ApiRequest) -> Response:
    """Show the first page of a sign-in.

    A wrong request is an error body and never a redirect, for every error that precedes the pages: this is what
    Configure's own client reads for client, callback and scope; the rest follows it.
    """
    try:
        request, client = _checked(db, incoming)
    except OAuthError as error:
        if incoming.wants_html:
            return error_page(
                "This sign-in can't start", error.description, error.status, code=error.error, address=error.address
            )
        return error.response()
    return begin(db, incoming, request, client.credentials.agent, client.name)


def _checked(db: Database, incoming: ApiRequest) -> tuple[OAuthRequest, RegisteredClient]:
    if (name := incoming.repeated()) is not None:
        raise OAuthError("invalid_request", f"{name} is repeated")
    params = {name: value for name, value in incoming.query if value}
    client_id = params.get("client_id")
    client = db.client(client_id) if client_id else None
    if client is None:
        raise OAuthError("invalid_client", "client_id is missing or unknown")
    redirect_uri = params.get("redirect_uri")
    if redirect_uri not in client.redirect_uris or redirect_uri is None:
        address = UnregisteredAddress("redirect_uri", redirect_uri, tuple(client.redirect_uris))
        raise OAuthError("invalid_request", str(address), address=address)
    if params.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response_type must be code")
    scopes = tuple(params.get("scope", "").split(" "))
    if len(set(scopes)) != len(scopes) or not set(scopes) <= set(client.scopes):
        raise OAuthError("invalid_scope", "scope is missing, or the client is not registered for all of it")
    if params.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "code_challenge_method must be S256")
    if not _CHALLENGE.fullmatch(params.get("code_challenge", "")):
        raise OAuthError("invalid_request", "code_challenge must be 43 base64url characters")
    if params.get("resource") not in {None, db.urls.api}:
        raise OAuthError("invalid_target", "resource must be the API's base URL")
    if len(params.get("state", "")) > MAX_STATE:
        raise OAuthError("invalid_request", "state is too long")
    request = OAuthRequest(
        client_id=client.credentials.client_id,
        redirect_uri=redirect_uri,
        scopes=scopes,
        state=params.get("state"),
        code_challenge=params["code_challenge"],
        resource=params.get("resource"),
    )
    return request, client
