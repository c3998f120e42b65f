"""The verbs of a profile, one by one: what they send, and what they refuse to send."""

from __future__ import annotations

import asyncio
import json
import pydoc
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, assert_type

import pytest

from configure_auth.client.client import AsyncConfigure, Configure, Profile
from configure_auth.client.commits import CommitCalls, CommitResponse
from configure_auth.client.memories import ForgetResponse, RememberResponse, SearchResponse
from configure_auth.errors import ApiCode
from configure_auth.sandbox import Sandbox
from configure_auth.settings import Settings

from .conftest import http
from .talking import SCOPE, refused, talk

if TYPE_CHECKING:
    from .conftest import Server

ALWAYS = {"host", "accept", "accept-encoding", "user-agent", "content-length"}
EVERYTHING = {"results": [], "saved": True, "deleted": True, "status": "processing"}
USER = {"role": "user", "content": "Hi"}


# What is sent

REQUESTS: list[tuple[Callable[[Any], object], str, str, object]] = [
    (lambda p: p.search(), "GET", "/v1/profile/search?query=*", None),
    (
        lambda p: p.search(
            "tea & cake\n?",
            source="chatgpt",
            box="projects/x",
            date_from=date(2026, 1, 2),
            date_to="2026-01-03",
            limit=5,
            detail="full",
        ),
        "GET",
        "/v1/profile/search?query=tea+%26+cake%0A%3F&box=projects%2Fx&source=chatgpt"
        "&from=2026-01-02&to=2026-01-03&limit=5&detail=full",
        None,
    ),
    (
        lambda p: p.search(date_from=datetime(2026, 1, 2, 23, tzinfo=UTC)),
        "GET",
        "/v1/profile/search?query=*&from=2026-01-02",
        None,
    ),
    (
        lambda p: p.remember("Likes\ntea é\U0001f600"),
        "POST",
        "/v1/profile/remember",
        {"fact": "Likes\ntea é\U0001f600"},
    ),
    (
        lambda p: p.remember("Stuck", box="projects/x", kind="blocker", reply_to="mem_1", resolves="mem_2"),
        "POST",
        "/v1/profile/remember",
        {"fact": "Stuck", "box": "projects/x", "kind": "blocker", "reply_to": "mem_1", "resolves": "mem_2"},
    ),
    (lambda p: p.forget(id="mem_1"), "POST", "/v1/profile/forget", {"id": "mem_1"}),
    (
        lambda p: p.forget(id="mem_1", date=date(2026, 1, 2), reason="user_request"),
        "POST",
        "/v1/profile/forget",
        {"id": "mem_1", "date": "2026-01-02", "reason": "user_request"},
    ),
    (lambda p: p.forget(match="tea"), "POST", "/v1/profile/forget", {"match": "tea"}),
    (
        lambda p: p.forget(match="tea", confirm=False),
        "POST",
        "/v1/profile/forget",
        {"match": "tea", "confirm": False},
    ),
    (lambda p: p.forget(import_id="imp_1"), "POST", "/v1/profile/forget", {"import_id": "imp_1"}),
    (lambda p: p.forget(scope="imports"), "POST", "/v1/profile/forget", {"scope": "imports"}),
]


@pytest.mark.parametrize("awaited", [False, True], ids=["blocking", "awaited"])
@pytest.mark.parametrize("subject", [{"token": "tok"}, {"external_id": "usr é"}], ids=["linked", "unlinked"])
@pytest.mark.parametrize(("act", "method", "target", "body"), REQUESTS)
def test_requests(
    server: Server,
    act: Callable[[Any], Any],
    method: str,
    target: str,
    body: object,
    subject: dict[str, Any],
    awaited: bool,
) -> None:
    server.answers(http(EVERYTHING))

    async def main() -> None:
        async with AsyncConfigure(server.settings) as configure:
            await act(configure.profile(**subject))

    if awaited:
        asyncio.run(main())
    else:
        with Configure(server.settings) as configure:
            act(configure.profile(**subject))

    (received,) = server.received
    sent = {name: value for name, value in received.headers.items() if name not in ALWAYS}
    scope = {name: sent.pop(name, None) for name in ("x-configure-session-id", "x-configure-runtime-scope-id")}
    assert (received.method, received.target) == (method, target)
    assert sent == {
        "content-type": "application/json",
        "x-api-key": "sk_key",
        "x-agent": "acme",
    } | ({"authorization": "Bearer tok"} if "token" in subject else {"x-user-id": "usr é"})
    # Writes belong to no scope.
    assert all(scope.values()) == (method == "GET")
    assert any(scope.values()) == (method == "GET")
    assert (json.loads(received.body) if received.body else None) == body


def test_a_commit_names_the_scope_in_its_headers_and_its_body(server: Server) -> None:
    server.answers(http(EVERYTHING))
    with Configure(server.settings) as configure:
        configure.profile(token="tok").commit(
            messages=[{"role": "tool", "content": " 7 ", "tool_name": "sum", "id": "not sent"}, USER],
            memories=[" Likes tea. "],
            tool_results=[{"tool_name": "sum", "content": {"a": [1, None]}}, {"toolName": "sum", "content": "7"}],
            sync=True,
            memory_criteria="Drinks,\nnothing else.",
        )
    (received,) = server.received
    body = json.loads(received.body)
    assert (received.method, received.target) == ("POST", "/v1/profile/commit")
    assert list(body) == [
        *("messages", "memories", "toolResults", "session_id", "runtime_scope_id", "memory_criteria", "sync")
    ]
    assert body.pop("session_id") == received.headers["x-configure-session-id"]
    assert body.pop("runtime_scope_id") == received.headers["x-configure-runtime-scope-id"]
    assert "x-configure-read-id" not in received.headers
    assert body == {
        "messages": [{"role": "tool", "content": " 7 ", "toolName": "sum"}, USER],
        "memories": ["Likes tea."],
        "toolResults": [{"toolName": "sum", "content": {"a": [1, None]}}, {"toolName": "sum", "content": "7"}],
        "memory_criteria": "Drinks,\nnothing else.",
        "sync": True,
    }


def test_what_a_commit_looks_for_is_said_even_where_the_caller_doesnt(server: Server) -> None:
    server.answers(http(EVERYTHING))
    with Configure(server.settings) as configure:
        configure.profile(token="tok").commit(messages=[USER])
    body = json.loads(server.received[0].body)
    assert body["memory_criteria"].startswith("Lasting facts")
    assert "sync" not in body


# What is never sent

LOOP: dict[str, Any] = {}
LOOP["loop"] = LOOP
REFUSED: list[Callable[[Any], object]] = [
    lambda p: p.search(""),
    lambda p: p.search(" \n"),
    lambda p: p.search(5),
    lambda p: p.search("x" * 2049),
    lambda p: p.search("\ud800"),
    lambda p: p.search(source=""),
    lambda p: p.search(source="a\nb"),
    lambda p: p.search(box="x" * 256),
    lambda p: p.search(date_from="yesterday"),
    lambda p: p.search(date_from="2026-01-02\n"),
    lambda p: p.search(date_from="\u0662\u0660\u0662\u0666-\u0660\u0661-\u0660\u0662"),
    lambda p: p.search(date_to=20260102),
    lambda p: p.search(limit=0),
    lambda p: p.search(limit=True),
    lambda p: p.search(limit="5"),
    lambda p: p.search(limit=10**5000),
    lambda p: p.search(detail="all"),
    lambda p: p.remember(""),
    lambda p: p.remember(["Likes tea"]),
    lambda p: p.remember("x" * 16_001),
    lambda p: p.remember("\ud800"),
    lambda p: p.remember("x", box=" "),
    lambda p: p.remember("x", kind=5),
    lambda p: p.remember("x", resolves="a\0"),
    lambda p: p.forget(),
    lambda p: p.forget(confirm=True),
    lambda p: p.forget(id="mem_1", match="tea"),
    lambda p: p.forget(id="mem_1", import_id="imp_1"),
    lambda p: p.forget(match="tea", scope="all"),
    lambda p: p.forget(import_id="imp_1", scope="all"),
    lambda p: p.forget(id=""),
    lambda p: p.forget(id="", scope="all"),
    lambda p: p.forget(id=5),
    lambda p: p.forget(match=" "),
    lambda p: p.forget(scope="everything"),
    lambda p: p.forget(scope=["all"]),
    lambda p: p.forget(id="mem_1", confirm=True),
    lambda p: p.forget(match="tea", confirm="yes"),
    lambda p: p.forget(id="mem_1", date="2026"),
    lambda p: p.forget(id="mem_1", reason="why not"),
    lambda p: p.commit(),
    lambda p: p.commit(messages=[], memories=(), tool_results=[]),
    lambda p: p.commit(messages="Hi"),
    lambda p: p.commit(messages=USER),
    lambda p: p.commit(messages=["Hi"]),
    lambda p: p.commit(messages=[{"content": "Hi"}]),
    lambda p: p.commit(messages=[{"role": "system", "content": "You are an agent."}]),
    lambda p: p.commit(messages=[{"role": ["user"], "content": "Hi"}]),
    lambda p: p.commit(messages=[{"role": "user"}]),
    lambda p: p.commit(messages=[{"role": "user", "content": " "}]),
    lambda p: p.commit(messages=[{"role": "user", "content": 7}]),
    lambda p: p.commit(messages=[{"role": "user", "content": "\ud800"}]),
    lambda p: p.commit(messages=[{**USER, "tool_name": ""}]),
    lambda p: p.commit(messages=[{**USER, "content": "x" * 16_001}]),
    lambda p: p.commit(messages=[{**USER, "content": "\U0001f600" * 8001}]),
    lambda p: p.commit(messages=[USER] * 21),
    lambda p: p.commit(messages=[{**USER, "content": "x" * 12_501}] * 4),
    lambda p: p.commit(memories="Tea"),
    lambda p: p.commit(memories=[{"text": "Likes tea"}]),
    lambda p: p.commit(memories=["\n"]),
    lambda p: p.commit(memories=["x" * 1001]),
    lambda p: p.commit(memories=["x"] * 21),
    lambda p: p.commit(memories=["x" * 1000] * 20, messages=[{**USER, "content": "x" * 15_001}] * 2),
    lambda p: p.commit(tool_results=[{"tool_name": "t"}]),
    lambda p: p.commit(tool_results=[{"content": "7"}]),
    lambda p: p.commit(tool_results=["7"]),
    lambda p: p.commit(tool_results=[{"tool_name": "t", "content": 7}]),
    lambda p: p.commit(tool_results=[{"tool_name": "t", "content": {"a": object()}}]),
    lambda p: p.commit(tool_results=[{"tool_name": "t", "content": [float("nan")]}]),
    lambda p: p.commit(tool_results=[{"tool_name": "t", "content": LOOP}]),
    lambda p: p.commit(tool_results=[{"tool_name": "t", "content": ["\ud800"]}]),
    lambda p: p.commit(tool_results=[{"tool_name": "t", "content": ["x" * 50_000]}]),
    lambda p: p.commit(messages=[USER], sync="yes"),
    lambda p: p.commit(messages=[USER], memory_criteria=" "),
    lambda p: p.commit(messages=[USER], memory_criteria="x" * 1001),
    lambda p: p.note(messages=[USER]),
]


@pytest.mark.parametrize("act", REFUSED)
def test_what_cannot_be_right_is_refused_before_it_is_sent(server: Server, act: Callable[[Any], object]) -> None:
    server.answers(http(EVERYTHING))
    with Configure(server.settings) as configure:
        error = refused(lambda: act(configure.profile(token="tok")))
    assert (error.code, error.retryable) == (ApiCode.INVALID_INPUT, False)
    assert server.received == []


@pytest.mark.parametrize(
    "parts",
    [
        {"messages": [{**USER, "content": "x" * 2500}] * 20},
        {"messages": [{**USER, "content": "x" * 16_000}] * 3},
        {"messages": [{**USER, "content": "\U0001f600" * 8000}]},
        {"messages": [{**USER, "content": "x" * 10_000}] * 3, "memories": ["x" * 1000] * 20},
        {"tool_results": [{"tool_name": "t", "content": ["x" * 49_993]}, {"tool_name": "t", "content": "x"}]},
        {"tool_results": [{"tool_name": "t", "content": {}}]},
    ],
)
def test_a_commit_up_to_the_limit_is_sent(server: Server, parts: dict[str, Any]) -> None:
    server.answers(http(EVERYTHING))
    with Configure(server.settings) as configure:
        configure.profile(token="tok").commit(**parts)
    assert len(server.received) == 1


def test_a_refused_commit_shows_nothing_of_what_was_said() -> None:
    error = refused(lambda: CommitCalls(talk()).commit(messages=[{"role": "CANARY", "content": "CANARY"}]))
    assert "CANARY" not in str(error)
    call = CommitCalls(talk()).commit(messages=[{"role": "user", "content": "CANARY"}], memories=["CANARY"])
    assert "CANARY" not in repr(call)


# Against the sandbox


def client_settings(sandbox: Sandbox) -> Settings:
    return Settings.from_mapping(sandbox.environment())


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "unlinked"])
def test_remember_search_and_forget(configure_sandbox: Sandbox, linked: bool) -> None:
    person = configure_sandbox.add_person(name="Ada")
    token = configure_sandbox.issue_agent_token(person)
    subject: dict[str, Any] = {"token": token} if linked else {"external_id": "u1"}
    with Configure(client_settings(configure_sandbox)) as configure:
        tea = configure.profile(**subject).remember("Likes green tea", kind="claim")
        configure.profile(**subject).remember("Lives in Leeds")
        assert (tea.saved, tea.app, tea.fact) == (True, "demo-agent", "Likes green tea")
        assert tea.memory is not None

        (hit,) = configure.profile(**subject).search("TEA", limit=5).results
        assert (hit.id, hit.text, hit.written_by) == (tea.memory.id, "Likes green tea", "demo-agent")
        assert len(configure.profile(**subject).search().results) == 2
        nothing = configure.profile(**subject).search("coffee")
        assert (nothing.results, nothing.guidance, nothing.status) == ((), "nothing matched", "no_matches")

        preview = configure.profile(**subject).forget(match="leeds")
        assert (preview.deleted, preview.deleted_count, preview.matched) == (False, 0, 1)
        assert [match.text for match in preview.matches] == ["Lives in Leeds"]
        assert configure.profile(**subject).forget(match="leeds", confirm=True).deleted_count == 1
        assert configure.profile(**subject).forget(id=hit.id).deleted_ids == (hit.id,)
        gone = refused(lambda: configure.profile(**subject).forget(id=hit.id))
        assert gone.backend_code == "memory_not_found"
        assert configure.profile(**subject).forget(scope="all") == ForgetResponse(deleted=False)
        assert configure.profile(**subject).search().results == ()


def test_a_scope_that_wasnt_granted_comes_as_it_is(configure_sandbox: Sandbox) -> None:
    configure_sandbox.fault("/v1/profile/remember", status=403, body={"error": {**SCOPE, "code": "insufficient_scope"}})
    token = configure_sandbox.issue_agent_token(configure_sandbox.add_person())
    with Configure(client_settings(configure_sandbox)) as configure:
        error = refused(lambda: configure.profile(token=token).remember("Likes tea"))
    assert (error.code, error.backend_code) == (ApiCode.ACCESS_DENIED, "insufficient_scope")
    assert "connect Configure" not in str(error)


def test_verbs_have_types_and_help_on_both_sides(server: Server) -> None:
    server.answers(http(EVERYTHING))
    with Configure(server.settings) as configure:
        profile = configure.profile(token="tok")
        assert_type(profile.search("tea"), SearchResponse)
        assert_type(profile.remember("tea"), RememberResponse)
        assert_type(profile.forget(id="mem_1"), ForgetResponse)
        assert_type(profile.commit(memories=["tea"]), CommitResponse)
        assert_type(profile.owes_commit(), bool)
        with assert_type(profile, Profile) as entered:
            assert_type(entered, Profile)
        for verb in (profile.read, profile.search, profile.remember, profile.forget, profile.commit, profile.note):
            told = pydoc.plain(pydoc.render_doc(verb))
            assert "Raises:" in told
            assert "Call[" not in told
            assert "conversation:" not in told

    async def main() -> None:
        async with AsyncConfigure(server.settings) as configure:
            profile = configure.profile(external_id="e")
            waiting = assert_type(profile.search("tea"), Coroutine[Any, Any, SearchResponse])
            assert (await waiting).results == ()
            assert_type(await profile.commit(messages=[USER]), CommitResponse)
            assert_type(profile.owes_commit(), bool)

    asyncio.run(main())
