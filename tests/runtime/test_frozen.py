"""Frozen values: what the standard library's decorator gives, ours gives too."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import field
from typing import Any

import pytest

from configure_auth.runtime.frozen import dataclass as ours


class _Plain:
    number: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "derived", self.number + 1)


@ours(frozen=True)
class Ours(_Plain):
    number: int
    text: str = field(repr=False)
    made: list[int] = field(default_factory=list, hash=False)
    counted: int = field(default=3, compare=False, kw_only=True)
    derived: int = field(init=False, default=7)


@dataclasses.dataclass(frozen=True)
class Theirs(_Plain):
    number: int
    text: str = field(repr=False)
    made: list[int] = field(default_factory=list, hash=False)
    counted: int = field(default=3, compare=False, kw_only=True)
    derived: int = field(init=False, default=7)


@ours(frozen=True, kw_only=True)
class Extended(Ours):
    more: str = "more"


def test_frozen_is_made_and_shown_like_the_standard_librarys() -> None:
    value, other = Ours(1, "a", counted=5), Theirs(1, "a", counted=5)

    assert repr(value).partition("(")[2] == repr(other).partition("(")[2]
    assert str(inspect.signature(Ours)) == str(inspect.signature(Theirs))
    assert Ours.__match_args__ == Theirs.__match_args__
    assert dataclasses.asdict(value) == dataclasses.asdict(other)
    with pytest.raises(TypeError) as expected:
        Theirs()  # type: ignore[call-arg]
    with pytest.raises(TypeError) as error:
        Ours()  # type: ignore[call-arg]
    assert str(error.value) == str(expected.value).replace("Theirs", Ours.__name__)


def test_frozen_compares_the_fields_that_count() -> None:
    value: Any = Ours(1, "a", counted=5)

    assert value == Ours(1, "a", counted=6)
    assert value != Ours(1, "a", [2])
    assert value != Theirs(1, "a")
    assert hash(value) == hash(Ours(1, "a", [2]))
    assert value.made is not Ours(1, "a").made


def test_frozen_is_copied_and_pickled_and_never_changed() -> None:
    value: Any = Ours(1, "a", [2])

    assert dataclasses.replace(value, number=4).derived == value.__replace__(number=4).derived == 5
    assert copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value
    with pytest.raises(dataclasses.FrozenInstanceError, match="number"):
        value.number = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="number"):
        del value.number


def test_frozen_subclass_has_the_fields_of_both() -> None:
    value = Extended(1, "a", more="b")

    assert (value.derived, value.more) == (2, "b")
    assert repr(value) == "Extended(number=1, made=[], counted=3, derived=2, more='b')"


def test_frozen_keeps_an_init_of_the_class() -> None:
    @ours(frozen=True)
    class Own:
        number: int

        def __init__(self, text: str) -> None:
            object.__setattr__(self, "number", int(text))

    assert Own("5").number == 5
