"""What tests of senders look at: their links, what was asked of Configure, what was told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ..support.reading import api_calls
from ..support.web import MakeWeb, Web
from .conftest import ADA, KEY, WITHOUT_PHONES, Platform

RECOGNIZE, VALIDATE = "/v1/auth/sign-in/recognize-phone", "/v1/auth/sign-in/validate"
KEYS = {"CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with"}

outlives_a_start = pytest.mark.parametrize("store", ["sqlite", "postgresql", "redis"])
one_store = pytest.mark.parametrize("store", ["sqlite"])


@contextmanager
def asking(platform: Platform) -> Iterator[list[str]]:
    """What the block asks Configure, filled in at its end."""
    before, asked = len(api_calls(platform.sandbox)), list[str]()
    yield asked
    asked += [call.rpartition("/")[2] for call in api_calls(platform.sandbox)[before:]]


def approved(platform: Platform, phone: str, name: str | None = None) -> str:
    """Somebody who let our agent in before; their id."""
    person = platform.sandbox.add_person(phone, name=name)
    platform.sandbox.issue_agent_token(person)
    return person.user_id


def link_of(platform: Platform, sender: str = KEY) -> str | None:
    """The Configure user whom a sender is linked to."""
    account = platform.verb("/subject/export", sender=sender)["account"]
    return account and str(account["configure_user_id"])


def journey(platform: Platform, phone: str = ADA, sender: str = KEY) -> str:
    """Somebody with this phone follows the link that the sender got; their id."""
    platform.follow(platform.connect(sender), phone)
    return next(person.user_id for person in platform.sandbox.people if person.phone == phone)


def told(platform: Platform) -> list[tuple[str, str | None]]:
    """The events about links, with their reason."""
    return [(type(event).__name__, getattr(event, "why", None)) for event in platform.events]


def started(make_web: MakeWeb, web: Web, **messages: Any) -> Platform:
    """The same app after a start: another process would have as little in its memory."""
    return Platform(make_web(folder=web.folder, messages=WITHOUT_PHONES | messages))
