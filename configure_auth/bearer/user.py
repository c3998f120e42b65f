"""The user of a request, from a bearer token that the app's identity provider signed (JWT; RFC 6750, 7519, 8725).

scheme -> size -> shape -> header -> key -> signature -> claims. Nothing that a token says is looked at before its
signature but which of the keys and algorithms that the app set it names. Nothing can be turned off.
"""

from __future__ import annotations

import base64
import logging
import math
import re
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, wait
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ..client.wire import is_number, is_text, is_token, json_object
from ..errors import BearerError, SettingsError
from ..runtime.drivers import arun, run
from ..runtime.effects import Effect
from ..runtime.frozen import dataclass
from ..runtime.loops import settled
from ..settings import require_origin
from ..values import Secret
from .providers import GOOGLE_KEYS, Claims
from .ready_settings import ReadySettings, Refuse, host_names, wrap_key

if TYPE_CHECKING:
    from ..client.call import HttpCall
    from .key_sets import Published, SigningKeys

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")

_LIMIT = 8192
_LONGEST_LEEWAY = 300
_LONGEST_WAIT = 10.0
# As a whole word (RFC 9110 section 5.6.2), alone or in a list: the caller meant to authenticate, whatever is wrong.
_MENTIONED = re.compile(r"(?:^|,)[ \t]*bearer(?![A-Za-z0-9!#$%&'*+.^_`|~-])", re.ASCII | re.IGNORECASE)
_BEARER = re.compile(r"bearer +([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII | re.IGNORECASE)
_TYPES = ("jwt", "at+jwt")
_PAST = ("nbf", "iat", "auth_time")
_QUOTED = re.compile(r"[^ !#-\[\]-~]")  # what may not be in an error_description (RFC 6750, section 3)


@dataclass(frozen=True)
class _Settled(Effect[None]):
    """Wait for a fetch of keys, 10 seconds at most; it ends by itself before."""

    fetch: Future[None]


class BearerUser(ReadySettings):
    """Tells the user of a request by its bearer token. `configure_auth.flask` and `configure_auth.starlette` have one
    each that is a ready `user_id`; this one is for everywhere else. Threads and event loops may share one.

    At least one of `audience`, `authorized_parties` and `client_id` is required: it identifies tokens issued for this
    app. Each one that is given is checked.

    Example::

        user = BearerUser(
            issuer="https://id.example.com/",
            audience="my-api",
            jwks_url="https://id.example.com/jwks",
            algorithms=["RS256"],
        )

    Args:
        issuer: the token's `iss`, letter by letter.
        audience: what a token must be for (`aud`): the API's name at the issuer, or several of which one is enough.
            Without it a token may have no `aud`, an empty one, or one of `extra_audiences`.
        authorized_parties: the clients or origins of which the token's `azp` must be one.
        client_id: what the token's `client_id` must be (RFC 9068).
        user_claim: the claim that is the user's id.
        jwks_url: where the issuer publishes its keys: https, or http on loopback. It must answer as JSON. The keys are
            fetched when they are first needed, and again after 10 minutes, or for a key that isn't among them, at most
            once in 30 seconds; while that fails those that are known stay, for `max_stale`. Or else:
        key: a secret of 32 bytes and more, shared with the issuer, or the PEM of a public key.
        algorithms: those that a token may be signed with; either HS256, HS384, HS512, or some of RS*, PS*, ES256,
            ES384, ES512 and EdDSA.
        extra_audiences: others that a token may be for as well. Without them a token that is for another service too is
            refused: they could use it here.
        leeway: seconds that the clocks may differ, at most 300.
        allow_http: host names, such as "keycloak" in a compose file, whose `jwks_url` may be http; for development.
        max_stale: seconds that fetched keys are used while the issuer can't be reached, at least 600; 7 days by
            default. Then requests get 503 `upstream_unavailable` until it can be. With `jwks_url` only.
        clock: Unix seconds, for tests.
        refuse: `(claims) -> str | None`, why a token that is valid otherwise is refused; for the log.

    A token must have `iss`, `exp` and the user's id. It may have at most 8 KiB, and comes in the Authorization header
    and nowhere else. One without a `kid` is accepted where exactly one key of the issuer fits its algorithm.

    Raises:
        SettingsError: something is missing, malformed or unsafe; the message says what. PyJWT isn't installed.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | tuple[str, ...] | None = None,
        authorized_parties: str | tuple[str, ...] | None = None,
        client_id: str | None = None,
        user_claim: str = "sub",
        jwks_url: str | None = None,
        key: str | bytes | Secret | None = None,
        algorithms: tuple[str, ...],
        extra_audiences: tuple[str, ...] = (),
        leeway: float = 30,
        allow_http: Collection[str] = (),
        max_stale: float | None = None,
        clock: Callable[[], float] = time.time,
        refuse: Refuse | None = None,
    ) -> None:
        secret = wrap_key(key)
        del key
        self.issuer: str = _named("issuer", issuer)
        self._audiences = _all_named("audience", audience)
        self._parties = {
            "azp": _all_named("authorized_parties", authorized_parties),
            "client_id": _all_named("client_id", client_id),
        }
        if not self._audiences and not any(self._parties.values()):
            raise SettingsError(
                "a BearerUser needs audience=, authorized_parties= or client_id=: it identifies tokens issued for this "
                "app among all others that the issuer signs"
            )
        if "account" in self._audiences:
            log.warning(
                'audience="account" is in every token of a Keycloak realm, also in those of other clients; use '
                "BearerUser.keycloak(...), or authorized_parties= with your client's id"
            )
        self._accepted = {*self._audiences, *_all_named("extra_audiences", extra_audiences or None)}
        self._user_claim = _named("user_claim", user_claim)
        self.algorithms: tuple[str, ...] = (algorithms,) if isinstance(algorithms, str) else tuple(algorithms or ())
        self._leeway = _seconds(leeway)
        self._clock = clock
        self._refuse = refuse
        if (jwks_url is None) == (secret is None):
            raise SettingsError("give a BearerUser either jwks_url, where the issuer's keys are, or key")
        try:
            from .key_sets import LIFESPAN, MAX_STALE, KeySet, OneKey
        except ImportError as error:
            raise SettingsError("a BearerUser needs PyJWT: pip install 'configure_auth[bearer]'") from error
        self._keys: SigningKeys
        if jwks_url is not None:
            if max_stale is not None and (isinstance(max_stale, bool) or not LIFESPAN <= max_stale < math.inf):
                raise SettingsError("max_stale must be a number of seconds from 600 on, such as 7 * 86400")
            url = _key_set_url(jwks_url, host_names(allow_http))
            self._keys = KeySet(url, self.algorithms, clock, max_stale or MAX_STALE)
        elif max_stale is not None:
            raise SettingsError("max_stale is for the keys of a jwks_url; leave it out with key=")
        else:
            assert secret is not None
            self._keys = OneKey(secret, self.algorithms)

    def key_set(self) -> HttpCall[Published] | None:
        """Return the call that fetches the issuer's keys without storing them; None where `key` was given."""
        return self._keys.look()

    def user_id(self, authorization: Sequence[str]) -> str | None:
        """Return the user who sent a request. It waits only where keys must be fetched first, 5 seconds at most.

        Args:
            authorization: the values of its Authorization headers.

        Returns:
            The user's id, 1 to 255 characters; None where there is no such header, or one of another scheme.

        Raises:
            BearerError: there is a bearer token, and it isn't valid or can't be validated now. A warning in the log
                has the cause, and nothing of the token.
        """
        judging = self._judge(authorization)
        del authorization
        return self._id(_raised(run(judging, self._perform)))

    def verified_claims(self, authorization: Sequence[str]) -> Claims | None:
        """`user_id` with all claims of the token."""
        judging = self._judge(authorization)
        del authorization
        return _raised(run(judging, self._perform))

    async def auser_id(self, authorization: Sequence[str]) -> str | None:
        """`user_id`, awaited, on asyncio and on trio."""
        judging = self._judge(authorization)
        del authorization
        return self._id(_raised(await arun(judging, self._aperform)))

    async def averified_claims(self, authorization: Sequence[str]) -> Claims | None:
        """`verified_claims`, awaited."""
        judging = self._judge(authorization)
        del authorization
        return _raised(await arun(judging, self._aperform))

    def _perform(self, effect: Any) -> Any:
        if isinstance(effect, _Settled):
            return wait((effect.fetch,), _LONGEST_WAIT)
        assert self._session is not None
        return self._session.send(effect)

    async def _aperform(self, effect: Any) -> Any:
        if isinstance(effect, _Settled):
            return await settled(effect.fetch, _LONGEST_WAIT)
        assert self._session is not None
        return await self._session.asend(effect)

    def _id(self, claims: Claims | None) -> str | None:
        return None if claims is None else claims[self._user_claim]

    if not TYPE_CHECKING:  # pragma: no branch

        def __call__(self, *_: object) -> NoReturn:
            raise SettingsError("as user_id= take BearerUser from configure_auth.flask or configure_auth.starlette")

    async def _judge(self, authorization: Sequence[str]) -> Claims | BearerError | None:
        """Return the claims, None without a token, or why it is refused: a traceback would have the token in it."""
        asking = self._session.call(authorization) if self._session else None
        try:
            token = _token(authorization)
            if token is None:
                return None
            del authorization  # no error of what follows shall have the token in one of its frames
            key_id = self._key_id(token)
            flight = self._keys.refresh(key_id)
            if flight is not None:
                await _Settled(flight)
            if self._keys.find(key_id) is None and self._keys.retry_after is not None:
                return BearerError("the issuer's keys can't be had now", retry_after=self._keys.retry_after)
            payload = self._keys.signed(token, key_id)
            del token
            claims = self._claims(payload)
        except _Refused as refused:
            log.warning("a bearer token was refused: %s", refused)
            # An app's own reason is for the log alone.
            shown = "the app refuses it" if isinstance(refused, _RefusedByApp) else _QUOTED.sub("?", str(refused))
            return BearerError(
                f"the bearer token was refused: {refused}",
                challenge=f'Bearer error="invalid_token", error_description="the token was refused: {shown}"',
            )
        if self._session is None or asking is None:
            return claims
        return await self._session.refusal(asking, claims[self._user_claim]) or claims

    def _key_id(self, token: tuple[str, ...]) -> tuple[str | None, str]:
        """Which key a token names. Other parameters (`jwk`, `jku`, `x5u`, `x5c`) are ignored."""
        header = json_object(_decoded(token[0]))
        if header is None:
            raise _Refused("its header isn't a JSON object")
        if "crit" in header or header.get("b64", True) is not True:
            raise _Refused("its header demands an extension")
        kind = header.get("typ", _TYPES[0])
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
            raise _Refused("it is a token of another type")
        algorithm = header.get("alg")
        if algorithm not in self.algorithms:
            raise _Refused("it isn't signed with one of the algorithms set")
        kid = header.get("kid")
        if "kid" in header and not self._keys.names(kid):
            raise _Refused("the kid in its header is malformed")
        return kid, algorithm

    def _claims(self, payload: bytes | None) -> Claims:
        if payload is None:
            raise _Refused("it isn't signed with a key of the issuer's")
        claims = json_object(payload)
        if claims is None:
            raise _Refused("it doesn't hold a JSON object")
        if claims.get("iss") != self.issuer:
            raise _Refused("it is of another issuer")
        self._check_audience(claims)
        now = self._clock()
        if _instant(claims, "exp") <= now - self._leeway:
            raise _Refused("it has expired")
        for name in _PAST:
            if name in claims and _instant(claims, name) > now + self._leeway:
                raise _Refused(f"its {name} is in the future")
        for name in {"sub", self._user_claim} if self._provider else {self._user_claim}:
            value = claims.get(name)
            if not value or not is_text(value, 255):
                raise _Refused(f"its {name} isn't 1 to 255 characters without control characters")
        why = None if self._provider is None else self._provider.refuse(claims)
        if why is not None:
            raise _Refused(why)
        why = None if self._refuse is None else self._refuse(claims)
        if why is not None:
            raise _RefusedByApp(why)
        return MappingProxyType(claims)

    def _check_audience(self, claims: Claims) -> None:
        audience = claims.get("aud", [])
        audiences = audience if isinstance(audience, list) else [audience]
        ours = not self._audiences or any(one in self._audiences for one in audiences)
        if not ours or not all(isinstance(one, str) for one in audiences):
            raise _Refused("it is for another audience")
        if not self._accepted.issuperset(audiences):
            raise _Refused("it is for others as well; name them in extra_audiences where that is meant")
        for name, accepted in self._parties.items():
            if accepted and claims.get(name) not in accepted:
                raise _Refused(f"its {name} is not one of this app")


class _Refused(Exception):
    """Why a token is refused, without any of it."""


class _RefusedByApp(_Refused):
    """Why the app's own `refuse` refuses it."""


def _raised(claims: Claims | BearerError | None) -> Claims | None:
    # Here, far from the frames that had the token in them.
    if isinstance(claims, BearerError):
        raise claims
    return claims


def require_token(found: T | None) -> T:
    """Return what was found of a token.

    Raises:
        BearerError: there was none. The challenge has no error then (RFC 6750, section 3.1).
    """
    if found is None:
        raise BearerError("a bearer token is required", challenge="Bearer")
    return found


# What a request brings.


def _token(authorization: Sequence[str]) -> tuple[str, ...] | None:
    """Return the three parts of the one bearer token; None without one."""
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
    if not is_number(value):
        raise _Refused(f"its {name} isn't a point in time")
    return value


# What an app sets.


def _named(what: str, value: object) -> str:
    if not is_text(value, 2048) or not value.strip():
        raise SettingsError(f"{what} of a BearerUser must be text without control characters")
    return value


def _all_named(what: str, values: str | Sequence[str] | None) -> tuple[str, ...]:
    listed = (values,) if isinstance(values, str) else tuple(values or ())
    if values is not None and not listed:
        raise SettingsError(f"{what} of a BearerUser is empty; name at least one, or leave it out")
    return tuple(_named(what, value) for value in listed)


def _seconds(leeway: float) -> float:
    if isinstance(leeway, bool) or not isinstance(leeway, int | float) or not 0 <= leeway <= _LONGEST_LEEWAY:
        raise SettingsError(f"leeway must be a number of seconds from 0 to {_LONGEST_LEEWAY}")
    return leeway


def _key_set_url(jwks_url: str, allow_http: Collection[str]) -> str:
    place, _, query = jwks_url.partition("?")  # where some issuers name a policy
    require_origin("jwks_url", place, path=True, allow_http=allow_http)
    if query and ("#" in query or not is_token(query, 2048)):
        raise SettingsError("jwks_url has a fragment, a space or a control character in its query")
    if "/metadata/x509/" in place:
        raise SettingsError(f"jwks_url leads to X.509 certificates; Firebase's keys are, as a JWKS, at {GOOGLE_KEYS}")
    return jwks_url
