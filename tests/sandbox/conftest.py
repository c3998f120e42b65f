"""One sandbox for the whole session, reset before each test, and a developer who knows how to talk to it."""

from __future__ import annotations

import base64
import hashlib
import secrets
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from configure_auth.sandbox import Credentials, Person, Sandbox

CALLBACK = "http://localhost:3000/auth/configure/callback"
RETURN_TO = "http://localhost:3000/configure/callback"
ALL_SCOPES = "profile.read profile.search profile.remember profile.commit"


def answer_of(url: str) -> dict[str, str]:
    """The query of a redirect to the app. Fails on a repeated parameter."""
    query = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in query.values()), query
    return {name: values[0] for name, values in query.items()}


@dataclass
class Developer:
    """What an app's server would send, correct unless a test changes something."""

    sandbox: Sandbox
    http: httpx2.Client
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def keys(self) -> Credentials:
        return self.sandbox.credentials

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.keys.api_key, "X-Agent": self.keys.agent}

    def as_user(self, token: str, **more: str) -> dict[str, str]:
        return {**self.headers, "Authorization": f"Bearer {token}", **more}

    def authorize_params(self, **changes: str | None) -> dict[str, str]:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        params: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.keys.client_id,
            "redirect_uri": CALLBACK,
            "scope": ALL_SCOPES,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "state": "the state",
            **changes,
        }
        return {name: value for name, value in params.items() if value is not None}

    def authorize_url(self, **changes: str | None) -> str:
        return f"{self.sandbox.accounts_url}/oauth/authorize?{urlencode(self.authorize_params(**changes))}"

    def code(self, **changes: str | None) -> str:
        return answer_of(self.sandbox.sign_in(self.authorize_url(**changes)))["code"]

    def token_request(
        self,
        fields: Mapping[str, str | None],
        *,
        basic: tuple[str, str] | Literal["own"] | None = "own",
        content: bytes | None = None,
    ) -> httpx2.Response:
        own = (self.keys.client_id, self.keys.client_secret)
        auth = own if basic == "own" else basic
        sent = {name: value for name, value in fields.items() if value is not None}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = content if content is not None else urlencode(sent).encode()
        if auth is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{auth[0]}:{auth[1]}".encode()).decode()
        return self.http.post(f"{self.sandbox.api_url}/oauth/token", content=body, headers=headers)

    def exchange_fields(self, code: str, /, **changes: str | None) -> dict[str, str | None]:
        return {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "client_id": self.keys.client_id,
            "code_verifier": self.verifier,
            "resource": self.sandbox.api_url,
            **changes,
        }

    def exchange(self, code: str, /, **changes: str | None) -> httpx2.Response:
        return self.token_request(self.exchange_fields(code, **changes))

    def tokens(self, **changes: str | None) -> dict[str, Any]:
        response = self.exchange(self.code(**changes))
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body

    def refresh(self, refresh_token: str, /, **changes: str | None) -> httpx2.Response:
        fields: dict[str, str | None] = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": self.keys.client_id,
            **changes,
        }
        return self.token_request(fields)

    def introspect(self, token: str) -> dict[str, Any]:
        body: dict[str, Any] = self.http.post(f"{self.sandbox.api_url}/oauth/introspect", json={"token": token}).json()
        return body

    def sign_in_url(self, path: str = "demo-agent", **params: str) -> str:
        return f"{self.sandbox.sign_in_url}/{path}?{urlencode(params)}"

    def post(self, path: str, json: object, headers: dict[str, str] | None = None) -> httpx2.Response:
        sent = self.headers if headers is None else headers
        return self.http.post(f"{self.sandbox.api_url}{path}", json=json, headers=sent)

    def get(self, path: str, headers: dict[str, str] | None = None, **params: str) -> httpx2.Response:
        sent = self.headers if headers is None else headers
        return self.http.get(f"{self.sandbox.api_url}{path}", params=params, headers=sent)

    def agent_token(self, person: Person | None = None) -> str:
        return self.sandbox.issue_agent_token(person or self.sandbox.add_person(name="Ada Lovelace"))


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    running_sandbox.register_redirect_uri(CALLBACK)
    running_sandbox.register_return_to(RETURN_TO)
    return running_sandbox


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as client:
        yield client


@pytest.fixture
def developer(sandbox: Sandbox, http: httpx2.Client) -> Developer:
    return Developer(sandbox, http)
