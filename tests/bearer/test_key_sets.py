"""When an issuer's keys are fetched, and what stays while they can't be."""

from __future__ import annotations

import threading

import pytest

from configure_auth import BearerError, BearerUser
from configure_auth.bearer import key_sets
from configure_auth.bearer import user as bearer
from configure_auth.bearer.key_sets import COOLDOWN, LIFESPAN, KeySet

from ..api.conftest import CLOSE, http
from .conftest import UNAVAILABLE, Ask, MakeBearerUser
from .issuer import Clock, Issuer, Signer, rsa_key
from .tokens import NEW, forever, unknown, warm


class TestFetching:
    def test_the_first_token_fetches_and_no_other_does(self, bearer_user: BearerUser, issuer: Issuer, ask: Ask) -> None:
        assert issuer.fetches == 0
        for _ in range(20):
            assert ask(bearer_user, issuer.rsa.token()) == "u1"
            assert ask(bearer_user, issuer.ec.token()) == "u1"

        (request,) = issuer.server.received
        assert (request.method, request.target, request.body) == ("GET", "/.well-known/jwks.json", b"")
        assert sorted(request.headers) == ["accept", "accept-encoding", "host", "user-agent"]

    def test_no_proxy_of_the_environment_is_asked(
        self, bearer_user: BearerUser, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")

        warm(bearer_user, issuer)

    def test_keys_are_good_for_ten_minutes(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask
    ) -> None:
        warm(bearer_user, issuer)
        clock.advance(LIFESPAN - COOLDOWN - 1)
        assert ask(bearer_user, forever(issuer.rsa)) == "u1"
        assert issuer.fetches == 1
        clock.advance(COOLDOWN + 1)
        assert ask(bearer_user, forever(issuer.rsa)) == "u1"
        assert issuer.fetches == 2

    def test_they_are_fetched_anew_before_that_while_nobody_waits(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask
    ) -> None:
        warm(bearer_user, issuer)
        issuer.publish(NEW.jwk())
        clock.advance(LIFESPAN - COOLDOWN)

        with issuer.held() as came:
            for _ in range(5):
                assert ask(bearer_user, forever(issuer.rsa)) == "u1"
            assert came.acquire(timeout=10)

        assert ask(bearer_user, forever(NEW)) == "u1"  # waits for what is on its way
        assert ask(bearer_user, forever(issuer.rsa)) is None
        assert issuer.fetches == 2

    @pytest.mark.catalogue("R5")
    def test_a_clock_that_is_set_back_makes_no_key_younger(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask
    ) -> None:
        warm(bearer_user, issuer)
        issuer.publish(NEW.jwk())
        clock.advance(-3600)
        token = Signer("key-3", "RS256", NEW.key).token(iat=...)

        assert ask(bearer_user, issuer.rsa.token(iat=...)) is None
        assert ask(bearer_user, token) == "u1"
        assert issuer.fetches == 2

    @pytest.mark.catalogue("L16")
    @pytest.mark.parametrize("down", [False, True])
    def test_a_thousand_unknown_keys_make_one_fetch_in_half_a_minute(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, down: bool
    ) -> None:
        warm(bearer_user, issuer)
        if down:
            issuer.answer(http({}, status=500))
        for fetches in (2, 3):
            clock.advance(COOLDOWN)
            for number in range(1000):
                with pytest.raises(BearerError) as caught:
                    bearer_user.user_id([f"Bearer {unknown(number)}"])
                assert caught.value.status == (503 if down else 401)
            assert bearer_user.user_id([f"Bearer {forever(issuer.rsa)}"]) == "u1"
            assert issuer.fetches == fetches
            clock.advance(COOLDOWN - 1)
            with pytest.raises(BearerError):
                bearer_user.user_id([f"Bearer {unknown()}"])
            assert issuer.fetches == fetches
            clock.advance(1 - COOLDOWN)

    def test_from_the_start_a_thousand_make_one_fetch(self, bearer_user: BearerUser, issuer: Issuer) -> None:
        issuer.answer(http({}, status=500))
        for number in range(1000):
            with pytest.raises(BearerError) as caught:
                bearer_user.user_id([f"Bearer {unknown(number)}"])
            assert caught.value.status == 503

        assert issuer.fetches == 1


class TestRotation:
    @pytest.mark.catalogue("L20")
    def test_a_new_key_is_known_after_half_a_minute(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask
    ) -> None:
        warm(bearer_user, issuer)
        issuer.publish(issuer.rsa.jwk(), NEW.jwk())
        clock.advance(COOLDOWN - 1)
        assert ask(bearer_user, forever(NEW)) is None
        clock.advance(1)
        assert ask(bearer_user, forever(NEW)) == "u1"
        assert ask(bearer_user, forever(issuer.rsa)) == "u1"

    @pytest.mark.catalogue("L20")
    def test_a_removed_key_is_refused_by_the_request_that_finds_it_old(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask
    ) -> None:
        warm(bearer_user, issuer)
        issuer.publish(NEW.jwk())
        clock.advance(LIFESPAN - COOLDOWN - 1)
        assert ask(bearer_user, forever(issuer.rsa)) == "u1"
        clock.advance(COOLDOWN + 1)
        assert ask(bearer_user, forever(issuer.rsa)) is None
        assert ask(bearer_user, forever(NEW)) == "u1"

    def test_a_key_under_a_name_of_before_takes_its_place(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask
    ) -> None:
        warm(bearer_user, issuer)
        renewed = Signer("key-1", "RS256", NEW.key)
        issuer.publish(renewed.jwk())
        clock.advance(LIFESPAN)

        assert ask(bearer_user, forever(renewed)) == "u1"
        assert ask(bearer_user, forever(issuer.rsa)) is None


class TestOutage:
    def test_known_keys_stay_for_as_long_as_it_lasts(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock
    ) -> None:
        warm(bearer_user, issuer)
        issuer.answer(http({}, status=503))
        hours = 3
        for step in range(hours * 3600 // 10):
            clock.advance(10)
            assert bearer_user.user_id([f"Bearer {forever(issuer.rsa)}"]) == "u1"
            if step % 7 == 0:
                with pytest.raises(BearerError):
                    bearer_user.user_id([f"Bearer {unknown(step)}"])

        assert issuer.fetches <= 1 + hours * 3600 / COOLDOWN

    def test_a_quiet_app_keeps_its_users_through_three_days(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask
    ) -> None:
        """Steps of 0.2 to 30 hours, one after the other, each with one token: about one fetch a step."""
        warm(bearer_user, issuer)
        issuer.answer(http({}, status=503))
        for hours in (0.2, 1, 3, 12, 23, 30):
            clock.advance(hours * 3600)
            assert ask(bearer_user, forever(issuer.rsa)) == "u1"

        assert issuer.fetches <= 10

    def test_keys_are_used_for_seven_days_and_recover(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask
    ) -> None:
        warm(bearer_user, issuer)
        issuer.answer(http({}, status=503))
        clock.advance(7 * 86400)
        assert ask(bearer_user, forever(issuer.rsa)) == "u1"

        clock.advance(1)
        with pytest.raises(BearerError) as raised:
            bearer_user.user_id([f"Bearer {forever(issuer.rsa)}"])
        assert (raised.value.status, raised.value.code, raised.value.retry_after) == (503, "upstream_unavailable", 30)

        issuer.publish(issuer.rsa.jwk())
        clock.advance(COOLDOWN)
        assert ask(bearer_user, forever(issuer.rsa)) == "u1"

    def test_an_app_may_use_keys_for_less(self, make_bearer_user: MakeBearerUser, issuer: Issuer, clock: Clock) -> None:
        bearer_user = make_bearer_user(max_stale=600)
        warm(bearer_user, issuer)
        issuer.answer(http({}, status=503))
        clock.advance(600)
        assert bearer_user.user_id([f"Bearer {forever(issuer.rsa)}"]) == "u1"
        clock.advance(1)
        with pytest.raises(BearerError) as raised:
            bearer_user.user_id([f"Bearer {forever(issuer.rsa)}"])
        assert raised.value.status == 503

    def test_when_it_is_over_the_new_set_counts(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask
    ) -> None:
        warm(bearer_user, issuer)
        issuer.answer(http({}, status=503))
        clock.advance(10 * LIFESPAN)
        assert ask(bearer_user, forever(issuer.rsa)) == "u1"
        issuer.publish(NEW.jwk())
        clock.advance(COOLDOWN)
        assert ask(bearer_user, forever(NEW)) == "u1"
        assert ask(bearer_user, forever(issuer.rsa)) is None

    def test_after_a_lull_a_known_key_waits_for_the_attempt(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask
    ) -> None:
        warm(bearer_user, issuer)
        issuer.answer(http({}, status=503))
        clock.advance(LIFESPAN)
        assert ask(bearer_user, forever(issuer.rsa)) == "u1"
        issuer.publish(NEW.jwk())
        clock.advance(2 * COOLDOWN)

        assert ask(bearer_user, forever(issuer.rsa)) is None

    def test_a_busy_app_waits_for_no_attempt(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask, caplog: pytest.LogCaptureFixture
    ) -> None:
        warm(bearer_user, issuer)
        issuer.answer(http({}, status=503))
        clock.advance(LIFESPAN)
        assert ask(bearer_user, forever(issuer.rsa)) == "u1"
        clock.advance(COOLDOWN)
        with issuer.held() as came:
            for _ in range(2):
                assert ask(bearer_user, forever(issuer.rsa)) == "u1"
            assert came.acquire(timeout=10)
        assert ask(bearer_user, unknown()) == UNAVAILABLE  # waits for what is on its way
        assert issuer.fetches == 3
        assert "TIMEOUT" not in caplog.text  # which is what would end a wait within the block

    def test_who_comes_during_one_is_not_called_a_forger(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask
    ) -> None:
        issuer.answer(http({}, status=503))
        assert ask(bearer_user, forever(issuer.rsa)) == UNAVAILABLE
        issuer.publish(issuer.rsa.jwk())
        assert ask(bearer_user, forever(issuer.rsa)) == UNAVAILABLE
        clock.advance(COOLDOWN)
        assert ask(bearer_user, forever(issuer.rsa)) == "u1"
        assert issuer.fetches == 2

    def test_a_forgery_under_a_known_key_is_refused_all_the_same(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask
    ) -> None:
        warm(bearer_user, issuer)
        issuer.answer(http({}, status=503))
        clock.advance(LIFESPAN)

        assert ask(bearer_user, Signer("key-1", "RS256", rsa_key("somebody else")).token()) is None

    def test_an_issuer_that_never_answers_is_given_up(
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        warm(bearer_user, issuer)
        monkeypatch.setattr(key_sets, "FETCH_TIMEOUT", 0.2)
        clock.advance(LIFESPAN)
        with issuer.held():
            assert ask(bearer_user, forever(issuer.rsa)) == "u1"
            assert ask(bearer_user, unknown()) == UNAVAILABLE
        assert issuer.fetches == 2

    def test_a_process_without_threads_to_spare_answers_too(
        self,
        bearer_user: BearerUser,
        issuer: Issuer,
        clock: Clock,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def fail(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fail)
            with pytest.raises(BearerError) as caught:
                bearer_user.user_id([f"Bearer {issuer.rsa.token()}"])
            assert caught.value.status == 503
        assert caplog.messages == [f"failed to load JWKS from {issuer.url}: can't start new thread"]
        clock.advance(COOLDOWN)
        warm(bearer_user, issuer)

    def test_a_process_whose_threads_never_run_answers_too(
        self, bearer_user: BearerUser, issuer: Issuer, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bearer, "_LONGEST_WAIT", 0.01)
        monkeypatch.setattr(KeySet, "_start", lambda _key_set, _flight: None)

        assert ask(bearer_user, issuer.rsa.token()) == UNAVAILABLE

    def test_an_answer_that_breaks_its_reader_ends_the_wait_too(
        self,
        bearer_user: BearerUser,
        issuer: Issuer,
        ask: Ask,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def fail(*_: object) -> None:
            raise ArithmeticError

        monkeypatch.setattr(key_sets, "read_response", fail)

        assert ask(bearer_user, issuer.rsa.token()) == UNAVAILABLE
        assert caplog.messages == [f"failed to load JWKS from {issuer.url}: ArithmeticError"]

    def test_it_is_logged_once_an_attempt_without_what_was_answered(
        self, bearer_user: BearerUser, issuer: Issuer, caplog: pytest.LogCaptureFixture
    ) -> None:
        issuer.answer(http({"error": "hello"}, status=502))
        for number in range(10):
            with pytest.raises(BearerError):
                bearer_user.user_id([f"Bearer {unknown(number)}"])

        assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
            f"failed to load JWKS from {issuer.url}: SERVER_ERROR, HTTP 502"
        ]
        assert "hello" not in caplog.text

    @pytest.mark.parametrize(
        ("answer", "why"),
        [(http({"keys": []}), "it has no key that is good for the algorithms set"), (CLOSE, "NETWORK_ERROR")],
        ids=["no key", "no answer"],
    )
    def test_it_is_logged_why(
        self, bearer_user: BearerUser, issuer: Issuer, caplog: pytest.LogCaptureFixture, answer: object, why: str
    ) -> None:
        issuer.answer(answer if isinstance(answer, bytes) else lambda _line, _received: CLOSE)
        with pytest.raises(BearerError):
            bearer_user.user_id([f"Bearer {issuer.rsa.token()}"])

        assert caplog.messages == [
            f"failed to load JWKS from {issuer.url}: {why}",
        ]

    def test_it_is_logged_without_the_query_of_the_address(
        self, make_bearer_user: MakeBearerUser, issuer: Issuer, caplog: pytest.LogCaptureFixture
    ) -> None:
        issuer.answer(http(status=502))
        bearer_user = make_bearer_user(jwks_url=f"{issuer.url}?apikey=a-key-of-the-project")
        with pytest.raises(BearerError):
            bearer_user.user_id([f"Bearer {issuer.rsa.token()}"])

        assert f"failed to load JWKS from {issuer.url}: " in caplog.text
        assert "a-key-of-the-project" not in caplog.text
