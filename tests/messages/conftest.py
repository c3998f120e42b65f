"""Apps with a message agent, on each adapter and each store, and what a platform and Configure's page do with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from configure_auth.sandbox import Sandbox

from ..behaviour.conftest import make_web, store
from ..support.adapters import adapter
from ..support.web import Browser, MakeWeb, Web, query_of

__all__ = ["adapter", "make_web", "store"]

ADA, BOB = "+14155550101", "+14155550102"
KEY = "chat:ada"
WITHOUT_PHONES = {"on_unproven": "accept"}
"""As for a platform without phones, so that most tests need none."""


class Platform:
    """The messages of some senders, and the pages that their links lead to."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.browser: Browser = web.browser()

    @property
    def sandbox(self) -> Sandbox:
        return self.web.sandbox

    @property
    def linked(self) -> list[tuple[str, Any]]:
        """What `on_linked` was called with."""
        return self.web.people.linked

    @property
    def events(self) -> list[Any]:
        return self.web.people.events

    def verb(self, path: str, **given: Any) -> dict[str, Any]:
        answer = self.browser.http.post(path, json=given)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        said: dict[str, Any] = answer.json()
        return said

    def connect(self, sender: str | int = KEY) -> str:
        """The link that a sender gets."""
        link: str = self.verb("/journey", sender=sender)["link"]
        return link

    def message(self, sender: str | int = KEY, *phones: str, **given: Any) -> dict[str, Any]:
        """Who sent a message, as the app knows it."""
        return self.verb("/message", sender=sender, phone_candidates=phones, **given)

    def follow(self, link: str, phone: str = ADA) -> None:
        """Sign in behind a link; Configure reports it to the app before this returns."""
        before = len(self.sandbox.completions)
        self.sandbox.sign_in(link, phone)
        assert [(one.status, one.error) for one in self.sandbox.completions[before:]] == [(200, None)]

    def completion(self, link: str, **changes: Any) -> dict[str, Any]:
        """What Configure would post at the end of a link's journey, or what somebody else would."""
        return {"journeyId": query_of(link)["journey"], "agent": self.sandbox.agent, **changes}

    def post(self, body: object, **headers: str) -> httpx2.Response:
        """Post to the completion route without a browser's cookies."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.web.browser() as nobody:
            return nobody.http.post(
                "/configure/messages/complete", content=content, headers={"content-type": "application/json"} | named
            )

    @property
    def calls(self) -> list[str]:
        """The paths of the calls to Configure's API."""
        return [urlsplit(call.path).path for call in self.sandbox.calls]


@pytest.fixture
def web(make_web: MakeWeb) -> Web:
    return make_web(messages={"display_name": "The agent", **WITHOUT_PHONES})


@pytest.fixture
def platform(web: Web) -> Iterator[Platform]:
    platform = Platform(web)
    with platform.browser:
        yield platform
