"""The verbs of a profile, one by one: what they send, what they refuse to send, how their answers are read."""

from __future__ import annotations

import asyncio
import json
import pydoc
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, assert_type

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configure_auth.api import commits, conversation, memories
from configure_auth.api.call import Call, Reply
from configure_auth.api.client import AsyncConfigure, Configure, Profile
from configure_auth.api.commits import Committed, RejectedMemory, WrittenMemory
from configure_auth.api.conversation import Conversation
from configure_auth.api.memories import Forgotten, Hit, Remembered, SearchAnswer
from configure_auth.api.profile import Subject
from configure_auth.errors import ApiCode, ConfigureError
from configure_auth.sandbox import Sandbox
from configure_auth.settings import Settings
from configure_auth.values import Secret

from .conftest import http

if TYPE_CHECKING:
    from .conftest import Server

SETTINGS = Settings(api_key=Secret("sk_key"), agent="acme")
LINKED = Subject(token="tok")
UNLINKED = Subject(external_id="e1")
ALWAYS = {"host", "accept", "accept-encoding", "user-agent", "content-length"}
EVERYTHING = {"results": [], "saved": True, "deleted": True, "status": "processing"}
USER = {"role": "user", "content": "Hi"}


def talk(subject: Subject = LINKED) -> Conversation:
    return Conversation(SETTINGS, subject)


def reply(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, headers={"content-type": "application/json", **(headers or {})}, content=content)


def refused(act: Callable[[], object]) -> ConfigureError:
    with pytest.raises(ConfigureError) as caught:
        act()
    return caught.value


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
    lambda p: p.commit(messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]),
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
    error = refused(lambda: commits.commit(talk(), messages=[{"role": "CANARY", "content": "CANARY"}]))
    assert "CANARY" not in str(error)
    call = commits.commit(talk(), messages=[{"role": "user", "content": "CANARY"}], memories=["CANARY"])
    assert "CANARY" not in repr(call)


# How answers are read


def found(body: object) -> SearchAnswer:
    return memories.search(talk()).parse(reply(body))


FULL_HIT = Hit(
    id="mem_1",
    text="Likes tea.\nGreen.",
    title="Tea",
    snippet="Likes",
    source="chatgpt",
    written_by="acme",
    saved_on="2026-01-02",
    updated_at="2026-01-03",
    event_at="2026-01-01",
    score=0.5,
    type="memory",
    kind="claim",
    path="/agents/acme/mem_1.json",
    markers=("private",),
    provenance=MappingProxyType({"import": 1}),
)
WIRE_HIT = {
    "id": "mem_1",
    "text": "Likes tea.\r\nGreen.\0",
    "title": "Tea",
    "snippet": "Likes",
    "source": "chatgpt",
    "written_by": "acme",
    "saved_on": "2026-01-02",
    "updated_at": "2026-01-03",
    "event_at": "2026-01-01",
    "score": 0.5,
    "type": "memory",
    "kind": "claim",
    "path": "/agents/acme/mem_1.json",
    "markers": ["private", 5],
    "provenance": {"import": 1},
}


def camel(fields: Mapping[str, object]) -> dict[str, object]:
    def renamed(name: str) -> str:
        head, *rest = name.split("_")
        return head + "".join(map(str.capitalize, rest))

    return {renamed(name): value for name, value in fields.items()}


class TestSearch:
    @pytest.mark.parametrize("listed", ["results", "memories"])
    @pytest.mark.parametrize("hit", [WIRE_HIT, camel(WIRE_HIT)], ids=["snake", "camel"])
    def test_hits_in_every_spelling(self, listed: str, hit: dict[str, object]) -> None:
        assert found({listed: [hit]}).hits == (FULL_HIT,)

    def test_older_names(self) -> None:
        (hit,) = found(
            {"results": [{"content": "a", "agent": "b", "created_at": "2026-01-02T03:04:05Z", "date": "c"}]}
        ).hits
        assert hit == Hit(text="a", source="b", saved_on="2026-01-02T03:04:05Z", event_at="c")
        (hit,) = found({"results": [{"saved_on": "2026-01-02", "created_at": "2026-01-01", "snippet": "s"}]}).hits
        assert (hit.saved_on, hit.text, hit.snippet) == ("2026-01-02", "s", "s")

    @pytest.mark.parametrize("name", ["guidance", "diagnostic"])
    def test_guidance_in_every_shape(self, name: str) -> None:
        assert found({name: "nothing matched"}).guidance == "nothing matched"
        told = found({name: {"status": "no_matches", "message": "nothing matched", "next_action": 5}})
        assert (told.guidance, told.status) == ("nothing matched", "no_matches")
        assert found({name: ["x"]}).guidance is None
        assert found({"guidance": "new", "diagnostic": "old"}).guidance == "new"

    def test_what_comes_with_the_hits(self) -> None:
        answer = found({"results": [], "visible_sources": ["memories", 5], "truncated": True})
        assert answer == SearchAnswer(hits=(), visible_sources=("memories",), truncated=True)
        assert found({"visibleSources": ["a"], "truncated": "yes"}) == SearchAnswer(hits=(), visible_sources=("a",))

    @pytest.mark.parametrize("value", [5, "x", {"id": "a"}, [5, "x", None, [{}]]])
    def test_what_is_no_hit_is_left_out(self, value: object) -> None:
        assert found({"results": value}).hits == ()

    @pytest.mark.parametrize(
        ("hostile", "kept"),
        [
            ({"id": ["x"]}, Hit()),
            ({"id": "a\nb"}, Hit()),
            ({"text": "\u202ea\x1b[31m\ud800b\u2028"}, Hit(text="a[31mb")),
            ({"text": "x" * 100_000}, Hit(text="x" * 100_000)),
            ({"text": {"value": "a"}}, Hit(text="a")),
            ({"score": True}, Hit()),
            ({"score": "1"}, Hit()),
            ({"score": 10**400}, Hit()),
            ({"score": 3}, Hit(score=3.0)),
            ({"provenance": ["x"]}, Hit()),
            ({"source": "x" * 1000}, Hit(source="x" * 256)),
        ],
    )
    def test_hostile_fields_are_cut_or_dropped(self, hostile: dict[str, object], kept: Hit) -> None:
        assert found({"results": [hostile]}).hits == (kept,)

    def test_values_are_frozen(self) -> None:
        (hit,) = found({"results": [WIRE_HIT]}).hits
        with pytest.raises(AttributeError):
            hit.text = "other"  # type: ignore[misc]
        with pytest.raises(TypeError):
            hit.provenance["import"] = 2  # type: ignore[index]
        assert "tea" not in repr(hit)


class TestRemember:
    def test_what_became_of_a_fact(self) -> None:
        body = {"saved": True, "app": "acme", "fact": "Likes tea", "memory": {"id": "mem_1", "text": "Likes tea"}}
        assert memories.remember(talk(), "Likes tea").parse(reply(body)) == Remembered(
            saved=True, app="acme", fact="Likes tea", memory=Hit(id="mem_1", text="Likes tea")
        )
        told = memories.remember(talk(), "x").parse(reply({"saved": False, "message": "suppressed", "memory": "?"}))
        assert told == Remembered(saved=False, message="suppressed")

    @pytest.mark.parametrize("saved", [None, 1, "true", []])
    def test_an_answer_that_doesnt_say_is_no_success(self, saved: object) -> None:
        error = refused(lambda: memories.remember(talk(), "x").parse(reply({"saved": saved})))
        assert error.code is ApiCode.SERVER_ERROR


class TestForget:
    @pytest.mark.parametrize(
        ("body", "forgotten"),
        [
            ({"deleted": True, "id": "mem_1"}, Forgotten(deleted=True, count=1, ids=("mem_1",))),
            ({"deleted": False, "id": "mem_1"}, Forgotten(deleted=False)),
            (
                {"deleted": True, "deleted_count": 2, "deleted_ids": ["a", "b"], "suppressed": True},
                Forgotten(deleted=True, count=2, ids=("a", "b"), suppressed=True),
            ),
            (
                {"deleted": True, "deletedCount": 1500, "deletedIds": ["a"], "message": "m"},
                Forgotten(deleted=True, count=1500, ids=("a",), message="m"),
            ),
            (
                {"deleted": False, "matched": 1, "matches": [{"id": "a", "text": "t"}]},
                Forgotten(deleted=False, matched=1, matches=(Hit(id="a", text="t"),)),
            ),
            ({"matched": 0}, Forgotten(deleted=False, matched=0)),
        ],
    )
    def test_what_was_forgotten(self, body: object, forgotten: Forgotten) -> None:
        assert memories.forget(talk(), scope="all").parse(reply(body)) == forgotten

    @pytest.mark.parametrize("body", [{}, {"deleted": "true"}, {"deleted": 1}, {"matched": "2"}, {"deleted_count": 1}])
    def test_an_answer_that_doesnt_say_is_no_success(self, body: object) -> None:
        error = refused(lambda: memories.forget(talk(), scope="all").parse(reply(body)))
        assert error.code is ApiCode.SERVER_ERROR


class TestCommit:
    @pytest.mark.parametrize("spelled", [dict, camel], ids=["snake", "camel"])
    def test_what_became_of_it(self, spelled: Callable[[Mapping[str, object]], dict[str, object]]) -> None:
        written = {"id": "mem_1", "path": "/p", "source": "memories", "written_by": "acme", "created_at": "2026"}
        body = {
            "status": "completed",
            "facts_written": ["Likes tea", 5],
            "memories_written": [spelled(written | {"type": "t", "marker": "m"}), "?"],
            "obligations_committed": ["read_1"],
            "rejected_memories": [{"memory": "x", "reason": "too vague"}, {}],
            "user_summary": "Drinks\ntea.",
        }
        assert commits.commit(talk(), memories=["x"]).parse(reply(spelled(body))) == Committed(
            status="completed",
            facts_written=("Likes tea",),
            memories_written=(
                WrittenMemory(
                    id="mem_1", path="/p", source="memories", written_by="acme", saved_on="2026", type="t", marker="m"
                ),
            ),
            obligations_committed=("read_1",),
            rejected_memories=(RejectedMemory(memory="x", reason="too vague"), RejectedMemory(memory="")),
            user_summary="Drinks\ntea.",
        )

    def test_the_least_that_counts(self) -> None:
        body = {"status": "processing", "obligations_committed": 1, "facts_written": None}
        assert commits.commit(talk(), memories=["x"]).parse(reply(body)) == Committed(status="processing")
        error = refused(lambda: commits.commit(talk(), memories=["x"]).parse(reply({"status": ""})))
        assert error.code is ApiCode.SERVER_ERROR


# Refusals, and hostile answers

TOOL = {"type": "tool_error", "code": "tool_not_connected", "message": "m"}
SCOPE = {"type": "permission_error", "code": "insufficient_permissions", "message": "m"}
KEY = {"type": "permission_error", "code": "secret_key_required", "message": "m"}
VERBS: list[Callable[[Conversation], Call[Any]]] = [
    conversation.read,
    memories.search,
    lambda c: memories.remember(c, "x"),
    lambda c: memories.forget(c, scope="all"),
    lambda c: commits.commit(c, memories=["x"]),
]


@pytest.mark.parametrize("build", VERBS)
@pytest.mark.parametrize(
    ("error", "code", "of_use"),
    [
        (TOOL, ApiCode.TOOL_NOT_CONNECTED, True),
        ({**TOOL, "code": "provider_down"}, ApiCode.TOOL_ERROR, True),
        ("Gmail is not connected", ApiCode.TOOL_NOT_CONNECTED, True),
        (SCOPE, ApiCode.ACCESS_DENIED, True),
        (KEY, ApiCode.ACCESS_DENIED, False),
        ({"type": "api_error", "code": "oops", "message": "m"}, ApiCode.SERVER_ERROR, False),
    ],
)
def test_an_unlinked_profile_is_told_the_way_to_more(
    build: Callable[[Conversation], Call[Any]], error: Any, code: ApiCode, of_use: bool
) -> None:
    for subject in (LINKED, UNLINKED):
        told = refused(lambda subject=subject: build(talk(subject)).parse(reply({"error": error}, status=400)))  # type: ignore[misc]
        assert (told.code, told.backend_code) == (code, error["code"] if isinstance(error, dict) else None)
        assert f"({code}, HTTP 400)" in str(told)
        assert ("let the person connect Configure" in str(told)) == (of_use and subject is UNLINKED)
        assert told.__context__ is None


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"type": "permission_error", "code": "commit_required", "message": "m"}},
        {"error": {"type": "permission_error", "code": "commit_required", "suggested_action": "commit_profile"}},
        {"error": "commit the last read first"},
    ],
)
@pytest.mark.parametrize("build", VERBS[:2])
def test_a_commit_that_is_required_is_named_whatever_the_envelope(
    build: Callable[[Conversation], Call[Any]], body: object
) -> None:
    error = refused(lambda: build(talk()).parse(reply(body, status=409)))
    assert (error.code, error.suggested_action) == (ApiCode.COMMIT_REQUIRED, "commit_profile")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FIELDS = (
    "results memories guidance diagnostic status message id text snippet source saved_on created_at createdAt score "
    "type markers provenance truncated visible_sources saved fact app memory deleted deleted_count deleted_ids matched "
    "matches suppressed facts_written memories_written memoriesWritten obligations_committed rejected_memories "
    "user_summary identity error code retry_after suggested_action request_id value"
).split()
names = st.sampled_from(FIELDS)
things = st.dictionaries(names, json_values | st.lists(st.dictionaries(names, json_values, max_size=4), max_size=4))
contents = (
    st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | (things | st.dictionaries(names, things)).map(lambda value: json.dumps(value).encode())
)
told_headers = st.dictionaries(
    st.sampled_from(
        [
            "x-configure-read-id",
            "x-configure-read-ids",
            "x-configure-session-id",
            "x-configure-runtime-scope-id",
            "x-configure-commit-required",
        ]
    ),
    st.text(st.characters(max_codepoint=255)) | st.sampled_from(["1", "r1", "r1,r2", ",,", "r 1"]),
)


@settings(max_examples=200, deadline=None)
@given(
    build=st.sampled_from(VERBS),
    subject=st.sampled_from([LINKED, UNLINKED]),
    status=st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 409, 429, 500]),
    content=contents,
    headers=told_headers,
)
def test_any_answer_is_a_value_or_a_configure_error(
    build: Callable[[Conversation], Call[Any]], subject: Subject, status: int, content: bytes, headers: dict[str, str]
) -> None:
    talking = talk(subject)
    sentence = ""
    try:
        build(talking).parse(reply(content, status=status, headers=headers))
    except ConfigureError as error:
        sentence = str(error)
    assert len(sentence) <= 256
    assert sentence.isprintable()
    # Whatever was told is fit to be sent: what is owed goes into headers.
    for owed in talking.owed:
        assert all(value.isascii() and value.isprintable() and " " not in value for value in owed.headers.values())


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

        (hit,) = configure.profile(**subject).search("TEA", limit=5).hits
        assert (hit.id, hit.text, hit.written_by) == (tea.memory.id, "Likes green tea", "demo-agent")
        assert len(configure.profile(**subject).search().hits) == 2
        nothing = configure.profile(**subject).search("coffee")
        assert (nothing.hits, nothing.guidance, nothing.status) == ((), "nothing matched", "no_matches")

        preview = configure.profile(**subject).forget(match="leeds")
        assert (preview.deleted, preview.count, preview.matched) == (False, 0, 1)
        assert [match.text for match in preview.matches] == ["Lives in Leeds"]
        assert configure.profile(**subject).forget(match="leeds", confirm=True).count == 1
        assert configure.profile(**subject).forget(id=hit.id).ids == (hit.id,)
        gone = refused(lambda: configure.profile(**subject).forget(id=hit.id))
        assert gone.backend_code == "memory_not_found"
        assert configure.profile(**subject).forget(scope="all") == Forgotten(deleted=False)
        assert configure.profile(**subject).search().hits == ()


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
        assert_type(profile.search("tea"), SearchAnswer)
        assert_type(profile.remember("tea"), Remembered)
        assert_type(profile.forget(id="mem_1"), Forgotten)
        assert_type(profile.commit(memories=["tea"]), Committed)
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
            waiting = assert_type(profile.search("tea"), Coroutine[Any, Any, SearchAnswer])
            assert (await waiting).hits == ()
            assert_type(await profile.commit(messages=[USER]), Committed)
            assert_type(profile.owes_commit(), bool)

    asyncio.run(main())
