"""Sealing of what is secret at rest: AES-256-GCM, bound to where it belongs, with keys that can be rotated."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import SettingsError
from ..values import Secret

_VERSION = "1"  # of the format; it is authenticated. Older values without one open too, and `reseal` renews them


class Sealer:
    """Seals with the first key and opens with any of them.

    Args:
        keys: secrets of any length and shape; each is stretched to an AES key by HKDF.
    """

    def __init__(self, keys: tuple[Secret, ...]) -> None:
        if not keys:
            raise SettingsError("no key to seal with; set CONFIGURE_TOKEN_KEYS")
        self._ciphers: dict[str, AESGCM] = {}
        self._mac_keys: list[bytes] = []
        for key in keys:
            stretched = HKDF(SHA256(), 32, salt=None, info=b"configure_auth sealing").derive(
                key.reveal().encode("utf-8", "surrogatepass")
            )
            self._mac_keys.append(hmac.digest(stretched, b"configure_auth names", "sha256"))
            # A fingerprint says which key sealed a value; it is of the stretched key and tells nothing about it.
            self._ciphers[hashlib.sha256(b"fingerprint" + stretched).hexdigest()[:16]] = AESGCM(stretched)
        self.fingerprints: tuple[str, ...] = tuple(self._ciphers)
        self._first = self.fingerprints[0]

    def macs(self, value: str) -> tuple[str, ...]:
        """Return a keyed hash of a value by each key, the first one's first."""
        return tuple(hmac.digest(key, value.encode("utf-8", "surrogatepass"), "sha256").hex() for key in self._mac_keys)

    def is_current(self, sealed: str) -> bool:
        """Whether something is sealed with the first key, in the present format."""
        return sealed.startswith(f"{self._first}.{_VERSION}.")

    def seal(self, plain: str, *context: str) -> str:
        """Seal a string. It opens only with the same `context`: its kind, its user, its identity."""
        nonce = os.urandom(12)
        bound = _bound((_VERSION, *context))
        sealed = self._ciphers[self._first].encrypt(nonce, plain.encode("utf-8", "surrogatepass"), bound)
        return f"{self._first}.{_VERSION}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *context: str) -> str:
        """Open what `seal` made.

        Raises:
            SettingsError: its key isn't among ours, or it was altered or moved to another place.
        """
        fingerprint, _, rest = sealed.partition(".")
        version, versioned, data = rest.rpartition(".")  # the first format has none
        cipher = self._ciphers.get(fingerprint)
        if cipher is None:
            raise SettingsError(
                f"a stored value was sealed with a key (fingerprint {fingerprint[:16]!a}) that is not among "
                "CONFIGURE_TOKEN_KEYS; add that key to the end of the list"
            )
        try:
            raw = base64.b64decode(data, altchars=b"-_", validate=True)
            bound = _bound((version, *context) if versioned else context)
            return cipher.decrypt(raw[:12], raw[12:], bound).decode("utf-8", "surrogatepass")
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise SettingsError("a stored value doesn't open: it was altered, or copied to another row") from error


def _bound(context: tuple[str, ...]) -> bytes:
    # Lengths in front, so that ("ab", "c") and ("a", "bc") differ.
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in context)
