"""The claims example over HTTP: tokens of an issuer, agents that belong to nobody until they are claimed, profiles."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Any

import httpx2
import pytest

from configure_auth import SettingsError
from configure_auth.sandbox import Sandbox
from example_apps.claims_app import create_app
from example_apps.claims_app.stand_in import PEOPLE

from ..api.conftest import Server
from ..bearer.issuer import Issuer
from ..browser.apps import ExampleApp, Variation, serve_asgi, serving
from .test_demo import demo, examples, ports

__all__ = ["examples", "ports"]

AGENTS, CLAIM, SESSIONS, USERS = "/api/v1/agents", "/api/v1/agents/claim", "/api/v1/sessions", "/api/v1/users"


class Claims:
    """The running app, and whoever asks it."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        self.url, self.http = url, http

    def token(self, name: str) -> str:
        return self.http.get(f"/stand-in/token/{name}").raise_for_status().text

    def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> tuple[int, Any]:
        headers = {**({} if token is None else {"authorization": f"Bearer {token}"}), **more.pop("headers", {})}
        answer = self.http.request(method, path, headers=headers, **more)
        return answer.status_code, answer.json()

    def register(self, name: str = "Scout") -> dict[str, Any]:
        status, agent = self.ask("POST", AGENTS, json={"name": name})
        assert status == 201
        assert set(agent) == {"agentId", "agentKey", "claimToken"}
        return dict(agent)

    def claim(self, name: str, agent: Mapping[str, Any]) -> tuple[int, Any]:
        return self.ask("POST", CLAIM, self.token(name), json={"claimToken": agent["claimToken"]})

    def open_session(self, agent: Mapping[str, Any]) -> tuple[int, Any]:
        return self.ask("POST", SESSIONS, headers={"x-agent-key": agent["agentKey"]})


@contextmanager
def running(sandbox: Sandbox, folder: Path, **settings: str) -> Iterator[Claims]:
    @contextmanager
    def serve(
        listeners: Sequence[socket],
        environment: Mapping[str, str],
        folder: Path,
        variation: Variation,
        referrers: list[str],
    ) -> Iterator[None]:
        with serve_asgi(create_app({**environment, **settings}, instance_path=folder), listeners, referrers):
            yield

    example = ExampleApp(name="claims", serve=serve, session_cookie="none")
    with (
        serving(example, sandbox, folder, Variation()) as served,
        httpx2.Client(base_url=served.url, trust_env=False, timeout=30) as http,
    ):
        yield Claims(served.url, http)


@pytest.fixture
def claims(configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Claims]:
    with running(configure_sandbox, tmp_path) as claims:
        yield claims


def test_an_agent_works_for_whoever_claims_it_first(claims: Claims) -> None:
    agent = claims.register()
    assert claims.open_session(agent) == (
        409,
        {"error": "agent_no_owner", "message": "Somebody must claim this agent first."},
    )

    known = {"ok": True, "agentId": str(agent["agentId"])}
    assert claims.claim("ada", agent) == claims.claim("ada", agent) == (200, known)
    taken = {"error": "already_used", "message": "another user has claimed this agent"}
    assert claims.claim("grace", agent) == (409, taken)

    assert claims.open_session(agent) == (201, {"agentId": agent["agentId"], "ownerUserId": PEOPLE["ada"]})
    assert claims.ask("GET", AGENTS, claims.token("ada")) == (200, [agent["agentId"]])
    assert claims.ask("GET", AGENTS, claims.token("grace")) == (200, [])


def test_each_agent_has_an_owner_of_its_own(claims: Claims) -> None:
    first, second = claims.register("Scout"), claims.register("Runner")
    claims.claim("ada", first)
    claims.claim("grace", second)

    owners = [claims.open_session(agent)[1]["ownerUserId"] for agent in (first, second)]
    assert owners == [PEOPLE["ada"], PEOPLE["grace"]]
    assert claims.open_session({"agentKey": first["claimToken"]})[0] == 401
    assert claims.ask("POST", SESSIONS)[0] == 401


def test_nobody_comes_in_without_a_token_of_the_issuer(claims: Claims) -> None:
    agent = claims.register()
    token = claims.token("ada")
    header, payload, signature = token.split(".")
    other = claims.token("grace").split(".")[1]

    for bad in (None, "nonsense", f"{header}.{other}.{signature}", f"{header}.{payload}.", agent["agentKey"]):
        for method, path in (("POST", CLAIM), ("GET", AGENTS), ("GET", f"{USERS}/{PEOPLE['ada']}")):
            assert claims.ask(method, path, bad, **({"json": agent} if path == CLAIM else {}))[0] == 401, (bad, path)
    assert claims.open_session(agent)[0] == 409
    assert claims.http.get(f"/stand-in/token/{PEOPLE['ada']}").status_code == 404


def test_people_see_of_each_other_what_is_listed_and_no_more(claims: Claims) -> None:
    seen = claims.http.get(f"{USERS}/{PEOPLE['grace']}", headers={"authorization": f"Bearer {claims.token('ada')}"})

    assert seen.json() == {"display_name": "Grace", "avatar_url": "https://avatars.example/grace.png"}
    assert "grace@example.com" not in seen.text
    assert claims.ask("GET", f"{USERS}/nobody", claims.token("ada"))[0] == 404


def test_who_owns_an_agent_outlives_a_restart(configure_sandbox: Sandbox, tmp_path: Path) -> None:
    with running(configure_sandbox, tmp_path) as claims:
        claimed, unclaimed = claims.register(), claims.register()
        claims.claim("ada", claimed)
        old = claims.token("ada")

    with running(configure_sandbox, tmp_path) as claims:
        assert claims.open_session(claimed)[1]["ownerUserId"] == PEOPLE["ada"]
        assert claims.claim("grace", unclaimed)[0] == 200
        assert claims.ask("GET", AGENTS, old)[0] == 401, "the stand-in has another key now"


def test_an_issuer_of_the_app_s_own_takes_the_stand_in_s_place(configure_sandbox: Sandbox, tmp_path: Path) -> None:
    server = Server()
    issuer = Issuer(server)
    now = int(time.time())

    def token(**claims: Any) -> str:
        usual = {"iss": f"{server.url}/auth/v1", "aud": "authenticated", "role": "authenticated", "sub": "somebody"}
        return issuer.ec.token(**{**usual, "iat": now, "exp": now + 60, **claims})

    with running(configure_sandbox, tmp_path, SUPABASE_URL=server.url) as claims:
        agent = claims.register()
        assert claims.http.get("/stand-in/token/ada").status_code == 404
        for bad in (token(role="anon"), token(iss=f"{claims.url}/stand-in/auth/v1"), token(aud="anon"), token(exp=1)):
            assert claims.ask("POST", CLAIM, bad, json={"claimToken": agent["claimToken"]})[0] == 401
        assert claims.ask("POST", CLAIM, token(), json={"claimToken": agent["claimToken"]})[0] == 200
        assert claims.open_session(agent)[1]["ownerUserId"] == "somebody"
    server.close()


def test_the_stand_in_is_for_localhost(configure_sandbox: Sandbox, tmp_path: Path) -> None:
    settings = configure_sandbox.environment("https://app.example.com")

    with pytest.raises(SettingsError, match="set SUPABASE_URL"):
        create_app(settings, instance_path=tmp_path)


def test_the_docs_show_what_to_send(claims: Claims) -> None:
    _, schema = claims.ask("GET", "/openapi.json")

    assert {path: set(methods) for path, methods in schema["paths"].items()} == {
        AGENTS: {"get", "post"},
        SESSIONS: {"post"},
    }
    assert re.search("claim token", str(schema))


@pytest.mark.skipif(shutil.which("curl") is None, reason="the lines are for curl, which isn't here")
def test_the_demo_s_own_lines_work_in_another_terminal(examples: Path, ports: tuple[int, int]) -> None:
    with demo(examples, *ports, "claims") as run:
        said = run.await_line("Ctrl-C")
        lines = [line.strip() for line in said.splitlines() if re.match(r" {4}\w", line)]
        shell = subprocess.run(
            ["sh", "-euc", "; echo\n".join(lines)],
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert (shell.returncode, shell.stderr) == (0, "")
    answers = [json.loads(line) for line in shell.stdout.splitlines() if line]
    unclaimed, ada, grace, claimed, seen = answers
    assert [unclaimed["error"], grace["error"]] == ["agent_no_owner", "already_used"]
    assert ada["ok"] is True
    assert claimed == {"agentId": int(ada["agentId"]), "ownerUserId": PEOPLE["ada"]}
    assert seen["display_name"] == "Ada"
