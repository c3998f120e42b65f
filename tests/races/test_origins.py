"""Configure has three origins. Any two of them swapped in the settings, neither a link nor a login comes to its end."""

from __future__ import annotations

import pytest

from configure_auth.sandbox import Sandbox
from configure_auth.sandbox.errors import SignInFailed

from ..support.visitor import FlowName, Visitor
from ..support.web import MakeWeb

API, ACCOUNTS, SIGN_IN = "CONFIGURE_BASE_URL", "CONFIGURE_ACCOUNTS_URL", "CONFIGURE_SIGN_IN_URL"
PAIRS = {"api-accounts": (API, ACCOUNTS), "accounts-sign-in": (ACCOUNTS, SIGN_IN), "api-sign-in": (API, SIGN_IN)}


@pytest.fixture
def place() -> str:
    return "flask-memory"


def works(make_web: MakeWeb, settings: dict[str, str], flow: FlowName) -> bool:
    web = make_web(settings=settings)
    visitor = Visitor.of(web)
    if flow == "link":
        visitor.sign_in_locally("u1")
    try:
        ended = visitor.run(flow)
    except (SignInFailed, AssertionError):
        # The pages said no, or there was no page at all.
        return False
    return ended.status == 303 and visitor.ask("/account").json["account"] is not None


@pytest.mark.parametrize("flow", ["link", "login"])
def test_the_right_origins_work(make_web: MakeWeb, configure_sandbox: Sandbox, flow: FlowName) -> None:
    environment = configure_sandbox.environment()

    assert works(make_web, {name: environment[name] for name in (API, ACCOUNTS, SIGN_IN)}, flow)


@pytest.mark.parametrize("flow", ["link", "login"])
@pytest.mark.parametrize("swapped", PAIRS)
def test_swapped_origins_fail(make_web: MakeWeb, configure_sandbox: Sandbox, swapped: str, flow: FlowName) -> None:
    environment, (one, other) = configure_sandbox.environment(), PAIRS[swapped]

    assert not works(make_web, {one: environment[other], other: environment[one]}, flow)
