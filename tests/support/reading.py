"""What an answer says, and what went to Configure meanwhile."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

import httpx2

from configure_auth.events import AccountLinked, AccountUnlinked, AgentClaimed, JourneyCompleted, LoggedIn
from configure_auth.sandbox import Sandbox

from .web import Web

T = TypeVar("T")


def code_of(answer: httpx2.Response) -> str | None:
    """The stable code of an error page, or of an error's JSON."""
    if answer.headers["content-type"] == "application/json":
        error: str | None = answer.json().get("error")
        return error
    found = re.search(r"<code>([a-z_]+)</code>", answer.text)
    return found and found[1]


def ending(answer: httpx2.Response) -> tuple[int, str | None]:
    """Status and code."""
    return answer.status_code, code_of(answer)


def without_reference(answer: httpx2.Response) -> str:
    """A page but for the reference on it, which is of one attempt or request."""
    return re.sub(r"</code>, \w{4}-\w{2}<", "</code><", answer.text)


def without_cause(answer: httpx2.Response) -> str:
    """A page but for the cause, which on localhost the request has that failed, and none after it."""
    return re.sub(r'<p class="aside">(?!For support)[^<]*</p>\n', "", answer.text)


def links_of(answer: httpx2.Response) -> list[str]:
    """Where the links of a page lead."""
    return [html.unescape(href) for href in re.findall(r'<a [^>]*href="([^"]*)"', answer.text)]


def api_calls(sandbox: Sandbox) -> list[str]:
    """The requests to Configure's API so far; what a person's browser asks of its pages isn't among them."""
    return [f"{call.method} {call.path}" for call in sandbox.calls if call.origin == "api"]


@contextmanager
def no_calls(sandbox: Sandbox) -> Iterator[None]:
    """Within the block nothing is sent to Configure's API."""
    before = len(api_calls(sandbox))
    yield
    assert api_calls(sandbox)[before:] == []


@contextmanager
def refused(web: Web) -> Iterator[None]:
    """What "refused" means in `tests/catalogue.md`, for the requests of the block, whose status the test asserts.

    Nothing is sent to Configure, no connection and no sign-in comes of it, and the code, the state and the cookie of
    the request and the app's credentials are in no response and no log line. That no row changes at all is in
    `tests/flows/test_any_request.py`.
    """
    ear, logger = _Ear(), logging.getLogger("configure_auth")
    level, answered = logger.level, len(web.answers)
    before = len(web.people.logins), len(web.people.linked), _changes(web)
    logger.addHandler(ear)
    logger.setLevel(logging.DEBUG)
    try:
        with no_calls(web.sandbox):
            yield
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)
    assert (len(web.people.logins), len(web.people.linked), _changes(web)) == before
    credentials = web.sandbox.credentials
    secrets = {credentials.api_key, credentials.client_secret}
    shown = list(ear.heard)
    for answer in web.answers[answered:]:
        asked = parse_qsl(urlsplit(str(answer.request.url)).query, keep_blank_values=True)
        secrets |= {value for name, value in asked if name in ("code", "state") and len(value) > 7}
        cookies = answer.request.headers.get("cookie", "").split("; ")
        secrets |= {one.partition("=")[2] for one in cookies if "configure" in one.partition("=")[0]}
        shown += [answer.text, answer.headers.get("location", "")]
    found = {secret for secret in secrets if secret and any(secret in text for text in shown)}
    assert not found, "a refusal shows a secret of the request"


class _Ear(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(f"{self.format(record)} {vars(record)}")


def _changes(web: Web) -> int:
    changes = (AccountLinked, AccountUnlinked, LoggedIn, JourneyCompleted, AgentClaimed)
    return sum(isinstance(event, changes) for event in web.people.events)


def together(actions: Sequence[Callable[[], T]]) -> list[T]:
    """Do all of these at once, each in a thread."""
    with ThreadPoolExecutor(len(actions)) as threads:
        return [future.result() for future in [threads.submit(action) for action in actions]]


@contextmanager
def meanwhile(action: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Do one thing in a thread during the block; what is yielded waits for its result."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(action).result
