"""How each identity provider writes an access token of a user, as data: one row a provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..runtime.frozen import dataclass

Claims: TypeAlias = Mapping[str, Any]
Refusal: TypeAlias = tuple[str, Callable[[Claims], bool]]
"""Why a token is refused, and for which claims."""

GOOGLE_KEYS = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"


@dataclass(frozen=True, kw_only=True)
class IssuerSettings:
    """What is the same in every project, tenant or realm of one provider.

    Attributes:
        issuer: the `iss` of its tokens; `{}` is what the app names.
        jwks_url: where the keys are; `{}` is the issuer.
        algorithms: those that it signs with.
        user_claim: the claim that is the user's id.
        extra_audiences: audiences beside the app's own; `{}` is what the app names.
        refusals: tokens that it signs for others than users of an API.
    """

    issuer: str
    jwks_url: str = "{}/.well-known/jwks.json"
    algorithms: tuple[str, ...] = ("RS256",)
    user_claim: str = "sub"
    extra_audiences: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def refuse(self, claims: Claims) -> str | None:
        """Return why a token is refused, None for a user's access token."""
        return next((why for why, is_refused in self.refusals if is_refused(claims)), None)


def _has(*names: str) -> Callable[[Claims], bool]:
    return lambda claims: not set(names).isdisjoint(claims)


def _lacks(name: str) -> Callable[[Claims], bool]:
    return lambda claims: name not in claims


def _is_other(name: str, value: object) -> Callable[[Claims], bool]:
    return lambda claims: claims.get(name) != value


_ID_TOKEN = "it is an ID token"
_MACHINE = "it belongs to a machine, not to a user"
_ANONYMOUS = "its user is anonymous"


def _is_anonymous_firebase(claims: Claims) -> bool:
    about = claims.get("firebase")
    return isinstance(about, dict) and about.get("sign_in_provider") == "anonymous"


PROVIDERS: Mapping[str, IssuerSettings] = {
    "supabase": IssuerSettings(
        issuer="{}/auth/v1",
        algorithms=("ES256", "RS256"),
        refusals=(
            (
                "its role is not a user's",
                lambda claims: (
                    not isinstance(claims.get("role"), str)
                    or claims["role"] in ("", "anon", "service_role", "supabase_admin")
                ),
            ),
            (_ANONYMOUS, lambda claims: claims.get("is_anonymous", False) is not False),
        ),
    ),
    "firebase": IssuerSettings(
        issuer="https://securetoken.google.com/{}",
        jwks_url=GOOGLE_KEYS,
        refusals=(("it has no auth_time", _lacks("auth_time")), (_ANONYMOUS, _is_anonymous_firebase)),
    ),
    "auth0": IssuerSettings(
        issuer="https://{}/",
        jwks_url="{}.well-known/jwks.json",
        extra_audiences=("https://{}/userinfo",),
        refusals=(
            (_ID_TOKEN, _has("nonce", "at_hash", "c_hash")),
            (
                _MACHINE,
                lambda claims: claims.get("gty") == "client-credentials" or str(claims["sub"]).endswith("@clients"),
            ),
        ),
    ),
    # A session token. Its `sts` is "pending" until the user has done what the app demands at a sign-in.
    "clerk": IssuerSettings(
        issuer="{}",
        refusals=(
            (_ID_TOKEN, _has("nonce", "at_hash", "c_hash")),
            (_MACHINE, lambda claims: not str(claims["sub"]).startswith("user_")),
            ("it is not a session token", _lacks("sid")),
            ("its session is pending", lambda claims: claims.get("sts", "active") != "active"),
        ),
    ),
    "cognito": IssuerSettings(
        issuer="{}",
        refusals=(
            (_ID_TOKEN, _is_other("token_use", "access")),
            (_MACHINE, lambda claims: "username" not in claims or claims["sub"] == claims.get("client_id")),
        ),
    ),
    # Every token of a realm may have "account" and other clients of the realm as its audience.
    "keycloak": IssuerSettings(
        issuer="{}",
        jwks_url="{}/protocol/openid-connect/certs",
        extra_audiences=("account", "broker", "realm-management"),
        refusals=(
            ("it is not an access token", _is_other("typ", "Bearer")),
            (
                _MACHINE,
                lambda claims: (
                    str(claims.get("preferred_username", "")).startswith("service-account-")
                    or _has("clientId", "client_id")(claims)
                ),
            ),
        ),
    ),
    # An ID token and an access token may have the same audience; only an access token of a user has scopes.
    "entra": IssuerSettings(
        issuer="https://login.microsoftonline.com/{}/v2.0",
        user_claim="oid",
        refusals=(
            (_MACHINE, lambda claims: claims.get("idtyp") == "app"),
            ("it is an ID token, or belongs to a machine: it has no scp", _lacks("scp")),
        ),
    ),
    "okta": IssuerSettings(
        issuer="https://{}",
        jwks_url="{}/v1/keys",
        user_claim="uid",
        refusals=((_ID_TOKEN, _lacks("cid")), (_MACHINE, _lacks("uid"))),
    ),
}
