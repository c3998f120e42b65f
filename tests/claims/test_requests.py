"""What a claim must be like before any token is looked at."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from ..support.web import MakeWeb
from .conftest import JSON, PATH, TAKEN, People, Said, claimed, given_out, people_of, said

SIGNED_OUT = (401, {"error": "signed_out"})
CROSS_SITE = (403, {"error": "cross_site"})

once = pytest.mark.parametrize("store", ["memory"])
"""For what is judged before a store is asked."""


def invalid(status: int = 400) -> Said:
    return status, {"error": "invalid_request"}


def refused(people: People, token: str) -> Iterator[tuple[str, Any, Said]]:
    """A claim in every way in which it must not work: what it is, the answer, and what that should be."""
    body = {"claimToken": token}
    yield "anonymous", people.post(None, body), SIGNED_OUT
    yield "anonymous, from elsewhere", people.post(None, body, site="cross-site"), SIGNED_OUT
    yield "anonymous, who says who it is", people.post(None, {**body, "user_id": "ada"}, x_user_id="ada"), SIGNED_OUT
    for site in ("cross-site", "same-site", "none", "SAME-ORIGIN", ""):
        yield f"a cookie from {site!r}", people.post("ada", body, site=site), CROSS_SITE
    yield "a cookie from nowhere", people.post("ada", body, site=None), CROSS_SITE
    for origin in ("null", "https://evil.example", f"{people.web.url}.evil.example", f"{people.web.url}/"):
        yield f"a cookie from {origin}", people.post("ada", body, site=None, origin=origin), CROSS_SITE
    # A browser adds these by itself.
    for authorization in ("Basic dTE6eA==", "Negotiate x", "Bearer", "Bearerx y"):
        answer = people.post("ada", body, site="cross-site", authorization=authorization)
        yield f"a cookie from elsewhere with {authorization!r}", answer, CROSS_SITE
    for name in ("claimToken", "claim_token", "token"):
        yield f"{name} in the URL", people.post("ada", body, query=f"?{name}={token}"), invalid()
        yield f"{name} in the URL alone", people.post("ada", {}, query=f"?{name}={token}"), invalid()
    yield "a token in the URL of nobody", people.post(None, body, query=f"?claimToken={token}"), invalid()
    yield "two tokens in the URL", people.post("ada", body, query="?token=&token=x"), invalid()
    types = [
        None,
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ]
    types += [f"{JSON}; charset=latin-1", f"{JSON}, text/plain", f"text/plain; {JSON}", f"{JSON}x", "*/*"]
    for content_type in types:
        yield f"as {content_type!r}", people.post("ada", body, content_type=content_type), invalid(415)
    padding = b" " * (16 * 1024 - 2 - len(token) - 17)
    whole = b'{"claimToken": "' + token.encode() + b'"' + padding + b"  }"
    assert len(whole) == 16 * 1024 + 1
    yield "a byte more than 16 KiB", people.post("ada", whole), invalid(413)
    good = f'{{"claimToken": "{token}"}}'
    for text in (
        "",
        "null",
        "[]",
        f"[{good}]",
        f'"{token}"',
        token,
        good[:-1],
        f"{good}x",
        f"{good}{good}",
        "{" * 9999,
    ):
        yield f"the body {text[:20]!r}", people.post("ada", text.encode()), invalid()
    twice = f'{{"claimToken": "{"A" * 43}", "claimToken": "{token}"}}'
    yield "a key twice", people.post("ada", twice.encode()), invalid()
    yield "not UTF-8", people.post("ada", good.encode("utf-16")), invalid()
    yield "deep", people.post("ada", f'{{"claimToken": "{token}", "x": {"[" * 999}{"]" * 999}}}'.encode()), invalid()


@pytest.mark.catalogue("M4")
def test_a_claim_that_is_refused_does_nothing(people: People) -> None:
    token = people.register()

    with people.nothing_done():
        for name, answer, expected in refused(people, token):
            assert said(answer) == expected, name

    assert people.claim("bob", token) == claimed("a1")


@pytest.mark.catalogue("M4")
def test_the_owner_is_who_is_signed_in_whatever_the_body_says(people: People) -> None:
    token = people.register()
    body = {"claimToken": token, "agentId": "a2", "status": "active", "isNew": True}
    body |= dict.fromkeys(("owner_user_id", "ownerUserId", "user_id", "userId", "sub"), "bob")

    answer = people.post("ada", body, query="?owner_user_id=bob&user_id=bob", x_user_id="bob", x_forwarded_user="bob")

    assert said(answer) == claimed("a1")
    assert people.owner("a1") == "ada"
    assert (people.owned_by("ada"), people.owned_by("bob")) == (["a1"], [])
    assert said(people.post("bob", {**body, "owner_user_id": "ada"})) == TAKEN


@once
def test_a_page_of_the_app_and_of_a_trusted_origin_may_claim(make_web: MakeWeb) -> None:
    spa = "https://spa.example"
    with people_of(make_web(claims={}, constructor={"trusted_origins": (spa,)})) as people:
        ways: list[dict[str, Any]] = [
            {"site": "same-origin"},
            {"site": None, "origin": people.web.url},
            {"site": "cross-site", "origin": spa},
            {"site": None, "origin": spa},
        ]
        for number, way in enumerate(ways):
            token = people.register(f"a{number}")
            assert said(people.post("ada", {"claimToken": token}, **way)) == claimed(f"a{number}"), way
        token = people.register("late")
        assert said(people.post("ada", {"claimToken": token}, site="cross-site", origin=f"{spa}:444")) == CROSS_SITE


@once
def test_a_body_of_16_kib_and_any_spelling_of_its_type_will_do(people: People) -> None:
    types = (JSON, "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"')
    for number, content_type in enumerate(types):
        token = people.register(f"a{number}")
        whole = b'{"claimToken": "%s"%s}' % (token.encode(), b" " * (16 * 1024 - len(token) - 18))
        assert len(whole) == 16 * 1024

        assert said(people.post("ada", whole, content_type=content_type))[0] == 200, content_type


@once
def test_another_method_is_refused_with_those_that_are_not(people: People) -> None:
    token = people.register()

    with people.nothing_done():
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
            answer = people.post("ada", {"claimToken": token}, method=method)
            assert answer.status_code == 405, method
            assert answer.headers["allow"] == "POST", method
            assert method == "HEAD" or said(answer) == invalid(405), method
            assert "access-control-allow-origin" not in answer.headers

    assert people.claim("ada", token) == claimed("a1")


@once
def test_a_body_that_never_ends_is_not_read(people: People) -> None:
    """16 KiB and a byte, in chunks of no declared end; the answer comes without the rest."""
    token = people.register()
    cookie = "; ".join(f"{one.name}={one.value}" for one in people.browser("ada").http.cookies.jar)
    address = urlsplit(people.web.url)
    head = f"POST {PATH} HTTP/1.1\r\nHost: {address.netloc}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n"
    head += f"Content-Type: {JSON}\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = f'{{"claimToken": "{token}"'.encode() + b" " * 16 * 1024

    with socket.create_connection(("127.0.0.1", address.port or 80), timeout=30) as line:
        line.sendall(head.encode() + b"%x\r\n%s\r\n" % (len(body), body))
        answer = line.recv(100)

    assert answer.split(b"\r\n")[0].split()[1] == b"413"
    assert people.claim("ada", token) == claimed("a1")


@once
def test_a_guard_around_the_whole_app_lets_its_users_claim(make_web: MakeWeb) -> None:
    # On Flask it asks a token of every form, and exempts what judges by itself.
    web = make_web(claims={}, guard=True)
    token = given_out(web, "a1").reveal()
    with people_of(web) as people:
        assert people.post(None, {"claimToken": token}).status_code == 401
        assert people.claim("ada", token) == claimed("a1")


@once
def test_a_whole_number_is_an_agents_id_too(people: People) -> None:
    token = given_out(people.web, 7).reveal()

    assert people.claim("ada", token) == claimed("7")
    assert people.owner("7") == "ada"


@once
def test_under_a_path_of_ones_own_and_a_mount(make_web: MakeWeb) -> None:
    settings = {"CONFIGURE_APP_URL": "{url}/shop"}
    web = make_web(claims={"path": "/bots"}, mount="/shop", settings=settings)
    token = given_out(web, "a1").reveal()
    with people_of(web) as people:
        browser = people.browser(None)
        browser.post("/shop/in/ada").raise_for_status()

        answer = browser.http.post(
            "/shop/bots/claim", json={"claimToken": token}, headers={"sec-fetch-site": "same-origin"}
        )

        assert said(answer) == claimed("a1")


@once
def test_at_another_path_than_the_setting_says_it_is_misconfigured(
    make_web: MakeWeb, caplog: pytest.LogCaptureFixture
) -> None:
    web = make_web(link=None, login=None, claims={}, settings={"CONFIGURE_APP_URL": "{url}/elsewhere"})
    with people_of(web) as people:
        token = people.register()
        assert people.claim("ada", token) == (500, {"error": "misconfigured"})

    assert "a proxy strips '/elsewhere', so tell the app" in caplog.text


@once
def test_without_its_routes_the_verbs_say_what_is_missing(make_web: MakeWeb) -> None:
    web = make_web()

    with pytest.raises(Exception, match=r"register configure_auth\.agent_claims\(\) first"):
        given_out(web, "a1")
