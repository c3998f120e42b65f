"""GET /oauth/authorize ("Continue with Configure"), POST /oauth/token and POST /oauth/introspect."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from .database import Agent, Database
from .http_messages import NO_STORE, ApiError, ApiRequest, OAuthError, UnregisteredAddress, text_field
from .interactions import OAuthRequest
from .issuer import Token, TokenPair
from .pages import error_page
from .sign_in_steps import begin
from .variants import OWN

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9\-_]{43}")
_VERIFIER: Final = re.compile(r"[A-Za-z0-9\-._~]{43,128}")
MAX_STATE: Final = 4096


def authorize(db: Database, incoming: ApiRequest) -> Response:
    """Show the first page of a sign-in.

    A wrong request is an error body and never a redirect, for every error that precedes the pages: this is what
    Configure's own client reads for client, callback and scope; the rest follows it.
    """
    try:
        request, agent = _checked(db, incoming)
    except OAuthError as error:
        if incoming.wants_html:
            return error_page(
                "This sign-in can't start", error.description, error.status, code=error.error, address=error.address
            )
        return error.response()
    return begin(db, incoming, request, agent.handle, agent.name)


def _checked(db: Database, incoming: ApiRequest) -> tuple[OAuthRequest, Agent]:
    if (name := incoming.repeated()) is not None:
        raise OAuthError("invalid_request", f"{name} is repeated")
    params = {name: value for name, value in incoming.query if value}
    agent = db.agent_of_client(params.get("client_id", ""))
    if agent is None:
        raise OAuthError("invalid_client", "client_id is missing or unknown")
    redirect_uri = params.get("redirect_uri")
    if redirect_uri not in agent.redirect_uris or redirect_uri is None:
        address = UnregisteredAddress("redirect_uri", redirect_uri, tuple(agent.redirect_uris))
        raise OAuthError("invalid_request", str(address), address=address)
    if params.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response_type must be code")
    scopes = tuple(params.get("scope", "").split(" "))
    if len(set(scopes)) != len(scopes) or not set(scopes) <= set(agent.scopes):
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
        client_id=agent.credentials.client_id,
        redirect_uri=redirect_uri,
        scopes=scopes,
        state=params.get("state"),
        code_challenge=params["code_challenge"],
        resource=params.get("resource"),
    )
    return request, agent


def token(db: Database, incoming: ApiRequest) -> Response:
    """Exchange a code or a refresh token."""
    try:
        fields = _fields(incoming)
        grant_type = _required(fields, "grant_type")
        if grant_type == "authorization_code":
            return _exchange(db, incoming, fields)
        if grant_type == "refresh_token":
            return _refresh(db, incoming, fields)
        raise OAuthError("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
    except OAuthError as error:
        return error.response()


def introspect(db: Database, incoming: ApiRequest) -> dict[str, Any]:
    """Return whether a token is active. Takes JSON and no client authentication, as Configure's own client does."""
    text = text_field(incoming.json(), "token")
    found = db.issuer.live(text, "access")
    if found is None:
        return {"active": False}
    variants = db.variants
    sub = db.subject(found.user_id) if variants.introspection_sub == OWN else variants.introspection_sub
    body: dict[str, object] = {"active": variants.introspection_active, "sub": sub}
    if variants.introspection_details:
        own = variants.introspection_client_id == OWN
        body |= {
            "scope": " ".join(found.scopes),
            "client_id": found.client_id if own else variants.introspection_client_id,
            "token_type": "Bearer",
            "iat": int(found.issued_at),
            "exp": int(found.expires_at),
        }
    return body


def _fields(incoming: ApiRequest) -> dict[str, str]:
    if incoming.query:
        raise OAuthError("invalid_request", "the parameters belong in the body, not in the URL")
    try:
        pairs = incoming.form()
    except ApiError as error:
        raise OAuthError("invalid_request", error.message) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise OAuthError("invalid_request", "a parameter is repeated")
    if "client_secret" in fields:
        raise OAuthError("invalid_request", "the client secret belongs in the Authorization header")
    return fields


def _required(fields: dict[str, str], name: str) -> str:
    value = fields.get(name)
    if not value:
        raise OAuthError("invalid_request", f"{name} is required")
    return value


def _client(db: Database, incoming: ApiRequest, fields: dict[str, str]) -> Agent:
    """Authenticate the client: HTTP Basic with the plain id and secret.

    A client_id in the body must be the same. It may be left out, as RFC 6749 has it: Configure's own provider does so.
    """
    refused = OAuthError("invalid_client", "the client could not be authenticated", 401)
    values = incoming.headers.getlist("authorization")
    scheme, _, text = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "basic":
        raise refused
    try:
        client_id, colon, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise refused from None
    client = db.agent_of_client(client_id)
    if client is None or not colon:
        raise refused
    if not hmac.compare_digest(secret.encode(), client.credentials.client_secret.encode()):
        raise refused
    if fields.get("client_id", client_id) != client_id:
        raise OAuthError("invalid_client", "client_id is not the client in the Authorization header", 401)
    return client


def _resource(db: Database, fields: dict[str, str], granted: str | None = None) -> None:
    resource = fields.get("resource")
    if resource is not None and resource != db.urls.api:
        raise OAuthError("invalid_target", "resource must be the API's base URL")
    if resource is not None and granted is not None and resource != granted:
        raise OAuthError("invalid_target", "resource differs from the one that was authorized")


def _exchange(db: Database, incoming: ApiRequest, fields: dict[str, str]) -> Response:
    text = _required(fields, "code")
    redirect_uri = _required(fields, "redirect_uri")
    verifier = _required(fields, "code_verifier")
    # The code is resolved before the client, as at Configure: an invalid code can't be used to test a secret.
    code = db.issuer.resolve_code(text)
    client = _client(db, incoming, fields)
    # An unauthenticated request leaves the code valid, so that a third party can't invalidate it. From here on it is
    # used, whether the rest is right or not.
    family = db.issuer.spend_code(code)
    if code.client_id != client.credentials.client_id:
        raise OAuthError("invalid_grant", "the authorization code was issued to another client")
    if redirect_uri != code.request.redirect_uri:
        raise OAuthError("invalid_grant", "redirect_uri differs from the one of the authorization request")
    if not _VERIFIER.fullmatch(verifier):
        raise OAuthError("invalid_grant", "code_verifier must be 43 to 128 unreserved characters")
    if not hmac.compare_digest(challenge_of(verifier), code.request.code_challenge):
        raise OAuthError("invalid_grant", "code_verifier does not match the code_challenge")
    _resource(db, fields, code.request.resource)
    pair = db.issuer.issue_pair(code.user_id, code.client_id, code.scopes, family)
    return _token_answer(db, pair, pair.refresh.token)


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a PKCE verifier (RFC 7636, section 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _refresh(db: Database, incoming: ApiRequest, fields: dict[str, str]) -> Response:
    text = _required(fields, "refresh_token")
    # How a confidential client refreshes is not documented. Strict: it authenticates as for a code.
    client = _client(db, incoming, fields)
    found = db.issuer.tokens.get(text)
    if found is None or found.kind != "refresh" or found.client_id != client.credentials.client_id:
        raise OAuthError("invalid_grant", "the refresh token is unknown")
    if db.issuer.live(text, "refresh") is None:
        raise OAuthError("invalid_grant", "the refresh token has expired or was revoked")
    _resource(db, fields)
    scopes = _narrowed(found, fields.get("scope"))
    if not db.variants.refresh_rotates:
        assert found.family is not None
        pair = db.issuer.issue_pair(found.user_id, client.credentials.client_id, scopes, found.family)
        return _token_answer(db, pair, found.token)
    pair = db.issuer.rotate(found, scopes, grace=db.variants.refresh_grace)
    return _token_answer(db, pair, pair.refresh.token)


def _narrowed(refresh: Token, scope: str | None) -> tuple[str, ...]:
    if scope is None:
        return refresh.scopes
    scopes = tuple(scope.split(" "))
    if not set(scopes) <= set(refresh.scopes):
        raise OAuthError("invalid_scope", "scope is wider than what was granted")
    return scopes


def _token_answer(db: Database, pair: TokenPair, refresh_token: str) -> Response:
    variants = db.variants
    body: dict[str, object] = {"access_token": pair.access.token}
    if variants.token_refresh_token:
        body["refresh_token"] = refresh_token
    if variants.token_expires_in is not None:
        body["expires_in"] = variants.token_expires_in
    if variants.token_type is not None:
        body["token_type"] = variants.token_type
    if variants.token_scope:
        body["scope"] = " ".join(pair.access.scopes)
    return JSONResponse(body, 200, NO_STORE)
