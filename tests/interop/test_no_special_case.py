"""The sandbox treats Configure's own clients as it treats everybody, and ours asks as they do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from configure_auth import Configure, Settings, sandbox
from configure_auth.client import oauth, oauth_clients
from configure_auth.sandbox import Call, Person, Sandbox

from .sdk import Sdk

ADA, LINE = "+15550100001", "+15550109999"
RETURN_TO = "https://shop.example/configure/callback"
CALLBACK = "https://shop.example/auth/configure/callback"
SUBJECT = {"key": "sp_1", "externalId": "sender-1"}
TURN = [{"role": "user", "content": "Hello"}]
CLIENTS = re.compile(r"user.?agent|undici|\bnode\b|\bnpm\b|better.?auth|configure.?ai|python-httpx", re.IGNORECASE)
HEADERS = {"x-api-key", "x-agent", "x-user-id", "authorization"}
"""What says who asks, and for whom."""

OWN = dict.fromkeys(("code", "read_id", "session_id", "runtime_scope_id", "memory_criteria"), "its own")
"""Fields that each client fills by itself."""


@dataclass
class Desk:
    """What a job needs: the sandbox, and a token and a code of Ada's."""

    sandbox: Sandbox
    token: str
    code: str


SdkJob = Callable[[Sdk, Desk], object]
OurJob = Callable[[Configure, Desk], object]


def our_user_info(configure: Configure, desk: Desk) -> object:
    configure.profile(token=desk.token).read(sections=["identity"])
    return configure.send(oauth.introspect(configure.settings, desk.token))


def sdk_callback(sdk: Sdk, desk: Desk) -> object:
    environment = desk.sandbox.environment() | {"CONFIGURE_SSO_REDIRECT_URI": CALLBACK}
    return sdk.module("ensureSsoCallbackFromEnv", environment)


def our_callback(configure: Configure, desk: Desk) -> object:
    return configure.send(
        oauth_clients.add_redirect_uris(configure.settings, desk.sandbox.credentials.client_id, [CALLBACK])
    )


def sdk_turn(sdk: Sdk, desk: Desk) -> object:
    hers = {"token": desk.token}
    sdk.profile(hers, "read", {"sections": ["identity", "summary"]})
    sdk.profile(hers, "search", {"query": "tea", "limit": 5})
    return sdk.profile(hers, "commit", {"messages": TURN, "memories": ["Likes tea."], "sync": True})


def our_turn(configure: Configure, desk: Desk) -> object:
    hers = configure.profile(token=desk.token)
    hers.read(sections=["identity", "summary"])
    hers.search("tea", limit=5)
    return hers.commit(messages=TURN, memories=["Likes tea."], sync=True)


def sdk_unlinked(sdk: Sdk, desk: Desk) -> object:
    sdk.profile({"externalId": "u1"}, "remember", "Likes tea.", {"kind": "context"})
    sdk.profile({"externalId": "u1"}, "read")
    return sdk.profile({"externalId": "u1"}, "forget", {"match": "tea", "confirm": True})


def our_unlinked(configure: Configure, desk: Desk) -> object:
    u1 = configure.profile(external_id="u1")
    u1.remember("Likes tea.", kind="context")
    u1.read()
    return u1.forget(match="tea", confirm=True)


JOBS: dict[str, tuple[SdkJob, OurJob]] = {
    "exchange": (
        lambda sdk, desk: sdk.auth("exchangeSignInCode", desk.code),
        lambda configure, desk: configure.auth.exchange_sign_in_code(desk.code),
    ),
    "validate": (
        lambda sdk, desk: sdk.auth("validateSignInToken", desk.token),
        lambda configure, desk: configure.auth.validate_sign_in_token(desk.token),
    ),
    "recognize phone": (
        lambda sdk, desk: sdk.auth("recognizePhone", [ADA, f" {ADA} "]),
        lambda configure, desk: configure.auth.recognize_phone([ADA, f" {ADA} "]),
    ),
    "message identity": (
        lambda sdk, desk: sdk.auth(
            "resolveMessageIdentity",
            {"externalId": "s1", "token": "agent_gone", "phoneCandidates": [ADA], "validateToken": True},
        ),
        lambda configure, desk: configure.auth.resolve_message_identity(
            external_id="s1", token="agent_gone", phone_candidates=[ADA], validate_token=True
        ),
    ),
    "message link": (
        lambda sdk, desk: sdk.auth(
            "createMessageSignInUrl",
            {"reason": "signin", "channel": "imessage", "subject": SUBJECT, "displayName": "Shop", "journeyId": "j1"},
        ),
        lambda configure, desk: configure.auth.create_message_sign_in_url(
            channel="imessage", subject_key="sp_1", external_id="sender-1", display_name="Shop", journey_id="j1"
        ),
    ),
    "add line": (
        lambda sdk, desk: sdk.auth("registerMessageLine", {"phone": LINE, "label": "Shop"}),
        lambda configure, desk: configure.auth.register_message_line(LINE, label="Shop"),
    ),
    "list lines": (
        lambda sdk, desk: sdk.auth("listMessageLines"),
        lambda configure, desk: configure.auth.list_message_lines(),
    ),
    "revoke line": (
        lambda sdk, desk: sdk.auth("revokeMessageLine", {"phone": LINE}),
        lambda configure, desk: configure.auth.revoke_message_line(LINE),
    ),
    "add destination": (
        lambda sdk, desk: sdk.auth("allowSignInReturnTo", RETURN_TO),
        lambda configure, desk: configure.auth.allow_sign_in_return_to(RETURN_TO),
    ),
    "list destinations": (
        lambda sdk, desk: sdk.auth("listSignInReturnDestinations"),
        lambda configure, desk: configure.auth.list_sign_in_return_destinations(),
    ),
    "remove destination": (
        lambda sdk, desk: sdk.auth("removeSignInReturnTo", RETURN_TO),
        lambda configure, desk: configure.auth.remove_sign_in_return_to(RETURN_TO),
    ),
    "user info": (lambda sdk, desk: sdk.user_info(desk.sandbox, desk.token), our_user_info),
    "callback": (sdk_callback, our_callback),
    "turn": (sdk_turn, our_turn),
    "unlinked": (sdk_unlinked, our_unlinked),
}


@pytest.fixture
def ada(configure_sandbox: Sandbox) -> Person:
    return configure_sandbox.add_person(ADA, name="Ada Lovelace")


def asked(call: Call) -> dict[str, Any]:
    """A request as Configure could tell it from another."""
    headers = {name: value for name, value in call.headers.items() if name in HEADERS}
    if call.body:
        headers["content-type"] = call.headers["content-type"]
    correlation = {name for name in call.headers if name.startswith("x-configure-")}
    return {
        "at": (call.origin, call.method, call.path),
        "query": call.query,
        "headers": headers,
        "correlation": correlation,
        "body": {name: OWN.get(name, value) for name, value in json.loads(call.body or b"{}").items()},
    }


@pytest.mark.extended
@pytest.mark.parametrize("job", JOBS)
def test_both_clients_ask_the_same(sdk: Sdk, configure_sandbox: Sandbox, ada: Person, job: str) -> None:
    theirs, ours = JOBS[job]
    token = configure_sandbox.issue_agent_token(ada)
    theirs(sdk, Desk(configure_sandbox, token, configure_sandbox.issue_return_code(ada)))
    by_them = configure_sandbox.calls
    with Configure(Settings.from_mapping(configure_sandbox.environment())) as configure:
        ours(configure, Desk(configure_sandbox, token, configure_sandbox.issue_return_code(ada)))

    by_us = configure_sandbox.calls[len(by_them) :]
    if job == "user info":  # two calls at once
        by_us, by_them = (sorted(calls, key=lambda call: call.path) for calls in (by_us, by_them))
    assert by_them
    assert [call.status for call in by_us] == [call.status for call in by_them]
    assert [asked(call) for call in by_us] == [asked(call) for call in by_them]


def test_the_sandbox_knows_no_client_by_name() -> None:
    folder = Path(sandbox.__path__[0])
    sources = [path for path in folder.rglob("*") if path.suffix in {".py", ".html", ".js"}]
    assert len(sources) > 20
    named = {
        f"{path.relative_to(folder)}: {found[0]}" for path in sources if (found := CLIENTS.search(path.read_text()))
    }
    assert named == set()


@pytest.mark.extended
def test_who_asks_makes_no_difference(sdk: Sdk, configure_sandbox: Sandbox, ada: Person) -> None:
    """The requests of Configure's SDK are as good when somebody else sends them."""
    desk = Desk(configure_sandbox, configure_sandbox.issue_agent_token(ada), configure_sandbox.issue_return_code(ada))
    for job in ("validate", "recognize phone", "message link", "list lines", "list destinations"):
        JOBS[job][0](sdk, desk)
    asked_by_sdk = configure_sandbox.calls
    assert len(asked_by_sdk) == 5

    with httpx2.Client(base_url=configure_sandbox.api_url, trust_env=False) as client:
        for call in asked_by_sdk:
            headers = {name: value for name, value in call.headers.items() if name in HEADERS | {"content-type"}}
            headers["User-Agent"] = "somebody else"
            again = client.request(call.method, call.path, params=call.query, headers=headers, content=call.body)
            assert again.status_code == call.status == 200
