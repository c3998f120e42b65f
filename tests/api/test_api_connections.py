"""Which connection a call goes on: how long idle ones are trusted, and what is opened before it is needed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from configure_auth.client.client import AsyncConfigure, Configure
from configure_auth.client.connections import KEPT, MOST_AHEAD, UNKNOWN, Connection, Pool, _Lifetime
from configure_auth.client.sign_in import SignInCalls
from configure_auth.errors import ConfigureError

from .conftest import CLOSE, http

if TYPE_CHECKING:
    from .conftest import Line, Received, Server

VALID = http({"valid": True})


def idle(pool: Pool) -> list[Connection]:
    return [connection for connections in pool._idle.values() for connection in connections]


def opened(configure: Configure) -> list[Connection]:
    """The idle connections, once those that are being opened are open."""
    pool = configure._transport._opened()
    for openings in list(pool._openings.values()):
        for opening in list(openings):
            opening.exception(5)
    while any(pool._openings.values()):  # the thread has opened it, and is putting it there
        pass
    return idle(pool)


def met(server: Server, count: int) -> int:
    """The number of connections, once the server knows `count` of them: a client has one a moment earlier."""
    ends = time.monotonic() + 5
    while server.connections < count and time.monotonic() < ends:
        pass
    return server.connections


def grow_older(configure: Configure, seconds: float) -> None:
    for connection in opened(configure):
        assert connection.idle_since is not None
        connection.idle_since -= seconds


def used(server: Server) -> list[int]:
    return [received.connection for received in server.received]


class TestIdle:
    @pytest.mark.parametrize(
        ("told", "age", "connections"),
        [
            pytest.param({}, 0.7 * UNKNOWN, [1, 1], id="nothing known"),
            pytest.param({}, 0.9 * UNKNOWN, [1, 2], id="nothing known, too old"),
            pytest.param({"keep-alive": "timeout=20"}, 15, [1, 1], id="told"),
            pytest.param({"keep-alive": "max=100, timeout = 20"}, 17, [1, 2], id="told, too old"),
            pytest.param({"keep-alive": "timeout=2"}, 1.9, [1, 2], id="told less than usual"),
            pytest.param({"keep-alive": "timeout=600"}, 0.7 * KEPT, [1, 1], id="told more than we keep"),
            pytest.param({"keep-alive": "timeout=600"}, 0.9 * KEPT, [1, 2], id="no longer than we keep"),
        ],
    )
    def test_a_code_goes_only_on_one_that_the_server_surely_keeps(
        self, server: Server, told: dict[str, str], age: float, connections: list[int]
    ) -> None:
        server.answers(http({"valid": True}, headers=told))
        with Configure(server.settings) as configure:
            configure.auth.validate_sign_in_token("token")
            grow_older(configure, age)
            configure.auth.validate_sign_in_token("token")
        assert used(server) == connections

    def test_one_that_the_server_has_closed_is_noticed_before_a_code_is_sent(self, server: Server) -> None:
        def leave(line: Line, _: Received) -> object:
            line.write(VALID)
            return CLOSE

        server.answers(leave, VALID)
        with Configure(server.settings) as configure:
            configure.auth.validate_sign_in_token("token")
            assert server.left.acquire(timeout=5)
            assert configure.auth.validate_sign_in_token("token").valid
        assert used(server) == [1, 2]

    def test_one_on_which_the_server_spoke_without_being_asked_is_not_used(self, server: Server) -> None:
        server.answers(VALID + http({}, status=408), VALID)
        with Configure(server.settings) as configure:
            configure.auth.validate_sign_in_token("token")
            assert configure.auth.validate_sign_in_token("token").valid
        assert used(server) == [1, 2]

    def test_one_that_was_closed_under_a_call_shortens_the_trust_in_others(self, server: Server) -> None:
        server.answers(VALID, lambda line, received: CLOSE, VALID)
        with Configure(server.settings) as configure:
            configure.auth.validate_sign_in_token("token")
            grow_older(configure, 2)
            with pytest.raises(ConfigureError):
                configure.auth.validate_sign_in_token("token")
            for age in (0, 1.9):
                grow_older(configure, age)
                configure.auth.validate_sign_in_token("token")
        assert used(server) == [1, 1, 2, 3]

    def test_all_are_closed_after_a_minute(self, server: Server) -> None:
        server.answers(VALID)
        with Configure(server.settings) as configure:
            configure.send_both(*[configure_call(configure)] * 2)
            grow_older(configure, KEPT)
            configure._transport._opened()._sweep()
            for _ in range(2):
                assert server.left.acquire(timeout=5)

    def test_an_open_one_of_a_minute_shows_that_others_are_kept_too(self, server: Server) -> None:
        server.answers(VALID)
        with Configure(server.settings) as configure:
            configure.send_both(*[configure_call(configure)] * 2)
            grow_older(configure, KEPT)
            configure.auth.validate_sign_in_token("token")
            grow_older(configure, 0.7 * KEPT)
            configure.auth.validate_sign_in_token("token")
        assert used(server)[2:] == [3, 3]


def configure_call(configure: Configure | AsyncConfigure) -> Any:
    return SignInCalls(configure.settings).validate_sign_in_token("token")


@pytest.mark.parametrize(
    ("told", "seen", "seconds"),
    [
        (None, [], UNKNOWN),
        (None, [(30, True)], 30),
        (None, [(30, True), (40, False)], 30),
        # It closed one sooner than others before: everything is new.
        (None, [(50, True), (30, False)], UNKNOWN),
        (None, [(2, False)], 2),
        # A restart closes all of them; the next one shows that the server is as before.
        (None, [(2, False), (30, True)], 30),
        (75, [], KEPT),
        (75, [(50, True), (30, False)], UNKNOWN),
        (20, [(30, False)], 20),
        (2, [], 2),
    ],
)
def test_what_a_server_shows_of_its_patience(
    told: float | None, seen: Iterable[tuple[float, bool]], seconds: float
) -> None:
    lifetime = _Lifetime()
    lifetime.told = told
    for age, is_open in seen:
        lifetime.saw(age, is_open=is_open)
    assert lifetime.seconds == seconds


class TestAhead:
    def test_a_call_goes_on_one_that_was_opened_before(self, server: Server) -> None:
        server.answers(VALID)
        with Configure(server.settings) as configure:
            configure.open_ahead(1)
            opened(configure)
            configure.auth.validate_sign_in_token("token")
        assert (server.connections, used(server)) == (1, [1])

    def test_an_awaited_call_waits_for_one_that_is_being_opened(self, server: Server) -> None:
        both = threading.Barrier(2, timeout=5)  # else the second may find the first one's connection free again

        def answer(line: Line, _: Received) -> None:
            both.wait()
            line.write(VALID)

        server.answers(answer)

        async def main() -> None:
            async with AsyncConfigure(server.settings) as configure:
                await configure.open_ahead(2)
                await configure.send_both(*[configure_call(configure)] * 2)

        asyncio.run(main())
        assert (server.connections, sorted(used(server))) == (2, [1, 2])

    def test_no_more_are_opened_than_there_is_use_for(self, server: Server) -> None:
        server.answers(VALID)
        with Configure(server.settings) as configure:
            for count in (1, 2, 2, 2 * MOST_AHEAD, 2 * MOST_AHEAD):
                configure.open_ahead(count)
            assert len(opened(configure)) == MOST_AHEAD
            assert met(server, MOST_AHEAD) == MOST_AHEAD

    def test_new_ones_are_opened_where_the_idle_ones_will_be_too_old(self, server: Server) -> None:
        server.answers(http({"valid": True}, headers={"keep-alive": "timeout=60"}))
        with Configure(server.settings) as configure:
            configure.open_ahead(1)
            grow_older(configure, KEPT - 1)
            configure.auth.validate_sign_in_token("token")  # it was kept for a minute, new as it was
            configure.open_ahead(1)
            opened(configure)
            assert met(server, 2) == 2
            grow_older(configure, 25)
            configure.open_ahead(1)
            opened(configure)
            assert met(server, 3) == 3

    def test_one_that_cannot_be_opened_is_no_failure(self, server: Server) -> None:
        with Configure(api_key="sk_key", agent="acme", base_url="http://127.0.0.1:1") as configure:
            configure.open_ahead(2)
            assert opened(configure) == []

    def test_those_of_a_closed_client_are_closed(self, server: Server) -> None:
        configure = Configure(server.settings)
        configure.open_ahead(2)
        pool = configure._transport._opened()
        configure.close()
        for _ in range(server.connections):
            assert server.left.acquire(timeout=5)
        assert idle(pool) == []
