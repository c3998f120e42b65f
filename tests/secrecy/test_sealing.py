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
