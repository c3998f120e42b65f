"""What every `ParameterStore` must do."""

from __future__ import annotations

from ...stores import Stores
from .asking import CONTESTANTS, ROUNDS, AtOnce, Conformance
from .records import ODD_IDS


class ParameterConformance(Conformance):
    """What an app finds again."""

    def test_what_is_kept_first_stays(self, kept: Stores) -> None:
        assert kept.parameters.read("p") is None
        assert kept.parameters.keep("p", "one") == "one"
        assert kept.parameters.keep("p", "two") == "one"
        assert kept.parameters.read("p") == "one"

    def test_a_parameter_is_told_as_it_was_kept(self, kept: Stores) -> None:
        for number, value in enumerate(("", *ODD_IDS)):
            assert kept.parameters.keep(f"p{number}", value) == value
            assert kept.parameters.read(f"p{number}") == value

    def test_parameters_of_odd_names_are_told_apart(self, kept: Stores) -> None:
        for number, name in enumerate(ODD_IDS):
            assert kept.parameters.keep(name, str(number)) == str(number)
        for number, name in enumerate(ODD_IDS[::2]):
            assert kept.parameters.replace(name, old=str(2 * number), new="new") is True
        values = ["new" if number % 2 == 0 else str(number) for number in range(len(ODD_IDS))]
        assert [kept.parameters.read(name) for name in ODD_IDS] == values

    def test_many_are_told_the_same_first_value(self, kept: Stores, at_once: AtOnce) -> None:
        for turn in range(ROUNDS):
            name = f"p{turn}"
            told = at_once(lambda stores, number, name: stores.parameters.keep(name, f"by {number}"), name)
            assert set(told) == {kept.parameters.read(name)}
            assert set(told) <= {f"by {number}" for number in range(CONTESTANTS)}

    def test_a_value_that_is_still_there_is_replaced(self, kept: Stores) -> None:
        kept.parameters.keep("p", "one")
        kept.parameters.keep("q", "one")
        assert kept.parameters.replace("p", old="one", new="two") is True
        assert [kept.parameters.read(name) for name in ("p", "q")] == ["two", "one"]
        assert kept.parameters.keep("p", "three") == "two"

    def test_a_value_that_is_there_no_more_is_not_replaced(self, kept: Stores) -> None:
        kept.parameters.keep("p", "one")
        kept.parameters.replace("p", old="one", new="two")
        assert kept.parameters.replace("p", old="one", new="three") is False
        assert kept.parameters.replace("p", old="TWO", new="three") is False
        assert kept.parameters.read("p") == "two"
        assert kept.parameters.replace("q", old="", new="three") is False
        assert kept.parameters.read("q") is None

    def test_one_of_many_replaces_a_value(self, kept: Stores, at_once: AtOnce) -> None:
        for turn in range(ROUNDS):
            name = f"p{turn}"
            kept.parameters.keep(name, "one")
            got = at_once(
                lambda stores, number, name: stores.parameters.replace(name, old="one", new=f"by {number}"), name
            )
            assert sum(got) == 1
            assert kept.parameters.read(name) == f"by {got.index(True)}"

    def test_nothing_is_kept_under_a_name_that_was_removed(self, kept: Stores) -> None:
        for name in ("p", "P", "q"):
            kept.parameters.keep(name, f"of {name}")
        kept.parameters.remove("p")
        assert [kept.parameters.read(name) for name in ("p", "P", "q")] == [None, "of P", "of q"]
        assert kept.parameters.replace("p", old="of p", new="late") is False
        kept.parameters.remove("p")
        assert kept.parameters.keep("p", "new") == "new"
        assert kept.parameters.read("p") == "new"
