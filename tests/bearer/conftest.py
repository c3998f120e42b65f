from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import anyio
import pytest

from configure_auth import BearerError, BearerUser

from ..api.conftest import Server
from .issuer import AUDIENCE, ISSUER, Clock, Issuer

UNAVAILABLE = "can't be judged now"


class MakeBearerUser(Protocol):
    """A `BearerUser` of the issuer's, of the given class, with what is given in another way."""

    def __call__(self, kind: type[BearerUser] = ..., **options: Any) -> Any: ...


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Server()
    yield Issuer(server)
    server.close()


@pytest.fixture
def make_bearer_user(issuer: Issuer, clock: Clock) -> Callable[..., BearerUser]:
    def make(kind: type[BearerUser] = BearerUser, **options: Any) -> BearerUser:
        usual: dict[str, Any] = {
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "jwks_url": None if "key" in options else issuer.url,
            "algorithms": ("RS256", "ES256"),
            "clock": clock,
        }
        return kind(**{**usual, **options})

    return make


@pytest.fixture
def bearer_user(make_bearer_user: MakeBearerUser) -> BearerUser:
    found: BearerUser = make_bearer_user()
    return found


class Ask(Protocol):
    """Whose a token is; None for one that is refused, and `UNAVAILABLE` for one that can't be judged now."""

    def __call__(self, bearer_user: BearerUser, token: str) -> str | None: ...


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Asks by a call that blocks, or on an event loop of its own."""
    backend: str = request.param

    def ask(bearer_user: BearerUser, token: str) -> str | None:
        headers = [f"Bearer {token}"]
        try:
            if backend == "blocking":
                return bearer_user.user_id(headers)
            return anyio.run(bearer_user.auser_id, headers, backend=backend)
        except BearerError as error:
            refused = error
        if refused.status == 401:
            return None
        assert (refused.status, refused.code) == (503, "upstream_unavailable")
        assert refused.headers == {"Retry-After": "30"}
        return UNAVAILABLE

    return ask


def package_locals(caught: pytest.ExceptionInfo[BaseException]) -> str:
    """What a traceback that prints variables would tell of the package's own frames."""
    frames = [entry.locals for entry in caught.traceback if "/configure_auth/" in str(entry.path)]
    assert frames
    return repr(frames)
