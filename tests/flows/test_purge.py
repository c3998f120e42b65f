"""The pauses of a purge, by a store of which each step takes as long as a test says."""

from __future__ import annotations

import pytest

from configure_auth.flows import purge, run
from configure_auth.flows.effects import Observe, Observed, Pause
from configure_auth.runtime.effects import Effect


@pytest.mark.parametrize(("seconds", "pauses"), [(0.001, [0.01, 0.01]), (0.5, [1.0, 1.0])])
def test_a_purge_leaves_a_slow_store_to_others_for_most_of_the_time(seconds: float, pauses: list[float]) -> None:
    steps, paused, spent = iter((100, 20, 0, 0)), list[float](), 0.0

    def perform(effect: Effect[object]) -> object:
        nonlocal spent
        match effect:
            case Observe():
                return Observed(0.0, spent, False)
            case Pause(pause):
                paused.append(pause)
                return None
        spent += seconds
        return next(steps)

    assert run(purge(lambda: 0.0), perform) == 120
    assert paused == pauses
