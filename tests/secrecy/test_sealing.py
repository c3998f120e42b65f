"""The format of sealed values: a version that is authenticated, and a strict reading; older values still open."""

from __future__ import annotations

import pytest

from configure_auth import Secret, SettingsError
from configure_auth.stores.sealing import Sealer

KEY = Secret("a key of the app to seal its tokens with")
OLD = "7f357d5f1a1aa8d3.XtUlvRnFEQ3tDmT1BWEAynPg-cUPSbVgf2pXoWWtO7pgYCQ="
"""Sealed by a version whose format had no number."""


def test_value_without_version_opens_and_is_not_current() -> None:
    sealer = Sealer((KEY,))

    assert sealer.open(OLD, "agent", "u1") == "a token"
    assert not sealer.is_current(OLD)
    assert sealer.is_current(sealer.seal("a token", "agent", "u1"))


@pytest.mark.catalogue("O4")
@pytest.mark.parametrize(
    "change",
    [
        lambda sealed: sealed.replace(".1.", "."),
        lambda sealed: sealed.replace(".1.", ".2."),
        lambda sealed: sealed.replace(".1.", ".1.\n"),
        lambda sealed: sealed[:40] + " " + sealed[40:],
        lambda sealed: sealed + "!",
    ],
    ids=["without", "another", "newline", "space", "mark"],
)
def test_changed_value_does_not_open(change: object) -> None:
    sealer = Sealer((KEY,))
    sealed = sealer.seal("a token", "agent", "u1")
    assert callable(change)

    assert sealer.open(sealed, "agent", "u1") == "a token"
    with pytest.raises(SettingsError):
        sealer.open(change(sealed), "agent", "u1")


def test_names_are_keyed_and_one_for_each_key() -> None:
    """What a store names a user's records by can't be found by trying ids."""
    first, both = Sealer((KEY,)), Sealer((Secret("another key, which came later on."), KEY))

    assert first.macs("u1") == both.macs("u1")[1:]
    assert len({*both.macs("u1"), *both.macs("u2")}) == 4


def test_no_key_is_refused() -> None:
    with pytest.raises(SettingsError, match="CONFIGURE_TOKEN_KEYS"):
        Sealer(())


def test_fingerprints_and_names_stay_the_same() -> None:
    """A change of the derivation would lock an app out of everything that it has stored."""
    sealer = Sealer((KEY,))

    assert sealer.fingerprints == ("7f357d5f1a1aa8d3",)
    assert sealer.seal("a token").startswith("7f357d5f1a1aa8d3.1.")
    assert sealer.macs("u1") == ("a41beee2b6266d832019459dffb71f5b921a1fa3d4206cae4c0a859a1f50da7d",)


def test_any_string_can_be_a_key_a_value_or_a_name() -> None:
    """A lone surrogate too, which an app may have read from a broken source."""
    sealer = Sealer((Secret("\udcff" * 40),))

    assert sealer.open(sealer.seal("\udcff\0", "u1"), "u1") == "\udcff\0"
    assert sealer.macs("\udcff") != sealer.macs("\udcfe")


@pytest.mark.parametrize(
    "context", [(), ("agent",), ("agent", "u2"), ("agentu1",), ("agent", "u", "1"), ("u1", "agent")]
)
def test_value_opens_in_its_place_alone(context: tuple[str, ...]) -> None:
    sealer = Sealer((KEY,))

    with pytest.raises(SettingsError, match="altered, or copied"):
        sealer.open(sealer.seal("a token", "agent", "u1"), *context)


def test_value_of_an_unknown_key_names_its_fingerprint() -> None:
    sealed = Sealer((Secret("a key that the app has lost since then."),)).seal("a token")

    with pytest.raises(SettingsError, match=sealed[:16]):
        Sealer((KEY,)).open(sealed)


def test_equal_values_are_sealed_differently() -> None:
    sealer = Sealer((KEY,))

    assert sealer.seal("a token") != sealer.seal("a token")


def test_the_first_key_seals_and_every_key_opens() -> None:
    old, new = Sealer((KEY,)), Sealer((Secret("another key, which came later on."), KEY))

    assert new.open(old.seal("a token")) == "a token"
    assert not new.is_current(old.seal("a token"))
    assert new.fingerprints[1:] == old.fingerprints
    with pytest.raises(SettingsError):
        old.open(new.seal("a token"))
