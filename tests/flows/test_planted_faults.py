"""The state machine finds each planted fault within two runs of `make test-extended`."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import Apps
from .planted import FAULTS
from .test_any_order import COUNT, STEPS

pytestmark = pytest.mark.extended


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_found(name: str) -> None:
    chosen = settings(
        max_examples=2 * COUNT,
        stateful_step_count=STEPS,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.generate,),
    )
    with FAULTS[name](), pytest.raises(Exception):  # noqa: B017, PT011  # whatever the machine fails with
        run_state_machine_as_test(Apps, settings=chosen)
