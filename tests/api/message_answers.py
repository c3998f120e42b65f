"""Calls of a message agent, good answers to them, and answers of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st

from configure_auth.client.call import HttpResponse
from configure_auth.client.message_identity import SenderCalls
from configure_auth.client.message_lines import MessageLineCalls
from configure_auth.client.message_sign_in import MessageSignInCalls
from configure_auth.errors import ConfigureError
from configure_auth.settings import Settings
from configure_auth.values import Secret

from .conftest import http

if TYPE_CHECKING:
    from .conftest import Line, Received


SETTINGS = Settings(api_key=Secret("sk_key"), agent="acme")
PHONE = "+15550100001"
LINE_PHONE = "+15550109999"
VALIDATE = "/v1/auth/sign-in/validate"
RECOGNIZE = "/v1/auth/sign-in/recognize-phone"
MESSAGE_URL = "/v1/auth/sign-in/message-url"
LINES = "/v1/auth/sign-in/message-lines"
SENDER: dict[str, Any] = {"channel": "imessage", "subject_key": "s1", "external_id": "spectrum:s1"}

RECOGNITION = SenderCalls(SETTINGS).recognize_phone([PHONE])
URL = MessageSignInCalls(SETTINGS).create_message_sign_in_url(**SENDER)
REGISTRATION = MessageLineCalls(SETTINGS).register_message_line(LINE_PHONE)
LISTING = MessageLineCalls(SETTINGS).list_message_lines()
REVOCATION = MessageLineCalls(SETTINGS).revoke_message_line(LINE_PHONE)

GOOD_LINE: dict[str, Any] = {"id": "l1", "channel": "imessage", "phoneLast4": "9999", "status": "active"}
GOOD: dict[str, dict[str, Any]] = {
    VALIDATE: {"valid": True, "userId": "u1", "tokenUse": "agent", "approved": True, "agent": "acme"},
    RECOGNIZE: {"matched": True, "recognized": True, "approved": True, "token": "found", "userId": "u2"},
    MESSAGE_URL: {"mode": "plain", "url": "https://sign-in.me/acme", "reason": "signin"},
    LINES: {"line": GOOD_LINE, "lines": [GOOD_LINE], "deleted": True},
}


def reply(body: object, *, status: int = 200) -> HttpResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=status, headers={"content-type": "application/json"}, content=content)


def refused(act: Callable[[], object]) -> ConfigureError:
    with pytest.raises(ConfigureError) as caught:
        act()
    return caught.value


def by_path(answers: dict[str, Any]) -> Callable[[Line, Received], None]:
    """Answers with what is for a path: a body, or bytes as they are."""

    def answer(line: Line, received: Received) -> None:
        body = answers[received.target]
        line.write(body if isinstance(body, bytes) else http(body))

    return answer


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
good_values = st.sampled_from(
    [True, "acme", "tok", "agent", "plain", "minted", "signin", "https://sign-in.me/a", "1234"]
)
names = st.sampled_from(
    "matched recognized approved linked token agentToken agent_token userId user_id agent displayName tokenUse "
    "phoneCandidateCount mode url code reason fallbackReason fallback_reason expiresAt idempotencyKey line lines id "
    "channel phoneLast4 phone_last4 label status metadata createdAt deleted valid error type message".split()
)
objects = st.dictionaries(names, good_values | json_values | st.dictionaries(names, good_values | json_values))
wholes = st.sampled_from(list(GOOD.values())).flatmap(lambda good: objects.map(lambda change: good | change))
contents = (
    st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | (objects | wholes).map(lambda value: json.dumps(value).encode())
)
replies = st.builds(
    lambda content, status: reply(content, status=status),
    contents,
    st.sampled_from([200, 200, 201, 302, 400, 401, 500]),
)
