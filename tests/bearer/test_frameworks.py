"""`BearerUser` in Flask and FastAPI apps: many requests at once, an issuer that hangs or is down, error pages."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

import anyio
import anyio.to_thread
import httpx2
import pytest
from blockbuster import blockbuster_ctx
from flask import jsonify
from starlette.requests import Request
from werkzeug.exceptions import Unauthorized

from configure_auth import BearerUser
from configure_auth.fastapi import BearerUser as OnFastAPI
from configure_auth.flask import BearerUser as OnFlask
from configure_auth.starlette import BearerUser as OnStarlette

from ..api.conftest import http
from ..support.stores import first
from .apps import fastapi_app, flask_app
from .conftest import MakeBearerUser
from .issuer import Clock, Issuer
from .tokens import forever, unknown

if TYPE_CHECKING:

    async def the_types_that_users_see(flask: OnFlask, starlette: OnStarlette, request: Request) -> None:
        assert_type(flask(), str | None)
        assert_type(await starlette(request), str | None)
        assert_type(flask.user_id([]), str | None)
        assert_type(await starlette.auser_id([]), str | None)
        assert_type(OnFlask.auth0("a.example", "b"), OnFlask)
        assert_type(BearerUser.firebase("my-project"), BearerUser)


APP_URL = "http://localhost:3000"
STATUS = "/configure/status"

Statuses = Callable[[list[str]], Counter[int]]
"""Asks an app with all of these tokens at the same time; how often it answered what."""


@pytest.fixture(params=first(["flask", "starlette"]))
def at_once(request: pytest.FixtureRequest, make_bearer_user: MakeBearerUser, tmp_path: Path) -> Iterator[Statuses]:
    if request.param == "flask":
        on_flask = flask_app(make_bearer_user(OnFlask), APP_URL, tmp_path)

        def one(token: str) -> int:
            headers = {"authorization": f"Bearer {token}"}
            return on_flask.test_client().get(STATUS, APP_URL, headers=headers).status_code

        with ThreadPoolExecutor(32) as threads:
            yield lambda tokens: Counter(threads.map(one, tokens))
    else:
        on_starlette = fastapi_app(make_bearer_user(OnStarlette), APP_URL, tmp_path)

        def all_of_them(tokens: list[str]) -> Counter[int]:
            statuses: Counter[int] = Counter()

            async def main() -> None:
                async with client(on_starlette) as asking, anyio.create_task_group() as tasks:
                    for token in tokens:
                        tasks.start_soon(count, asking, token)

            async def count(asking: httpx2.AsyncClient, token: str) -> None:
                statuses[(await asking.get(STATUS, headers={"authorization": f"Bearer {token}"})).status_code] += 1

            anyio.run(main)
            return statuses

        yield all_of_them


def client(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=APP_URL)


@pytest.mark.catalogue("L16")
def test_a_thousand_unknown_keys_at_once_make_one_fetch_in_half_a_minute(
    at_once: Statuses, issuer: Issuer, clock: Clock
) -> None:
    tokens = [unknown(number) for number in range(1000)]

    for count, fetches in ((1000, 1), (100, 2)):
        assert at_once([*tokens[:count], forever(issuer.rsa)]) == {401: count, 200: 1}
        assert issuer.fetches == fetches
        clock.advance(29)
        assert at_once(tokens[:50]) == {401: 50}
        assert issuer.fetches == fetches
        clock.advance(1)


@pytest.mark.catalogue("L16")
def test_nor_do_they_while_the_issuer_is_down(at_once: Statuses, issuer: Issuer, clock: Clock) -> None:
    assert at_once([forever(issuer.rsa)]) == {200: 1}
    issuer.answer(http({}, status=503))
    tokens = [unknown(number) for number in range(1000)]

    for count, fetches in ((1000, 2), (100, 3)):
        clock.advance(3600)
        assert at_once([*tokens[:count], *[forever(issuer.rsa)] * 50]) == {503: count, 200: 50}
        assert issuer.fetches == fetches


class TestOnAnEventLoop:
    @pytest.mark.catalogue("L18")
    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_an_issuer_that_hangs_holds_nobody_else_up(
        self, make_bearer_user: MakeBearerUser, issuer: Issuer, clock: Clock, tmp_path: Path, backend: str
    ) -> None:
        served = fastapi_app(make_bearer_user(OnStarlette), APP_URL, tmp_path)
        late: list[int] = []

        async def status(asking: httpx2.AsyncClient, token: str | None) -> int:
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            return (await asking.get(STATUS, headers=headers)).status_code

        async def waiting(asking: httpx2.AsyncClient, token: str) -> None:
            late.append(await status(asking, token))

        async def main() -> None:
            async with client(served) as asking:
                assert await status(asking, forever(issuer.rsa)) == 200
                clock.advance(600 - 30)
                with issuer.held() as came:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(waiting, asking, unknown())
                        assert await anyio.to_thread.run_sync(came.acquire, True, 10)
                        for _ in range(10):
                            assert await status(asking, forever(issuer.rsa)) == 200
                            assert await status(asking, None) == 401
                        assert late == []
                        issuer.release()
                assert late == [401]

        anyio.run(main, backend=backend)
        assert issuer.fetches == 2

    @pytest.mark.catalogue("L18")
    def test_nothing_of_it_blocks_the_loop(
        self, make_bearer_user: MakeBearerUser, issuer: Issuer, clock: Clock, tmp_path: Path
    ) -> None:
        served = fastapi_app(make_bearer_user(OnStarlette), APP_URL, tmp_path)

        async def main() -> None:
            with blockbuster_ctx("configure_auth"):
                async with client(served) as asking:
                    for token, status in ((forever(issuer.rsa), 200), (unknown(), 401), ("x", 401)):
                        answer = await asking.get("/me", headers={"authorization": f"Bearer {token}"})
                        assert answer.status_code == status
                    clock.advance(600)
                    answer = await asking.get("/me", headers={"authorization": f"Bearer {forever(issuer.rsa)}"})
                    assert answer.json() == {"user_id": "u1"}

        anyio.run(main)
        assert issuer.fetches == 2


class TestOnFastAPI:
    def test_as_a_dependency_it_leaves_the_api_docs_clean(
        self, make_bearer_user: MakeBearerUser, tmp_path: Path
    ) -> None:
        documented = fastapi_app(make_bearer_user(OnStarlette), APP_URL, tmp_path).openapi()

        assert "parameters" not in documented["paths"]["/me"]["get"]

    def test_its_scheme_is_in_the_api_docs(self, make_bearer_user: MakeBearerUser, tmp_path: Path) -> None:
        documented = fastapi_app(make_bearer_user(OnFastAPI), APP_URL, tmp_path).openapi()

        scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        assert documented["components"]["securitySchemes"] == {"BearerUser": scheme}
        for path in ("/me", "/required"):
            operation = documented["paths"][path]["get"]
            assert (operation["security"], "parameters" in operation) == ([{"BearerUser": []}], False)

    def test_tests_may_put_another_in_its_place(self, make_bearer_user: MakeBearerUser, tmp_path: Path) -> None:
        bearer_user = make_bearer_user(OnStarlette)
        served = fastapi_app(bearer_user, APP_URL, tmp_path)
        served.dependency_overrides[bearer_user] = lambda: "u2"

        async def main() -> dict[str, str]:
            async with client(served) as asking:
                found: dict[str, str] = (await asking.get("/me")).json()
                return found

        assert anyio.run(main) == {"user_id": "u2"}

    def test_it_takes_the_request_and_is_awaited(self) -> None:
        assert inspect.iscoroutinefunction(OnStarlette.__call__)
        (_, request) = inspect.signature(OnStarlette.__call__).parameters.values()
        assert request.annotation is Request


@pytest.mark.parametrize("kind", [OnFlask, OnStarlette, OnFastAPI])
def test_a_route_that_requires_a_user_answers_401_without_one(
    make_bearer_user: MakeBearerUser, issuer: Issuer, tmp_path: Path, kind: Any
) -> None:
    def ask(headers: dict[str, str]) -> Any:
        if kind is OnFlask:
            return flask_app(bearer_user, APP_URL, tmp_path).test_client().get("/required", APP_URL, headers=headers)

        async def main() -> Any:
            async with client(fastapi_app(bearer_user, APP_URL, tmp_path)) as asking:
                return await asking.get("/required", headers=headers)

        return anyio.run(main)

    bearer_user = make_bearer_user(kind)
    for headers, challenge in (
        ({}, "Bearer"),  # RFC 6750, section 3.1: without a token there is no error
        ({"authorization": "Bearer x"}, 'Bearer error="invalid_token", '),
    ):
        refused = ask(headers)
        assert (refused.status_code, refused.headers["www-authenticate"][: len(challenge)]) == (401, challenge)
    answer = ask({"authorization": f"Bearer {issuer.rsa.token(email='ada@example.com')}"})
    assert answer.status_code == 200
    assert "u1" in answer.text
    assert "ada@example.com" in answer.text


class TestAnAppsOwnErrorPages:
    def test_flask_shows_its_own_for_a_401_and_keeps_the_challenge(
        self, make_bearer_user: MakeBearerUser, tmp_path: Path
    ) -> None:
        served = flask_app(make_bearer_user(OnFlask), APP_URL, tmp_path)

        @served.errorhandler(401)
        def unauthorized(error: Unauthorized) -> Any:
            return jsonify(error="sign in"), 401, error.get_headers()[-1:]

        for path in (STATUS, "/me"):
            answer = served.test_client().get(path, APP_URL, headers={"authorization": "Bearer x"})
            assert (answer.status_code, answer.json) == (401, {"error": "sign in"})
            (challenge,) = answer.headers.getlist("www-authenticate")
            assert challenge.startswith('Bearer error="invalid_token", error_description="the token was refused: ')

    def test_starlette_does_too(self, make_bearer_user: MakeBearerUser, tmp_path: Path) -> None:
        served = fastapi_app(make_bearer_user(OnStarlette), APP_URL, tmp_path)
        answers: list[Any] = []

        async def main() -> None:
            async with client(served) as asking:
                answers.extend(
                    [await asking.get(path, headers={"authorization": "Bearer x"}) for path in (STATUS, "/me")]
                )

        anyio.run(main)
        for answer in answers:
            assert (answer.status_code, answer.json()) == (401, {"detail": "Unauthorized"})
            (challenge,) = answer.headers.get_list("www-authenticate")
            assert challenge.startswith('Bearer error="invalid_token", error_description="the token was refused: ')

    @pytest.mark.parametrize("path", [STATUS, "/me", "/account"])
    def test_keys_that_cant_be_had_are_a_503(
        self, make_bearer_user: MakeBearerUser, issuer: Issuer, tmp_path: Path, path: str
    ) -> None:
        issuer.answer(http({}, status=500))
        headers = {"authorization": f"Bearer {forever(issuer.rsa)}"}
        on_flask = flask_app(make_bearer_user(OnFlask), APP_URL, tmp_path)
        on_starlette = fastapi_app(make_bearer_user(OnStarlette), APP_URL, tmp_path)

        async def main() -> Any:
            async with client(on_starlette) as asking:
                return await asking.get(path, headers=headers)

        for answer in (on_flask.test_client().get(path, APP_URL, headers=headers), anyio.run(main)):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
            assert "www-authenticate" not in answer.headers
