"""The one module that touches Authlib, which has no types: its parts that do no I/O, with types around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.oauth2.auth import encode_client_secret_basic
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc6749.wrappers import OAuth2Token
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import UserInfo

from ..errors import Code, SignInError
from ..values import Identity, Secret, TokenGrant

MapProfile: TypeAlias = Callable[[Identity], Mapping[str, Any]]
"""Makes the claims of `token["userinfo"]` from an identity, for apps that want others."""


def authorization_url(
    endpoint: str,
    *,
    client_id: str,
    redirect_uri: str,
    scopes: Sequence[str],
    code_challenge: str,
    state: str,
    resource: str | None,
) -> str:
    """The URL that starts an authorization code grant with PKCE (RFC 6749 section 4.1.1, RFC 7636 section 4.3).

    The parameters are in the order that Configure's own clients use. `resource` is RFC 8707's; None leaves it out.
    """
    url = prepare_grant_uri(
        endpoint,
        client_id,
        "code",
        redirect_uri=redirect_uri,
        scope=" ".join(scopes),
        code_challenge=code_challenge,
        code_challenge_method="S256",
    )
    # Authlib would put the state before the challenge.
    last = [("state", state)] if resource is None else [("state", state), ("resource", resource)]
    return cast(str, add_params_to_uri(url, last))


def token_body(*, code: str, redirect_uri: str, client_id: str, code_verifier: str, resource: str | None) -> bytes:
    """The form that exchanges an authorization code (RFC 6749 section 4.1.3). The client's secret is never in it."""
    body = prepare_token_request(
        "authorization_code",
        redirect_uri=redirect_uri,
        code=code,
        client_id=client_id,
        code_verifier=code_verifier,
        resource=resource,
    )
    return cast(str, body).encode("ascii")


def refresh_body(*, refresh_token: str, client_id: str, resource: str | None) -> bytes:
    """The form that renews tokens (RFC 6749 section 6)."""
    body = prepare_token_request("refresh_token", refresh_token=refresh_token, client_id=client_id, resource=resource)
    return cast(str, body).encode("ascii")


class _Client(NamedTuple):
    client_id: str
    client_secret: str


def basic_authorization(client_id: str, client_secret: Secret) -> str:
    """The `Authorization` header of a confidential client.

    Configure takes id and secret as they are, not form-encoded as RFC 6749 section 2.3.1 has it; neither has a letter
    that the two would write differently.
    """
    headers: dict[str, Any] = {}
    encode_client_secret_basic(_Client(client_id, client_secret.reveal()), "POST", "", headers, "")
    return cast(str, headers["Authorization"])


def code_challenge(verifier: str) -> str:
    """The S256 challenge of a code verifier (RFC 7636 section 4.2)."""
    return cast(str, create_s256_code_challenge(verifier))


class ConfigureOAuthError(SignInError, OAuthError):  # type: ignore[misc]  # OAuthError is untyped
    """A sign-in that failed, for code that catches Authlib's `OAuthError`; `error` is our stable code."""

    def __init__(self, cause: SignInError) -> None:
        SignInError.__init__(self, Code(cause.code), str(cause), next=cause.next, retry_after=cause.retry_after)
        self.error: str = Code(cause.code).value
        self.description: str = str(cause)
        self.uri: str | None = None
        # As Authlib's own print themselves; its constructor took the sentence for the code.
        self.args: tuple[Any, ...] = (f"{self.error}: {self.description}",)


class ConfigureToken(OAuth2Token):  # type: ignore[misc]  # OAuth2Token is untyped
    """Authlib's token, a dict, that doesn't print what it holds."""

    def __repr__(self) -> str:
        return f"<ConfigureToken with {', '.join(sorted(self))}>"

    __str__ = __repr__


def token_of(identity: Identity | None, grant: TokenGrant, map_profile: MapProfile | None) -> ConfigureToken:
    """A grant in the form that Authlib's users know, with `token["userinfo"]` after a sign-in."""
    token = {
        "access_token": grant.access_token.reveal(),
        "token_type": "Bearer",
        "scope": " ".join(grant.scopes),
        "refresh_token": grant.refresh_token.reveal() if grant.refresh_token else None,
        "expires_at": int(grant.expires_at.timestamp()) if grant.expires_at else None,
        "userinfo": None if identity is None else userinfo_of(identity, map_profile),
    }
    return ConfigureToken({name: value for name, value in token.items() if value is not None})


def userinfo_of(identity: Identity, map_profile: MapProfile | None) -> Any:
    """OpenID's claims for an identity, those that there are. The phone's last four digits are no `phone_number`."""
    if map_profile is not None:
        return UserInfo(map_profile(identity))
    claims = {
        "sub": identity.user_id,
        "name": identity.name,
        "email": identity.email,
        "email_verified": identity.email_verified if identity.email else None,
        "configure_phone_last4": identity.phone_last4,
    }
    return UserInfo({name: value for name, value in claims.items() if value is not None})


class _Registration:
    """What Authlib's registry calls to make a client: it gets the one that we made already."""

    OAUTH_APP_CONFIG = None

    def __init__(self, client: object) -> None:
        self._client = client

    def __call__(self, framework: object, name: str, **config: object) -> object:
        return self._client


def register(oauth: Any, name: str, client: object) -> None:
    """Put a client of ours into an Authlib registry, beside those that Authlib makes.

    Only the class is handed over: the registry swallows unknown options, and keeps what it knows in plain sight.
    """
    oauth.register(name, client_cls=_Registration(client))
