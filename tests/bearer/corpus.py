"""Requests that nobody may be taken for, by the row of the attack catalogue that they belong to."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .issuer import AUDIENCE, ISSUER, NOW, Issuer, Signer, b64, compact, ec_key, ed25519_key, good, rsa_key

__all__ = ["CORPUS", "Bad"]

Make: TypeAlias = Callable[[Issuer], str | list[str]]


@dataclass(frozen=True)
class Bad:
    """One case. `headers` gives the Authorization headers of the request."""

    row: str
    name: str
    make: Make

    def headers(self, issuer: Issuer) -> list[str]:
        made = self.make(issuer)
        return [f"Bearer {made}"] if isinstance(made, str) else made

    def __str__(self) -> str:
        return f"{self.row} {self.name}"


THEIRS = Signer("key-1", "RS256", rsa_key("somebody else"))
"""A key of an attacker's under the name of the issuer's."""


def signed(**change: Any) -> Make:
    """Signed by the issuer, with a claim or the header changed."""
    return lambda issuer: issuer.rsa.token(**change)


def headed(**header: Any) -> Make:
    return signed(header=header)


def holding(payload: object) -> Make:
    return signed(payload=payload)


def forged(**change: Any) -> Make:
    """Signed by an attacker's key."""
    return lambda _: THEIRS.token(**change)


def sent(*headers: str) -> Make:
    """Authorization headers; "{}" stands for a good token."""
    return lambda issuer: [header.replace("{}", issuer.rsa.token()) for header in headers]


def cut(change: Callable[[list[str]], list[str]]) -> Make:
    """A good token's parts, changed after it was signed."""
    return lambda issuer: ".".join(change(issuer.rsa.token().split(".")))


def with_hmac(secret: Callable[[Any], bytes], algorithm: str = "HS256") -> Make:
    """The published key taken for a shared secret."""

    def make(issuer: Issuer) -> str:
        def sign(content: bytes) -> bytes:
            mac = hmac.HMAC(secret(issuer.rsa.key.public_key()), getattr(hashes, f"SHA{algorithm[2:]}")())
            mac.update(content)
            return mac.finalize()

        return compact({"alg": algorithm, "typ": "JWT", "kid": "key-1"}, good(), sign)

    return make


def without_signature(algorithm: object, signature: str = "") -> Make:
    def make(issuer: Issuer) -> str:
        header = {"typ": "JWT", "kid": "key-1"} | ({} if algorithm is ... else {"alg": algorithm})
        return compact(header, good()) + signature

    return make


def flipped(part: int) -> Make:
    def change(parts: list[str]) -> list[str]:
        content = bytearray(base64.urlsafe_b64decode(parts[part] + "=="))
        content[len(content) // 2] ^= 1
        return [*parts[:part], b64(bytes(content)), *parts[part + 1 :]]

    return cut(change)


def pem(key: Any, form: PublicFormat) -> bytes:
    found: bytes = key.public_bytes(Encoding.PEM, form)
    return found


def der(key: Any, form: PublicFormat) -> bytes:
    found: bytes = key.public_bytes(Encoding.DER, form)
    return found


def l1() -> Iterator[tuple[str, Make]]:
    for name in ("none", "None", "NONE", "nOnE", "", "null", "rs256", "RS256 ", " RS256", "RS256\0", "HS256", "RS2048"):
        yield f"alg {name!r}", without_signature(name)
    for value in (None, 0, True, ["RS256"], {"RS256": 1}, ...):
        yield f"alg {json.dumps(value) if value is not ... else 'missing'}", without_signature(value, "c2ln")
    yield "alg none with a signature", without_signature("none", "c2ln")
    yield "no signature", without_signature("RS256")
    yield "a signature of another length", without_signature("RS256", "c2ln")
    yield "a signature of zeros", without_signature("RS256", b64(bytes(256)))
    yield "an empty signature for ES256", lambda issuer: compact({"alg": "ES256", "kid": "key-2"}, good())
    zeros = b64(bytes(64))  # CVE-2022-21449
    yield "a signature of zeros for ES256", lambda _: compact({"alg": "ES256", "kid": "key-2"}, good()) + zeros
    for part, name in enumerate(("header", "claims", "signature")):
        yield f"a bit flipped in the {name}", flipped(part)
    yield "another's claims", cut(lambda parts: [parts[0], b64(json.dumps({**good(), "sub": "admin"})), parts[2]])
    yield "another's signature", forged()


def l2() -> Iterator[tuple[str, Make]]:
    spki, pkcs1 = PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1
    for algorithm in ("HS256", "HS384", "HS512"):
        yield f"{algorithm} with the PEM", with_hmac(lambda key: pem(key, spki), algorithm)
    yield "HS256 with the PEM and no line end", with_hmac(lambda key: pem(key, spki).strip())
    yield "HS256 with the PKCS1 PEM", with_hmac(lambda key: pem(key, pkcs1))
    yield "HS256 with the DER", with_hmac(lambda key: der(key, spki))
    yield "HS256 with the PKCS1 DER", with_hmac(lambda key: der(key, pkcs1))
    yield "HS256 with the modulus", with_hmac(lambda key: key.public_numbers().n.to_bytes(256, "big"))
    yield (
        "HS256 with the JWK",
        with_hmac(lambda key: json.dumps(Signer("key-1", "RS256", rsa_key("issuer")).jwk()).encode()),
    )
    yield "HS256 with nothing", with_hmac(lambda key: b"\0")


def l3() -> Iterator[tuple[str, Make]]:
    yield "ES256 with the RSA key's kid", lambda _: Signer("key-1", "ES256", ec_key("somebody else")).token()
    yield "RS256 with the EC key's kid", lambda issuer: issuer.rsa.token(header={"kid": "key-2"})
    for algorithm in ("RS384", "RS512", "PS256", "PS512"):
        yield f"{algorithm}, which isn't set, with the right key", by_the_right_key(algorithm, algorithm)
    for algorithm in ("RS512", "PS256"):
        yield f"{algorithm} called RS256", by_the_right_key(algorithm, "RS256")
    yield "ES256 on another curve", lambda _: es256_on(ec_key("p384", ec.SECP384R1))
    yield "ES256K", lambda _: Signer("key-2", "ES256K", ec_key("k1", ec.SECP256K1)).token()
    yield "EdDSA, which isn't set", lambda _: Signer("key-1", "EdDSA", ed25519_key("somebody else")).token()
    yield "an ES256 signature as DER", der_signature


def by_the_right_key(algorithm: str, called: str) -> Make:
    return lambda issuer: compact(
        {"alg": called, "kid": "key-1"}, good(), lambda content: issuer.rsa.sign(content, algorithm)
    )


def es256_on(key: ec.EllipticCurvePrivateKey) -> str:
    return compact(
        {"alg": "ES256", "kid": "key-2"}, good(), lambda content: key.sign(content, ec.ECDSA(hashes.SHA256()))
    )


def der_signature(issuer: Issuer) -> str:
    def sign(content: bytes) -> bytes:
        made: bytes = issuer.ec.key.sign(content, ec.ECDSA(hashes.SHA256()))
        return made

    return compact({"alg": "ES256", "kid": "key-2"}, good(), sign)


def l5() -> Iterator[tuple[str, Make]]:
    jwk = THEIRS.jwk()
    yield "its own key as jwk", forged(header={"jwk": jwk})
    yield "its own key as jwk, without kid", forged(header={"jwk": jwk, "kid": ...})
    yield "its own key as jwk, under its name", forged(header={"jwk": {**jwk, "kid": "mine"}, "kid": "mine"})
    for name in ("jku", "x5u"):
        yield f"{name} to elsewhere", leading_to_a_trap(name)
        yield f"{name} to elsewhere, without kid", leading_to_a_trap(name, kid=...)
    yield "jku to this machine's files", forged(header={"jku": "file:///etc/passwd", "kid": "mine"})
    yield "x5c", forged(header={"x5c": [base64.b64encode(der(THEIRS.key.public_key(), PublicFormat.PKCS1)).decode()]})


def leading_to_a_trap(name: str, **header: object) -> Make:
    return lambda issuer: THEIRS.token(header={name: f"{issuer.server.url}/trap", **header})


ODD_KIDS: dict[str, object] = {
    "null": None,
    "an int": 1,
    "zero": 0,
    "a float": 1.5,
    "true": True,
    "a list": ["key-1"],
    "an object": {"key-1": "key-1"},
    "empty": "",
    "a space": " ",
    "a space before": " key-1",
    "a line break behind": "key-1\n",
    "a NUL behind": "key-1\0",
    "a way up": "../../key-1",
    "a way to nothing": "../../../../../../dev/null",
    "SQL": "key-1' OR '1'='1",
    "SQL without spaces": "x';DROP/**/TABLE/**/keys;--",
    "a command": "key-1`id`",
    "a letter outside ASCII": "kéy-1",
    "a lone surrogate": "\ud800",
    "256 letters": "k" * 256,
}


def l6() -> Iterator[tuple[str, Make]]:
    for name, kid in ODD_KIDS.items():
        yield f"kid {name}", headed(kid=kid)
    for name, kid in {
        "unknown": "key-9",
        "in capitals": "KEY-1",
        "255 letters": "k" * 255,
        "a URL": "https://a/b#c",
    }.items():
        yield f"kid {name}", headed(kid=kid)
    yield "kid of a megabyte", headed(kid="k" * 1_000_000)


def l7() -> Iterator[tuple[str, Make]]:
    declared: list[object] = [
        ["exp"],
        ["b64"],
        ["http://example.com/UNDEFINED"],
        [],
        "exp",
        None,
        {},
        ["kid"],
        0,
        False,
    ]
    for crit in declared:
        yield f"crit {json.dumps(crit)}", headed(crit=crit)
    for value in (False, 0, None, "false"):
        yield f"b64 {json.dumps(value)}", headed(b64=value)
        yield f"b64 {json.dumps(value)}, declared", headed(b64=value, crit=["b64"])
    yield "unencoded claims", unencoded
    for kind in (
        "JWE",
        "JOSE",
        "id_token",
        "logout+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "jwt ",
        "",
        None,
        1,
        ["JWT"],
        True,
    ):
        yield f"typ {json.dumps(kind)}", headed(typ=kind)
    yield "a JWE", lambda _: ".".join([b64('{"alg":"dir","enc":"A256GCM"}'), "", b64("iv"), b64("text"), b64("tag")])
    yield "a JWE with a key", lambda _: ".".join(b64(part) for part in ("{}", "key", "iv", "text", "tag"))
    yield "JSON, flattened", as_json
    yield "JSON, in base64url", lambda issuer: [f"Bearer {b64(as_json(issuer)[0][7:])}"]
    yield (
        "a token in a token",
        lambda issuer: issuer.rsa.token(header={"cty": "JWT"}, payload=issuer.rsa.token().encode()),
    )


def unencoded(issuer: Issuer) -> str:
    header = b64(json.dumps({"alg": "RS256", "kid": "key-1", "b64": False, "crit": ["b64"]}))
    return f"{header}.claims.{b64(issuer.rsa.sign(f'{header}.claims'.encode()))}"


def as_json(issuer: Issuer) -> list[str]:
    protected, payload, signature = issuer.rsa.token().split(".")
    return ["Bearer " + json.dumps({"payload": payload, "protected": protected, "signature": signature})]


AUDIENCES: dict[str, object] = {
    "null": None,
    "empty": "",
    "another": "https://other.example",
    "a prefix": AUDIENCE[:-1],
    "a suffix": f"{AUDIENCE}.evil.example",
    "with a slash": f"{AUDIENCE}/",
    "in capitals": AUDIENCE.upper(),
    "with a space": f" {AUDIENCE}",
    "two in one": f"{AUDIENCE} https://other.example",
    "an object": {AUDIENCE: True},
    "true": True,
    "a number": 1,
    "an empty list": [],
    "a list of another": ["https://other.example"],
    "ours and another": [AUDIENCE, "https://other.example"],
    "another and ours": ["https://other.example", AUDIENCE],
    "ours and nothing": [AUDIENCE, ""],
    "ours and null": [AUDIENCE, None],
    "ours and a number": [AUDIENCE, 1],
    "ours and a list": [AUDIENCE, ["https://other.example"]],
    "a list in a list": [[AUDIENCE]],
}

ISSUERS: dict[str, object] = {
    "null": None,
    "empty": "",
    "another": "https://other.example/",
    "without its slash": ISSUER[:-1],
    "with a slash more": f"{ISSUER}/",
    "a path below": f"{ISSUER}evil",
    "a host below": "https://issuer.example.evil.example/",
    "in capitals": ISSUER.upper(),
    "unencrypted": ISSUER.replace("https", "http"),
    "with a space": f"{ISSUER} ",
    "a list": [ISSUER],
    "an object": {ISSUER: True},
    "a number": 1,
}


def l8() -> Iterator[tuple[str, Make]]:
    for name, audience in AUDIENCES.items():
        yield f"aud {name}", signed(aud=audience)


def l9() -> Iterator[tuple[str, Make]]:
    for name, issuer in ISSUERS.items():
        yield f"iss {name}", signed(iss=issuer)
    yield "another issuer's key", lambda _: Signer("other-1", "RS256", rsa_key("somebody else")).token()


def l10() -> Iterator[tuple[str, Make]]:
    late, early = int(NOW) - 31, int(NOW) + 31
    times: dict[str, object] = {
        "null": None,
        "a string": "9999999999",
        "true": True,
        "false": False,
        "a list": [9999999999],
    }
    times |= {"an object": {}, "too large": 2**60, "infinite as a string": "inf"}
    yield "exp missing", signed(exp=...)
    for name, value in {**times, "a while ago": late, "just now": int(NOW) - 30, "zero": 0, "negative": -1}.items():
        yield f"exp {name}", signed(exp=value)
    for claim in ("nbf", "iat", "auth_time"):
        for name, value in {**times, "in the future": early, "in a fraction": NOW + 30.5}.items():
            yield f"{claim} {name}", signed(**{claim: value})
    for literal in ("Infinity", "-Infinity", "NaN", "1e999", "9" * 400, "1_0", "0x7fffffff"):
        text = json.dumps({**good(), "exp": "here"}).replace('"here"', literal)
        yield f"exp {literal[:12]}", holding(text.encode())


def l11() -> Iterator[tuple[str, Make]]:
    subjects: dict[str, object] = {
        "missing": ...,
        "null": None,
        "empty": "",
        "an int": 7,
        "true": True,
        "a list": ["u1"],
    }
    subjects |= {"an object": {"id": "u1"}, "256 letters": "u" * 256, "a NUL": "u1\0", "a line break": "u1\n"}
    subjects |= {"a delete": "u1\x7f", "a lone surrogate": "\ud800", "a line separator": "u1\u2028", "a tab": "\tu1"}
    for name, subject in subjects.items():
        yield f"sub {name}", signed(sub=subject)


def l13() -> Iterator[tuple[str, Make]]:
    alone = [
        "Bearer",
        "bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b",
        "Bearer a.b.c",
        "Bearer ...",
        "Bearer null",
        "bearer\t{}",
    ]
    alone += [
        "Bearer {} ",
        "Bearer {},",
        "Bearer ,{}",
        "Bearer {} x",
        "Bearer {}, Bearer {}",
        "Bearer {},Bearer {}",
        "Bearer\t{}",
    ]
    alone += [
        'Bearer "{}"',
        "Bearer token={}",
        "Bearer Bearer {}",
        "Bearer: {}",
        "Basic dTE6eA==, Bearer {}",
        "Basic,Bearer {}",
    ]
    alone += [
        "Bearer {}\u00e9",
        "Bearer \u00a0{}",
        "Bearer {}=",
        "Bearer %7B%7D",
        " ,Bearer {}",
        "Bearer,{}",
        "BEARER\t",
    ]
    for header in alone:
        yield header.replace("{}", "<good>"), sent(header)
    yield "two good ones", sent("Bearer {}", "Bearer {}")
    yield "a good one and Basic", sent("Bearer {}", "Basic dTE6eA==")
    yield "Basic and a good one", sent("Basic dTE6eA==", "Bearer {}")
    yield "a good one and nothing", sent("Bearer {}", "")
    yield "100 KB", sent("Bearer " + "x" * 100_000)


def l14() -> Iterator[tuple[str, Make]]:
    yield "50,000 dots", lambda _: "." * 50_000
    yield "8,000 dots", lambda _: "." * 8_000
    yield "a huge header", headed(x="x" * 100_000)
    yield "a huge claim", signed(x="x" * 100_000)
    yield "a huge signature", lambda issuer: issuer.rsa.token() + "A" * 100_000
    yield "a good one of more than 8 KiB", signed(x="x" * 6_000)
    yield "a deep header", lambda _: compact(b"[" * 4_000, good())
    yield (
        "a deep header in an object",
        signed(header=b'{"alg":"RS256","kid":"key-1","x":' + b"[" * 2_000 + b"]" * 2_000 + b"}"),
    )
    yield "deep claims", holding(b'{"x":' + b"[" * 2_000 + b"]" * 2_000 + b"}")
    yield "a number without end", holding(b'{"exp":' + b"9" * 5_000 + b"}")
    for name, header in SHAPES.items():
        yield f"its header {name}", signed(header=header)
        yield f"its claims {name}", holding(header)
    yield "alg twice in its header", signed(header=b'{"alg":"none","alg":"RS256","kid":"key-1"}')
    yield "kid twice in its header", signed(header=b'{"alg":"RS256","kid":"x","kid":"key-1"}')
    yield "sub twice in its claims", holding(json.dumps(good()).encode()[:-1] + b',"sub":"admin"}')
    yield "two parts", cut(lambda parts: parts[:2])
    yield "one part", cut(lambda parts: parts[:1])
    yield "four parts", cut(lambda parts: [*parts, parts[2]])
    yield "an empty header", cut(lambda parts: ["", *parts[1:]])
    yield "empty claims", cut(lambda parts: [parts[0], "", parts[2]])
    yield "a dot behind", cut(lambda parts: [*parts, ""])
    yield "a dot before", cut(lambda parts: ["", *parts])
    yield "a part with padding", cut(lambda parts: [*parts[:2], parts[2] + "=="])
    yield "a line break within", cut(lambda parts: [parts[0], parts[1] + "\n", parts[2]])
    yield "base64, not base64url", standard_base64
    yield "bits behind the last", cut(lambda parts: [*parts[:2], parts[2][:-1] + other_spelling(parts[2][-1])])


SHAPES: dict[str, bytes] = {
    "empty": b" ",
    "a list": b"[]",
    "a string": b'"x"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "half": b'{"alg":"RS256"',
    "with a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "not UTF-8": b'{"alg":"\xff"}',
    "not JSON": b"alg=RS256",
    "an empty object": b"{}",
}


def standard_base64(issuer: Issuer) -> str:
    """A signature that has one of the two other letters in it, written with them."""
    for number in range(1000):
        parts = issuer.rsa.token(jti=str(number)).split(".")
        if set("-_") & set(parts[2]):
            return ".".join([*parts[:2], parts[2].replace("-", "+").replace("_", "/")])
    raise AssertionError("no such signature")


def other_spelling(letter: str) -> str:
    """The letter with another last bit: 256 bytes leave four of the last letter's bits unused."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return letters[letters.index(letter) ^ 1]


def weak_padding(issuer: Issuer) -> str:
    def sign(content: bytes) -> bytes:
        made: bytes = issuer.rsa.key.sign(content, padding.PKCS1v15(), hashes.SHA1())
        return made

    return compact({"alg": "RS256", "kid": "key-1"}, good(), sign)


ROWS = {
    "L1": l1,
    "L2": l2,
    "L3": l3,
    "L5": l5,
    "L6": l6,
    "L7": l7,
    "L8": l8,
    "L9": l9,
    "L10": l10,
    "L11": l11,
    "L13": l13,
    "L14": l14,
}

CORPUS = [Bad(row, name, make) for row, cases in ROWS.items() for name, make in cases()]
CORPUS.append(Bad("L1", "RS256 over SHA-1", weak_padding))
