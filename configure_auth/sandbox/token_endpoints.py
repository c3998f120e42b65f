"""POST /oauth/token and POST /oauth/introspect."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re

from starlette.responses import JSONResponse, Response

from .ledger import Token, TokenPair
from .variants import OWN
from .wire import NO_STORE, Incoming, OAuthRefusal, Refusal, answer, text_field
from .world import OAuthClient, World

_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")
_KNOWN = frozenset(
    {"grant_type", "code", "redirect_uri", "client_id", "code_verifier", "refresh_token", "resource", "scope"}
)


def token(world: World, incoming: Incoming) -> Response:
    """Exchanges a code or a refresh token."""
    try:
        fields = _fields(incoming)
        grant_type = _required(fields, "grant_type")
        if grant_type == "authorization_code":
            return _exchange(world, incoming, fields)
        if grant_type == "refresh_token":
            return _refresh(world, incoming, fields)
        raise OAuthRefusal("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
    except OAuthRefusal as refusal:
        return refusal.response()


def introspect(world: World, incoming: Incoming) -> Response:
    """Tells whether a token is active. Takes JSON and no client authentication, as Configure's own client does."""
    text = text_field(incoming.json(), "token")
    kinds: tuple[str, ...] = ("access", "agent") if world.variants.introspect_takes_agent_tokens else ("access",)
    found = world.ledger.live(text, "access", "agent")
    if found is None or found.kind not in kinds:
        return answer({"active": False})
    variants = world.variants
    sub = world.subject(found.user_id) if variants.introspection_sub == OWN else variants.introspection_sub
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
    return answer(body)


def _fields(incoming: Incoming) -> dict[str, str]:
    if incoming.query:
        raise OAuthRefusal("invalid_request", "the parameters belong in the body, not in the URL")
    try:
        pairs = incoming.form()
    except Refusal as refusal:
        raise OAuthRefusal("invalid_request", refusal.message) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise OAuthRefusal("invalid_request", "a parameter is repeated")
    if "client_secret" in fields:
        raise OAuthRefusal("invalid_request", "the client secret belongs in the Authorization header")
    return fields


def _required(fields: dict[str, str], name: str) -> str:
    value = fields.get(name)
    if not value:
        raise OAuthRefusal("invalid_request", f"{name} is required")
    return value


def _client(world: World, incoming: Incoming, fields: dict[str, str]) -> OAuthClient:
    """The authenticated client: HTTP Basic with id and secret as they are.

    A client_id in the body must be the same. It may be left out, as RFC 6749 has it: Configure's own provider does so.
    """
    refused = OAuthRefusal("invalid_client", "the client could not be authenticated", 401)
    values = incoming.headers.getlist("authorization")
    scheme, _, text = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "basic":
        raise refused
    try:
        client_id, colon, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise refused from None
    client = world.client(client_id)
    if client is None or not colon:
        raise refused
    if not hmac.compare_digest(secret.encode(), client.credentials.client_secret.encode()):
        raise refused
    if fields.get("client_id", client_id) != client_id:
        raise OAuthRefusal("invalid_client", "client_id is not the client in the Authorization header", 401)
    return client


def _resource(world: World, fields: dict[str, str], granted: str | None = None) -> None:
    resource = fields.get("resource")
    if resource is not None and resource != world.urls.api:
        raise OAuthRefusal("invalid_target", "resource must be the API's base URL")
    if resource is not None and granted is not None and resource != granted:
        raise OAuthRefusal("invalid_target", "resource differs from the one that was authorized")


def _exchange(world: World, incoming: Incoming, fields: dict[str, str]) -> Response:
    text = _required(fields, "code")
    redirect_uri = _required(fields, "redirect_uri")
    verifier = _required(fields, "code_verifier")
    # The code comes before the client, as it does at Configure: a made-up code can't try out a secret.
    code = world.ledger.resolve_code(text)
    client = _client(world, incoming, fields)
    # An unauthenticated request leaves the code as it was (else anybody could burn it); from here on it is spent,
    # whether the rest is right or not.
    family = world.ledger.spend_code(code)
    if code.client_id != client.credentials.client_id:
        raise OAuthRefusal("invalid_grant", "the authorization code was issued to another client")
    if redirect_uri != code.redirect_uri:
        raise OAuthRefusal("invalid_grant", "redirect_uri differs from the one of the authorization request")
    if not _VERIFIER.fullmatch(verifier):
        raise OAuthRefusal("invalid_grant", "code_verifier must be 43 to 128 unreserved characters")
    if not hmac.compare_digest(challenge_of(verifier), code.code_challenge):
        raise OAuthRefusal("invalid_grant", "code_verifier does not match the code_challenge")
    _resource(world, fields, code.resource)
    pair = world.ledger.issue_pair(user_id=code.user_id, client_id=code.client_id, scopes=code.scopes, family=family)
    return _token_answer(world, pair, pair.refresh.token)


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _refresh(world: World, incoming: Incoming, fields: dict[str, str]) -> Response:
    text = _required(fields, "refresh_token")
    # Nothing shows how a confidential client refreshes: strict, it authenticates as it does for a code.
    client = _client(world, incoming, fields)
    found = world.ledger.tokens.get(text)
    if found is None or found.kind != "refresh" or found.client_id != client.credentials.client_id:
        raise OAuthRefusal("invalid_grant", "the refresh token is unknown")
    if world.ledger.live(text, "refresh") is None:
        raise OAuthRefusal("invalid_grant", "the refresh token has expired or was revoked")
    _resource(world, fields)
    scopes = _narrowed(found, fields.get("scope"))
    if not world.variants.refresh_rotates:
        assert found.family is not None
        pair = world.ledger.issue_pair(
            user_id=found.user_id, client_id=client.credentials.client_id, scopes=scopes, family=found.family
        )
        return _token_answer(world, pair, found.token)
    pair = world.ledger.rotate(found, scopes, grace=world.variants.refresh_grace)
    return _token_answer(world, pair, pair.refresh.token)


def _narrowed(refresh: Token, scope: str | None) -> tuple[str, ...]:
    if scope is None:
        return refresh.scopes
    scopes = tuple(scope.split(" "))
    if not set(scopes) <= set(refresh.scopes):
        raise OAuthRefusal("invalid_scope", "scope is wider than what was granted")
    return scopes


def _token_answer(world: World, pair: TokenPair, refresh_token: str) -> Response:
    variants = world.variants
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
