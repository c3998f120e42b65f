"""Bad and forged tokens: none is taken for anybody, none breaks anything, and nothing of one is shown."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from configure_auth import BearerError, BearerUser
from configure_auth.flask import BearerUser as OnFlask
from configure_auth.starlette import BearerUser as OnStarlette

from ..api.conftest import Server
from ..support.ids import plain_id
from ..support.reading import code_of
from .apps import App, serving
from .conftest import MakeBearerUser, package_locals
from .corpus import CORPUS, ODD_KIDS, Bad
from .issuer import AUDIENCE, ISSUER, Clock, Issuer

CHALLENGE = re.compile(r'Bearer error="invalid_token", error_description="the token was refused: [ !#-\[\]-~]+"')
"""RFC 6750, section 3: what an `error_description` may have in it."""
ROWS = sorted({bad.row for bad in CORPUS})


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """One for all cases: they change nothing."""
    server = Server()
    yield Issuer(server)
    server.close()


@pytest.fixture(scope="module")
def bearer_user(issuer: Issuer) -> BearerUser:
    """It has the keys already, so that each case is judged by what it says."""
    found = made(BearerUser, issuer)
    assert found.user_id([f"Bearer {issuer.rsa.token()}"]) == "u1"
    return found


def made(kind: type[BearerUser], issuer: Issuer) -> BearerUser:
    return kind(issuer=ISSUER, audience=AUDIENCE, jwks_url=issuer.url, algorithms=("RS256", "ES256"), clock=Clock())


def test_there_are_enough_and_each_has_its_own_name() -> None:
    assert len({str(bad) for bad in CORPUS}) == len(CORPUS) >= 120
    assert sorted(["L1", "L2", "L3", "L5", "L6", "L7", "L8", "L9", "L10", "L11", "L13", "L14"]) == ROWS


@pytest.mark.catalogue("L1", "L2", "L3", "L5", "L6", "L7", "L8", "L9", "L10", "L11", "L13", "L14")
@pytest.mark.parametrize("bad", CORPUS, ids=plain_id)
def test_a_bad_token_is_nobodys(
    issuer: Issuer, bearer_user: BearerUser, bad: Bad, caplog: pytest.LogCaptureFixture
) -> None:
    headers = bad.headers(issuer)

    with caplog.at_level(logging.DEBUG), pytest.raises(BearerError) as caught:
        bearer_user.user_id(headers)

    assert (caught.value.status, caught.value.code) == (401, "invalid_token")
    assert CHALLENGE.fullmatch(caught.value.headers["WWW-Authenticate"])
    (record,) = caplog.records
    assert (record.levelname, record.name.partition(".")[0]) == ("WARNING", "configure_auth")
    for word in re.findall(r"[\w-]{12,}", " ".join(headers)):
        assert word not in caplog.text + str(caught.value) + package_locals(caught)
    assert caught.value.__context__ is None


@pytest.mark.catalogue("L5")
def test_no_bad_token_made_anything_be_fetched_but_the_keys(issuer: Issuer, bearer_user: BearerUser) -> None:
    for bad in CORPUS:
        with pytest.raises(BearerError):
            bearer_user.user_id(bad.headers(issuer))

    assert {received.target for received in issuer.server.received} == {"/.well-known/jwks.json"}


@pytest.mark.catalogue("L6")
@pytest.mark.parametrize("kid", ODD_KIDS.values(), ids=ODD_KIDS)
def test_an_odd_kid_makes_nothing_be_fetched(make_bearer_user: MakeBearerUser, issuer: Issuer, kid: object) -> None:
    before = issuer.fetches

    with pytest.raises(BearerError) as caught:
        make_bearer_user().user_id([f"Bearer {issuer.rsa.token(header={'kid': kid})}"])

    assert (caught.value.status, issuer.fetches) == (401, before)


@pytest.mark.parametrize("row", ["L2", "L7", "L13"])
def test_what_no_key_could_mend_makes_nothing_be_fetched(
    make_bearer_user: MakeBearerUser, issuer: Issuer, row: str
) -> None:
    before, cold = issuer.fetches, make_bearer_user()
    for bad in CORPUS:
        if bad.row == row and bad.name != "a token in a token":
            with pytest.raises(BearerError):
                cold.user_id(bad.headers(issuer))

    assert issuer.fetches == before


@pytest.fixture(scope="module", params=["flask", "starlette"])
def served(request: pytest.FixtureRequest, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    kind = {"flask": OnFlask, "starlette": OnStarlette}[request.param]
    with serving(request.param, made(kind, issuer), tmp_path_factory.mktemp("app")) as found:
        yield found


@pytest.fixture(scope="module")
def browser(served: App, issuer: Issuer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=served.url, trust_env=False, timeout=30) as browser:
        good = browser.get("/configure/status", headers={"authorization": f"Bearer {issuer.rsa.token()}"})
        assert (good.status_code, good.json()) == (200, {"connected": False, "accounts": []})
        yield browser


def answers_with_the_challenge_alone(browser: httpx2.Client, issuer: Issuer, path: str, bad: Bad) -> None:
    headers = bad.headers(issuer)
    if not all(header.isprintable() and header == header.strip() for header in headers):
        return  # no client sends control characters, or spaces at an end
    sent = [(b"authorization", header.encode("latin-1", "replace")) for header in headers]
    if sum(map(len, headers)) > 60_000:
        with suppress(httpx2.TransportError):  # the server's own limit comes first, and may end the connection
            assert browser.get(path, headers=sent).status_code in (400, 401, 431), bad
        return
    answer = browser.get(path, headers=sent)
    assert answer.status_code == 401, bad
    assert CHALLENGE.fullmatch(answer.headers["www-authenticate"]), bad
    assert "refused" not in answer.text
    assert not [word for word in re.findall(r"[\w-]{12,}", " ".join(headers)) if word in answer.text]
    assert path != "/configure/status" or answer.headers["cache-control"] == "no-store"


@pytest.mark.catalogue("L1", "L2", "L3", "L5", "L6", "L7", "L8", "L9", "L10", "L11", "L13", "L14", "L23")
@pytest.mark.parametrize("row", ROWS)
def test_our_routes_answer_a_bad_token_with_the_challenge_alone(
    browser: httpx2.Client, issuer: Issuer, row: str
) -> None:
    for bad in CORPUS:
        if bad.row == row:
            answers_with_the_challenge_alone(browser, issuer, "/configure/status", bad)


@pytest.mark.parametrize("path", ["/me", "/account"])
def test_so_do_routes_of_the_apps_own(browser: httpx2.Client, issuer: Issuer, path: str) -> None:
    for bad in CORPUS[::8]:
        answers_with_the_challenge_alone(browser, issuer, path, bad)


OTHER_SCHEMES = {
    "none": [],
    "an empty one": [""],
    "Basic": ["Basic dTE6eA=="],
    "Basic twice": ["Basic dTE6eA==", "Basic dTE6eA=="],
    "a list": ['Digest username="bearer", realm="a bearer", response="x"'],
    "a long one": [f"Negotiate {'x' * 20_000}"],
    "a scheme that begins like it": ["Bearers x"],
    "a scheme with a mark": ["Bearer-2 x"],
    "the token alone": ["x.y.z"],
}


@pytest.mark.catalogue("L13")
@pytest.mark.parametrize("headers", OTHER_SCHEMES.values(), ids=OTHER_SCHEMES)
def test_without_a_bearer_token_there_is_nobody(browser: httpx2.Client, headers: list[str]) -> None:
    sent = [("authorization", header) for header in headers]

    answer, status = browser.get("/me", headers=sent), browser.get("/configure/status", headers=sent)

    assert (answer.status_code, answer.json()) == (200, {"user_id": None})
    assert (status.status_code, code_of(status)) == (401, "signed_out")
    assert "www-authenticate" not in status.headers


@pytest.mark.catalogue("L13")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  ", "Bearer    "])
def test_the_scheme_may_be_written_in_any_way(browser: httpx2.Client, issuer: Issuer, scheme: str) -> None:
    answer = browser.get("/me", headers={"authorization": f"{scheme} {issuer.rsa.token()}"})

    assert (answer.status_code, answer.json()) == (200, {"user_id": "u1"})


@pytest.mark.catalogue("L13", "L22")
@pytest.mark.parametrize("path", ["/configure/status", "/me"])
def test_a_user_named_elsewhere_than_in_the_header_is_nobody(browser: httpx2.Client, issuer: Issuer, path: str) -> None:
    token = issuer.rsa.token()
    elsewhere: tuple[dict[str, Any], ...] = (
        {"params": {"access_token": token, "user_id": "u1", "token": token}},
        {"headers": {"x-user-id": "u1", "x-access-token": token, "proxy-authorization": f"Bearer {token}"}},
        {"headers": {"cookie": f"access_token={token}; authorization=Bearer {token}"}},
    )
    for where in elsewhere:
        answer = browser.get(path, **where)
        assert "www-authenticate" not in answer.headers
        expected = (200, {"user_id": None}) if path == "/me" else (401, "signed_out")
        assert (answer.status_code, answer.json() if path == "/me" else code_of(answer)) == expected
