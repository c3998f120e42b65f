"""Who is calling: from a bearer token that the app's identity provider signed (a JWT; RFC 6750, 7519 and 8725).

scheme -> size -> shape -> header -> key -> signature -> claims. Nothing that a token says is looked at before its
signature but which of the keys and algorithms that the app set it names. Nothing can be turned off.
"""

from __future__ import annotations

import base64
import logging
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeAlias, TypedDict, Unpack

from ..client.wire import is_token, json_object
from ..errors import BearerError, SettingsError
from ..runtime.loops import settled
from ..settings import require_origin
from ..values import Secret

if TYPE_CHECKING:
    from ..client.call import Call
    from .key_sets import Published, SigningKeys
    from .sessions import SupabaseSession

log: logging.Logger = logging.getLogger("configure_auth")

Claims: TypeAlias = Mapping[str, Any]
Refuse: TypeAlias = Callable[[Claims], str | None]
"""Why a token that is good otherwise is refused, as a sentence for the log; None where it isn't."""

Judging: TypeAlias = Generator[Future[None], None, str | BearerError | None]
"""Yields what must be waited for; returns the user's id, None for nobody, or why the token is refused."""

_LIMIT = 8192
_LONGEST_LEEWAY = 300
_LONGEST_WAIT = 10.0  # of one attempt to fetch keys; it ends by itself before
# As a whole word (RFC 9110 section 5.6.2), alone or in a list: whatever else is wrong, somebody meant to be known.
_MENTIONED = re.compile(r"(?:^|,)[ \t]*bearer(?![A-Za-z0-9!#$%&'*+.^_`|~-])", re.ASCII | re.IGNORECASE)
_BEARER = re.compile(r"bearer +([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII | re.IGNORECASE)
_TYPES = ("jwt", "at+jwt")
_PAST = ("nbf", "iat", "auth_time")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.ASCII)
_SUPABASE_PROJECT = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)
_FIREBASE_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", re.ASCII)
_GOOGLE_KEYS = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"


class BearerOptions(TypedDict, total=False):
    """What every ready setting takes beside its own arguments; as for `BearerUser`."""

    jwks_url: str
    extra_audiences: tuple[str, ...]
    leeway: float
    clock: Callable[[], float]
    refuse: Refuse


class BearerUser:
    """Tells the user of a request by its bearer token. `configure_auth.flask` and `configure_auth.starlette` have one
    each that is a ready `user_id`; this one is for everywhere else. Threads and event loops may share one.

    Args:
        issuer: the token's `iss`, letter by letter.
        audience: what a token must be for (`aud`): the API's name at the issuer, or several of which one is enough.
        jwks_url: where the issuer publishes its keys: https, or http on loopback. It must answer as JSON. The keys are
            fetched when they are first needed, and again after 10 minutes, or for a key that isn't among them, at most
            once in 30 seconds; while that fails those that are known stay. Or else:
        key: a secret of 32 bytes and more, shared with the issuer, or the PEM of a public key.
        algorithms: those that a token may be signed with; either HS256, HS384, HS512, or some of RS*, PS*, ES256,
            ES384, ES512 and EdDSA.
        extra_audiences: others that a token may be for as well. Without them a token that is for anybody else too is
            refused: they could use it here.
        leeway: seconds that the clocks may differ, at most 300.
        clock: Unix seconds, for tests.
        refuse: `(claims) -> str | None`, why a token that is good otherwise is refused; for the log.

    A token must have `iss`, `aud`, `exp` and `sub`, which is the user's id. It may have at most 8 KiB, and comes in the
    Authorization header and nowhere else.

    Raises:
        SettingsError: something is missing, malformed or unsafe; the message says what. PyJWT isn't installed.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | tuple[str, ...],
        jwks_url: str | None = None,
        key: str | bytes | Secret | None = None,
        algorithms: tuple[str, ...],
        extra_audiences: tuple[str, ...] = (),
        leeway: float = 30,
        clock: Callable[[], float] = time.time,
        refuse: Refuse | None = None,
    ) -> None:
        secret = _wrapped(key)
        del key
        self._session: SupabaseSession | None = None
        self._issuer = _named("issuer", issuer)
        self._audiences = _all_named("audience", audience or "")
        self._accepted = {*self._audiences, *_all_named("extra_audiences", extra_audiences)}
        self._algorithms = (algorithms,) if isinstance(algorithms, str) else tuple(algorithms or ())
        self._leeway = _seconds(leeway)
        self._clock = clock
        self._refuse = refuse
        if (jwks_url is None) == (secret is None):
            raise SettingsError("give a BearerUser either jwks_url, where the issuer's keys are, or key")
        try:
            from .key_sets import KeySet, OneKey
        except ImportError as error:
            raise SettingsError("a BearerUser needs PyJWT: pip install 'configure_auth[bearer]'") from error
        self._keys: SigningKeys
        if jwks_url is not None:
            self._keys = KeySet(_https(jwks_url), self._algorithms, clock)
        elif secret is not None:
            self._keys = OneKey(secret, self._algorithms)

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
        issuer = _supabase_issuer(project)
        user = cls(
            issuer=issuer,
            audience="authenticated",
            algorithms=("ES256", "RS256"),
            **_ready(options, _no_supabase_user, jwks_url=f"{issuer}/.well-known/jwks.json"),
        )
        return user._checking(check_session, _wrapped(anon_key))

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
        wrapped = _wrapped(secret)
        del secret  # no frame of an error may have it
        user = cls(
            issuer=_supabase_issuer(project),
            audience="authenticated",
            algorithms=("HS256",),
            key=wrapped,
            **_ready(options, _no_supabase_user),
        )
        return user._checking(check_session, _wrapped(anon_key))

    def _checking(self, check_session: bool, anon_key: Secret | None) -> Self:
        if check_session:
            from .sessions import SupabaseSession

            self._session = SupabaseSession(f"{self._issuer}/user", anon_key)
        elif anon_key is not None:
            raise SettingsError("anon_key is for check_session=True; leave it out, or set both")
        return self

    @classmethod
    def firebase(cls, project_id: str, **options: Unpack[BearerOptions]) -> Self:
        """The users of a Firebase project, by their ID tokens. Anonymous users are refused.

        The emulator's tokens aren't signed, so they are refused too.
        """
        if not _FIREBASE_PROJECT.fullmatch(project_id):
            raise SettingsError("a Firebase project id is 6 to 30 lowercase letters, digits and hyphens")
        return cls(
            issuer=f"https://securetoken.google.com/{project_id}",
            audience=project_id,
            algorithms=("RS256",),
            **_ready(options, _no_firebase_user, jwks_url=_GOOGLE_KEYS),
        )

    @classmethod
    def auth0(cls, domain: str, audience: str, **options: Unpack[BearerOptions]) -> Self:
        """The users of an Auth0 tenant, by their access tokens for an API of the app's.

        Refused are ID tokens and the tokens of machines (client credentials).

        Args:
            domain: the tenant's or its custom one, such as "example.eu.auth0.com".
            audience: the API's identifier at Auth0. A token may be for the domain's /userinfo as well, unless
                `extra_audiences` say otherwise.
        """
        if not _HOST.fullmatch(domain):
            raise SettingsError("an Auth0 domain is like example.eu.auth0.com: lowercase, no https://, no path")
        if audience.startswith(f"https://{domain}/"):
            raise SettingsError("audience must be the identifier of your own API at Auth0, not one of Auth0's")
        return cls(
            issuer=f"https://{domain}/",
            audience=audience,
            algorithms=("RS256",),
            **_ready(
                options,
                _no_auth0_user,
                jwks_url=f"https://{domain}/.well-known/jwks.json",
                extra_audiences=(f"https://{domain}/userinfo",),
            ),
        )

    @property
    def issuer(self) -> str:
        return self._issuer

    @property
    def algorithms(self) -> tuple[str, ...]:
        return self._algorithms

    def key_set(self) -> Call[Published] | None:
        """What asks the issuer which keys it publishes, and changes nothing here; None where `key` was given."""
        return self._keys.look()

    def user_id(self, authorization: Sequence[str]) -> str | None:
        """Who sent a request. It waits only where keys must be fetched first, 5 seconds at most.

        Args:
            authorization: the values of its Authorization headers.

        Returns:
            The token's `sub`, 1 to 255 characters; None where there is no such header, or one of another scheme.

        Raises:
            BearerError: there is a bearer token, and it isn't good or can't be judged now.
        """
        judging = self._judge(authorization)
        call = self._session.call(authorization) if self._session else None
        del authorization
        try:
            while True:
                wait((next(judging),), _LONGEST_WAIT)
        except StopIteration as stop:
            judged = stop.value
        user = _raised(judged)
        if self._session:
            self._session.require(call, user)
        return user

    async def auser_id(self, authorization: Sequence[str]) -> str | None:
        """`user_id`, awaited, on asyncio and on trio."""
        judging = self._judge(authorization)
        call = self._session.call(authorization) if self._session else None
        del authorization
        try:
            while True:
                await settled(next(judging), _LONGEST_WAIT)
        except StopIteration as stop:
            judged = stop.value
        user = _raised(judged)
        if self._session:
            await self._session.arequire(call, user)
        return user

    if not TYPE_CHECKING:

        def __call__(self, *_: object) -> NoReturn:
            raise SettingsError("as user_id= take BearerUser from configure_auth.flask or configure_auth.starlette")

    def _judge(self, authorization: Sequence[str]) -> Judging:
        try:
            token = _token(authorization)
            if token is None:
                return None
            del authorization  # no error of what follows shall have the token in one of its frames
            key_id = self._key_id(token)
            flight = self._keys.refresh(key_id)
            if flight is not None:
                yield flight
            if self._keys.find(key_id) is None and self._keys.retry_after is not None:
                return BearerError("the issuer's keys can't be had now", retry_after=self._keys.retry_after)
            payload = self._keys.signed(token, key_id)
            del token
            return self._user(payload)
        except _Refused as refused:
            # The reason goes no further: it would help whoever forges tokens.
            log.info("a bearer token was refused: %s", refused)
            return BearerError(f"the bearer token was refused: {refused}")

    def _key_id(self, token: tuple[str, ...]) -> tuple[str | None, str]:
        """Which key a token names. What else its header has (`jwk`, `jku`, `x5u`, `x5c`) is nobody's word."""
        header = json_object(_decoded(token[0]))
        if header is None:
            raise _Refused("its header isn't a JSON object")
        if "crit" in header or header.get("b64", True) is not True:
            raise _Refused("its header demands an extension")
        kind = header.get("typ", _TYPES[0])
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
            raise _Refused("it is a token of another type")
        algorithm = header.get("alg")
        if algorithm not in self._algorithms:
            raise _Refused("it isn't signed with one of the algorithms set")
        kid = header.get("kid")
        if not self._keys.names(kid):
            raise _Refused("it names no key, or in no usual way")
        return kid, algorithm

    def _user(self, payload: bytes | None) -> str:
        if payload is None:
            raise _Refused("it isn't signed with a key of the issuer's")
        claims = json_object(payload)
        if claims is None:
            raise _Refused("it doesn't hold a JSON object")
        if claims.get("iss") != self._issuer:
            raise _Refused("it is of another issuer")
        self._check_audience(claims.get("aud"))
        now = self._clock()
        if _instant(claims, "exp") <= now - self._leeway:
            raise _Refused("it has expired")
        for name in _PAST:
            if name in claims and _instant(claims, name) > now + self._leeway:
                raise _Refused(f"its {name} is in the future")
        user = claims.get("sub")
        if not isinstance(user, str) or not 0 < len(user) <= 255 or _CONTROL.search(user):
            raise _Refused("its sub isn't 1 to 255 characters without control characters")
        why = None if self._refuse is None else self._refuse(claims)
        if why is not None:
            raise _Refused(why)
        return user

    def _check_audience(self, audience: object) -> None:
        audiences = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(one, str) for one in audiences) or not any(one in self._audiences for one in audiences):
            raise _Refused("it is for another audience")
        if not self._accepted.issuperset(audiences):
            raise _Refused("it is for others as well; name them in extra_audiences where that is meant")


class _Refused(Exception):
    """Why a token is refused, without any of it."""


def _raised(user: str | BearerError | None) -> str | None:
    # Here, far from the frames that had the token in them.
    if isinstance(user, BearerError):
        raise user
    return user


# What a request brings.


def _token(authorization: Sequence[str]) -> tuple[str, ...] | None:
    """The three parts of the one bearer token; None where there is none at all."""
    header = ", ".join(authorization)  # as servers do with some of them (RFC 9110 section 5.3)
    if not _MENTIONED.search(header):
        return None
    if len(header) > _LIMIT:
        raise _Refused("it is longer than 8 KiB")
    found = _BEARER.fullmatch(header)
    if found is None:
        raise _Refused("it isn't a JWT in the compact form, alone in the one Authorization header")
    for part in found.groups():
        _decoded(part)
    return found.groups()


def _decoded(part: str) -> bytes:
    """A part of a token; only the one way to write it is good (RFC 4648 section 3.5)."""
    try:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        content = b""
    if base64.urlsafe_b64encode(content).rstrip(b"=") != part.encode():
        raise _Refused("it isn't written in base64url")
    return content


def _instant(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise _Refused(f"its {name} isn't a point in time")
    return value


# What an app sets.


def _wrapped(key: str | bytes | Secret | None) -> Secret | None:
    if isinstance(key, bytes):
        key = key.decode("utf-8", "surrogateescape")
    return Secret(key) if isinstance(key, str) else key


def _named(what: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 2048 or _CONTROL.search(value):
        raise SettingsError(
            f"a BearerUser needs {what} as text without control characters: it tells the tokens for this app from all "
            "others that the issuer signs"
        )
    return value


def _all_named(what: str, values: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(_named(what, value) for value in ((values,) if isinstance(values, str) else values))


def _seconds(leeway: float) -> float:
    if isinstance(leeway, bool) or not isinstance(leeway, int | float) or not 0 <= leeway <= _LONGEST_LEEWAY:
        raise SettingsError(f"leeway must be a number of seconds from 0 to {_LONGEST_LEEWAY}")
    return leeway


def _https(jwks_url: str) -> str:
    place, _, query = jwks_url.partition("?")  # where some issuers name a policy
    require_origin("jwks_url", place, path=True)
    if query and ("#" in query or not is_token(query, 2048)):
        raise SettingsError("jwks_url has a fragment, a space or a control character in its query")
    return jwks_url


def _ready(
    options: BearerOptions,
    refuse: Refuse,
    *,
    jwks_url: str | None = None,
    extra_audiences: tuple[str, ...] = (),
) -> BearerOptions:
    """The options of a ready setting: its own check goes before the app's."""
    found: BearerOptions = {"extra_audiences": extra_audiences, **options, "refuse": refuse}
    theirs = options.get("refuse")
    if theirs is not None:
        found["refuse"] = lambda claims: refuse(claims) or theirs(claims)
    if jwks_url is not None:
        found.setdefault("jwks_url", jwks_url)
    return found


def _supabase_issuer(project: str) -> str:
    if _SUPABASE_PROJECT.fullmatch(project):
        return f"https://{project}.supabase.co/auth/v1"
    return f"{require_origin('the URL of a Supabase project', project, path=True)}/auth/v1"


def _no_supabase_user(claims: Claims) -> str | None:
    role = claims.get("role")
    if not isinstance(role, str) or role in ("", "anon", "service_role", "supabase_admin"):
        return "its role is none of a user"
    return None if claims.get("is_anonymous", False) is False else "its user is anonymous"


def _no_firebase_user(claims: Claims) -> str | None:
    if "auth_time" not in claims:
        return "it has no auth_time"
    about = claims.get("firebase")
    anonymous = isinstance(about, dict) and about.get("sign_in_provider") == "anonymous"
    return "its user is anonymous" if anonymous else None


def _no_auth0_user(claims: Claims) -> str | None:
    if not {"nonce", "at_hash", "c_hash"}.isdisjoint(claims):
        return "it is an ID token"
    machine = claims.get("gty") == "client-credentials" or claims["sub"].endswith("@clients")
    return "it is of a machine, not of a user" if machine else None
