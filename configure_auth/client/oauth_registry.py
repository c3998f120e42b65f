"""A client of ours in an Authlib registry, with Authlib's own types of tokens, claims and errors.

Only `register_oauth` imports this: Authlib's OpenID Connect takes longer to import than all of the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

from authlib.integrations.base_client import OAuthError
from authlib.oauth2.rfc6749.wrappers import OAuth2Token
from authlib.oidc.core import UserInfo

from ..errors import Code, SettingsError, SignInError
from ..values import Identity, TokenGrant

T = TypeVar("T")

MapProfile: TypeAlias = Callable[[Identity], Mapping[str, Any]]
"""Makes the claims of `token["userinfo"]` from an identity, for apps that want others."""


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


def token_of(
    identity: Identity | None, grant: TokenGrant, map_profile: MapProfile | None, now: float
) -> ConfigureToken:
    """A grant in the form that Authlib's users know, with `token["userinfo"]` after a sign-in."""
    token = {
        "access_token": grant.access_token.reveal(),
        "token_type": "Bearer",
        "scope": " ".join(grant.scopes),
        "refresh_token": grant.refresh_token.reveal() if grant.refresh_token else None,
        "expires_in": max(0, round(grant.expires_at.timestamp() - now)) if grant.expires_at else None,
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


class ClientFactory(Generic[T]):
    """What a registry of Authlib calls to make a client: `OAuth.register(name, client_cls=...)`.

    Args:
        make: the client, from the name that it is registered under.
    """

    OAUTH_APP_CONFIG = None

    def __init__(self, make: Callable[[str], T]) -> None:
        self.make = make

    def __call__(self, framework: object, name: str, **config: object) -> T:
        given = [option for option, value in config.items() if value]
        if given:
            raise SettingsError(
                f"{', '.join(given)} of the provider {name!r} have no effect beside client_cls=; give the settings to "
                "oauth_client(...)"
            )
        return self.make(name)

    def register(self, oauth: Any, name: str) -> T:
        """Make the client, and register it; return it."""
        client = self.make(name)
        oauth.register(name, client_cls=ClientFactory(lambda _name: client))
        return client
