"""Completions that nobody honest posts: whatever is sent, it is refused before anything is asked or stored.

None of them gets as far as a store, so one is enough; those that would are in `test_completion`.
"""

from __future__ import annotations

import http.client
import json
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import request
from hypothesis import given
from hypothesis import strategies as st

from ..support.examples import examples
from ..support.web import MakeWeb
from .completions import PATH, good, linked_to, nothing_done, status_of, token_of
from .conftest import ADA, Platform

LIMIT = 16 * 1024


@pytest.fixture
def store() -> str:
    return "memory"


def padded(completion: dict[str, Any], size: int) -> bytes:
    """The same as JSON of so many bytes."""
    body = json.dumps(completion).encode()
    return body + b" " * (size - len(body))


@pytest.mark.catalogue("K11")
@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/plain; application/json",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "application/json-seq",
        "application/vnd.api+json",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; boundary=x",
        "application/json, text/plain",
    ],
)
def test_another_type_than_json_in_utf_8_is_not_read(platform: Platform, content_type: str) -> None:
    completion = good(platform, platform.connect())
    with nothing_done(platform):
        assert status_of(platform.post(completion, content_type=content_type)) == 415
        # Not read: the length would be refused too.
        assert status_of(platform.post(b"{" * 2 * LIMIT, content_type=content_type)) == 415


@pytest.mark.catalogue("K11")
def test_no_type_is_no_json(platform: Platform) -> None:
    completion = json.dumps(good(platform, platform.connect())).encode()
    with nothing_done(platform), sent(platform, b"Content-Length: %d" % len(completion), completion) as got:
        assert got() == 415


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json;charset=UTF-8", 'application/json ; charset="utf-8"'],
)
def test_json_in_utf_8_is_read_however_it_is_spelled(platform: Platform, content_type: str) -> None:
    assert status_of(platform.post(good(platform, platform.connect()), content_type=content_type)) == 200


@pytest.mark.catalogue("K12")
def test_the_largest_body_is_of_16_kib(platform: Platform) -> None:
    completion = good(platform, platform.connect())
    with nothing_done(platform):
        assert status_of(platform.post(padded(completion, LIMIT + 1))) == 413

    assert status_of(platform.post(padded(completion, LIMIT))) == 200


BROKEN: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "nothing": lambda good: b"",
    "half of it": lambda good: json.dumps(good).encode()[:-1],
    "two of them": lambda good: json.dumps(good).encode() * 2,
    "a list": lambda good: json.dumps([good]).encode(),
    "a string": lambda good: json.dumps(json.dumps(good)).encode(),
    "null": lambda good: b"null",
    "a form": lambda good: "&".join(f"{name}={value}" for name, value in good.items()).encode(),
    "single quotes": lambda good: repr(good).encode(),
    "a key twice": lambda good: json.dumps(good).replace("{", '{"token": "x", ', 1).encode(),
    "a key twice further in": lambda good: json.dumps(good).replace("}", ', "x": {"a": 1, "a": 1}}').encode(),
    "no number": lambda good: json.dumps({**good, "x": float("nan")}).encode(),
    "an endless number": lambda good: json.dumps(good).replace("}", f', "x": {"9" * 5000}}}').encode(),
    "deep lists": lambda good: json.dumps(good).replace("}", ', "x": ' + "[" * 5000 + "]" * 5000 + "}").encode(),
    "deep objects": lambda good: json.dumps(good).replace("}", ', "x": ' + '{"x":' * 2000 + "1" + "}" * 2001).encode(),
    "a byte order mark": lambda good: b"\xef\xbb\xbf" + json.dumps(good).encode(),
    "UTF-16": lambda good: json.dumps(good).encode("utf-16"),
    "Latin-1": lambda good: json.dumps({**good, "x": "é"}, ensure_ascii=False).encode("latin-1"),
    "a NUL behind": lambda good: json.dumps(good).encode() + b"\0",
}


@pytest.mark.catalogue("K13")
@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_not_one_json_object_is_refused(platform: Platform, broken: str) -> None:
    completion = good(platform, platform.connect())
    with nothing_done(platform):
        assert status_of(platform.post(BROKEN[broken](completion))) == 400

    assert status_of(platform.post(completion)) == 200


NO_STRINGS = [None, True, 0, 1.5, [], ["x"], {}, {"$ne": ""}]
NO_TOKENS = [*NO_STRINGS, "", " ", "a b", "a\n", "a\0", "\ud800", "é", "x" * 8193]
NO_JOURNEYS = [*NO_STRINGS, "", " ", "a b", "a\n", "a\0", "\ud800", "é", "x" * 257]
NO_CLAIMS = [value for value in NO_STRINGS if value is not None]


@pytest.mark.catalogue("K13")
@pytest.mark.parametrize(
    ("field", "values"),
    [("token", NO_TOKENS), ("journeyId", NO_JOURNEYS), ("userId", NO_CLAIMS), ("agent", NO_CLAIMS)],
    ids=["token", "journeyId", "userId", "agent"],
)
def test_fields_that_are_no_such_strings_are_refused(platform: Platform, field: str, values: list[object]) -> None:
    completion = good(platform, platform.connect())
    with nothing_done(platform):
        for value in values:
            assert status_of(platform.post({**completion, field: value})) == 400, value

    assert status_of(platform.post(completion)) == 200


@pytest.mark.parametrize("field", ["token", "journeyId"])
def test_a_field_that_is_missing_is_refused(platform: Platform, field: str) -> None:
    completion = good(platform, platform.connect())
    with nothing_done(platform):
        assert status_of(platform.post({name: value for name, value in completion.items() if name != field})) == 400


@contextmanager
def sent(platform: Platform, headers: bytes, *parts: bytes, ended: bool = False) -> Iterator[Callable[[], int | None]]:
    """Send a request's head and so much of its body, and keep the connection open or, `ended`, send no more.

    What is yielded waits for the status; None where the server hangs up without one.
    """
    url = urlsplit(platform.web.url)
    assert url.port is not None
    with socket.create_connection(("127.0.0.1", url.port), timeout=20) as connection:
        head = b"POST %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n" % (PATH.encode(), url.netloc.encode(), headers)
        with suppress(ConnectionError):
            for part in (head, *parts):
                connection.sendall(part)
        if ended:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)

        def got() -> int | None:
            answer = http.client.HTTPResponse(connection)
            try:
                answer.begin()
            except (http.client.BadStatusLine, ConnectionError):
                return None
            return answer.status

        yield got


JSON = b"Content-Type: application/json\r\n"
CHUNKED = JSON + b"Transfer-Encoding: chunked"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.catalogue("K12")
@pytest.mark.parametrize("length", [LIMIT + 1, 100_000_000, 2**31, 2**63])
def test_a_long_body_is_refused_by_its_length_before_it_comes(platform: Platform, length: int) -> None:
    with nothing_done(platform), sent(platform, JSON + b"Content-Length: %d" % length) as got:
        assert got() == 413


@pytest.mark.catalogue("K12")
def test_a_long_body_of_unknown_length_is_refused_before_its_end(platform: Platform) -> None:
    completion = json.dumps(good(platform, platform.connect())).encode()
    with nothing_done(platform):
        parts = [chunk(completion), *[chunk(b" " * 1024)] * 16, b"400\r\n "]
        with sent(platform, CHUNKED, *parts) as got:
            assert got() == 413


def test_a_body_of_unknown_length_is_read(platform: Platform) -> None:
    completion = json.dumps(good(platform, platform.connect())).encode()
    parts = [chunk(completion[at : at + 10]) for at in range(0, len(completion), 10)]

    with sent(platform, CHUNKED, *parts, chunk(b"")) as got:
        assert got() == 200
    assert linked_to(platform) is not None


def test_a_slow_body_keeps_nobody_else_waiting(platform: Platform) -> None:
    slow, quick = good(platform, platform.connect()), good(platform, platform.connect())
    body = json.dumps(slow).encode()
    with sent(platform, CHUNKED, chunk(body[:20])), sent(platform, JSON + b"Content-Length: 500", body[:20]):
        assert status_of(platform.post(quick)) == 200
        with platform.web.browser() as browser:
            assert browser.login().status_code == 303


FALSE: dict[str, tuple[bytes, bytes]] = {
    "shorter than what comes": (JSON + b"Content-Length: 10", b""),
    "longer than what comes": (JSON + b"Content-Length: 5000", b""),
    "of all that may come": (JSON + b"Content-Length: %d" % LIMIT, b""),
    "negative": (JSON + b"Content-Length: -1", b""),
    "with a sign": (JSON + b"Content-Length: +100", b""),
    "no number": (JSON + b"Content-Length: many", b""),
    "in hexadecimal": (JSON + b"Content-Length: 0x10", b""),
    "empty": (JSON + b"Content-Length: ", b""),
    "twice": (JSON + b"Content-Length: 10\r\nContent-Length: 20", b""),
    "a chunk without a length": (CHUNKED, b"zz\r\n"),
    "a chunk of a negative length": (CHUNKED, b"-5\r\n"),
    "a chunk that is cut off": (CHUNKED, b"1000\r\n"),
    "chunks without an end": (CHUNKED, b"2\r\n{}\r\n"),
    "another encoding": (JSON + b"Transfer-Encoding: gzip", b""),
}


@pytest.mark.catalogue("K12")
@pytest.mark.parametrize("false", FALSE)
def test_a_body_that_is_not_as_declared_is_refused(
    platform: Platform, false: str, caplog: pytest.LogCaptureFixture
) -> None:
    completion = good(platform, platform.connect())
    headers, before = FALSE[false]
    body = json.dumps(completion).encode()
    with nothing_done(platform), sent(platform, headers, before, body, ended=True) as got:
        # Some servers hang up where a body isn't whole.
        assert got() in (None, 400, 411, 413, 501)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    assert status_of(platform.post(completion)) == 200


@pytest.mark.parametrize("adapter", ["flask"], indirect=True)
def test_a_body_that_the_app_has_read_before_is_read_all_the_same(make_web: MakeWeb) -> None:
    def look() -> None:
        assert not request.form
        if request.is_json:
            assert request.get_json()
            assert request.get_data()

    platform = Platform(make_web(messages={}, customise=lambda app, _: app.before_request(look)))
    with platform.browser:
        completion = good(platform, platform.connect())
        assert status_of(platform.post(padded(completion, LIMIT + 1))) == 413
        assert status_of(platform.post(completion)) == 200


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TYPES = st.sampled_from(["application/json", "application/json;charset=utf-8", "text/plain", "multipart/form-data"])


@examples(150)
@given(data=st.data(), content_type=st.one_of(TYPES, st.text(st.characters(codec="ascii", categories=["L", "P"]))))
def test_nothing_that_is_made_up_links_anybody(platform: Platform, data: st.DataObject, content_type: str) -> None:
    """Right journeys with wrong tokens, and the other way round, among junk of every kind."""
    sandbox = platform.sandbox
    link = platform.connect()
    ada = sandbox.add_person(ADA)
    sandbox.add_agent("another")
    wrong = [token_of(platform, agent="another"), sandbox.issue_user_token(ada), "forged"]
    fields: dict[str, st.SearchStrategy[Any]] = {
        "token": st.sampled_from(wrong) | JUNK,
        "journeyId": st.just(platform.completion(link)["journeyId"]) | JUNK,
        "userId": st.just(ada.user_id) | JUNK,
        "agent": st.sampled_from([sandbox.agent, "another"]) | JUNK,
    }
    strays = {"token": st.just(token_of(platform)), "journeyId": JUNK}
    made = st.one_of(
        st.fixed_dictionaries({}, optional=fields).map(json.dumps).map(str.encode),
        st.fixed_dictionaries(strays).map(json.dumps).map(str.encode),
        st.binary(max_size=100),
        st.integers(0, 20_000).map(lambda size: b"[" * size),
    )

    answer = platform.post(data.draw(made), content_type=content_type)

    assert status_of(answer) in (400, 401, 404, 413, 415)
    assert platform.linked == []
    assert linked_to(platform) is None
