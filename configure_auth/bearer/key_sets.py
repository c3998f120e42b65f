"""The keys that bearer tokens are signed with: one that the app was given, or the set that an issuer publishes.

The one module that touches PyJWT, which parses the keys and checks the signatures. A set is fetched by a thread of its
own, one for all requests that wait for it, on threads and event loops alike:

- shortly before its 10 minutes are over. Who comes then goes on with the keys that are there; who comes after waits.
- for a key that isn't in it, 30 seconds after the last attempt at the earliest. Who names one waits.
- 30 seconds after an attempt that failed. The keys that are there stay good meanwhile.
"""

from __future__ import annotations

import base64
import logging
import math
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import field, replace
from typing import Any, TypeAlias, cast

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from cryptography.x509 import load_der_x509_certificate

from ..client.call import HttpCall, HttpResponse
from ..client.transport import Transport
from ..client.wire import read_response
from ..errors import ConfigureError, SettingsError
from ..runtime.forks import reset_after_fork
from ..runtime.frozen import dataclass
from ..values import Secret

log: logging.Logger = logging.getLogger(__name__)

MAX_STALE = 7 * 86400.0
"""Seconds that keys are used while their issuer can't be reached, unless an app says otherwise."""

LIFESPAN = 600.0
"""Seconds that a fetched set is good for. A key that was taken out of it is refused afterwards."""

COOLDOWN = 30.0
"""Seconds from one attempt to fetch a set to the next, at least."""

FETCH_TIMEOUT = 5.0
"""Seconds for a whole attempt: a request may wait for it."""

_jws = jwt.PyJWS()
_MOST_KEYS = 100
_RSA_BITS = range(2048, 16384 + 1)
# Letters, digits and the marks of URLs and of base64; no quotes, no spaces, no way up a folder.
_KID = re.compile(r"(?!.*\.\.)[A-Za-z0-9._~:/?#@!$&+=%|-]{1,255}", re.ASCII)
# The least bytes of a secret: those of the hash (RFC 7518 section 3.2).
_SECRETS = {"HS256": 32, "HS384": 48, "HS512": 64}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}
_ALGORITHMS = (*_SECRETS, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *_CURVES)

KeyId: TypeAlias = tuple[str | None, str]
"""A key as a token names it: its `kid`, None where it names none, and the one algorithm that it is for."""


class SigningKeys(ABC):
    """Source of the keys that tokens are verified with."""

    retry_after: float | None = None
    """Seconds after which a key that isn't found may be; None where it isn't the issuer's."""

    def names(self, kid: object) -> bool:
        """Whether a token may name a key so."""
        return _is_kid(kid)

    @abstractmethod
    def refresh(self, key_id: KeyId) -> Future[None] | None:
        """Begin what is due; what a token of this key must wait for, None where nothing."""

    @abstractmethod
    def find(self, key_id: KeyId) -> jwt.PyJWK | None:
        """The key, as far as it is known now."""

    def look(self) -> HttpCall[Published] | None:
        """Return the call that fetches the published keys without storing them; None for a key of the app's own."""
        return None

    def signed(self, token: Sequence[str], key_id: KeyId) -> bytes | None:
        """Return the payload of a token, given in its three parts, if it was signed with this key."""
        key = self.find(key_id)
        try:
            # By the algorithm that the key is bound to, whatever the token's header says.
            return None if key is None else cast(bytes, _jws.decode(".".join(token), key, [key.algorithm_name]))
        except jwt.PyJWTError:
            return None


class OneKey(SigningKeys):
    """A key that the app was given: a shared secret, or a public key in PEM.

    Raises:
        SettingsError: it isn't a key for every one of the algorithms.
    """

    def __init__(self, key: Secret, algorithms: Sequence[str]) -> None:
        _check(algorithms)
        self._keys = _bound(key, algorithms)
        if len(self._keys) != len(algorithms):
            raise SettingsError(
                f"key isn't one for {', '.join(algorithms)}: give a secret of at least 32 bytes for HS256 (48 for "
                "HS384, 64 for HS512), else the PEM of a public key of the algorithm's kind, RSA from 2048 bits on"
            )

    def refresh(self, key_id: KeyId) -> None:
        return None

    def find(self, key_id: KeyId) -> jwt.PyJWK | None:
        return self._keys.get(key_id[1])


@dataclass(frozen=True)
class Published:
    """Published keys of an issuer: the algorithms with a usable key, and what the other keys are for."""

    good: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class _Known:
    """What the last attempt left: the keys, when it began and how long they are good for from then on.

    `loaded_at` is when the attempt began that brought the keys.
    """

    keys: Mapping[KeyId, jwt.PyJWK] = field(default_factory=dict)
    at: float = -math.inf
    good_for: float = 0.0
    loaded_at: float = -math.inf

    def find(self, key_id: KeyId) -> jwt.PyJWK | None:
        """The key of this name; without a name the only one for the algorithm (RFC 7515, section 4.1.4)."""
        kid, algorithm = key_id
        if kid is not None:
            return self.keys.get(key_id)
        fitting = [key for (_, meant_for), key in self.keys.items() if meant_for == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    def is_fresh(self, now: float, margin: float = 0.0) -> bool:
        # A clock that was set back makes nothing younger.
        return 0 <= now - self.at < self.good_for - margin


class KeySet(SigningKeys):
    """The public keys that an issuer publishes (a JWKS, RFC 7517).

    Keys stay while the issuer can't be reached, or gives anything else than a set with a good key in it, for
    `max_stale` seconds at most. Threads and event loops may share one.

    Args:
        url: where it publishes them.
        algorithms: those that keys are taken for; none with a shared secret.
        clock: Unix seconds.
        max_stale: seconds from when keys were fetched to when they are good for nothing.

    Raises:
        SettingsError: an algorithm isn't for public keys.
    """

    def __init__(self, url: str, algorithms: Sequence[str], clock: Callable[[], float], max_stale: float) -> None:
        _check(algorithms)
        if algorithms[0] in _SECRETS:
            raise SettingsError("a jwks_url publishes public keys; HS256, HS384 and HS512 have a secret one: give key=")
        self._url = url
        self._algorithms = tuple(algorithms)
        self._clock = clock
        self._max_stale = max_stale
        self.retry_after = COOLDOWN
        self._known = _Known()
        self._tried_at = -math.inf
        self._flight: Future[None] | None = None
        self._lock = threading.Lock()
        reset_after_fork(self)

    def _after_fork(self) -> None:
        # The thread that fetched doesn't exist in the child.
        self._lock = threading.Lock()
        if self._flight is not None:
            self._flight, self._tried_at = None, -math.inf

    def find(self, key_id: KeyId) -> jwt.PyJWK | None:
        known = self._known
        return known.find(key_id) if self._clock() - known.loaded_at <= self._max_stale else None

    def refresh(self, key_id: KeyId) -> Future[None] | None:
        now = self._clock()
        # Nearly always this is all, and takes no lock.
        if self._known.is_fresh(now, COOLDOWN) and self._known.find(key_id) is not None:
            return None
        with self._lock:
            # In this order: a flight that has just ended left its keys first.
            flight, known = self._flight, self._known
            there, may_try = self.find(key_id) is not None, not 0 <= now - self._tried_at < COOLDOWN
            if flight is None and not (there and known.is_fresh(now, COOLDOWN)) and may_try:
                self._flight = flight = Future()
                self._tried_at = now
                self._start(flight)
            return None if there and known.is_fresh(now) else flight

    def _start(self, flight: Future[None]) -> None:
        # No request's own thread: it goes on when a request is cancelled, and doesn't delay the end of the process.
        thread = threading.Thread(target=self._fetch, args=(flight,), name="configure_auth key set", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the end of the process
            self._land(flight, {}, str(error))

    def _fetch(self, flight: Future[None]) -> None:
        keys: Mapping[KeyId, jwt.PyJWK] = {}
        why = "it has no key that is good for the algorithms set"
        transport = Transport(FETCH_TIMEOUT)
        call = HttpCall(method="GET", url=self._url, parse=self._read)
        try:
            keys = call.parse(transport.send(call))
        except ConfigureError as error:
            why = error.code if error.status_code is None else f"{error.code}, HTTP {error.status_code}"
        except Exception as error:  # noqa: BLE001  # the requests that wait must not wait forever
            why = type(error).__name__
        finally:
            # It would be closed by the other side long before the next attempt.
            transport.close()
        self._land(flight, keys, why)

    def _land(self, flight: Future[None], keys: Mapping[KeyId, jwt.PyJWK], why: str) -> None:
        if keys:
            self._known = _Known(keys, self._tried_at, LIFESPAN, self._tried_at)
            self.retry_after = None
        else:
            # Without its query, in which some issuers want a key.
            log.warning("failed to load JWKS from %s: %s", self._url.partition("?")[0], why)
            self._known = replace(self._known, at=self._tried_at, good_for=2 * COOLDOWN)
            self.retry_after = COOLDOWN
        self._flight = None
        flight.set_result(None)

    def look(self) -> HttpCall[Published]:
        return HttpCall(method="GET", url=self._url, parse=self._published)

    def _published(self, reply: HttpResponse) -> Published:
        good = {algorithm for _kid, algorithm in self._read(reply)}
        every = read_response(reply, "a key set").objects("keys", _MOST_KEYS) or ()
        # By its algorithm, else by its kind; of a shape that needn't be believed.
        names = (one.fields.get("alg", one.fields.get("kty")) for one in every)
        others = {name for name in names if isinstance(name, str) and _is_kid(name)}
        return Published(tuple(one for one in self._algorithms if one in good), tuple(sorted(others)))

    def _read(self, reply: HttpResponse) -> Mapping[KeyId, jwt.PyJWK]:
        """The keys that are good for us. Two under one name are none: which of them is meant?"""
        found: dict[KeyId, jwt.PyJWK] = {}
        twice: set[KeyId] = set()
        for answer in read_response(reply, "a key set").objects("keys", _MOST_KEYS) or ():
            for key_id, key in _keys(answer.fields, self._algorithms):
                if key_id in found:
                    twice.add(key_id)
                found[key_id] = key
        return {key_id: key for key_id, key in found.items() if key_id not in twice}


def _is_kid(kid: object) -> bool:
    return isinstance(kid, str) and _KID.fullmatch(kid) is not None


def _check(algorithms: Sequence[str]) -> None:
    unknown = [name for name in algorithms if name not in _ALGORITHMS]
    if unknown or not algorithms:
        raise SettingsError(f"algorithms must be some of {', '.join(_ALGORITHMS)}")
    if len({name in _SECRETS for name in algorithms}) != 1:
        raise SettingsError(
            "algorithms mix HMAC (HS...) with public-key algorithms, so that anyone with the public key could sign "
            "tokens; give one kind"
        )


def _keys(jwk: Mapping[str, Any], algorithms: Sequence[str]) -> Iterator[tuple[KeyId, jwt.PyJWK]]:
    """A key of a set, for each of the algorithms that it may be used with."""
    kid, meant_for = jwk.get("kid"), jwk.get("alg")
    operations = jwk.get("key_ops", ["verify"])
    if ("kid" in jwk and not _is_kid(kid)) or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return
    if not isinstance(operations, list) or "verify" not in operations:
        return
    for algorithm in algorithms:
        key = _key(jwk, algorithm) if meant_for in (None, algorithm) else None
        if key is not None:
            yield (kid, algorithm), key


def _key(jwk: Mapping[str, Any], algorithm: str) -> jwt.PyJWK | None:
    """A key bound to one algorithm; None where it isn't a key for it, or a weak one."""
    try:
        key = jwt.PyJWK(dict(jwk), algorithm)
    except Exception:  # noqa: BLE001  # a field of another type, a point off the curve: there is no list of what is raised
        return None
    if jwk.get("crv") != _CURVES.get(algorithm):
        return None
    if isinstance(key.key, RSAPublicKey) and key.key.key_size not in _RSA_BITS:
        return None
    return None if isinstance(key.key, bytes) and len(key.key) < _SECRETS[algorithm] else key


def _bound(key: Secret, algorithms: Sequence[str]) -> Mapping[str, jwt.PyJWK]:
    """A key of the app's, for each of the algorithms that it fits."""
    try:
        content = key.reveal().encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return {}
    jwk = _jwk(content, algorithms[0])
    found = {algorithm: _key(jwk, algorithm) for algorithm in algorithms} if jwk is not None else {}
    return {algorithm: key for algorithm, key in found.items() if key is not None}


def _jwk(key: bytes, algorithm: str) -> Mapping[str, Any] | None:
    kind: Any = _jws.get_algorithm_by_name(algorithm)
    if algorithm in _SECRETS and _is_public(key):
        return None
    try:
        # A public key in any shape is refused as a secret: everybody has it, and could sign.
        known = kind.prepare_key(key) if algorithm in _SECRETS else load_pem_public_key(key)
        return cast(Mapping[str, Any], kind.to_jwk(known, as_dict=True))
    except Exception:  # noqa: BLE001  # a key of another kind, or none: there is no list of what is raised
        return None


def _is_public(key: bytes) -> bool:
    """Whether it is a public key or a certificate, in DER or as the base64 body of a PEM; PyJWT refuses other forms."""
    forms, body = [key], b"".join(key.split()).translate(_FROM_BASE64URL).rstrip(b"=")
    with suppress(ValueError):
        forms.append(base64.b64decode(body + b"=" * (-len(body) % 4), validate=True))
    return any(_is_der(form, load) for form in forms for load in _LOADERS)


_FROM_BASE64URL = bytes.maketrans(b"-_", b"+/")
_LOADERS: tuple[Callable[[bytes], object], ...] = (load_der_public_key, load_der_x509_certificate)


def _is_der(content: bytes, load: Callable[[bytes], object]) -> bool:
    try:
        load(content)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True
