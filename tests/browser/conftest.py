from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright.sync_api import Browser, sync_playwright

from configure_auth.flows import site
from configure_auth.sandbox import Sandbox

from .apps import EXAMPLE_APPS, ExampleApp, Served, Variation, serving
from .person import ADA, Person

ARGUMENTS = [
    *("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--no-first-run", "--disable-gpu", "--host-resolver-rules=MAP *.example.test 127.0.0.1"),
]

Meet = Callable[[], Person]


@pytest.fixture(scope="module")  # the sync Playwright holds this thread's event loop, so it mustn't outlive the module
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail("these tests need Chromium, and it isn't on the PATH")
        pytest.skip("Chromium isn't on the PATH")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, headless=True, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(params=EXAMPLE_APPS, ids=lambda example: example.name)
def example(request: pytest.FixtureRequest) -> ExampleApp:
    chosen: ExampleApp = request.param
    return chosen


@pytest.fixture
def variation() -> Variation:
    """Override it by parametrisation: `@pytest.mark.parametrize("variation", [...])`."""
    return Variation()


@pytest.fixture
def served(
    example: ExampleApp,
    variation: Variation,
    configure_sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Served]:
    # The examples tell the time as every app does; here it is the sandbox's, so that `advance` moves both.
    monkeypatch.setattr(site, "time", SimpleNamespace(time=configure_sandbox.clock))
    configure_sandbox.add_person(
        ADA,
        name="Ada Lovelace",
        email="ada@example.com",
        preferences=("Window seats on trains", "Vegetarian food"),
        summary="Plans her trips by train, and keeps notes on everything she reads.",
    )
    with serving(example, configure_sandbox, tmp_path, variation) as running:
        yield running


@pytest.fixture
def meet(browser: Browser, served: Served) -> Iterator[Meet]:
    """A fresh person, as often as it's called. What must hold for all of them is asserted at the end."""
    with ExitStack() as stack:
        people: list[Person] = []

        def make() -> Person:
            people.append(Person.at(browser, served))
            stack.callback(people[-1].context.close)
            return people[-1]

        yield make
        for person in people:
            person.check()


@pytest.fixture
def person(meet: Meet) -> Person:
    return meet()
