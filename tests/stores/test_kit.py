"""The kit itself: a store that breaks a sentence fails the tests that are about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from configure_auth.stores import Stores
from configure_auth.stores.memory import memory_stores
from configure_auth.testing import StoreConformance

from ..public.running import environment, python
from ..support.stores import first
from .broken import BROKEN, awaited

pytest_plugins = ["pytester"]


@pytest.mark.extended
class TestAwaited(StoreConformance):
    """A sound store whose methods are coroutines."""

    @pytest.fixture
    def stores(self) -> Stores:
        return awaited(memory_stores())


SUITE = """
import pytest
from configure_auth.testing import StoreConformance
from tests.stores.broken import BROKEN

class TestBroken(StoreConformance):
    @pytest.fixture
    def stores(self):
        return BROKEN[{name!r}][0]()
"""


@pytest.mark.parametrize("name", first(BROKEN, count=8))
def test_a_broken_store_fails_what_is_about_it(pytester: pytest.Pytester, name: str) -> None:
    module = pytester.makepyfile(SUITE.format(name=name))
    expected = {f"test_{test}" for test in BROKEN[name][1]}

    ran = pytester.inline_run(*(f"{module}::TestBroken::{test}" for test in expected), "-p", "no:cacheprovider")

    _, skipped, failed = ran.listoutcomes()
    assert skipped == []
    assert {report.nodeid.rpartition("::")[2].partition("[")[0] for report in failed} == expected


def test_every_test_of_the_kit_has_seen_a_broken_store() -> None:
    known = {f"test_{test}" for _, tests in BROKEN.values() for test in tests}
    tests = {name for name in dir(StoreConformance) if name.startswith("test_")}

    assert known == tests


OWN = """
import sys

import pytest

def ours():
    return {name for name in sys.modules if name.startswith("configure_auth")}

assert ours() <= {"configure_auth", "configure_auth.testing"}

from configure_auth.testing import StoreConformance
from configure_auth.stores.memory import memory_stores

class TestSound(StoreConformance):
    @pytest.fixture
    def stores(self):
        return memory_stores()

class Broken:
    def __init__(self, leases):
        self.leases = leases
    def acquire(self, name, **given):
        return True
    def release(self, name, **given):
        self.leases.release(name, **given)

class TestBroken(StoreConformance):
    @pytest.fixture
    def stores(self):
        from dataclasses import replace
        stores = memory_stores()
        return replace(stores, leases=Broken(stores.leases))
"""


@pytest.mark.extended
def test_a_suite_of_ones_own_is_told_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "test_store.py").write_text(OWN)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    # Where plugins are loaded by their names only, no package is rewritten that doesn't ask for it.
    named = environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    by_name = ("-p", "configure_auth.testing", "test_store.py::TestBroken", "-k", "one_holders")
    sound = python(*command, "test_store.py::TestSound", cwd=tmp_path)
    broken = python(*command, *by_name, cwd=tmp_path, env=named)

    assert sound.returncode == 0, sound.stdout + sound.stderr
    assert " passed" in sound.stdout
    assert broken.returncode == pytest.ExitCode.TESTS_FAILED
    # As pytest says it of asserts that it has rewritten.
    assert "assert True is False" in broken.stdout
    assert "+  where True = " in broken.stdout


def test_a_store_is_closed_after_each_test(pytester: pytest.Pytester) -> None:
    module = pytester.makepyfile("""
        from dataclasses import replace
        import pytest
        from configure_auth.stores.memory import memory_stores
        from configure_auth.testing import StoreConformance

        closed = []

        class TestClosed(StoreConformance):
            @pytest.fixture
            def stores(self):
                return replace(memory_stores(), close=lambda: closed.append(1))

        def test_last():
            assert closed == [1, 1]
    """)
    tests = ("TestClosed::test_a_lease_is_one_holders", "TestClosed::test_an_attempt_is_claimed_once", "test_last")

    ran = pytester.inline_run(*(f"{module}::{test}" for test in tests), "-p", "no:randomly", "-p", "no:cacheprovider")

    ran.assertoutcome(passed=3)


def test_there_is_no_other_name() -> None:
    import configure_auth.testing

    with pytest.raises(AttributeError, match="no attribute 'StoreConformances'"):
        configure_auth.testing.StoreConformances  # noqa: B018
