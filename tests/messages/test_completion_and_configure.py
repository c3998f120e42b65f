"""What Configure says of a completion's token decides; where it, the app or the store fails, nothing is half done."""

from __future__ import annotations

from typing import Any

import pytest
from flask import abort
from starlette.exceptions import HTTPException

from configure_auth import StoreError
from configure_auth.sandbox.variants import Variants
from configure_auth.stores import Stores
from configure_auth.stores.memory import memory_stores

from ..support.reading import meanwhile
from ..support.web import MakeWeb
from ..support.wrapping import wrapped
from .completions import VALIDATE, good, linked_to, nothing_done, status_of, token_of
from .conftest import ADA, BOB, KEY, Platform


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str:
    """One is enough: hardly anything of what is judged here depends on it."""
    return str(getattr(request, "param", "memory"))


@pytest.mark.catalogue("K2", "K3", "H13")
@pytest.mark.parametrize(
    ("variant", "value", "status"),
    [
        ("validate_valid", False, 401),
        ("validate_valid", None, 503),
        ("validate_valid", "true", 503),
        ("validate_token_use", None, 401),
        ("validate_token_use", "user", 401),
        ("validate_token_use", "oauth", 401),
        ("validate_token_use", "AGENT", 401),
        ("validate_approved", False, 401),
        ("validate_approved", None, 401),
        ("validate_approved", "true", 503),
        ("validate_agent", None, 401),
        ("validate_agent", "", 401),
        ("validate_agent", "another-agent", 401),
        ("validate_agent", "DEMO-AGENT", 401),
        ("validate_user_id", None, 401),
        ("validate_user_id", " ", 401),
        ("validate_user_id", "somebody else", 401),
        ("validate_user_id", "a\nb", 503),
        ("validate_user_id", "x" * 256, 503),
    ],
)
def test_only_a_token_of_which_everything_is_said_is_taken(
    platform: Platform, variant: str, value: object, status: int
) -> None:
    completion = good(platform, platform.connect())
    setattr(platform.sandbox.variants, variant, value)

    with nothing_done(platform, calls=1):
        assert status_of(platform.post(completion)) == status

    setattr(platform.sandbox.variants, variant, getattr(Variants(), variant))
    assert status_of(platform.post(completion)) == 200


def test_configure_says_whose_token_it_is(platform: Platform) -> None:
    platform.sandbox.variants.validate_user_id = "somebody else"
    platform.sandbox.variants.casing = "snake"

    assert status_of(platform.post(platform.completion(platform.connect(), token=token_of(platform)))) == 200
    assert linked_to(platform) == "somebody else"


@pytest.mark.catalogue("K2", "H13")
def test_tokens_of_another_kind_or_no_longer_good_are_refused(platform: Platform) -> None:
    sandbox = platform.sandbox
    ada, bob = sandbox.add_person(ADA), sandbox.add_person(BOB)
    sandbox.add_agent("another")
    with platform.web.browser() as browser:
        browser.login(ADA)
    oauth = [kept.token for kept in sandbox.tokens]
    revoked, taken_back = token_of(platform), token_of(platform, BOB)
    sandbox.revoke_token(revoked)
    sandbox.revoke_approval(bob)
    bad = [*oauth, revoked, taken_back, token_of(platform, agent="another"), sandbox.issue_user_token(ada)]
    assert len(bad) == 6
    link = platform.connect()

    with nothing_done(platform, calls=len(bad)):
        for token in bad:
            assert status_of(platform.post(platform.completion(link, token=token))) == 401, token


def test_a_token_that_ended_is_refused(platform: Platform) -> None:
    token = token_of(platform)
    kept = platform.sandbox.token(token)
    assert kept is not None
    platform.sandbox.advance(kept.expires_at - platform.sandbox.now())

    with nothing_done(platform, calls=1):
        assert status_of(platform.post(platform.completion(platform.connect(), token=token))) == 401


@pytest.mark.catalogue("K2", "K3")
def test_what_the_body_says_can_only_contradict(platform: Platform) -> None:
    link = platform.connect()
    bob = platform.sandbox.add_person(BOB)
    with nothing_done(platform):
        for agent in ("another", "DEMO-AGENT", "demo-agent ", " "):
            assert status_of(platform.post(good(platform, link, agent=agent))) == 401, agent
    with nothing_done(platform, calls=3):
        for user_id in (bob.user_id, "x", " "):
            assert status_of(platform.post({**good(platform, link), "userId": user_id})) == 401, user_id

    assert status_of(platform.post(good(platform, link))) == 200


TROUBLE: dict[str, tuple[dict[str, Any], str]] = {
    "500": ({"status": 500}, "5"),
    "502 as HTML": ({"status": 502, "body": "<h1>Bad gateway</h1>", "content_type": "text/html"}, "5"),
    "503 and when to come back": ({"status": 503, "headers": {"Retry-After": "7"}}, "7"),
    "429 and when to come back": ({"status": 429, "headers": {"Retry-After": "9"}}, "9"),
    "429 for a day": ({"status": 429, "headers": {"Retry-After": "86400"}}, "86400"),
    "our key is not taken": ({"status": 401, "body": {"error": "x"}}, "5"),
    "our key may not": ({"status": 403, "body": {"error": {"type": "permission_error", "code": "x"}}}, "5"),
    "the quota is used up": (
        {"status": 402, "body": {"error": {"type": "rate_limit_error", "code": "quota_exceeded"}}},
        "5",
    ),
    "HTML": ({"body": "<html>hello</html>", "content_type": "text/html"}, "5"),
    "JSON called HTML": ({"body": '{"valid":true}', "content_type": "text/html"}, "5"),
    "an empty object": ({"body": "{}"}, "5"),
    "a list": ({"body": "[]"}, "5"),
    "nothing": ({"body": b"", "status": 200}, "5"),
    "half an object": ({"body": '{"valid":true'}, "5"),
    "a key twice": ({"body": '{"valid":false,"valid":true}'}, "5"),
    "a huge body": ({"body": '{"a":"' + "x" * 300_000 + '"}'}, "5"),
    "a redirect": ({"status": 307, "headers": {"Location": "/trap"}}, "5"),
    "a dropped connection": ({"drop": True}, "5"),
    "an answer that was lost": ({"drop": True, "handled": True}, "5"),
    "a cut body": ({"body": '{"a":"' + "x" * 500 + '"}', "cut": 20}, "5"),
}


@pytest.mark.catalogue("K15")
@pytest.mark.parametrize("trouble", TROUBLE)
def test_while_configure_fails_a_completion_may_be_tried_again(platform: Platform, trouble: str) -> None:
    completion = good(platform, platform.connect())
    fault, seconds = TROUBLE[trouble]
    platform.sandbox.fault(VALIDATE, **fault)

    with nothing_done(platform, calls=1):
        answer = platform.post(completion)
        assert (status_of(answer), answer.headers["retry-after"]) == (503, seconds)

    platform.sandbox.clear_faults()
    assert status_of(platform.post(completion)) == 200


@pytest.mark.catalogue("K15")
@pytest.mark.parametrize("late", ["silent", "dripping"])
def test_a_configure_that_is_late_is_waited_for_until_the_deadline(platform: Platform, late: str) -> None:
    completion = good(platform, platform.connect())
    platform.web.hurry(0.3)
    if late == "dripping":
        platform.sandbox.fault(VALIDATE, drip=0.1)
        assert status_of(platform.post(completion)) == 503
        platform.sandbox.clear_faults()
    else:
        with platform.sandbox.hold(VALIDATE):
            assert status_of(platform.post(completion)) == 503
    platform.web.hurry(10)

    assert platform.linked == []
    assert status_of(platform.post(completion)) == 200


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_token_that_configure_takes_for_none_is_forged(platform: Platform, status: int) -> None:
    completion = good(platform, platform.connect())
    platform.sandbox.fault(VALIDATE, status=status, times=1)

    with nothing_done(platform, calls=1):
        assert status_of(platform.post(completion)) == 401
    assert status_of(platform.post(completion)) == 200


@pytest.mark.parametrize("meantime", ["forgotten", "over"])
def test_a_journey_that_ends_while_configure_is_asked_links_nobody(platform: Platform, meantime: str) -> None:
    completion = good(platform, platform.connect())
    with platform.sandbox.hold(VALIDATE) as held, meanwhile(lambda: platform.post(completion)) as answer:
        held.arrived.wait()
        if meantime == "over":
            platform.sandbox.advance(900)
        else:
            platform.verb("/subject/forget", sender=KEY)
        held.release()
        assert status_of(answer()) == 404

    assert linked_to(platform) is None
    assert platform.linked == []


# The app's hook, which runs when the link is kept already.


def failing(error: Exception) -> Any:
    def hook(key: str, account: object) -> None:
        calls.append(key)
        raise error

    calls: list[str] = []
    return hook, calls


@pytest.mark.catalogue("Q12")
def test_a_hook_that_fails_undoes_nothing(make_web: MakeWeb, caplog: pytest.LogCaptureFixture) -> None:
    hook, calls = failing(RuntimeError("the thread is gone"))
    platform = Platform(make_web(messages={"on_linked": hook}))
    with platform.browser:
        completion = good(platform, platform.connect())
        assert [status_of(platform.post(completion)) for _ in range(2)] == [200, 200]

        assert linked_to(platform) == completion["userId"]
    assert calls == [KEY]
    assert "on_linked failed; the link is kept" in caplog.text
    assert "the thread is gone" in caplog.text


def test_a_hook_that_aborts_answers_for_nobody(
    make_web: MakeWeb, adapter: str, caplog: pytest.LogCaptureFixture
) -> None:
    hook, calls = failing(HTTPException(418))
    if adapter == "flask":

        def hook(key: str, account: object) -> None:
            calls.append(key)
            abort(418)

    platform = Platform(make_web(messages={"on_linked": hook}))
    with platform.browser:
        completion = good(platform, platform.connect())
        assert [status_of(platform.post(completion)) for _ in range(2)] == [200, 200]

        assert linked_to(platform) == completion["userId"]
    assert calls == [KEY]
    assert "on_linked raised a response, which is ignored; the link is kept" in caplog.text


def test_an_app_without_a_hook_links_all_the_same(make_web: MakeWeb) -> None:
    platform = Platform(make_web(messages={"on_linked": None}))
    with platform.browser:
        completion = good(platform, platform.connect())
        assert status_of(platform.post(completion)) == 200
        assert linked_to(platform) == completion["userId"]


# The store, and the app's settings.


class _Failing:
    """The journeys of a store one of whose methods fails, once."""

    def __init__(self, inner: Any, name: str, error: Exception) -> None:
        self._inner = inner
        self._left = {name: error}

    def __getattr__(self, name: str) -> Any:
        error = self._left.pop(name, None)
        if error is None:
            return getattr(self._inner, name)

        def fail(*_: object, **__: object) -> None:
            raise error

        return fail


def failing_store(name: str, error: Exception) -> dict[str, Stores]:
    def wrap(store: Any, kind: str) -> Any:
        return _Failing(store, name, error) if kind == "journeys" else store

    return {"store": wrapped(memory_stores(), wrap)}


@pytest.mark.catalogue("K16", "Q1")
@pytest.mark.parametrize(("step", "calls"), [("read", 0), ("attempt", 0), ("complete", 1)])
@pytest.mark.parametrize(("error", "status"), [(StoreError("locked"), 503), (KeyError("a row"), 500)])
def test_while_the_store_fails_nothing_is_done_and_the_journey_stays_good(
    make_web: MakeWeb, step: str, calls: int, error: Exception, status: int
) -> None:
    platform = Platform(make_web(messages={}, stores=failing_store(step, error)))
    with platform.browser:
        completion = good(platform, platform.connect())
        with nothing_done(platform, calls=calls):
            assert status_of(platform.post(completion)) == status

        assert status_of(platform.post(completion)) == 200
        assert [key for key, _ in platform.linked] == [KEY]


def test_under_another_path_than_configure_is_told_it_says_so_in_the_log_alone(
    make_web: MakeWeb, caplog: pytest.LogCaptureFixture
) -> None:
    url = {"CONFIGURE_APP_URL": "{url}/elsewhere"}
    platform = Platform(make_web(link=None, login=None, messages={}, settings=url))
    with platform.browser:
        completion = good(platform, platform.connect())
        with nothing_done(platform):
            assert status_of(platform.post(completion)) == 500
    assert "/elsewhere/configure/messages/complete" in caplog.text


def test_an_app_under_a_prefix_is_told_of_under_it(make_web: MakeWeb) -> None:
    platform = Platform(make_web(messages={}, mount="/shop", settings={"CONFIGURE_APP_URL": "{url}/shop"}))
    with platform.browser:
        link: str = platform.browser.http.post("/shop/journey", json={"sender": KEY}).json()["link"]
        platform.follow(link)
    assert [key for key, _ in platform.linked] == [KEY]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_process_without_the_newest_key_turns_a_journey_away_whole(make_web: MakeWeb) -> None:
    """Of two processes in the middle of a change of keys, the older one can't open what the newer one sealed."""
    old, new = "the-older-key-of-the-app-and-long-enough", "the-newer-key-of-the-app-and-long-enough"
    before = Platform(make_web(messages={}, settings={"CONFIGURE_TOKEN_KEYS": old}))
    settings = {"CONFIGURE_TOKEN_KEYS": f"{new},{old}"}
    with before.browser:
        before.connect()
        after = Platform(make_web(messages={}, settings=settings, folder=before.web.folder))
        with after.browser:
            completion = good(after, after.connect())
            with nothing_done(before, calls=1):
                assert status_of(before.post(completion)) == 500

            assert status_of(after.post(completion)) == 200
            assert [key for key, _ in after.linked] == [KEY]
