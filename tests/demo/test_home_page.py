"""The home page of an example shows what the profile has, without a request to Configure in each view."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from configure_auth.sandbox import Sandbox

from .test_real_tables import PHONE, SITE, Example

SHOWN = "You prefer: Window seats; Late breakfasts."


@pytest.fixture(params=["flask_app", "starlette_app"])  # FastAPI's is a script's work, see tests/browser
def example(request: pytest.FixtureRequest, configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Example]:
    configure_sandbox.register_return_to(f"{SITE}/configure/callback")
    configure_sandbox.register_redirect_uri(f"{SITE}/auth/configure/callback")
    with ExitStack() as stack:
        yield Example(request.param, configure_sandbox, tmp_path, stack)


def reads(sandbox: Sandbox) -> int:
    return len(sandbox.calls_to("GET", "/v1/profile"))


def test_home_page_shows_the_profile_and_asks_once(example: Example) -> None:
    example.sandbox.add_person(PHONE, name="Ada", preferences=("Window seats", "Late breakfasts"))
    example.login()
    asked = reads(example.sandbox)  # the login read who it is

    for _ in range(3):
        assert SHOWN in example.get("/").text
    assert reads(example.sandbox) == asked + 1


def test_home_page_after_a_disconnect_shows_nothing_of_the_profile(example: Example) -> None:
    example.sandbox.add_person(PHONE, name="Ada", preferences=("Window seats", "Late breakfasts"))
    example.sign_up()
    example.post("/sign-in", data={"username": "ada", "password": "analytical"})
    start = example.get("/configure/sign-in")
    example.get(example.sandbox.sign_in(start.headers["location"], PHONE), site="cross-site")
    assert SHOWN in example.get("/").text

    example.post("/configure/disconnect")

    home = example.get("/")
    assert (home.status_code, SHOWN in home.text) == (200, False)


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": True}], ids=["503", "drop"])
def test_home_page_survives_an_outage(example: Example, fault: dict[str, object]) -> None:
    example.sandbox.add_person(PHONE, name="Ada", preferences=("Window seats",))
    example.login()
    example.sandbox.fault("/v1/profile", **fault)  # type: ignore[arg-type]

    pages = [example.get("/") for _ in range(3)]
    asked = reads(example.sandbox)
    example.get("/")

    assert [page.status_code for page in pages] == [200, 200, 200]
    assert all("Hello, Ada." in page.text for page in pages)
    assert reads(example.sandbox) == asked


def test_home_page_of_a_person_who_shares_nothing(example: Example) -> None:
    example.login()

    home = example.get("/")

    assert (home.status_code, "Hello." in home.text, "You prefer" in home.text) == (200, True, False)
