"""What an issuer publishes: a bad answer brings no key and takes none away, and a bad key spoils no good one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from configure_auth import BearerError, BearerUser
from configure_auth.bearer.key_sets import LIFESPAN

from ..api.conftest import CLOSE, Line, Received, http
from .issuer import Clock, Issuer, Signer, b64, ec_key, ed25519_key, rsa_key
from .tokens import NEW, forever, warm


def private(key: Any) -> dict[str, Any]:
    numbers = key.private_numbers()
    names = {"d": numbers.d, "p": numbers.p, "q": numbers.q, "dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
    return {name: b64(value.to_bytes((value.bit_length() + 7) // 8, "big")) for name, value in names.items()}


RSA = Signer("key-1", "RS256", rsa_key("issuer"))
EC = Signer("key-2", "ES256", ec_key("issuer"))
BAD_KEYS: dict[str, dict[str, Any]] = {
    "weak": Signer("key-1", "RS256", rsa_key("weak", 1024)).jwk(),
    "nearly weak": Signer("key-1", "RS256", rsa_key("nearly weak", 2040)).jwk(),
    "of 20,000 bits": RSA.jwk(n=b64(((1 << 20_000) - 1).to_bytes(2500, "big"))),
    "for encryption": RSA.jwk(use="enc"),
    "of no use": RSA.jwk(use=""),
    "of a use that is a list": RSA.jwk(use=["sig"]),
    "to encrypt": RSA.jwk(key_ops=["encrypt"]),
    "to sign": RSA.jwk(key_ops=["sign"]),
    "for no operation": RSA.jwk(key_ops=[]),
    "for an operation in words": RSA.jwk(key_ops="verify"),
    "for another algorithm": RSA.jwk(alg="RS512"),
    "for encryption by its algorithm": RSA.jwk(alg="RSA-OAEP"),
    "for none": RSA.jwk(alg="none"),
    "for two algorithms": RSA.jwk(alg=["RS256"]),
    "for a secret's algorithm": RSA.jwk(alg="HS256"),
    "named null": RSA.jwk(kid=None),
    "named by a number": RSA.jwk(kid=1),
    "named by nothing": RSA.jwk(kid=""),
    "with its private half": RSA.jwk(**private(RSA.key)),
    "a secret": {"kty": "oct", "k": b64(bytes(64)), "kid": "key-1", "alg": "HS256"},
    "a secret for RS256": {"kty": "oct", "k": b64(bytes(64)), "kid": "key-1", "alg": "RS256"},
    "of no kind": RSA.jwk(kty=...),
    "of an unknown kind": RSA.jwk(kty="AKP"),
    "of a kind that is a list": RSA.jwk(kty=["RSA"]),
    "without a modulus": RSA.jwk(n=...),
    "with a modulus of nothing": RSA.jwk(n=""),
    "with a modulus that is a number": RSA.jwk(n=12345),
    "with a modulus of marks": RSA.jwk(n="!!!!"),
    "with an even exponent": RSA.jwk(e=b64(b"\2")),
    "with the exponent 1": RSA.jwk(e=b64(b"\1")),
    "without an exponent": RSA.jwk(e=...),
    "off its curve": EC.jwk(kid="key-1", y=EC.jwk()["x"]),
    "on another curve": Signer("key-1", "ES384", ec_key("p384", ec.SECP384R1)).jwk(alg="ES256"),
    "on another curve, by name": EC.jwk(kid="key-1", crv="P-384"),
    "without a curve": EC.jwk(kid="key-1", crv=...),
    "on another curve, without an algorithm": Signer("key-1", "ES384", ec_key("p384", ec.SECP384R1)).jwk(alg=...),
    "of Edwards": Signer("key-1", "EdDSA", ed25519_key("issuer")).jwk(),
    "of Edwards, called ES256": Signer("key-1", "EdDSA", ed25519_key("issuer")).jwk(alg="ES256"),
}

GOOD = {"keys": [NEW.jwk()]}
TEXT = json.dumps(GOOD).encode()


def cut(line: Line, _received: Received) -> object:
    line.write(http(GOOD)[:-20])
    return CLOSE


BAD_ANSWERS: dict[str, bytes | Callable[[Line, Received], object]] = {
    **{f"a key {name}": http({"keys": [key]}) for name, key in BAD_KEYS.items()},
    "two keys of one name": http({"keys": [NEW.jwk(), RSA.jwk(kid="key-3")]}),
    "one key twice": http({"keys": [NEW.jwk(), NEW.jwk()]}),
    "HTML": http(b"<html>hello</html>", content_type="text/html"),
    "JSON called HTML": http(GOOD, content_type="text/html"),
    "JSON called nothing": http(GOOD, content_type=None),
    "nothing": http(b""),
    "no content": http(b"", status=204),
    "an empty object": http({}),
    "no keys": http({"keys": []}),
    "null": http({"keys": None}),
    "an object of keys": http({"keys": {"key-3": NEW.jwk()}}),
    "a key alone": http(NEW.jwk()),
    "a list": http([NEW.jwk()]),
    "a key that is a string": http({"keys": [json.dumps(NEW.jwk())]}),
    "a key beside a number": http({"keys": [NEW.jwk(), 1]}),
    "101 keys": http({"keys": [NEW.jwk(), *(RSA.jwk(kid=f"k{number}") for number in range(100))]}),
    "300 KB": http({**GOOD, "x": "x" * 300_000}),
    "a compressed body": http(gzip.compress(TEXT), headers={"content-encoding": "gzip"}),
    "half an object": http(TEXT[:-1]),
    "a name twice": http(TEXT[:-1] + b', "keys": []}'),
    "no number": http(b'{"x": NaN, ' + TEXT[1:]),
    "deep nesting": http(b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b", " + TEXT[1:]),
    "bad UTF-8": http(b'{"x": "\xff", ' + TEXT[1:]),
    "a cut body": cut,
    "a dropped connection": lambda _line, _received: CLOSE,
    **{f"{status}": http(GOOD, status=status) for status in (400, 401, 403, 404, 410, 429, 500, 502, 503)},
    **{
        f"{status} to elsewhere": http(b"", status=status, headers={"location": "/elsewhere"})
        for status in (301, 302, 303, 307, 308)
    },
    "300 with keys": http(GOOD, status=300),
    "304": http(b"", status=304),
}


@pytest.mark.catalogue("L19")
@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_answer_brings_no_key_and_takes_none_away(
    bearer_user: BearerUser, issuer: Issuer, clock: Clock, answer: Any
) -> None:
    warm(bearer_user, issuer)
    issuer.answer(answer)
    clock.advance(LIFESPAN)

    assert bearer_user.user_id([f"Bearer {forever(issuer.rsa)}"]) == "u1"
    with pytest.raises(BearerError) as caught:
        bearer_user.user_id([f"Bearer {forever(NEW)}"])
    assert caught.value.status == 503
    assert [received.target for received in issuer.server.received] == ["/.well-known/jwks.json"] * 2


@pytest.mark.catalogue("L19")
@pytest.mark.parametrize("name", BAD_KEYS)
def test_a_bad_key_beside_a_good_one_is_left_out(bearer_user: BearerUser, issuer: Issuer, name: str) -> None:
    issuer.publish(BAD_KEYS[name], NEW.jwk())

    assert bearer_user.user_id([f"Bearer {NEW.token()}"]) == "u1"
    for signer in (issuer.rsa, Signer("key-1", "ES256", EC.key), Signer("key-1", "RS256", rsa_key("weak", 1024))):
        with pytest.raises(BearerError) as caught:
            bearer_user.user_id([f"Bearer {signer.token()}"])
        assert caught.value.status == 401


def test_a_set_of_a_hundred_keys(bearer_user: BearerUser, issuer: Issuer) -> None:
    issuer.publish(*(issuer.rsa.jwk(kid=f"k{number}") for number in range(99)), NEW.jwk())

    assert bearer_user.user_id([f"Bearer {NEW.token()}"]) == "u1"
