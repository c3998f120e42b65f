"""Every test that takes `make`, `provided` or `stored` runs on each adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx2
import pytest

from configure_auth.sandbox import Sandbox

from ..support.adapters import either
from ..support.web import Adapter, Browser
from .apps import Provided, providing

__all__ = ["either"]

STORES = {"memory": "memory://", "sqlite": "sqlite:///provider.db"}


class Make(Protocol):
    """Starts an app; keywords are those of `register_oauth`, but for `settings`, which are CONFIGURE_* values."""

    def __call__(self, *, settings: dict[str, str] | None = None, **options: Any) -> Provided: ...


@pytest.fixture
def make(adapter: Adapter, configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:

        def make(*, settings: dict[str, str] | None = None, **options: Any) -> Provided:
            return stack.enter_context(providing(adapter, configure_sandbox, tmp_path, settings or {}, options))

        yield make


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    return STORES[request.param]


class Person(Browser):
    """A browser at an app with a provider."""

    def __init__(self, app: Provided) -> None:
        super().__init__(app.web)
        self.app = app

    def __enter__(self) -> Person:
        return self

    def press(self, name: str = "configure", back: str | None = None, **headers: str) -> httpx2.Response:
        return self.get(f"/start/{name}?back={quote(back or self.app.callback, safe='')}", **headers)

    def away(self, back: str | None = None) -> str:
        """Press the button; where at Configure that leads."""
        answer = self.press(back=back)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def returning(self, phone: str = "+15550100001", **choices: Any) -> str:
        """From the button to the end of Configure's pages: the URL of the callback."""
        return self.at_configure(self.away(), phone, **choices)

    def token(self, phone: str = "+15550100001", **choices: Any) -> dict[str, Any]:
        """The whole sign-in; the token as JSON."""
        answer = self.come_back(self.returning(phone, **choices))
        assert answer.status_code == 200, answer.text
        token: dict[str, Any] = answer.json()
        return token

    def send(self, path: str, token: dict[str, Any]) -> httpx2.Response:
        return self.http.post(path, json=token)

    def twin(self) -> Person:
        """The same cookies at this moment."""
        other = Person(self.app)
        other.http.cookies.update(self.http.cookies)
        return other


def failure(answer: httpx2.Response) -> str:
    """The code of a sign-in that failed."""
    assert answer.status_code == 400, answer.text
    code: str = answer.json()["error"]
    return code


@pytest.fixture
def provided(make: Make) -> Provided:
    """Without a store: attempts lie in the app's session."""
    return make()


@pytest.fixture
def stored(make: Make, store: str) -> Provided:
    """With each store."""
    return make(store=store)


@pytest.fixture
def person(provided: Provided) -> Iterator[Person]:
    with Person(provided) as person:
        yield person
