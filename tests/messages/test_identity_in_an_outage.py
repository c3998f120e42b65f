"""Who sent a message where Configure fails: somebody who isn't linked, and nothing stored is lost."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import ADA, BOB, KEY, Platform
from .senders import (
    RECOGNIZE,
    VALIDATE,
    approved,
    journey,
    link_of,
    one_store,
    told,
)

# Configure fails


def trouble(platform: Platform, path: str, kind: str) -> None:
    """An endpoint that fails, and says all that it was sent."""
    said = " ".join([platform.sandbox.credentials.api_key, ADA, *(token.token for token in platform.sandbox.tokens)])
    faults: dict[str, dict[str, Any]] = {
        "down": {"drop": True},
        "broken": {"status": 500, "body": said},
        "busy": {"status": 429},
        "no json": {"status": 200, "body": said, "content_type": "text/html"},
        "nonsense": {"status": 200, "body": {"valid": "yes", "recognized": said, "token": [said]}},
        "cut off": {"status": 200, "body": said, "cut": 5},
        "moved": {"status": 302, "headers": {"location": f"https://evil.example/?{ADA[1:]}"}},
        "wrong key": {"status": 401, "body": {"error": said, "message": said}},
        "forbidden": {
            "status": 403,
            "body": {"error": {"type": "permission_error", "code": "denied", "message": said}},
        },
        "not paid": {"status": 402, "body": {"error": said}},
        "conflict": {"status": 409, "body": {"error": said}},
        "timed out": {"status": 408},
        "a gateway's 404": {"status": 404, "body": f"<h1>{said}</h1>", "content_type": "text/html"},
        "a gateway's 400": {"status": 400, "body": said, "content_type": "text/plain"},
    }
    platform.sandbox.fault(path, **faults[kind])


KINDS = ("down", "broken", "busy", "no json", "nonsense", "cut off", "moved", "wrong key", "forbidden", "not paid")
"""What says nothing of a token or a phone."""


@pytest.mark.parametrize("kind", [*KINDS, "conflict", "timed out", "a gateway's 404", "a gateway's 400"])
@one_store
def test_a_failure_while_validating_loses_nothing(
    platform: Platform, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    ada = journey(platform)
    trouble(platform, VALIDATE, kind)

    got = platform.message()

    assert_unlinked(platform, got, caplog)
    assert link_of(platform) == ada
    platform.sandbox.clear_faults()
    assert platform.message()["user_id"] == ada
    assert told(platform) == [("JourneyCompleted", None)]


@pytest.mark.parametrize("kind", KINDS)
@one_store
def test_a_failure_while_recognising_loses_nothing(
    platform: Platform, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    ada = journey(platform)
    trouble(platform, RECOGNIZE, kind)

    for key in (KEY, "chat:new"):
        assert_unlinked(platform, platform.message(key, ADA), caplog)

    assert link_of(platform) == ada
    platform.sandbox.clear_faults()
    # The link was not proven by a failure.
    bob = approved(platform, BOB)
    assert platform.message(KEY, BOB)["user_id"] == bob
    assert told(platform)[1:] == [("SenderUnlinked", "contradicted"), ("SenderLinked", None)]


@pytest.mark.parametrize("path", [VALIDATE, RECOGNIZE])
def test_configure_that_does_not_answer_loses_nothing(
    platform: Platform, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    ada = journey(platform)
    platform.web.hurry(0.2)
    with platform.sandbox.hold(path):
        got = platform.message(KEY, *([ADA] if path == RECOGNIZE else []))
    platform.web.hurry(10)

    assert_unlinked(platform, got, caplog)
    assert platform.message(KEY, ADA)["user_id"] == ada


def assert_unlinked(platform: Platform, got: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """It went on as with somebody who isn't linked, and the log says so, and no more."""
    assert (got["linked"], got["source"], got["token"], got["user_id"]) == (False, "external_id", None, None)
    assert got["unlinked_because"] == "unavailable"
    (record,) = [one for one in caplog.records if "failed to look up the sender" in one.message]
    assert (record.levelname, record.name.partition(".")[0]) == ("WARNING", "configure_auth")
    for secret in (platform.sandbox.credentials.api_key, ADA[1:], *(token.token for token in platform.sandbox.tokens)):
        assert secret not in caplog.text
    caplog.clear()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("down", "NETWORK_ERROR"),
        ("broken", "SERVER_ERROR"),
        ("busy", "RATE_LIMITED"),
        ("wrong key", "AUTH_REQUIRED"),
        ("not paid", "INVALID_INPUT"),
    ],
)
@pytest.mark.parametrize("path", [VALIDATE, RECOGNIZE])
@one_store
def test_a_failure_is_raised_where_the_app_wants_it(platform: Platform, path: str, kind: str, code: str) -> None:
    ada = journey(platform)
    trouble(platform, path, kind)
    phones = [ADA] if path == RECOGNIZE else []

    asked = {"sender": KEY, "phone_candidates": phones, "raise_on_error": True}
    answer = platform.browser.http.post("/message", json=asked)

    assert (answer.status_code, answer.json()["code"]) == (502, code)
    platform.sandbox.clear_faults()
    assert platform.message(KEY, ADA, raise_on_error=True)["user_id"] == ada
