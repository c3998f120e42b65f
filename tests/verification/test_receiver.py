"""Whatever else asks at the callback while somebody signs in: it ends nothing, learns nothing and holds nothing up."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from configure_auth.commands.checks import receiver
from configure_auth.commands.checks.receiver import Receiver, receiving
from configure_auth.commands.checks.sign_in import StartedSignIn
from configure_auth.ui.pages import CONTENT_SECURITY_POLICY
from configure_auth.values import Secret

from ..support.examples import examples
from ..support.ports import free_port

STATE = "the-state-that-only-this-sign-in-has"
PATH = "/auth/configure/callback"
RIGHT = f"{PATH}?{urlencode({'code': 'the-code', 'state': STATE})}"
END = {"code": "the-code", "state": STATE}
BRIEFLY = 0.01


@dataclass
class Place:
    """A callback of this machine that is listened at."""

    port: int
    receiver: Receiver

    def send(self, request: bytes, host: str = "127.0.0.1") -> bytes:
        """The whole answer to some bytes; empty where the connection was closed without one."""
        with socket.create_connection((host, self.port), timeout=30) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                # It hung up before it had everything.
                pass
            parts = []
            try:
                while part := connection.recv(65536):
                    parts.append(part)
            except ConnectionResetError:
                pass
            return b"".join(parts)

    def get(self, target: str, *, method: str = "GET", host: str = "127.0.0.1") -> Answer:
        head, _, body = self.send(_request(method, target.encode()), host).partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(one.lower().split(": ", 1) for one in lines)
        return Answer(int(line.split(" ")[1]), headers, body.decode())


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str


def _request(method: str, target: bytes, *headers: bytes) -> bytes:
    lines = (method.encode() + b" " + target + b" HTTP/1.1", b"Host: localhost", *headers, b"", b"")
    return b"\r\n".join(lines)


def begun(port: int, host: str = "localhost") -> StartedSignIn:
    callback = f"http://{host}:{port}{PATH}"
    return StartedSignIn(url="http://configure.invalid", callback=callback, state=Secret(STATE), verifier=None)


@contextmanager
def listening(host: str = "localhost") -> Iterator[Place]:
    port = free_port()
    with receiving(begun(port, host)) as receiver:
        yield Place(port, receiver)


@pytest.fixture
def place(capfd: pytest.CaptureFixture[str]) -> Iterator[Place]:
    with listening() as place:
        yield place
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def lasting() -> Iterator[Place]:
    with listening() as place:
        yield place


def test_the_end_of_the_sign_in_is_received_with_a_plain_page(place: Place) -> None:
    answer = place.get(RIGHT)

    assert answer.status == 200
    assert place.receiver.wait(30) == END
    assert "The terminal says what came of it" in answer.body
    assert "the-code" not in answer.body
    assert STATE not in answer.body
    assert {name: value for name, value in answer.headers.items() if name not in ("date", "content-length")} == {
        "server": "configure_auth",
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "content-security-policy": CONTENT_SECURITY_POLICY.lower(),
    }


def test_a_refusal_is_one_too(place: Place) -> None:
    place.get(f"{PATH}?error=access_denied&state={STATE}")

    assert place.receiver.wait(30) == {"error": "access_denied", "state": STATE}


STRANGERS = {
    "another path": f"/favicon.ico?code=the-code&state={STATE}",
    "the path with a slash": f"{PATH}/?code=the-code&state={STATE}",
    "the path in capitals": f"{PATH.upper()}?code=the-code&state={STATE}",
    "the root": "/",
    "no state": f"{PATH}?code=the-code",
    "a blank state": f"{PATH}?code=the-code&state=",
    "another state": f"{PATH}?code=the-code&state=another",
    "the state and more": f"{PATH}?code=the-code&state={STATE}x",
    "a part of the state": f"{PATH}?code=the-code&state={STATE[:-1]}",
    "the state in capitals": f"{PATH}?code=the-code&state={STATE.upper()}",
    "the state twice": f"{PATH}?code=the-code&state={STATE}&state={STATE}",
    "two codes": f"{PATH}?code=the-code&code=another&state={STATE}",
    "a state outside ASCII": f"{PATH}?code=the-code&state=%C3%A9%FF",
    "the state in a fragment": f"{PATH}#code=the-code&state={STATE}",
    "too many parameters": f"{RIGHT}&{'&'.join(f'p{n}=1' for n in range(30))}",
    "no URL": f"http://[x{PATH}?code=the-code&state={STATE}",
}


@pytest.mark.parametrize("target", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_stranger_ends_nothing(place: Place, target: str) -> None:
    answer = place.get(target)

    assert (answer.status, answer.body) == (404, "")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert place.receiver.wait(BRIEFLY) is None

    assert place.get(RIGHT).status == 200
    assert place.receiver.wait(30) == END


def test_a_visit_to_the_callback_with_another_state_is_remembered(place: Place) -> None:
    place.get("/favicon.ico?state=another")
    assert not place.receiver.got_foreign_callback

    place.get(f"{PATH}?code=the-code&state=another")
    assert place.receiver.got_foreign_callback


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "<b>MINE</b>"])
def test_another_method_ends_nothing(place: Place, method: str) -> None:
    answer = place.get(RIGHT, method=method)

    assert (answer.status, answer.body) == (501, "")
    assert place.receiver.wait(BRIEFLY) is None


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET " + RIGHT.encode() + b" HTTP/9.9\r\n\r\n",
        b"GET " + RIGHT.encode() + b" HTTP/1.1 more\r\n\r\n",
        _request("GET", PATH.encode() + b"?" + b"x" * 70_000),
        _request("GET", RIGHT.encode(), b"X-Long: " + b"x" * 70_000),
        _request("GET", RIGHT.encode(), *[b"X-Many: 1"] * 200),
        _request("POST", RIGHT.encode(), b"Content-Length: 99999999") + b"x" * 1_000_000,
        _request("GET", b"\xff\xfe?state=\xff"),
    ],
    ids=lambda request_: repr(request_[:24]),
)
def test_what_is_no_request_ends_nothing(place: Place, request_: bytes) -> None:
    answer = place.send(request_)

    assert STATE.encode() not in answer
    assert b"the-code" not in answer
    assert not answer.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200"))
    assert place.receiver.wait(BRIEFLY) is None

    assert place.get(RIGHT).status == 200


def test_silent_visitors_hold_nobody_up(place: Place) -> None:
    with ExitStack() as stack:
        for _ in range(30):
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", place.port), timeout=30))
            silent.sendall(b"GET /auth")

        assert place.get(RIGHT).status == 200
        assert place.receiver.wait(30) == END


def test_it_ends_while_somebody_says_nothing() -> None:
    with ExitStack() as stack:
        with listening() as place:
            stack.enter_context(socket.create_connection(("127.0.0.1", place.port), timeout=30))
            place.get(RIGHT)
        # Whoever comes now finds nobody: the port is the app's again.
        with socket.create_server(("127.0.0.1", place.port)):
            pass


def test_whoever_hangs_up_early_has_signed_in(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs_up(handler: object, status: int, page: bytes) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(receiver._Handler, "_respond", hangs_up)

    assert place.send(_request("GET", RIGHT.encode())) == b""
    assert place.receiver.wait(30) == END


def test_of_two_ends_the_first_counts(place: Place) -> None:
    place.get(RIGHT)
    place.get(f"{PATH}?{urlencode({'code': 'another', 'state': STATE})}")

    assert place.receiver.wait(30) == END


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_localhost_is_both_of_its_addresses(place: Place, host: str) -> None:
    assert place.get(RIGHT, host=host).status == 200
    assert place.receiver.wait(30) == END


@pytest.mark.parametrize(
    ("named", "address"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("127.0.0.7", "127.0.0.7")]
)
def test_an_address_is_that_address_alone(named: str, address: str) -> None:
    with listening(named) as place:
        assert place.get(RIGHT, host=address).status == 200
        for other in {"127.0.0.1", "::1"} - {address}:
            with pytest.raises(ConnectionRefusedError):
                place.get(RIGHT, host=other)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_another_program_at_either_address_is_in_the_way(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), receiving(begun(port)):
            pass
        # The one that was free is so again.
        free = ("127.0.0.1", socket.AF_INET) if ":" in host else ("::1", socket.AF_INET6)
        with socket.create_server((free[0], port), family=free[1]):
            pass


_WORDS = st.sampled_from(["code", "state", "error", STATE, "the-code", "x", "", "%", "&", "=", ";", "#", "[", "\0"])


@given(
    target=st.one_of(
        st.lists(st.tuples(_WORDS, _WORDS), max_size=40).map(lambda pairs: f"{PATH}?{urlencode(pairs)}".encode()),
        st.lists(_WORDS, max_size=40).map(lambda words: f"{PATH}?{''.join(words)}".encode()),
        st.text(max_size=200).map(lambda text: f"{PATH}?{quote(text)}".encode()),
        st.binary(max_size=200).map(lambda query: PATH.encode() + b"?" + query),
        st.binary(max_size=200),
    )
)
@example(target=b"//[")
@example(target=f"{PATH}?state={STATE}&state={STATE}".encode())
@examples(150)
def test_no_query_ends_it_but_one_with_the_state_once(
    lasting: Place, capfd: pytest.CaptureFixture[str], target: bytes
) -> None:
    answer = lasting.send(_request("GET", target))
    returned = lasting.receiver.wait(BRIEFLY if b"HTTP/1.0 200" in answer[:20] else 0.0001)

    assert (returned is not None) == answer.startswith(b"HTTP/1.0 200")
    if returned is not None:
        assert returned["state"] == STATE
        assert target.startswith(PATH.encode())
    assert STATE.encode() not in answer
    assert capfd.readouterr() == ("", "")
