"""What is said of the keys of a `BearerUser`."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from configure_auth.commands.checks.findings import End, Finding
from configure_auth.flask import BearerUser as OnFlask
from configure_auth.starlette import BearerUser as OnStarlette

from ..api.conftest import Server, http
from ..bearer.issuer import AUDIENCE, ISSUER, Issuer
from .apps import Adapter, Judge

ADAPTERS: tuple[Adapter, ...] = ("flask", "starlette")


@pytest.fixture(params=ADAPTERS)
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    return Judge(request.param, tmp_path)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Server()
    yield Issuer(server)
    server.close()


def bearer(judge: Judge, **options: Any) -> Finding:
    kind: Any = OnFlask if judge.adapter == "flask" else OnStarlette
    user = kind(**{"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ("RS256",), **options})
    return judge(constructor={"user_id": user, "session": False})["bearer"]


def test_keys_that_are_published_for_the_algorithms_are_good(judge: Judge, issuer: Issuer) -> None:
    found = bearer(judge, jwks_url=issuer.url, algorithms=("RS256", "ES256", "EdDSA"))

    assert (found.end, found.found) == (End.PASSED, "keys for RS256, ES256")


def test_the_issuer_is_asked_once_and_told_nothing(judge: Judge, issuer: Issuer) -> None:
    bearer(judge, jwks_url=issuer.url)

    (received,) = issuer.server.received
    assert "planted" not in repr(received)
    assert not {"x-api-key", "authorization"} & set(received.headers)


def test_keys_of_another_algorithm_are_named(judge: Judge, issuer: Issuer) -> None:
    issuer.publish(issuer.ec.jwk())
    found = bearer(judge, jwks_url=issuer.url)

    assert (found.end, found.found) == (End.FAILED, "no key for RS256: the issuer publishes ES256")


def test_a_key_of_no_shape_hides_no_other(judge: Judge, issuer: Issuer) -> None:
    issuer.answer(http({"keys": [{"kty": "RSA", "alg": ["RS256"]}, {"kty": {}}, {"kty": "EC", "alg": "ES256"}]}))

    assert bearer(judge, jwks_url=issuer.url).found == "no key for RS256: the issuer publishes ES256"


def test_a_set_without_a_key_is_said(judge: Judge, issuer: Issuer) -> None:
    issuer.publish()

    assert bearer(judge, jwks_url=issuer.url).found == "no key for RS256: the issuer publishes none"


@pytest.mark.parametrize(
    "answer",
    [http({"nothing": "here"}, status=404), http(b"<title>A page</title>"), http({"keys": "none"})],
    ids=["not found", "a page", "no set"],
)
def test_what_is_no_key_set_is_wrong(judge: Judge, issuer: Issuer, answer: bytes) -> None:
    issuer.answer(answer)

    assert bearer(judge, jwks_url=issuer.url).end is End.FAILED


def test_an_issuer_that_is_down_tells_nothing(judge: Judge, issuer: Issuer) -> None:
    issuer.answer(http({}, status=503))
    assert bearer(judge, jwks_url=issuer.url).end is End.UNKNOWN

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = bearer(judge, jwks_url=f"http://127.0.0.1:{port}/keys?token=planted")
    assert found.end is End.UNKNOWN
    assert "planted" not in repr(found)


def test_a_key_of_the_apps_own_needs_nobody(judge: Judge) -> None:
    found = bearer(judge, key="planted: a secret of 32 bytes and more", algorithms=("HS256",))

    assert (found.end, found.found) == (End.PASSED, "a key of the app's own, for HS256")


def test_an_issuer_on_http_is_worth_a_look(judge: Judge, issuer: Issuer) -> None:
    assert bearer(judge, jwks_url=issuer.url, issuer="http://issuer.example").end is End.WARNED
    assert bearer(judge, jwks_url=issuer.url, issuer="http://127.0.0.1:54321/auth/v1").end is End.PASSED


def test_a_user_by_other_means_is_nothing_to_judge(judge: Judge) -> None:
    assert judge()["bearer"].end is End.SKIPPED
