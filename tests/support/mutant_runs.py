"""pytest plugin of `make mutation`: runs the tests of each mutant in one process, the quickest first, until one fails.

mutmut forks for each mutant and starts pytest, the sandbox and the servers anew. Here they start once, because a mutant
is switched on by its name. A test that failed is run again without a mutant: if it fails then too, the process is no
longer clean, and `mutants.py` starts another one.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, Phase, settings
from mutmut.mutation.trampoline import set_mutant_under_test

# A slow machine must not look like a test that fails.
settings.register_profile(
    "mutation",
    deadline=None,
    max_examples=20,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

PLAN, RESULTS, DURATIONS = Path("plan.json"), Path("results.jsonl"), Path("durations.json")
"""In the folder of the mutants: what to run, what came of it, and how long each test takes."""

LONGEST = 90
"""Seconds that one test may take."""


class TookTooLong(BaseException):
    """A test hangs."""


def pytest_configure() -> None:
    def stop(*_: Any) -> None:
        raise TookTooLong

    signal.signal(signal.SIGALRM, stop)
    set_mutant_under_test("")


class Tests:
    """The collected tests, of which any may be run again and again."""

    def __init__(self, items: Iterable[pytest.Item]) -> None:
        self.by_id = {item.nodeid: item for item in items}
        self._folders = {item.path.parent: item for item in self.by_id.values()}

    def _elsewhere(self, item: pytest.Item) -> pytest.Item:
        """A test of another folder: to go on to it ends every fixture but those of the session."""
        return next(other for folder, other in self._folders.items() if folder != item.path.parent)

    def passes(self, item: pytest.Item, mutant: str = "") -> bool:
        set_mutant_under_test(mutant)
        signal.alarm(LONGEST)
        try:
            return not any(report.failed for report in runtestprotocol(item, False, nextitem=self._elsewhere(item)))
        except TookTooLong:
            return False
        finally:
            signal.alarm(0)
            set_mutant_under_test("")

    def start_session_fixtures(self) -> None:
        started = set[str]()
        for item in self.by_id.values():
            fixtures: dict[str, Any] = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009
            wanted = {name for name, found in fixtures.items() if found[-1].scope == "session"}
            if not wanted <= started:
                started |= wanted
                assert self.passes(item), f"{item.nodeid} fails without a mutant"


def in_turn(names: Iterable[str], durations: dict[str, float]) -> list[str]:
    """The quickest case of each test, then the second of each, and so on: a test's cases fail for the same mutants."""
    numbers = Counter[str]()
    ranked = []
    for name in sorted(names, key=lambda name: (durations.get(name, 9.0), name)):
        function = name.partition("[")[0]
        ranked.append((numbers[function], durations.get(name, 9.0), name))
        numbers[function] += 1
    return [name for *_, name in sorted(ranked)]


class Runs:
    """The runs of a plan, and what came of them, a line each.

    A test that killed a mutant is run without one before long, so that a kill which an earlier mutant has left behind
    doesn't count. That costs little, because most tests that kill have passed under another mutant soon.
    """

    def __init__(self, tests: Tests, plan: dict[str, Any], write: Callable[..., None]) -> None:
        self._tests, self._write = tests, write
        self._careful, self._mutants = frozenset(plan["careful"]), plan["mutants"]
        durations = json.loads(DURATIONS.read_text(encoding="utf-8"))
        known = ([name for name in covering if name in tests.by_id] for covering in plan["covering"])
        self._orders = [in_turn(covering, durations) for covering in known]
        self._killers: dict[str, list[str]] = defaultdict(list)
        self._doubtful: dict[str, list[str]] = defaultdict(list)

    def run(self, budget: float) -> None:
        for count, (mutant, number) in enumerate(self._mutants, 1):
            self._write(mutant, "begun", None, 0)
            began = time.monotonic()
            killer = self._killer(mutant, self._orders[number], budget)
            self._write(mutant, "survived" if killer is None else "killed", killer, round(time.monotonic() - began, 2))
            if killer is not None:
                self._doubtful[killer].append(mutant)
            if mutant in self._careful or count % 25 == 0 or count == len(self._mutants):
                self._confirm()

    def _killer(self, mutant: str, order: list[str], budget: float) -> str | None:
        before, covering, began = self._killers[mutant.partition("__mutmut_")[0]], set(order), time.process_time()
        for name in dict.fromkeys([*(name for name in before if name in covering), *order]):
            if not self._tests.passes(self._tests.by_id[name], mutant):
                before[:] = [name, *(other for other in before if other != name)]
                return name
            self._doubtful.pop(name, None)
            if time.process_time() - began > budget:
                break
        return None

    def _confirm(self) -> None:
        for name in list(self._doubtful):
            if not self._tests.passes(self._tests.by_id[name]):
                for mutant in self._doubtful[name]:
                    self._write(mutant, "unclean", name, 0)
                os._exit(3)
            del self._doubtful[name]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    if "MUTATION" not in os.environ:
        return None
    tests = Tests(session.items)
    tests.start_session_fixtures()
    with RESULTS.open("a", encoding="utf-8") as results:
        write = lambda *line: print(json.dumps(line), file=results, flush=True)  # noqa: E731
        Runs(tests, json.loads(PLAN.read_text(encoding="utf-8")), write).run(float(os.environ["MUTATION"]))
    return True


_times: dict[str, float] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    began = time.monotonic()
    found = yield
    _times[item.nodeid] = time.monotonic() - began
    return found


def pytest_sessionfinish() -> None:
    if "MUTATION" not in os.environ:
        DURATIONS.write_text(json.dumps(_times), encoding="utf-8")
