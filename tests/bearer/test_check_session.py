"""`BearerUser.supabase(check_session=True)`: the session of a valid token must still exist at Supabase."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from configure_auth import BearerError, BearerUser
from configure_auth.errors import SettingsError

from ..api.conftest import CLOSE, Line, Received, http
from ..secrecy.conftest import told
from .conftest import UNAVAILABLE, Ask
from .issuer import AUDIENCE, Clock, Issuer

ANON_KEY = "the-public-key-of-the-project"
USER = {"id": "u1", "email": "ada@example.org"}


class Supabase:
    """The two endpoints of a project; `user` is what the second one answers."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.user: bytes | Callable[[Line, Received], object] = http(USER)
        keys = http({"keys": [issuer.ec.jwk()]})

        def answer(line: Line, received: Received) -> object:
            content = keys if received.target.endswith("jwks.json") else self.user
            if isinstance(content, bytes):
                line.write(content)
                return None
            return content(line, received)

        issuer.server.answers(answer)

    @property
    def url(self) -> str:
        return self.issuer.server.url

    def token(self, **claims: object) -> str:
        usual = {"iss": f"{self.url}/auth/v1", "aud": "authenticated", "role": "authenticated"}
        return self.issuer.ec.token(**{**usual, **claims})

    @property
    def checks(self) -> list[Received]:
        return [one for one in self.issuer.server.received if one.target == "/auth/v1/user"]


@pytest.fixture
def supabase(issuer: Issuer) -> Supabase:
    return Supabase(issuer)


@pytest.fixture
def bearer_user(supabase: Supabase, clock: Clock) -> BearerUser:
    return BearerUser.supabase(supabase.url, clock=clock, check_session=True, anon_key=ANON_KEY)


def test_a_session_that_exists(supabase: Supabase, bearer_user: BearerUser, ask: Ask) -> None:
    token = supabase.token()
    assert ask(bearer_user, token) == "u1"
    (check,) = supabase.checks
    assert (check.method, check.headers["authorization"], check.headers["apikey"]) == (
        "GET",
        f"Bearer {token}",
        ANON_KEY,
    )


@pytest.mark.parametrize(
    "answer",
    [
        http({"code": "session_not_found"}, status=403),
        http(status=401),
        http(status=404),
        http({"id": "somebody-else"}),
    ],
)
def test_a_session_that_has_ended(supabase: Supabase, bearer_user: BearerUser, ask: Ask, answer: bytes) -> None:
    supabase.user = answer
    assert ask(bearer_user, supabase.token()) is None


@pytest.mark.parametrize(
    "answer",
    [
        http(status=500),
        http(status=429),
        http({"user": "u1"}),
        http(b"<p>", content_type="text/html"),
        http(status=302),
        lambda *_: CLOSE,
    ],
)
def test_supabase_that_cannot_be_asked(supabase: Supabase, bearer_user: BearerUser, ask: Ask, answer: bytes) -> None:
    supabase.user = answer
    assert ask(bearer_user, supabase.token()) == UNAVAILABLE


def test_a_token_that_is_refused_locally_is_not_sent(supabase: Supabase, bearer_user: BearerUser, ask: Ask) -> None:
    for token in (supabase.token(exp=1), supabase.token(aud=AUDIENCE), supabase.token(role="anon"), "x.y.z"):
        assert ask(bearer_user, token) is None
    assert bearer_user.user_id([]) is None
    assert supabase.checks == []


def test_the_default_is_local(supabase: Supabase, clock: Clock) -> None:
    supabase.user = http(status=401)
    assert BearerUser.supabase(supabase.url, clock=clock).user_id([f"Bearer {supabase.token()}"]) == "u1"
    assert supabase.checks == []


@pytest.mark.parametrize("answer", [http(status=401), http(status=500), lambda *_: CLOSE])
def test_an_error_shows_nothing_of_the_token(supabase: Supabase, bearer_user: BearerUser, answer: bytes) -> None:
    supabase.user = answer
    token = supabase.token()
    with pytest.raises(BearerError) as refused:
        bearer_user.user_id([f"Bearer {token}"])
    assert token.split(".")[2] not in told(refused.value)
    assert ANON_KEY not in told(refused.value)


@pytest.mark.parametrize(
    "options", [{"check_session": True}, {"check_session": True, "anon_key": ""}, {"anon_key": ANON_KEY}]
)
def test_options_that_contradict(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="anon_key"):
        BearerUser.supabase("project", **options)
    with pytest.raises(SettingsError, match="anon_key"):
        BearerUser.supabase_shared_secret("project", "s" * 40, **options)
