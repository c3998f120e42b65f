"""What is posted at the end of a journey, and what may be seen of what it did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from ..support.reading import api_calls
from .conftest import ADA, KEY, Platform

__all__ = ["PATH", "VALIDATE", "asked", "good", "linked_to", "nothing_done", "status_of", "token_of"]

PATH = "/configure/messages/complete"
VALIDATE = "/v1/auth/sign-in/validate"

ALWAYS = {
    "content-type": "application/json",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def status_of(answer: httpx2.Response) -> int:
    """The status. Nothing else may tell whoever posts how far a completion came."""
    went_well = "true" if answer.status_code == 200 else "false"
    assert answer.text == f'{{"ok": {went_well}, "linked": {went_well}}}'
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
    # Starlette before 0.48 writes the session's cookie at every response.
    assert [one for one in answer.headers.get_list("set-cookie") if not one.startswith("session=")] == []
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))
    return answer.status_code


def token_of(platform: Platform, phone: str = ADA, *, agent: str | None = None) -> str:
    """An agent token of the person with this phone."""
    return platform.sandbox.issue_agent_token(platform.sandbox.add_person(phone), agent=agent)


def good(platform: Platform, link: str, phone: str = ADA, **changes: Any) -> dict[str, Any]:
    """What Configure posts when this person has signed in behind a link."""
    person = platform.sandbox.add_person(phone)
    return platform.completion(link, token=token_of(platform, phone), userId=person.user_id, **changes)


def linked_to(platform: Platform, sender: str = KEY) -> str | None:
    """The Configure user whom a sender is linked to."""
    account = platform.verb("/subject/export", sender=sender)["account"]
    return account and str(account["configure_user_id"])


def asked(platform: Platform) -> int:
    """How often Configure was asked for a token's worth."""
    return len(platform.sandbox.calls_to("POST", VALIDATE))


@contextmanager
def nothing_done(platform: Platform, *, calls: int = 0) -> Iterator[None]:
    """Within the block no link changes and the app is told nothing; Configure gets just so many calls."""

    def seen() -> tuple[object, ...]:
        account = platform.verb("/subject/export", sender=KEY)["account"]
        return account, list(platform.linked), len(platform.events)

    before, called = seen(), len(api_calls(platform.sandbox))
    yield
    assert seen() == before
    assert api_calls(platform.sandbox)[called:] == [f"POST {VALIDATE}"] * calls
