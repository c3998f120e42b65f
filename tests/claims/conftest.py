"""Apps whose users claim agents, on each adapter and each store, and people who do so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2
import pytest

from configure_auth import Secret

from ..behaviour.conftest import make_web, store
from ..support.adapters import adapter
from ..support.web import Browser, MakeWeb, Web

__all__ = ["adapter", "make_web", "store"]

PATH = "/api/v1/agents/claim"
JSON = "application/json"

ALWAYS = {
    "content-type": JSON,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

NOBODYS = (404, {"error": "expired"})
MALFORMED = (400, {"error": "invalid_request"})
TAKEN = (409, {"error": "already_used"})

Said = tuple[int, dict[str, Any]]


def claimed(agent_id: str) -> Said:
    return 200, {"ok": True, "agentId": agent_id}


def said(answer: httpx2.Response) -> Said:
    """Status and body of an answer of ours, which has every header that it must have."""
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
    body = answer.json()
    if body.get("error") in ("expired", "already_used"):
        assert body["message"]
    body.pop("message", None)
    return answer.status_code, body


class People:
    """The browsers of an app's users, who are signed in; None is somebody who isn't."""

    def __init__(self, web: Web, stack: ExitStack) -> None:
        self.web = web
        self._stack = stack
        self._browsers: dict[str | None, Browser] = {}

    def browser(self, user_id: str | None) -> Browser:
        if user_id not in self._browsers:
            self._browsers[user_id] = browser = self._stack.enter_context(self.web.browser())
            if user_id is not None:
                browser.sign_in_locally(user_id)
        return self._browsers[user_id]

    def registering(self, agent_id: str) -> Said:
        answer = self.browser(None).post(f"/agents/{agent_id}")
        return answer.status_code, answer.json()

    def register(self, agent_id: str = "a1") -> str:
        """A new claim token of an agent."""
        status, body = self.registering(agent_id)
        assert status == 200, body
        token: str = body["token"]
        return token

    def post(
        self,
        by: str | None,
        body: object,
        *,
        site: str | None = "same-origin",
        query: str = "",
        method: str = "POST",
        content_type: str | None = JSON,
        **headers: str,
    ) -> httpx2.Response:
        """What a page of the app posts to the claim route, unless `site` says another; a CLI has None."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {} if site is None else {"sec-fetch-site": site}
        sent |= {} if content_type is None else {"content-type": content_type}
        return self.browser(by).http.request(method, PATH + query, content=content, headers=sent)

    def claim(self, by: str | None, token: object) -> Said:
        return said(self.post(by, {"claimToken": token}))

    def owner(self, agent_id: str = "a1") -> str | None:
        """The user who has an agent, as the app knows it."""
        answer = self.browser(None).get(f"/agents/{agent_id}/owner")
        if answer.status_code == 409:
            assert answer.json()["code"] == "agent_no_owner"
            return None
        assert answer.status_code == 200, answer.text
        owner: str = answer.json()["owner"]
        return owner

    def owned_by(self, user_id: str | None) -> list[str]:
        agents: list[str] = self.browser(user_id).get("/agents").json()["agents"]
        return agents

    @property
    def events(self) -> list[Any]:
        return self.web.people.events

    @contextmanager
    def nothing_done(self) -> Iterator[None]:
        """Within the block no agent of `a1` changes hands, and no event is told."""
        before = self.owner(), list(self.events)
        yield
        assert (self.owner(), self.events) == before


@contextmanager
def people_of(web: Web) -> Iterator[People]:
    with ExitStack() as stack:
        yield People(web, stack)


def given_out(web: Web, agent_id: str | int) -> Secret:
    """A new claim token, as a program of the app's registers an agent: outside of a request."""
    verb: Callable[..., Any] = web.configure_auth.register_agent
    token: Secret
    if web.adapter == "flask":
        with web.app.app_context():
            token = verb(agent_id)
    else:
        token = asyncio.run(verb(agent_id))
    return token


@pytest.fixture
def web(make_web: MakeWeb) -> Web:
    return make_web(claims={}, link=None, login=None)


@pytest.fixture
def people(web: Web) -> Iterator[People]:
    with people_of(web) as people:
        yield people
