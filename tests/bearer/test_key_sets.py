"""When an issuer's keys are fetched, and what stays while they can't be."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.to_thread
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from configure_auth import BearerError, BearerUser, bearer, key_sets
from configure_auth.key_sets import COOLDOWN, LIFESPAN, KeySet

from ..api.conftest import CLOSE, Line, Received, http
from ..public.running import environment
from .conftest import UNAVAILABLE, Ask
from .issuer import AUDIENCE, ISSUER, NOW, Clock, Issuer, Signer, b64, compact, ec_key, ed25519_key, good, rsa_key

NEW = Signer("key-3", "RS256", rsa_key("the next"))


def unknown(number: int = 0) -> str:
    return compact({"alg": "RS256", "kid": f"unknown-{number}"}, good(), lambda _: b"whatever")


def forever(signer: Signer) -> str:
    return signer.token(exp=int(NOW) + 10**7)


def warm(bearer_user: BearerUser, issuer: Issuer) -> None:
    """It has the keys, fetched now."""
    assert bearer_user.user_id([f"Bearer {forever(issuer.rsa)}"]) == "u1"


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
        self, bearer_user: BearerUser, issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fail)
            with pytest.raises(BearerError) as caught:
                bearer_user.user_id([f"Bearer {issuer.rsa.token()}"])
            assert caught.value.status == 503
        clock.advance(COOLDOWN)
        warm(bearer_user, issuer)

    def test_a_process_whose_threads_never_run_answers_too(
        self, bearer_user: BearerUser, issuer: Issuer, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bearer, "_LONGEST_WAIT", 0.01)
        monkeypatch.setattr(KeySet, "_start", lambda _key_set, _flight: None)

        assert ask(bearer_user, issuer.rsa.token()) == UNAVAILABLE

    def test_an_answer_that_breaks_its_reader_ends_the_wait_too(
        self, bearer_user: BearerUser, issuer: Issuer, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise ArithmeticError

        monkeypatch.setattr(key_sets, "read_answer", fail)

        assert ask(bearer_user, issuer.rsa.token()) == UNAVAILABLE

    def test_it_is_logged_once_an_attempt_without_what_was_answered(
        self, bearer_user: BearerUser, issuer: Issuer, caplog: pytest.LogCaptureFixture
    ) -> None:
        issuer.answer(http({"error": "hello"}, status=502))
        for number in range(10):
            with pytest.raises(BearerError):
                bearer_user.user_id([f"Bearer {unknown(number)}"])

        assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
            f"the key set at {issuer.url} can't be used: SERVER_ERROR, HTTP 502"
        ]
        assert "hello" not in caplog.text


def private(key: Any) -> dict[str, Any]:
    numbers = key.private_numbers()
    names = {"d": numbers.d, "p": numbers.p, "q": numbers.q, "dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
    return {name: b64(value.to_bytes((value.bit_length() + 7) // 8, "big")) for name, value in names.items()}


RSA = Signer("key-1", "RS256", rsa_key("issuer"))
EC = Signer("key-2", "ES256", ec_key("issuer"))
BAD_KEYS: dict[str, dict[str, Any]] = {
    "weak": Signer("key-1", "RS256", rsa_key("weak", 1024)).jwk(),
    "nearly weak": Signer("key-1", "RS256", rsa_key("nearly weak", 2040)).jwk(),
    "of 20,000 bits": RSA.jwk(n=b64(((1 << 20_000) - 1).to_bytes(2500, "big"))),
    "for encryption": RSA.jwk(use="enc"),
    "of no use": RSA.jwk(use=""),
    "of a use that is a list": RSA.jwk(use=["sig"]),
    "to encrypt": RSA.jwk(key_ops=["encrypt"]),
    "to sign": RSA.jwk(key_ops=["sign"]),
    "for no operation": RSA.jwk(key_ops=[]),
    "for an operation in words": RSA.jwk(key_ops="verify"),
    "for another algorithm": RSA.jwk(alg="RS512"),
    "for encryption by its algorithm": RSA.jwk(alg="RSA-OAEP"),
    "for none": RSA.jwk(alg="none"),
    "for two algorithms": RSA.jwk(alg=["RS256"]),
    "for a secret's algorithm": RSA.jwk(alg="HS256"),
    "without a name": RSA.jwk(kid=...),
    "named null": RSA.jwk(kid=None),
    "named by a number": RSA.jwk(kid=1),
    "named by nothing": RSA.jwk(kid=""),
    "with its private half": RSA.jwk(**private(RSA.key)),
    "a secret": {"kty": "oct", "k": b64(bytes(64)), "kid": "key-1", "alg": "HS256"},
    "a secret for RS256": {"kty": "oct", "k": b64(bytes(64)), "kid": "key-1", "alg": "RS256"},
    "of no kind": RSA.jwk(kty=...),
    "of an unknown kind": RSA.jwk(kty="AKP"),
    "of a kind that is a list": RSA.jwk(kty=["RSA"]),
    "without a modulus": RSA.jwk(n=...),
    "with a modulus of nothing": RSA.jwk(n=""),
    "with a modulus that is a number": RSA.jwk(n=12345),
    "with a modulus of marks": RSA.jwk(n="!!!!"),
    "with an even exponent": RSA.jwk(e=b64(b"\2")),
    "with the exponent 1": RSA.jwk(e=b64(b"\1")),
    "without an exponent": RSA.jwk(e=...),
    "off its curve": EC.jwk(kid="key-1", y=EC.jwk()["x"]),
    "on another curve": Signer("key-1", "ES384", ec_key("p384", ec.SECP384R1)).jwk(alg="ES256"),
    "on another curve, by name": EC.jwk(kid="key-1", crv="P-384"),
    "without a curve": EC.jwk(kid="key-1", crv=...),
    "on another curve, without an algorithm": Signer("key-1", "ES384", ec_key("p384", ec.SECP384R1)).jwk(alg=...),
    "of Edwards": Signer("key-1", "EdDSA", ed25519_key("issuer")).jwk(),
    "of Edwards, called ES256": Signer("key-1", "EdDSA", ed25519_key("issuer")).jwk(alg="ES256"),
}

GOOD = {"keys": [NEW.jwk()]}
TEXT = json.dumps(GOOD).encode()


def cut(line: Line, _received: Received) -> object:
    line.write(http(GOOD)[:-20])
    return CLOSE


BAD_ANSWERS: dict[str, bytes | Callable[[Line, Received], object]] = {
    **{f"a key {name}": http({"keys": [key]}) for name, key in BAD_KEYS.items()},
    "two keys of one name": http({"keys": [NEW.jwk(), RSA.jwk(kid="key-3")]}),
    "one key twice": http({"keys": [NEW.jwk(), NEW.jwk()]}),
    "HTML": http(b"<html>hello</html>", content_type="text/html"),
    "JSON called HTML": http(GOOD, content_type="text/html"),
    "JSON called nothing": http(GOOD, content_type=None),
    "nothing": http(b""),
    "no content": http(b"", status=204),
    "an empty object": http({}),
    "no keys": http({"keys": []}),
    "null": http({"keys": None}),
    "an object of keys": http({"keys": {"key-3": NEW.jwk()}}),
    "a key alone": http(NEW.jwk()),
    "a list": http([NEW.jwk()]),
    "a key that is a string": http({"keys": [json.dumps(NEW.jwk())]}),
    "a key beside a number": http({"keys": [NEW.jwk(), 1]}),
    "101 keys": http({"keys": [NEW.jwk(), *(RSA.jwk(kid=f"k{number}") for number in range(100))]}),
    "300 KB": http({**GOOD, "x": "x" * 300_000}),
    "a compressed body": http(gzip.compress(TEXT), headers={"content-encoding": "gzip"}),
    "half an object": http(TEXT[:-1]),
    "a name twice": http(TEXT[:-1] + b', "keys": []}'),
    "no number": http(b'{"x": NaN, ' + TEXT[1:]),
    "deep nesting": http(b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b", " + TEXT[1:]),
    "bad UTF-8": http(b'{"x": "\xff", ' + TEXT[1:]),
    "a cut body": cut,
    "a dropped connection": lambda _line, _received: CLOSE,
    **{f"{status}": http(GOOD, status=status) for status in (400, 401, 403, 404, 410, 429, 500, 502, 503)},
    **{
        f"{status} to elsewhere": http(b"", status=status, headers={"location": "/elsewhere"})
        for status in (301, 302, 303, 307, 308)
    },
    "300 with keys": http(GOOD, status=300),
    "304": http(b"", status=304),
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_answer_brings_no_key_and_takes_none_away(
    bearer_user: BearerUser, issuer: Issuer, clock: Clock, answer: Any
) -> None:
    warm(bearer_user, issuer)
    issuer.answer(answer)
    clock.advance(LIFESPAN)

    assert bearer_user.user_id([f"Bearer {forever(issuer.rsa)}"]) == "u1"
    with pytest.raises(BearerError) as caught:
        bearer_user.user_id([f"Bearer {forever(NEW)}"])
    assert caught.value.status == 503
    assert [received.target for received in issuer.server.received] == ["/.well-known/jwks.json"] * 2


@pytest.mark.parametrize("name", BAD_KEYS)
def test_a_bad_key_beside_a_good_one_is_left_out(bearer_user: BearerUser, issuer: Issuer, name: str) -> None:
    issuer.publish(BAD_KEYS[name], NEW.jwk())

    assert bearer_user.user_id([f"Bearer {NEW.token()}"]) == "u1"
    for signer in (issuer.rsa, Signer("key-1", "ES256", EC.key), Signer("key-1", "RS256", rsa_key("weak", 1024))):
        with pytest.raises(BearerError) as caught:
            bearer_user.user_id([f"Bearer {signer.token()}"])
        assert caught.value.status == 401


def test_a_set_of_a_hundred_keys(bearer_user: BearerUser, issuer: Issuer) -> None:
    issuer.publish(*(issuer.rsa.jwk(kid=f"k{number}") for number in range(99)), NEW.jwk())

    assert bearer_user.user_id([f"Bearer {NEW.token()}"]) == "u1"


class TestManyAtOnce:
    def test_threads_wait_for_one_fetch(self, bearer_user: BearerUser, issuer: Issuer) -> None:
        token, begun = issuer.rsa.token(), threading.Barrier(33)

        def one() -> str | None:
            begun.wait(10)
            return bearer_user.user_id([f"Bearer {token}"])

        with ThreadPoolExecutor(32) as threads:
            with issuer.held() as came:
                users = [threads.submit(one) for _ in range(32)]
                begun.wait(10)
                assert came.acquire(timeout=10)
            assert [user.result() for user in users] == ["u1"] * 32
        assert issuer.fetches == 1

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_tasks_wait_for_one_fetch_and_block_nobody(
        self, bearer_user: BearerUser, issuer: Issuer, backend: str
    ) -> None:
        users: list[str | None] = []

        async def one() -> None:
            users.append(await bearer_user.auser_id([f"Bearer {issuer.rsa.token()}"]))

        async def main() -> None:
            with issuer.held() as came:
                async with anyio.create_task_group() as tasks:
                    for _ in range(200):
                        tasks.start_soon(one)
                    assert await anyio.to_thread.run_sync(came.acquire, True, 10)
                    assert await bearer_user.auser_id([]) is None
                    assert users == []
                    issuer.release()

        anyio.run(main, backend=backend)
        assert (users, issuer.fetches) == (["u1"] * 200, 1)

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_who_gives_up_takes_nothing_from_the_others(
        self, bearer_user: BearerUser, issuer: Issuer, backend: str
    ) -> None:
        users: list[str | None] = []

        async def one(scope: anyio.CancelScope) -> None:
            with scope:
                users.append(await bearer_user.auser_id([f"Bearer {issuer.rsa.token()}"]))

        async def main() -> None:
            with issuer.held() as came:
                async with anyio.create_task_group() as tasks:
                    scopes = [anyio.CancelScope() for _ in range(5)]
                    for scope in scopes:
                        tasks.start_soon(one, scope)
                    assert await anyio.to_thread.run_sync(came.acquire, True, 10)
                    for scope in scopes[:3]:
                        scope.cancel()
                    issuer.release()

        anyio.run(main, backend=backend)
        assert (users, issuer.fetches) == (["u1"] * 2, 1)

    def test_threads_and_loops_may_share_one(self, bearer_user: BearerUser, issuer: Issuer) -> None:
        headers, begun = [f"Bearer {issuer.rsa.token()}"], threading.Barrier(7)

        def one(backend: str) -> str | None:
            begun.wait(10)
            if backend == "blocking":
                return bearer_user.user_id(headers)
            return anyio.run(bearer_user.auser_id, headers, backend=backend)

        with ThreadPoolExecutor(6) as threads:
            with issuer.held() as came:
                users = [threads.submit(one, backend) for backend in ("blocking", "asyncio", "trio") * 2]
                begun.wait(10)
                assert came.acquire(timeout=10)
            assert [user.result() for user in users] == ["u1"] * 6
        assert issuer.fetches == 1

    def test_a_loop_that_ends_meanwhile_does_no_harm(
        self, bearer_user: BearerUser, issuer: Issuer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def leave(backend: str) -> None:
            with anyio.move_on_after(0):
                await bearer_user.auser_id([f"Bearer {issuer.rsa.token()}"])

        with issuer.held() as came:
            for backend in ("asyncio", "trio"):
                anyio.run(leave, backend, backend=backend)
            assert came.acquire(timeout=10)
            fetching = [thread for thread in threading.enumerate() if thread.name == "configure_auth key set"]
            assert fetching
        for thread in fetching:
            thread.join(10)

        assert bearer_user.user_id([f"Bearer {issuer.rsa.token()}"]) == "u1"
        assert [record for record in caplog.records if record.levelno > 20] == []


ENDING = """
import sys
from configure_auth import BearerUser, key_sets

key_sets.FETCH_TIMEOUT = 300
url, issuer, audience, now, token = sys.argv[1:]
times = iter([float(now)] * 2 + [float(now) + 570] * 2)
bearer_user = BearerUser(
    issuer=issuer, audience=audience, jwks_url=url, algorithms=("RS256",), clock=lambda: next(times)
)
for _ in range(2):
    print(bearer_user.user_id([f"Bearer {token}"]), flush=True)
    sys.stdin.readline()
"""


def program(source: str, issuer: Issuer) -> list[str]:
    arguments = [issuer.url, ISSUER, AUDIENCE, str(NOW), issuer.rsa.token()]
    return [sys.executable, "-W", "error", "-c", source, *arguments]


def test_a_process_may_end_in_the_middle_of_a_fetch(issuer: Issuer) -> None:
    with subprocess.Popen(
        program(ENDING, issuer), env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "u1\n"
        with issuer.held() as came:
            assert process.stdin is not None
            process.stdin.write("again\n")
            process.stdin.flush()
            assert process.stdout.readline() == "u1\n"
            assert came.acquire(timeout=10)
            process.stdin.write("end\n")
            process.stdin.flush()
            try:
                assert process.wait(30) == 0
            finally:
                process.kill()


FORK = """
import os, sys, threading
from configure_auth import BearerUser

url, issuer, audience, now, token = sys.argv[1:]
bearer_user = BearerUser(
    issuer=issuer, audience=audience, jwks_url=url, algorithms=("RS256",), clock=lambda: float(now)
)
first = threading.Thread(target=bearer_user.user_id, args=([f"Bearer {token}"],))
first.start()
print("asked", flush=True)
sys.stdin.readline()
child = os.fork()
if child == 0:
    try:
        print(bearer_user.user_id([f"Bearer {token}"]), flush=True)
    except BaseException as error:
        print(repr(error), flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
print(status, flush=True)
sys.stdin.readline()
first.join()
print(bearer_user.user_id([f"Bearer {token}"]))
"""


def test_a_process_forked_in_the_middle_of_a_fetch_makes_its_own(issuer: Issuer) -> None:
    good = http({"keys": [issuer.rsa.jwk()]})
    go_on, came = threading.Event(), threading.Event()

    def wait(line: Line, _received: Received) -> None:
        came.set()
        go_on.wait(30)
        line.write(good)

    issuer.server.answers(wait, good)
    with subprocess.Popen(
        program(FORK, issuer), env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "asked\n"
            assert came.wait(10)
            process.stdin.write("fork\n")
            process.stdin.flush()
            assert [process.stdout.readline() for _ in range(2)] == ["u1\n", "0\n"]
        finally:
            go_on.set()
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.stdout.readline() == "u1\n"
    assert process.returncode == 0
    assert issuer.fetches == 2
