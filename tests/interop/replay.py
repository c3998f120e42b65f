"""Cases that the official SDK and ours are put through alike: the same call, and the same response of a server.

What each of them sent, and what became of it, is written in one form, so that the two can be compared.
"""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from configure_auth import Configure, ConfigureError
from configure_auth.client.oauth_clients import add_redirect_uris
from configure_auth.errors import SettingsError, SignInError
from configure_auth.flows import Performer
from configure_auth.flows.sign_in.login import fetch_identity
from configure_auth.runtime.drivers import run
from configure_auth.stores.memory import memory_stores
from configure_auth.values import Secret

from ..api.conftest import CLOSE, Answering, Line, Received, Server, http
from .sdk import Sdk, SdkError

__all__ = ["GROUPS", "Case", "differences"]

TOKEN, USER = "agent-token", "11111111-2222-3333-4444-555555555555"
OUR_SENDER = {"externalId": "sender-1"}
LINKED = {"token": TOKEN}
TURN = {"messages": [{"role": "user", "content": "A window seat, please"}]}


@dataclass(frozen=True)
class Case:
    """A call by its names in the official SDK, and the response that it gets, byte by byte."""

    name: str
    verb: str
    given: tuple[Any, ...] = ()
    response: bytes | Answering = b""
    subject: Mapping[str, Any] | None = None
    """Of a profile; None for the verbs of `auth`."""


# The calls that go well, and what Configure responds to them.

LINE: Final = {"id": "line_1", "channel": "imessage", "phoneLast4": "0100", "label": "Shop", "status": "active"}
LINE_TIMES: Final = {"metadata": {"shop": "york"}, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-02"}
MEMORY: Final = {
    "id": "mem_1",
    "title": "Seats",
    "text": "Prefers window seats",
    "snippet": "window",
    "source": "agents/acme",
    "written_by": "acme",
    "saved_on": "2026-01-31",
    "updated_at": "2026-02-01",
    "event_at": "2026-03-01",
    "score": 0.5,
    "type": "preference",
    "path": "/memories/1",
    "markers": ["open"],
    "provenance": {"app": "acme"},
}
LINK: Final[dict[str, Any]] = {
    "reason": "signin",
    "channel": "imessage",
    "subject": {"key": "sp_1", "externalId": "sender-1"},
}
GOOD: Final[dict[str, tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "exchangeSignInCode": (
        ("cfgsic_code",),
        {"token": TOKEN, "userId": USER, "tokenUse": "agent", "approved": True, "agent": "acme"},
    ),
    "validateSignInToken": (
        (TOKEN,),
        {"valid": True, "userId": USER, "tokenUse": "agent", "approved": True, "agent": "acme"},
    ),
    "allowSignInReturnTo": (
        ("https://shop.example/back",),
        {"destination": "https://shop.example/back", "createdAt": "2026-01-01T00:00:00Z"},
    ),
    "removeSignInReturnTo": (
        ("https://shop.example/back",),
        {"destination": "https://shop.example/back", "deleted": True},
    ),
    "listSignInReturnDestinations": (
        (),
        {"destinations": [{"destination": "myapp://back", "createdAt": "2026-01-01"}]},
    ),
    "recognizePhone": (
        (["+14155550100"],),
        {
            "matched": True,
            "recognized": True,
            "approved": True,
            "linked": True,
            "token": TOKEN,
            "userId": USER,
            "agent": "acme",
            "displayName": "Ada",
            "phoneCandidateCount": 1,
        },
    ),
    "resolveMessageIdentity": (
        ({"externalId": "sender-1", "phoneCandidates": ["+14155550100"]},),
        {
            "matched": True,
            "recognized": True,
            "approved": True,
            "linked": True,
            "token": TOKEN,
            "userId": USER,
            "agent": "acme",
            "displayName": "Ada",
            "phoneCandidateCount": 1,
        },
    ),
    "registerMessageLine": (
        ({"phone": "+14155550100", "channel": "sms", "label": "Shop", "metadata": {"shop": "york"}},),
        {"line": LINE | LINE_TIMES},
    ),
    "listMessageLines": ((), {"lines": [LINE | LINE_TIMES]}),
    "revokeMessageLine": (({"phone": "+14155550100"},), {"deleted": True, "lines": [LINE | LINE_TIMES]}),
    "createMessageSignInUrl": (
        (LINK | {"idempotencyKey": "k-1"},),
        {
            "mode": "minted",
            "url": "https://sign-in.me/acme/c0de",
            "code": "c0de",
            "reason": "signin",
            "expiresAt": "2026-01-01T00:10:00Z",
            "idempotencyKey": "k-1",
        },
    ),
    "read": (
        ({"sections": ["identity", "summary"]},),
        {
            "identity": {"name": "Ada", "email": "ada@example.com", "phone_last4": "0100"},
            "preferences": ["Window seats"],
            "summary": "Travels by train",
            "integrations": {},
            "portable": True,
            "filtered": True,
            "hidden_sources": ["gmail"],
        },
    ),
    "search": (
        ({"query": "seats"},),
        {
            "results": [MEMORY],
            "visible_sources": ["agents/acme"],
            "source_counts": {"agents/acme": {"matched": 2, "returned": 1}},
            "guidance": {"status": "truncated", "message": "There is more"},
            "truncated": True,
        },
    ),
    "remember": (("Prefers window seats",), {"saved": True, "app": "acme", "fact": "Prefers it", "memory": MEMORY}),
    "forget": (
        ("mem_1",),
        {
            "deleted": True,
            "id": "mem_1",
            "path": "/memories/1",
            "source": "agents/acme",
            "suppressed": True,
            "suppressed_copies": 2,
            "message": "Done",
        },
    ),
    "commit": (
        (TURN,),
        {
            "status": "completed",
            "facts_written": ["Likes windows"],
            "memories_written": [{"id": "mem_2", "path": "/memories/2", "source": "agents/acme"}],
            "obligations_committed": ["read_1"],
            "rejected_memories": [{"memory": "Likes doors", "reason": "duplicate"}],
            "user_summary": "Travels by train",
        },
    ),
    "connect": (
        ({},),
        {
            "status": "authorization_required",
            "connect_url": "https://sign-in.me/acme/c0de",
            "expires_at": "2026-01-01T00:10:00Z",
            "instructions": "Send it unchanged",
        },
    ),
}
PROFILE: Final = ("read", "search", "remember", "forget", "commit", "connect")


def case(name: str, verb: str, given: Sequence[Any] | None = None, response: object = None, **more: Any) -> Case:
    usual, good = GOOD.get(verb, ((), {}))
    subject = LINKED if verb in PROFILE else None
    content = (
        response if isinstance(response, bytes) or callable(response) else http(good if response is None else response)
    )
    return Case(name, verb, usual if given is None else tuple(given), content, **({"subject": subject} | more))


# Requests.

TEXTS: Final[dict[str, Any]] = {
    "text": "value",
    "marks": "a b+c&d=e/f?g#h~i*j'k(l)!",
    "letters": "Žofie 🚆",
    "empty": "",
    "blank": "  ",
    "padded": "  value ",
    "control": "a\nb",
    "null": None,
    "number": 7,
    "zero": 0,
    "true": True,
    "false": False,
    "list": ["value"],
    "object": {"value": "value"},
}
URL_OPTIONS: Final = {
    "publishableKey": "pk_live_key",
    "returnTo": "https://shop.example/back?x=1",
    "state": "the state",
    "journeyId": "j-1",
    "displayName": "The Shop",
    "agentName": "The Shop",
    "agentLogo": "https://shop.example/logo.png",
    "delivery": "message",
    "messageLinePhone": "+14155550100",
    "agentPhone": "+14155550100",
    "messageBody": "done",
    "messageCompleteUrl": "https://shop.example/complete",
    "connectors": ["gmail", "calendar"],
    "theme": "dark",
    "signInOrigin": "https://sign-in.example",
}


def urls() -> Iterator[Case]:
    """The link of the hosted sign-in: nothing is sent."""
    yield case("nothing", "signInUrl", [{}])
    yield case("everything", "signInUrl", [URL_OPTIONS])
    for name, good in URL_OPTIONS.items():
        yield case(f"{name}: good", "signInUrl", [{name: good}])
        for kind, value in TEXTS.items():
            yield case(f"{name}: {kind}", "signInUrl", [{name: value}])
    for one, other in (("displayName", "agentName"), ("messageLinePhone", "agentPhone")):
        yield case(f"{one} and {other} differ", "signInUrl", [{one: "+14155550100", other: "+14155550101"}])
    for value in ("gmail, calendar", ",gmail,", ["gmail", ""], [" gmail "], ["gmail", None], ["a,b"], []):
        yield case(f"connectors: {json.dumps(value)}", "signInUrl", [{"connectors": value}])
    for value in (
        "http://localhost:3000/back",
        "http://shop.example/back",
        "myapp://back",
        "javascript:alert(1)",
        "/x",
    ):
        yield case(f"returnTo: {value}", "signInUrl", [{"returnTo": value}])
    for value in (
        "https://sign-in.example/",
        "https://sign-in.example/path?x#y",
        "http://sign-in.example",
        "sign-in.me",
    ):
        yield case(f"signInOrigin: {value}", "signInUrl", [{"signInOrigin": value}])


TEXT_OF: Final = {
    "exchangeSignInCode": None,
    "validateSignInToken": None,
    "allowSignInReturnTo": None,
    "removeSignInReturnTo": None,
    "recognizePhone": None,
    "remember": None,
    "forget": None,
    "resolveMessageIdentity": ("externalId", "token", "phoneCandidates", "validateToken"),
    "registerMessageLine": ("phone", "channel", "label", "metadata"),
    "revokeMessageLine": ("phone", "channel"),
    "createMessageSignInUrl": (
        "reason",
        "channel",
        "messageSenderProof",
        "connectors",
        "displayName",
        "agentLogo",
        "theme",
        "messageLinePhone",
        "agentPhone",
        "messageBody",
        "messageCompleteUrl",
        "journeyId",
        "idempotencyKey",
    ),
    "read": ("sections", "box", "page", "since", "detail"),
    "search": ("query", "box", "source", "from", "to", "limit", "detail"),
    "commit": ("messages", "memories", "toolResults", "sync"),
    "connect": ("app", "capability", "purpose", "returnUrl"),
}
"""The arguments of each verb that are tried with every kind of value; None for the only one."""


def requests() -> Iterator[Case]:
    """What each verb sends, and what it refuses to send."""
    for verb, (given, _) in GOOD.items():
        yield case(f"{verb}: good", verb)
        names = TEXT_OF.get(verb, ())
        for kind, value in TEXTS.items():
            if names is None:
                yield case(f"{verb}: {kind}", verb, [value])
            for name in names or ():
                yield case(f"{verb} {name}: {kind}", verb, [{**given[0], name: value}])
    for number in (
        "+1 (415) 555-0100",
        "14155550100",
        "4155550100",
        "+1",
        "+0123456789",
        "+14155550100123456",
        "+1x4155550100",
    ):
        yield case(f"registerMessageLine phone: {number}", "registerMessageLine", [{"phone": number}])
        yield case(f"recognizePhone: {number}", "recognizePhone", [[number]])
    for candidates in (
        [],
        ["", " "],
        [" +14155550100 ", "+14155550100"],
        ["ada", None],
        [7],
        ["+1"] * 30,
        "+14155550100",
    ):
        yield case(f"recognizePhone: {json.dumps(candidates)[:40]}", "recognizePhone", [candidates])
    for part in ("key", "externalId", "senderId"):
        for kind, value in TEXTS.items():
            link = {**LINK, "subject": {**LINK["subject"], part: value}}
            yield case(f"createMessageSignInUrl subject.{part}: {kind}", "createMessageSignInUrl", [link])
    thread = {"key": "t", "spaceId": "s", "messageId": "m"}
    yield case("createMessageSignInUrl thread", "createMessageSignInUrl", [{**LINK, "thread": thread}])
    yield case("createMessageSignInUrl thread: empty", "createMessageSignInUrl", [{**LINK, "thread": {}}])
    for reason in ("signin", "reconnect", "permissions"):
        yield case(f"createMessageSignInUrl reason: {reason}", "createMessageSignInUrl", [{**LINK, "reason": reason}])
    for name, sections in {
        "all": ["identity", "preferences", "integrations", "imports", "agents", "summary", "soul"],
        "none": [],
    }.items():
        yield case(f"read sections: {name}", "read", [{"sections": sections}])
    yield case("read nothing given", "read", [])
    yield case(
        "search everything",
        "search",
        [
            {
                "query": "*",
                "box": "work",
                "source": "chatgpt",
                "from": "2026-01-01",
                "to": "2026-01-31",
                "limit": 5,
                "detail": "full",
            }
        ],
    )
    yield case("search a word", "search", ["seats"])
    yield case("search nothing given", "search", [])
    for day in ("2026-1-1", "2026-01-01T00:00:00Z", "yesterday"):
        yield case(f"search from: {day}", "search", [{"from": day}])
    for limit in (1, 50, 1000, 1001, -1, 1.5):
        yield case(f"search limit: {limit}", "search", [{"limit": limit}])
    noted = {"box": "work", "kind": "question", "reply_to": "mem_1", "resolves": "mem_2"}
    yield case("remember everything", "remember", ["Prefers tea", noted])
    for name, value in noted.items():
        yield case(f"remember {name}", "remember", ["Prefers tea", {name: value}])
        yield case(f"remember {name}: number", "remember", ["Prefers tea", {name: 7}])
        yield case(f"remember {name}: blank", "remember", ["Prefers tea", {name: " "}])
    for name, selector in {
        "id": {"id": "mem_1"},
        "match": {"match": "tea"},
        "match, confirmed": {"match": "tea", "confirm": True},
        "import": {"import_id": "i-1"},
        **{f"scope {scope}": {"scope": scope} for scope in ("imports", "saved", "all", "everything")},
        "nothing": {},
        "two": {"id": "mem_1", "scope": "all"},
        "confirm alone": {"id": "mem_1", "confirm": True},
        "with date and reason": {"id": "mem_1", "date": "2026-01-31", "reason": "user_request"},
        "another reason": {"id": "mem_1", "reason": "because"},
        "another date": {"id": "mem_1", "date": "yesterday"},
    }.items():
        yield case(f"forget {name}", "forget", [selector])
    yield case("forget by id with a reason", "forget", ["mem_1", {"reason": "correction", "date": "2026-01-31"}])
    long = {"role": "user", "content": "x" * 16_000}
    for name, content in {
        "everything": {
            **TURN,
            "memories": ["Likes tea"],
            "toolResults": [{"toolName": "t", "content": {"a": 1}}],
            "sync": True,
        },
        "memories alone": {"memories": ["Likes tea"]},
        "padded memories": {"memories": [" Likes tea "]},
        "blank memories": {"memories": [" "]},
        "results of tools alone": {"toolResults": [{"toolName": "t", "content": "text"}]},
        "nothing": {},
        "another role": {"messages": [{"role": "system", "content": "x"}]},
        "a tool's message": {"messages": [{"role": "tool", "content": "x", "toolName": "t"}]},
        "an empty message": {"messages": [{"role": "user", "content": ""}]},
        "a message with more": {"messages": [{"role": "user", "content": "x", "id": "m-1"}]},
        "20 messages": {"messages": [{"role": "user", "content": "x"}] * 20},
        "21 messages": {"messages": [{"role": "user", "content": "x"}] * 21},
        "a message of 16000": {"messages": [long]},
        "a message of 16001": {"messages": [{"role": "user", "content": "x" * 16_001}]},
        "more than 50000": {"messages": [long] * 4},
        "emoji count twice": {"messages": [{"role": "user", "content": "🚆" * 8001}]},
        "21 memories": {"memories": ["x"] * 21},
        "a memory of 1001": {"memories": ["x" * 1001]},
    }.items():
        yield case(f"commit {name}", "commit", [content])
    for name, subject in {
        "an external id": {"externalId": "user-1"},
        "a token": {"token": TOKEN},
        "neither": {},
        "both": {"token": TOKEN, "externalId": "user-1"},
        "a blank id": {"externalId": " "},
        "a padded id": {"externalId": " user-1 "},
        "letters": {"externalId": "Žofie"},
        "a letter of Latin-1": {"externalId": "José"},
        "a line break": {"externalId": "a\nb"},
        "a number": {"externalId": 7},
        "a blank token": {"token": " "},
        "a token with a space": {"token": "a b"},
    }.items():
        for verb in ("read", "remember", "commit", "connect"):
            yield case(f"{verb} for {name}", verb, subject=subject)


# Responses.

WRONG: Final[dict[str, Any]] = {
    "null": None,
    "empty": "",
    "blank": " ",
    "another": "another",
    "long": "x" * 300,
    "control": "a\u0007b",
    "number": 7,
    "true": True,
    "false": False,
    "list": ["value"],
    "object": {"value": "value"},
}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def respelled(value: Any, spell: Any) -> Any:
    if isinstance(value, dict):
        return {spell(name): respelled(item, spell) for name, item in value.items()}
    return [respelled(item, spell) for item in value] if isinstance(value, list) else value


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def responses() -> Iterator[Case]:
    """What each verb makes of a response, field by field."""
    for verb, (_, good) in GOOD.items():
        yield case(f"{verb}: snake", verb, None, respelled(good, snake))
        yield case(f"{verb}: camel", verb, None, respelled(good, camel))
        yield case(f"{verb}: empty object", verb, None, {})
        yield case(f"{verb}: unknown fields", verb, None, {**good, "moreOf": {"a": [1]}, "another": None})
        yield case(f"{verb}: a list", verb, None, [good])
        yield case(f"{verb}: not JSON", verb, None, http(b"<!doctype html>", content_type="text/html"))
        yield case(f"{verb}: no body", verb, None, http(b""))
        for field in good:
            yield case(f"{verb} {field}: missing", verb, None, {name: good[name] for name in good if name != field})
            for kind, value in WRONG.items():
                yield case(f"{verb} {field}: {kind}", verb, None, {**good, field: value})
    for verb, field, inner in (
        ("registerMessageLine", "line", LINE | LINE_TIMES),
        ("search", "results", MEMORY),
        ("remember", "memory", MEMORY),
    ):
        for name in inner:
            for kind, value in {"missing": ..., **WRONG}.items():
                changed = {key: item for key, item in {**inner, name: value}.items() if item is not ...}
                answer = {**GOOD[verb][1], field: [changed] if field == "results" else changed}
                yield case(f"{verb} {field}.{name}: {kind}", verb, None, answer)
    older = {key: item for key, item in MEMORY.items() if key != "saved_on"}
    yield case("search results.created_at", "search", None, {"results": [{**older, "created_at": "2026-01-30"}]})
    yield case("search memories", "search", None, {"memories": [MEMORY]})
    yield case(
        "search diagnostic", "search", None, {"results": [], "diagnostic": {"status": "no_matches", "message": "m"}}
    )
    yield case(
        "forget many", "forget", [{"scope": "all"}], {"deleted": True, "deleted_count": 2, "deleted_ids": ["a", "b"]}
    )
    yield case("forget preview", "forget", [{"match": "tea"}], {"deleted": False, "matched": 2, "message": "m"})
    plain = {"mode": "plain", "url": "https://sign-in.me/acme", "reason": "signin"}
    for reason in ("sender_proof_missing", "sender_proof_invalid", "subject_signature_missing", None):
        yield case(
            f"createMessageSignInUrl plain: {reason}",
            "createMessageSignInUrl",
            None,
            {**plain, "fallbackReason": reason},
        )
    for url in ("https://evil.example/acme", "http://sign-in.me/acme", "javascript:alert(1)"):
        yield case(
            f"createMessageSignInUrl url: {url}",
            "createMessageSignInUrl",
            None,
            {**plain, "url": url, "fallbackReason": "sender_proof_missing"},
        )
        yield case(f"connect connect_url: {url}", "connect", None, {**GOOD["connect"][1], "connect_url": url})
    for agent in ("other-agent",):
        for verb in ("exchangeSignInCode", "validateSignInToken", "recognizePhone", "resolveMessageIdentity"):
            yield case(f"{verb} agent: {agent}", verb, None, {**GOOD[verb][1], "agent": agent})
    for asks in (True, False):
        stored = {"externalId": "sender-1", "token": TOKEN, "validateToken": asks}
        for name, answer in {"good": GOOD["validateSignInToken"][1], "false": {"valid": False}, "broken": {}}.items():
            yield case(
                f"resolveMessageIdentity stored, asks {asks}: {name}", "resolveMessageIdentity", [stored], answer
            )
            raising = {**stored, "throwOnAuthError": True}
            yield case(
                f"resolveMessageIdentity raising, asks {asks}: {name}", "resolveMessageIdentity", [raising], answer
            )


# Refusals.

TYPES: Final = {
    "authentication_error": ("api_key_invalid", "token_expired"),
    "invalid_request_error": ("missing_field", "invalid_code"),
    "permission_error": ("insufficient_scope", "commit_required"),
    "tool_error": ("tool_failed", "tool_not_connected"),
    "rate_limit_error": ("too_many_requests", "quota_exceeded"),
    "api_error": ("internal",),
    "another_error": ("another",),
}
STATUSES: Final = (400, 401, 402, 403, 404, 409, 422, 429, 500, 502, 503)


def refusals() -> Iterator[Case]:
    """What each envelope of an error means, with each status."""
    bodies: dict[str, object] = {
        f"{kind} {code}": {"error": {"type": kind, "code": code, "message": "m"}}
        for kind, codes in TYPES.items()
        for code in codes
    }
    bodies |= {
        "flat": {"error": "it went wrong"},
        "flat with code": {"error": "it went wrong", "code": "missing_field", "suggested_action": "retry"},
        "flat, commit": {"error": "commit the profile first"},
        "flat, not connected": {"error": "gmail is not connected"},
        "flat, not linked": {"error": "the account is Not Linked"},
        "message": {"message": "it went wrong"},
        "OAuth": {"error": "invalid_grant", "error_description": "used"},
        "no code": {"error": {"type": "tool_error", "message": "m"}},
        "no type": {"error": {"code": "commit_required", "message": "commit first"}},
        "empty": {},
        "a list": [],
        "text": b"Bad Gateway",
        "nothing": b"",
    }
    for name, body in bodies.items():
        for status in STATUSES:
            yield case(f"{status} {name}", "validateSignInToken", None, http(body, status=status))
    full: dict[str, Any] = {
        "type": "rate_limit_error",
        "code": "too_many",
        "message": "m",
        "retryable": True,
        "retry_after": 90,
    }
    full |= {"suggested_action": "retry", "doc_url": "https://docs.configure.dev/errors", "param": "token"}
    changes: dict[str, dict[str, Any]] = {
        "all": {},
        "action object": {"suggested_action": {"type": "connect_tool", "app": "gmail"}},
        "not retryable": {"retryable": False},
        "retry_after null": {"retry_after": None},
        "retry_after text": {"retry_after": "90"},
        "retry_after fraction": {"retry_after": 0.5},
        "doc_url http": {"doc_url": "http://docs.configure.dev"},
        "doc_url null": {"doc_url": None},
    }
    for name, change in changes.items():
        answer = {"error": full | change, "request_id": "req_1"}
        yield case(f"details: {name}", "validateSignInToken", None, http(answer, status=429))
    for verb in GOOD:
        for status, kind, code in (
            (401, "authentication_error", "token_expired"),
            (403, "permission_error", "no"),
            (409, "permission_error", "commit_required"),
            (500, "api_error", "internal"),
        ):
            body = {"error": {"type": kind, "code": code, "message": "m"}}
            yield case(f"{verb}: {status}", verb, None, http(body, status=status))
    for status in (301, 302, 307, 308):
        yield case(
            f"redirect {status}",
            "exchangeSignInCode",
            None,
            http(b"", status=status, headers={"location": "/elsewhere"}),
        )
    for status in (200, 401, 500):
        yield case(f"{status} that breaks off", "validateSignInToken", None, breaking_off(status))


def breaking_off(status: int) -> Answering:
    def answer(line: Line, _: Received) -> object:
        line.write(http({"error": "it went wrong"}, status=status)[:-5])
        return CLOSE

    return answer


# Users of an OAuth token, and callbacks.

PROFILE_OF_ADA: Final = {"identity": {"name": "Ada", "email": "ada@example.com", "phone_last4": "0100"}}


def told(introspection: object, profile: object = PROFILE_OF_ADA, status: int = 200) -> Answering:
    def answer(line: Line, received: Received) -> None:
        line.write(http(introspection if received.target == "/oauth/introspect" else profile, status=status))

    return answer


def users() -> Iterator[Case]:
    """Whom an access token is for, by an introspection and a read of the identity."""
    good = {"active": True, "sub": USER, "client_id": "oc_client", "exp": 4_000_000_000}
    for name, introspection in {
        "good": good,
        "inactive": {"active": False},
        "without sub": {"active": True},
        "another client": {**good, "client_id": "oc_other"},
        "another agent": {**good, "agent": "other-agent"},
        "expired": {**good, "exp": 1},
        **{f"active {kind}": {**good, "active": value} for kind, value in WRONG.items()},
        **{f"sub {kind}": {**good, "sub": value} for kind, value in WRONG.items()},
    }.items():
        yield case(name, "getUserInfo", [TOKEN], told(introspection))
    identities: dict[str, dict[str, Any]] = {
        "nothing": {},
        "another user": {"sub": "another"},
        "the same user": {"sub": USER},
        "email verified": {"email": "ada@example.com", "email_verified": True},
        "email alone": {"email": "ada@example.com"},
        "no email": {"name": "Ada"},
        "objects": {"name": {"value": "Ada"}, "email": {"value": "ada@example.com"}},
        **{f"name {kind}": {"name": value} for kind, value in WRONG.items()},
        **{f"email {kind}": {"email": value} for kind, value in WRONG.items()},
    }
    for name, identity in identities.items():
        yield case(f"identity: {name}", "getUserInfo", [TOKEN], told(good, {"identity": identity}))
    for status in (401, 403, 500):
        refusal = {"error": {"type": "authentication_error", "code": "token_expired", "message": "m"}}
        yield case(f"{status}", "getUserInfo", [TOKEN], told(refusal, refusal, status))


def callbacks() -> Iterator[Case]:
    """The registration of the login's callback."""
    shop = "https://shop.example/auth/configure/callback"
    for uri in (
        shop,
        "https://shop.example",
        "https://Shop.Example/x",
        "https://shop.example:443/x",
        "https://shop.example/a b",
        "https://shop.example/*",
        "https://*.shop.example/x",
        "https://shop.example/x#y",
        "https://shop.example/x#",
        "https://u:p@shop.example/x",
        "https://@shop.example/x",
        "https://shop.example/x?y=1",
        "http://shop.example/x",
        "http://localhost:3000/x",
        "http://127.0.0.1:3000/x",
        "http://[::1]:3000/x",
        "ftp://localhost/x",
        "javascript://localhost/x",
        "myapp://x",
        "/x",
        "shop.example/x",
    ):
        answer = {"redirect_uris": [uri], "changed": True}
        yield case(f"uri: {uri}", "ensureSsoCallback", [uri], answer)
    for name, body in {
        "changed": {"redirect_uris": [shop], "changed": True},
        "unchanged": {"redirect_uris": [shop], "changed": False},
        "changed missing": {"redirect_uris": [shop]},
        "camel": {"redirectUris": [shop], "changed": True},
        "nothing": {},
        "uris text": {"redirect_uris": shop, "changed": True},
        "uris null": {"redirect_uris": None, "changed": True},
        "uris of others": {"redirect_uris": ["https://other.example/x"], "changed": True},
    }.items():
        yield case(f"response: {name}", "ensureSsoCallback", [shop], body)
    yield case("response: text", "ensureSsoCallback", [shop], http(b"<!doctype html>", content_type="text/html"))
    for status in (201, 301, 400, 401, 403, 404, 409, 429, 500):
        yield case(f"status: {status}", "ensureSsoCallback", [shop], http({"error": "no"}, status=status))


GROUPS: Final = {
    "urls": urls,
    "requests": requests,
    "responses": responses,
    "refusals": refusals,
    "callbacks": callbacks,
    "users": users,
}


# What became of a case, in one form.

KEYWORDS: Final = {
    "from": "date_from",
    "to": "date_to",
    "throw_on_auth_error": "raise_on_auth_error",
    "subject.key": "subject_key",
    "subject.external_id": "external_id",
    "subject.sender_id": "sender_id",
    "thread.key": "thread_key",
    "thread.space_id": "space_id",
    "thread.message_id": "message_id",
}
ONE_TEXT: Final = [verb for verb, names in TEXT_OF.items() if names is None and verb not in ("remember", "forget")]
FIRST: Final = {"search": "query", "forget": "id", "remember": "fact"}
ANY_ID = re.compile(r"(session|scope)_[0-9a-f-]{36}")
CRITERIA = re.compile(r'(?<="memory_criteria":)"[^"]*"')
HEADERS: Final[tuple[str, ...]] = (
    "content-type",
    "x-api-key",
    "x-agent",
    "authorization",
    "x-user-id",
    "x-configure-read-id",
)
OWN_HEADERS: Final[tuple[str, ...]] = ("x-configure-session-id", "x-configure-runtime-scope-id")

Outcome = dict[str, Any]


def arguments(verb: str, given: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The official SDK's arguments as ours."""
    positional = list(given)
    options: dict[str, Any] = {}
    if len(positional) > (verb == "remember") and isinstance(positional[-1], dict) and verb not in ONE_TEXT:
        for name, value in positional.pop().items():
            if name in ("subject", "thread") and isinstance(value, dict):
                options |= {KEYWORDS[f"{name}.{snake(part)}"]: item for part, item in value.items()}
            else:
                options[KEYWORDS.get(snake(name), snake(name))] = value
    if positional and verb in FIRST:
        options = {FIRST[verb]: positional.pop(0)} | options
    return positional, options


def of_official(sdk: Sdk, url: str, case: Case) -> Outcome:
    try:
        if case.verb == "getUserInfo":
            value = sdk.user_info_at(url, *case.given)
        elif case.verb == "ensureSsoCallback":
            keys = {"clientId": "oc_client", "apiKey": "sk_key", "baseUrl": url}
            value = sdk.module("ensureSsoCallback", {**keys, "redirectUri": case.given[0]})
        elif case.subject is None:
            value = sdk.auth(case.verb, *case.given)
        else:
            value = sdk.fresh_profile(case.subject, case.verb, *case.given)
    except SdkError as error:
        return {"error": error.code, "status": error.status, "action": error.suggested_action} | {
            name: error.fields.get(key) for name, key in {"retry_after": "retryAfter", "request": "requestId"}.items()
        }
    return {"value": shape_of_official(case.verb, respelled(value, snake))}


def our_user(configure: Configure, token: str) -> Any:
    perform = Performer(configure, memory_stores(), None, lambda _: None)
    flow = fetch_identity(configure.settings, Secret(token), ("profile.read",), time.time)
    user_id, profile = run(flow, perform)
    return {"sub": user_id, "identity": None if profile is None else profile.identity}


def our_callback(configure: Configure, uri: str) -> Any:
    try:
        done = configure.send(add_redirect_uris(configure.settings, "oc_client", [uri]))
    except ConfigureError:
        return {"status": "failed"}
    status = "registered" if done.changed else "already-registered"
    return {"status": status, "redirect_uri": uri, "registered": done.redirect_uris}


def of_ours(configure: Configure, case: Case) -> Outcome:
    positional, options = arguments(case.verb, case.given)
    try:
        if case.verb == "getUserInfo":
            value = our_user(configure, case.given[0])
        elif case.verb == "ensureSsoCallback":
            value = our_callback(configure, case.given[0])
        elif case.subject is None:
            value = getattr(configure.auth, snake(case.verb))(*positional, **options)
        else:
            subject = {snake(name): value for name, value in case.subject.items()}
            value = getattr(configure.profile(**subject), snake(case.verb))(*positional, **options)
    except SignInError as error:
        return {"error": str(error.code)}
    except ConfigureError as error:
        return {
            "error": str(error.code),
            "status": error.status_code,
            "action": error.suggested_action,
            "retry_after": error.retry_after,
            "request": error.request_id,
        }
    except (SettingsError, TypeError, AttributeError) as error:
        return {"error": type(error).__name__}
    return {"value": shape_of_ours(case.verb, value)}


def shape_of_official(verb: str, value: Any) -> Any:
    if verb == "ensureSsoCallback" and value["status"] == "failed":
        value = {"status": "failed"}
    if verb == "recognizePhone":
        value = {name: item for name, item in value.items() if name not in ("matched", "linked", "agent_token")}
    if verb == "read":
        beside = ("portable", "filtered", "hidden_sources")
        profile = {name: item for name, item in value["profile"].items() if name not in beside}
        value = {**value, "profile": profile}
    if verb == "search":
        told = value.pop("diagnostic", None) or {}
        value |= {"status": told.get("status"), "guidance": told.get("message")}
        value["results"] = [without_aliases(memory) for memory in value["results"]]
    if verb == "remember" and isinstance(value, dict):
        value["memory"] = without_aliases(value.get("memory"))
    if verb == "connect":
        value.pop("mcp_result", None)
    return without_nothing(value)


def shape_of_ours(verb: str, value: Any) -> Any:
    plain = plainly(value)
    if verb == "getUserInfo":
        identity = plain.pop("identity")
        plain |= {name: item for name, item in identity.items() if name != "claimed_user_id"}
    elif verb == "listSignInReturnDestinations":
        plain = {"destinations": plain}
    elif verb == "listMessageLines":
        plain = {"lines": plain}
    elif verb == "registerMessageLine":
        plain = {"line": plain}
    elif verb == "resolveMessageIdentity":
        plain["linked"] = value.linked
    elif verb == "read":
        plain.pop("identity")
        profile = plain.pop("sections")
        for name in ("portable", "filtered", "hidden_sources", "hiddenSources"):
            profile.pop(name, None)
        plain["profile"] = respelled(profile, snake)
    return without_nothing(plain)


def plainly(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plainly(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: plainly(item) for name, item in value.items()}
    return [plainly(item) for item in value] if isinstance(value, list | tuple) else value


def without_aliases(memory: Any) -> Any:
    """Of a memory's two names for one day, the newer."""
    if isinstance(memory, dict) and memory.get("created_at") == memory.get("saved_on"):
        return {name: item for name, item in memory.items() if name != "created_at"}
    return memory


def without_nothing(value: Any) -> Any:
    """Leave out what says nothing: null, empty, and a false that stands for "not said"."""
    if isinstance(value, dict):
        kept = {name: without_nothing(item) for name, item in value.items()}
        absent = ("truncated", "suppressed", "filtered")
        return {
            name: item
            for name, item in kept.items()
            if item not in (None, [], {}, "") and not (item is False and name in absent)
        }
    return [without_nothing(item) for item in value] if isinstance(value, list) else value


def sent(received: Received) -> dict[str, Any]:
    """A request, as far as both clients send the same."""
    headers = {name: received.headers[name] for name in HEADERS if name in received.headers}
    headers |= {name: "its own" for name in OWN_HEADERS if name in received.headers}
    body = CRITERIA.sub('"its own"', ANY_ID.sub(r"\1_its_own", received.body.decode()))
    return {"request": f"{received.method} {received.target}", "headers": headers, "body": body}


@dataclass(frozen=True)
class Difference:
    """A case in which the two sent something else, or came to another end."""

    case: str
    theirs: Outcome
    ours: Outcome

    def __str__(self) -> str:
        """What differs, in a few words: theirs first."""
        theirs, ours = self.theirs, self.ours
        parts = []
        if len(theirs["sent"]) != len(ours["sent"]):
            parts.append(f"sent {len(theirs['sent'])}|{len(ours['sent'])}")
        else:
            changed = {
                name
                for one, other in zip(theirs["sent"], ours["sent"], strict=True)
                for name in one
                if one[name] != other[name]
            }
            parts += [f"sent {name}" for name in sorted(changed)]
        ends = [end.get("error", "value") for end in (theirs, ours)]
        if ends[0] != ends[1]:
            parts.append("|".join(ends))
        elif ends[0] == "value":
            parts += [f"value {path}" for path in sorted(set(paths(theirs["value"], ours["value"])))]
        parts += [
            name
            for name in ("status", "action", "retry_after", "request")
            if ends != ["value", "value"] and "value" not in ends and theirs.get(name) != ours.get(name)
        ]
        return ", ".join(parts)


def paths(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one | other:
            yield from paths(one.get(name), other.get(name), f"{path}.{name}" if path else name)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for first, second in zip(one, other, strict=True):
            yield from paths(first, second, path)
    elif one != other:
        yield path


def differences(sdk: Sdk, configure: Configure, server: Server, cases: Iterator[Case]) -> tuple[int, list[Difference]]:
    """Run the cases; how many they are, and those that differ."""
    found: list[Difference] = []
    seen: set[str] = set()
    for one in cases:
        assert one.name not in seen, one.name
        seen.add(one.name)
        ends: list[Outcome] = []
        for theirs in (True, False):
            server.received.clear()
            server.answers(one.response)
            end = of_official(sdk, server.url, one) if theirs else of_ours(configure, one)
            requests = sorted(map(sent, server.received), key=lambda request: str(request["request"]))
            # Both ask two things at once about a user, and the first failure ends the other call, sent or not.
            ends.append({"sent": [] if one.verb == "getUserInfo" and one.name != "good" else requests, **end})
        if ends[0] != ends[1]:
            found.append(Difference(one.name, *ends))
    return len(seen), found
