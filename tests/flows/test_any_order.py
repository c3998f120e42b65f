"""Two users, two browsers, two apps and every order of doing things: whose account it is stays true in all of them."""

from __future__ import annotations

from hypothesis import Phase

from ..support.examples import examples
from .machine import Apps

COUNT, STEPS = 120, 25
"""Examples in `make test-extended`, and the most steps of each."""

TestApps = Apps.TestCase
# Shrinking takes minutes: the steps of the first failure are told as they are.
TestApps.settings = examples(
    COUNT, stateful_step_count=STEPS, report_multiple_bugs=False, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
