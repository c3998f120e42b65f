"""Claims by programs: their users are told by the bearer tokens of an identity provider with keys of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from configure_auth import BearerUser
from configure_auth.events import AgentClaimed
from configure_auth.flask import BearerUser as OnFlask
from configure_auth.starlette import BearerUser as OnStarlette

from ..api.conftest import http
from ..bearer.conftest import MakeBearerUser, clock, issuer, make_bearer_user
from ..bearer.issuer import NOW, Clock, Issuer, Signer, rsa_key
from ..support.adapters import either
from ..support.web import Adapter, MakeWeb
from .conftest import NOBODYS, TAKEN, People, claimed, people_of, said

__all__ = ["clock", "either", "issuer", "make_bearer_user"]


@pytest.fixture
def people(make_web: MakeWeb, adapter: Adapter, make_bearer_user: MakeBearerUser) -> Iterator[People]:
    """Of an app without a session. Nobody is signed in with a browser; tokens say who it is."""
    kinds: dict[str, type[Any]] = {"flask": OnFlask, "starlette": OnStarlette}
    web = make_web(
        bearer=make_bearer_user(kinds[adapter]), claims={}, constructor={"session": False}, link=None, login=None
    )
    with people_of(web) as people:
        yield people


def bearing(people: People, token: str, jwt: str, **more: Any) -> httpx2.Response:
    """What a command line sends: no cookie, and nothing of what a browser says of itself."""
    return people.post(None, {"claimToken": token}, **{"site": None, "authorization": f"Bearer {jwt}", **more})


def test_a_token_of_the_identity_provider_says_whose_the_agent_is(people: People, issuer: Issuer) -> None:
    token, ada, bob = people.register(), issuer.rsa.token(sub="ada"), issuer.ec.token(sub="bob")

    assert said(bearing(people, token, ada)) == claimed("a1")
    assert said(bearing(people, token, ada)) == claimed("a1")
    assert said(bearing(people, token, bob)) == TAKEN
    assert said(bearing(people, "A" * 43, bob)) == NOBODYS

    assert people.owner() == "ada"
    assert people.events == [AgentClaimed(agent_id="a1", user_id="ada")]
    assert issuer.fetches == 1


def test_it_may_come_from_any_page_since_no_page_can_make_a_browser_send_it(people: People, issuer: Issuer) -> None:
    for number, way in enumerate(
        ({"site": "cross-site", "origin": "https://spa.example"}, {"site": "same-site"}, {"origin": "null"})
    ):
        token = people.register(f"a{number}")
        assert said(bearing(people, token, issuer.rsa.token(sub="ada"), **way)) == claimed(f"a{number}"), way
    token = people.register("b")
    lower = people.post(None, {"claimToken": token}, site=None, authorization=f"bearer {issuer.rsa.token(sub='ada')}")
    assert said(lower) == claimed("b")


def test_nobody_is_taken_for_a_user_by_anything_else(people: People, issuer: Issuer) -> None:
    token, stranger = people.register(), Signer("key-1", "RS256", rsa_key("somebody else"))
    claims = {"claimToken": token, "sub": "ada", "user_id": "ada", "ownerUserId": "ada"}
    good = issuer.rsa.token(sub="ada")

    with people.nothing_done():
        for name, jwt in {
            "over": issuer.rsa.token(sub="ada", exp=int(NOW) - 31),
            "forged": stranger.token(sub="ada"),
            "for another": issuer.rsa.token(sub="ada", aud="https://other.example"),
            "of nobody": issuer.rsa.token(sub=""),
            "none": "null",
            "the claim token": token,
        }.items():
            answer = bearing(people, token, jwt)
            assert answer.status_code == 401, name
            assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token", '), name
            assert answer.headers["cache-control"] == "no-store", name
            assert token not in answer.text
        for way in (
            {},
            {"x_user_id": "ada"},
            {"cookie": f"user_id=ada; token={good}"},
            {"authorization": "Basic YWRhOg=="},
        ):
            answer = people.post(None, claims, site=None, **way)
            assert said(answer) == (401, {"error": "signed_out"}), way
        in_the_url = people.post(None, claims, site=None, query=f"?access_token={good}")
        assert said(in_the_url) == (401, {"error": "signed_out"})

    assert said(bearing(people, token, good)) == claimed("a1")


@pytest.mark.parametrize("store", ["memory"])
def test_where_the_keys_cannot_be_had_a_claim_waits_for_later(people: People, issuer: Issuer, clock: Clock) -> None:
    token = people.register()
    answered = issuer.answered
    issuer.answer(http(status=503))

    with people.nothing_done():
        answer = bearing(people, token, issuer.rsa.token(sub="ada"))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0

    issuer.answer(answered)
    clock.advance(31)
    assert said(bearing(people, token, issuer.rsa.token(sub="ada"))) == claimed("a1")


@pytest.mark.parametrize("store", ["memory"])
def test_an_app_may_ask_a_bearer_user_of_any_framework_by_itself(
    make_web: MakeWeb, adapter: Adapter, make_bearer_user: MakeBearerUser, issuer: Issuer, clock: Clock
) -> None:
    plain: BearerUser = make_bearer_user()

    def of_flask() -> str | None:
        from flask import request

        return plain.user_id(request.headers.getlist("Authorization"))

    async def of_starlette(request: Any) -> str | None:
        return await plain.auser_id(request.headers.getlist("Authorization"))

    asked = of_flask if adapter == "flask" else of_starlette
    with people_of(make_web(bearer=asked, claims={}, constructor={"session": False})) as people:
        token, answered = people.register(), issuer.answered
        issuer.answer(http(status=503))
        assert said(bearing(people, token, issuer.rsa.token(sub="ada"))) == (503, {"error": "upstream_unavailable"})

        issuer.answer(answered)
        clock.advance(31)
        assert said(bearing(people, token, issuer.rsa.token(exp=1))) == (401, {"error": "signed_out"})
        assert said(bearing(people, token, issuer.rsa.token(sub="ada"))) == claimed("a1")
