"""The records that the tests of the kit put into a store: plain ones, and as odd ones as may come."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

from ...stores import StoredAccount, StoredSubject
from ...values import Journey, Kind, PendingSignIn

NOW = 1_700_000_000.0
LIFETIME = 900.0
END = NOW + LIFETIME
KINDS: tuple[Kind, ...] = ("agent", "oauth")
ODD_IDS = (
    *("u", "U", "u ", " u", "u\t", "\nu", "ss", "ß", "é", "e\u0301", "É", "用户", "\U0001f600", "\u202eu"),
    *("'", '"', "'; DROP TABLE users; --", "\\", "$1", "%", "_", "u%", "u_", "%s", ":u", "*", "{0}", "a:b", "a b"),
    *("null", "None", "0", "00", "x" * 255, "X" * 255, "x" * 254, "é" * 255, "\U0001f600" * 255),
)
"""Ids of local and of Configure users that differ from each other, if only by a case, a mark or a space."""


def attempt(name: str, **changes: Any) -> PendingSignIn:
    """An open attempt, of the same browser unless `changes` name another."""
    plain = PendingSignIn(
        state_hash=hashed(f"state {name}"),
        browser_hash=hashed("browser"),
        intent="login",
        agent="a",
        user_id=None,
        next=None,
        verifier=None,
        redirect_uri="https://app.example/auth/configure/callback",
        version=None,
        replace=False,
        created_at=NOW,
        expires_at=END,
    )
    return replace(plain, **changes)


def connection(user_id: str, configure_user_id: str, **changes: Any) -> StoredAccount:
    plain = StoredAccount(
        agent="a",
        kind="agent",
        user_id=user_id,
        configure_user_id=configure_user_id,
        token="sealed",
        expires_at=None,
        scopes=(),
        linked_at=NOW,
    )
    return replace(plain, **changes)


def journey(name: str, **changes: Any) -> Journey:
    """An open journey, of the same sender unless `changes` name another."""
    plain = Journey(
        journey_hash=hashed(f"journey {name}"),
        agent="a",
        subject="s1",
        sender="sealed",
        created_at=NOW,
        expires_at=END,
    )
    return replace(plain, **changes)


def link(subject: str, configure_user_id: str, **changes: Any) -> StoredSubject:
    plain = StoredSubject(
        agent="a",
        subject=subject,
        configure_user_id=configure_user_id,
        token="sealed",
        linked_at=NOW,
        proven=False,
        serial="first",
    )
    return replace(plain, **changes)


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def odd_attempt() -> PendingSignIn:
    return attempt(
        "odd",
        intent="link",
        agent="a" * 63,
        user_id="\U0001f600'\"%s" + "é" * 249,
        next="/é?a=%20&b='\"\\\n\U0001f600#" + "x" * 2000,
        verifier="sealed.verifier-é_=",
        code="sealed code" * 300,
        version=2**62 - 1,
        replace=True,
        created_at=NOW + 0.1234567,
        expires_at=END + 0.7654321,
    )


def odd_accounts() -> tuple[StoredAccount, ...]:
    return (
        connection("u1", "c1"),
        connection(
            "é" * 255,
            "\U0001f600" * 255,
            token="sealed 'é' \\ \U0001f600" * 500,
            expires_at=NOW + 3600.1234567,
            scopes=("profile", "email", "offline_access", "urn:x:é"),
            linked_at=NOW + 0.7654321,
            needs_reconnect=True,
            refresh_sent_at=NOW + 1.1234567,
            refresh_sends=2,
            serial="mine",
        ),
        connection("u2", "c2", expires_at=0.0, scopes=("one",), linked_at=0.0, refresh_sent_at=0.0, refresh_sends=1),
    )


def odd_journey() -> Journey:
    return journey(
        "odd",
        agent="a" * 63,
        subject="\U0001f600'\"%s" + "é" * 249,
        sender="sealed 'é' \\ \U0001f600" * 100,
        created_at=NOW + 0.1234567,
        expires_at=END + 0.7654321,
        tries=3,
    )


def odd_link() -> StoredSubject:
    return link(
        "\U0001f600'\"%s" + "é" * 249,
        "\U0001f600" * 255,
        agent="a" * 63,
        token="sealed 'é' \\ \U0001f600" * 500,
        linked_at=NOW + 0.7654321,
        proven=True,
        serial="f" * 32,
    )
