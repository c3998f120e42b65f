"""What every part of the suite may use."""

from __future__ import annotations

import gc
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import settings

from .support import catalogue, tree
from .support.rotation import mark_rotated_away
from .support.stores import parametrize_stores, postgresql, redis_server, stores_at

__all__ = ["postgresql", "pytest_generate_tests", "redis_server", "stores_at"]

pytest_generate_tests = parametrize_stores

# An example takes as long as the machine lets it. `make test-extended` names the profile with the full number of them.
settings.register_profile("extended", deadline=None)
settings.register_profile("suite", deadline=None, max_examples=settings.get_profile("extended").max_examples // 5)
settings.load_profile("suite")

_tree_before = pytest.StashKey[tree.Listing | None]()


def pytest_configure(config: pytest.Config) -> None:
    if tuple(map(int, version("starlette").split(".")[:3])) < (0, 38, 6):
        # Its TestClient doesn't close its streams.
        config.addinivalue_line("filterwarnings", "ignore:Unclosed <MemoryObject:ResourceWarning")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_rotated_away(items)
    catalogue.note_entries(items)
    if settings.default == settings.get_profile("extended"):
        for item in items:
            if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
                item.add_marker(pytest.mark.extended)


def pytest_collection_finish() -> None:
    # Modules and tests stay until the end; the garbage collector needn't look at them again and again.
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--check-tree", action="store_true", help="fail if the run leaves a changed or stray file")
    parser.addoption(
        "--catalogue", metavar="FILE", help="write a table of tests/catalogue.md's entries and their results"
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.option.check_tree and not hasattr(session.config, "workerinput"):
        session.config.stash[_tree_before] = tree.listing()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if (path := session.config.option.catalogue) and reporter is not None:
        stats = (one for kind in ("passed", "failed", "error") for one in reporter.stats.get(kind, ()))
        Path(path).write_text(catalogue.report(stats), encoding="utf-8")
    before = session.config.stash.get(_tree_before, None)
    after = None if before is None else tree.listing()
    if before is not None and after is not None and (changed := tree.changes(before, after)):
        if reporter is not None:
            reporter.write_line(f"\nthe tests changed or left files in the tree: {', '.join(changed)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
