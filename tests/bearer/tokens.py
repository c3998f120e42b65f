"""Tokens by what an issuer must be asked for them, and the key that it has next."""

from __future__ import annotations

from configure_auth import BearerUser

from .issuer import NOW, Issuer, Signer, compact, good, rsa_key

NEW = Signer("key-3", "RS256", rsa_key("the next"))


def unknown(number: int = 0) -> str:
    return compact({"alg": "RS256", "kid": f"unknown-{number}"}, good(), lambda _: b"whatever")


def forever(signer: Signer) -> str:
    return signer.token(exp=int(NOW) + 10**7)


def warm(bearer_user: BearerUser, issuer: Issuer) -> None:
    """It has the keys, fetched now."""
    assert bearer_user.user_id([f"Bearer {forever(issuer.rsa)}"]) == "u1"
