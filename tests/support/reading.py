"""What an answer says, and what went to Configure meanwhile."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import httpx2

from configure_auth.sandbox import Sandbox

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


def together(actions: Sequence[Callable[[], T]]) -> list[T]:
    """Do all of these at once, each in a thread."""
    with ThreadPoolExecutor(len(actions)) as threads:
        return [future.result() for future in [threads.submit(action) for action in actions]]


@contextmanager
def meanwhile(action: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Do one thing in a thread during the block; what is yielded waits for its result."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(action).result
