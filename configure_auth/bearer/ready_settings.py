"""The settings of `BearerUser` for the identity providers that it knows, by one name that the app gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypedDict, Unpack

from ..errors import SettingsError
from ..settings import require_origin
from ..values import Secret
from .providers import PROVIDERS, Claims, IssuerSettings

if TYPE_CHECKING:
    from .sessions import SupabaseSession

Refuse: TypeAlias = Callable[[Claims], str | None]
"""Why a token that is valid otherwise is refused, as a sentence for the log; None to accept it."""

_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.ASCII)
_SUPABASE_PROJECT = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)
_FIREBASE_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", re.ASCII)
_COGNITO_POOL = re.compile(r"([a-z0-9-]{1,40})_[A-Za-z0-9]{1,55}", re.ASCII)
_ENTRA_TENANT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_OKTA_SERVER = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)


class BearerOptions(TypedDict, total=False):
    """Arguments that every ready setting takes beside its own; as for `BearerUser`."""

    jwks_url: str
    extra_audiences: tuple[str, ...]
    user_claim: str
    leeway: float
    allow_http: Collection[str]
    max_stale: float
    clock: Callable[[], float]
    refuse: Refuse


class ReadySettings:
    """The constructors of `BearerUser` that take a provider's settings from `PROVIDERS`."""

    _session: SupabaseSession | None = None
    _provider: IssuerSettings | None = None
    issuer: str

    @classmethod
    def _of(cls, provider: str, name: str, options: BearerOptions, **checks: Any) -> Self:
        """One with a row of `PROVIDERS`, whose refusals come before the app's."""
        row = PROVIDERS[provider]
        issuer = row.issuer.format(name)
        ready: dict[str, Any] = {
            "issuer": issuer,
            "algorithms": row.algorithms,
            "user_claim": row.user_claim,
            "extra_audiences": tuple(one.format(name) for one in row.extra_audiences),
        }
        if "key" not in checks:
            ready["jwks_url"] = row.jwks_url.format(issuer)
        make: Any = cls  # the subclass has the constructor
        user: Self = make(**{**ready, **checks, **options})
        user._provider = row
        return user

    @classmethod
    def supabase(
        cls,
        project: str,
        *,
        check_session: bool = False,
        anon_key: str | Secret | None = None,
        **options: Unpack[BearerOptions],
    ) -> Self:
        """The users of a Supabase project, whose JWT signing keys are asymmetric (ES256 or RS256).

        Refused are the project's API keys (roles `anon` and `service_role`) and anonymous users.

        Args:
            project: its reference, or its URL where that is another than https://<reference>.supabase.co.
            check_session: ask Supabase about every valid token, as `auth.getUser` of its own client does. Without it
                tokens are checked locally, so that one of a revoked session is accepted until its `exp`.
            anon_key: the project's public API key; for `check_session` only.
        """
        user = cls._of("supabase", _supabase_url(project, options), options, audience="authenticated")
        return user._checking(check_session, wrap_key(anon_key))

    @classmethod
    def supabase_shared_secret(
        cls,
        project: str,
        secret: str | Secret,
        *,
        check_session: bool = False,
        anon_key: str | Secret | None = None,
        **options: Unpack[BearerOptions],
    ) -> Self:
        """`supabase` for a project that still signs with its legacy JWT secret (HS256)."""
        checks = {"audience": "authenticated", "algorithms": ("HS256",), "key": wrap_key(secret)}
        del secret  # no frame of an error may have it
        user = cls._of("supabase", _supabase_url(project, options), options, **checks)
        return user._checking(check_session, wrap_key(anon_key))

    def _checking(self, check_session: bool, anon_key: Secret | None) -> Self:
        if check_session:
            from .sessions import SupabaseSession

            self._session = SupabaseSession(f"{self.issuer}/user", anon_key)
        elif anon_key is not None:
            raise SettingsError("anon_key is for check_session=True; leave it out, or set both")
        return self

    @classmethod
    def firebase(cls, project_id: str, **options: Unpack[BearerOptions]) -> Self:
        """The users of a Firebase project, by their ID tokens. Anonymous users are refused.

        The emulator's tokens aren't signed, so they are refused too.
        """
        _require(_FIREBASE_PROJECT, project_id, "a Firebase project id is 6 to 30 lowercase letters, digits, hyphens")
        return cls._of("firebase", project_id, options, audience=project_id)

    @classmethod
    def auth0(cls, domain: str, audience: str, **options: Unpack[BearerOptions]) -> Self:
        """The users of an Auth0 tenant, by their access tokens for an API of the app's.

        Refused are ID tokens and the tokens of machines (client credentials).

        Args:
            domain: the tenant's or its custom one, such as "example.eu.auth0.com".
            audience: the API's identifier at Auth0. A token may be for the domain's /userinfo as well, unless
                `extra_audiences` say otherwise.
        """
        _require(_HOST, domain, "an Auth0 domain is like example.eu.auth0.com: lowercase, no https://, no path")
        if audience.startswith(f"https://{domain}/"):
            raise SettingsError("audience must be the identifier of your own API at Auth0, not one of Auth0's")
        return cls._of("auth0", domain, options, audience=audience)

    @classmethod
    def clerk(
        cls, frontend_api: str, authorized_parties: str | tuple[str, ...], **options: Unpack[BearerOptions]
    ) -> Self:
        """The users of a Clerk application, by their session tokens.

        Refused are ID tokens, machines and sessions that are still pending.

        Args:
            frontend_api: its URL, such as "https://clerk.example.com" ("Frontend API URL" in Clerk's dashboard).
            authorized_parties: the origins of your own pages, such as "https://app.example.com" (`azp`). Clerk signs
                the same tokens for every page of the application, and gives them no `aud`.
        """
        name = _url("frontend_api", frontend_api, options)
        return cls._of("clerk", name, options, authorized_parties=authorized_parties)

    @classmethod
    def cognito(cls, user_pool_id: str, client_id: str, **options: Unpack[BearerOptions]) -> Self:
        """The users of an Amazon Cognito user pool, by their access tokens. Refused are ID tokens and machines.

        Args:
            user_pool_id: such as "eu-west-1_AbCdEfGhI".
            client_id: the id of your app client; access tokens of Cognito have no `aud`.
        """
        region = _require(_COGNITO_POOL, user_pool_id, "a Cognito user pool id is like eu-west-1_AbCdEfGhI")[1]
        name = f"https://cognito-idp.{region}.amazonaws.com/{user_pool_id}"
        return cls._of("cognito", name, options, client_id=client_id)

    @classmethod
    def keycloak(cls, realm_url: str, client_id: str | tuple[str, ...], **options: Unpack[BearerOptions]) -> Self:
        """The users of a Keycloak realm, by the access tokens of your client (`azp`).

        Refused are ID tokens, service accounts and the tokens of the realm's other clients, whatever their audience.

        Args:
            realm_url: such as "https://sso.example.com/realms/main".
            client_id: the client that your users sign in with, or several.
        """
        return cls._of("keycloak", _url("realm_url", realm_url, options), options, authorized_parties=client_id)

    @classmethod
    def entra(cls, tenant_id: str, audience: str | tuple[str, ...], **options: Unpack[BearerOptions]) -> Self:
        """The users of a Microsoft Entra tenant, by their v2.0 access tokens; the user's id is `oid`.

        Refused are ID tokens, and apps without a user.

        Args:
            tenant_id: the tenant's GUID.
            audience: the client id of your API's app registration.
        """
        _require(_ENTRA_TENANT, tenant_id, "an Entra tenant_id is a GUID in small letters, not a domain or 'common'")
        options = {"jwks_url": f"https://login.microsoftonline.com/{tenant_id}/discovery/v2.0/keys", **options}
        return cls._of("entra", tenant_id, options, audience=audience)

    @classmethod
    def okta(
        cls, domain: str, audience: str = "api://default", *, server: str = "default", **options: Unpack[BearerOptions]
    ) -> Self:
        """The users of an Okta custom authorization server, by their access tokens; the user's id is `uid`.

        Refused are ID tokens and machines. Tokens of Okta's own server can't be validated by others.

        Args:
            domain: such as "example.okta.com".
            audience: the server's audience.
            server: the server's id.
        """
        _require(_HOST, domain, "an Okta domain is like example.okta.com: lowercase, no https://, no path")
        _require(_OKTA_SERVER, server, "an Okta server is its id, such as default")
        return cls._of("okta", f"{domain}/oauth2/{server}", options, audience=audience)


def wrap_key(key: str | bytes | Secret | None) -> Secret | None:
    if isinstance(key, bytes):
        key = key.decode("utf-8", "surrogateescape")
    return Secret(key) if isinstance(key, str) else key


def host_names(allow_http: Collection[str]) -> Collection[str]:
    if isinstance(allow_http, str):
        raise SettingsError('allow_http is a tuple of host names, such as ("keycloak",)')
    return allow_http


def _require(pattern: re.Pattern[str], value: str, sentence: str) -> re.Match[str]:
    found = pattern.fullmatch(value)
    if found is None:
        raise SettingsError(sentence)
    return found


def _url(name: str, value: str, options: BearerOptions) -> str:
    return require_origin(name, value, path=True, allow_http=host_names(options.get("allow_http", ())))


def _supabase_url(project: str, options: BearerOptions) -> str:
    if _SUPABASE_PROJECT.fullmatch(project):
        return f"https://{project}.supabase.co"
    return _url("the URL of a Supabase project", project, options)
