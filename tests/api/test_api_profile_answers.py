"""How the answers to a profile's verbs are read, refusals and hostile ones too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configure_auth.client.call import HttpCall
from configure_auth.client.commits import CommitCalls, CommitResponse, RejectedMemory, WrittenMemory
from configure_auth.client.memories import ForgetResponse, Memory, MemoryCalls, RememberResponse, SearchResponse
from configure_auth.client.profile import Subject
from configure_auth.client.profile_session import ProfileSession, ReadCalls
from configure_auth.errors import ApiCode, ConfigureError

from ..support.examples import examples
from .talking import LINKED, SCOPE, UNLINKED, refused, reply, talk

if TYPE_CHECKING:
    pass


# How answers are read


def found(body: object) -> SearchResponse:
    return MemoryCalls(talk()).search().parse(reply(body))


FULL_HIT = Memory(
    id="mem_1",
    text="Likes tea.\nGreen.",
    title="Tea",
    snippet="Likes",
    source="chatgpt",
    source_type="import",
    provider="chatgpt",
    written_by="acme",
    imported_by_agent="other",
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
    "source_type": "import",
    "provider": "chatgpt",
    "written_by": "acme",
    "imported_by_agent": "other",
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
        assert found({listed: [hit]}).results == (FULL_HIT,)

    def test_older_names(self) -> None:
        (hit,) = found(
            {"results": [{"content": "a", "agent": "b", "created_at": "2026-01-02T03:04:05Z", "date": "c"}]}
        ).results
        assert hit == Memory(text="a", source="b", saved_on="2026-01-02T03:04:05Z", event_at="c")
        (hit,) = found({"results": [{"saved_on": "2026-01-02", "created_at": "2026-01-01", "snippet": "s"}]}).results
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
        assert answer == SearchResponse(results=(), visible_sources=("memories",), truncated=True)
        assert found({"visibleSources": ["a"], "truncated": "yes"}) == SearchResponse(
            results=(), visible_sources=("a",)
        )

    @pytest.mark.parametrize("value", [5, "x", {"id": "a"}, [5, "x", None, [{}]]])
    def test_what_is_no_hit_is_left_out(self, value: object) -> None:
        assert found({"results": value}).results == ()

    @pytest.mark.parametrize(
        ("hostile", "kept"),
        [
            ({"id": ["x"]}, Memory()),
            ({"id": "a\nb"}, Memory()),
            ({"text": "\u202ea\x1b[31m\ud800b\u2028"}, Memory(text="a[31mb")),
            ({"text": "x" * 100_000}, Memory(text="x" * 100_000)),
            ({"text": {"value": "a"}}, Memory(text="a")),
            ({"score": True}, Memory()),
            ({"score": "1"}, Memory()),
            ({"score": 10**400}, Memory()),
            ({"score": 3}, Memory(score=3.0)),
            ({"provenance": ["x"]}, Memory()),
            ({"source": "x" * 1000}, Memory(source="x" * 256)),
        ],
    )
    def test_hostile_fields_are_cut_or_dropped(self, hostile: dict[str, object], kept: Memory) -> None:
        assert found({"results": [hostile]}).results == (kept,)

    def test_values_are_frozen(self) -> None:
        (hit,) = found({"results": [WIRE_HIT]}).results
        with pytest.raises(AttributeError):
            hit.text = "other"  # type: ignore[misc]
        with pytest.raises(TypeError):
            hit.provenance["import"] = 2  # type: ignore[index]
        assert "tea" not in repr(hit)


class TestRemember:
    def test_what_became_of_a_fact(self) -> None:
        body = {"saved": True, "app": "acme", "fact": "Likes tea", "memory": {"id": "mem_1", "text": "Likes tea"}}
        assert MemoryCalls(talk()).remember("Likes tea").parse(reply(body)) == RememberResponse(
            saved=True, app="acme", fact="Likes tea", memory=Memory(id="mem_1", text="Likes tea")
        )
        told = MemoryCalls(talk()).remember("x").parse(reply({"saved": False, "message": "suppressed", "memory": "?"}))
        assert told == RememberResponse(saved=False, message="suppressed")

    @pytest.mark.parametrize("saved", [None, 1, "true", []])
    def test_an_answer_that_doesnt_say_is_no_success(self, saved: object) -> None:
        error = refused(lambda: MemoryCalls(talk()).remember("x").parse(reply({"saved": saved})))
        assert error.code is ApiCode.SERVER_ERROR


class TestForget:
    @pytest.mark.parametrize(
        ("body", "forgotten"),
        [
            (
                {"deleted": True, "id": "mem_1"},
                ForgetResponse(deleted=True, id="mem_1", deleted_count=1, deleted_ids=("mem_1",)),
            ),
            ({"deleted": False, "id": "mem_1"}, ForgetResponse(deleted=False, id="mem_1")),
            (
                {"deleted": True, "id": "mem_1", "path": "/a/b", "source": "acme", "suppressed_copies": 2},
                ForgetResponse(
                    deleted=True,
                    id="mem_1",
                    deleted_count=1,
                    deleted_ids=("mem_1",),
                    path="/a/b",
                    source="acme",
                    suppressed_copies=2,
                ),
            ),
            ({"deleted": True, "path": 5, "source": ["x"], "suppressed_copies": "2"}, ForgetResponse(deleted=True)),
            (
                {"deleted": True, "deleted_count": 2, "deleted_ids": ["a", "b"], "suppressed": True},
                ForgetResponse(deleted=True, deleted_count=2, deleted_ids=("a", "b"), suppressed=True),
            ),
            (
                {"deleted": True, "deletedCount": 1500, "deletedIds": ["a"], "message": "m"},
                ForgetResponse(deleted=True, deleted_count=1500, deleted_ids=("a",), message="m"),
            ),
            (
                {"deleted": False, "matched": 1, "matches": [{"id": "a", "text": "t"}]},
                ForgetResponse(deleted=False, matched=1, matches=(Memory(id="a", text="t"),)),
            ),
            ({"matched": 0}, ForgetResponse(deleted=False, matched=0)),
        ],
    )
    def test_what_was_forgotten(self, body: object, forgotten: ForgetResponse) -> None:
        assert MemoryCalls(talk()).forget(scope="all").parse(reply(body)) == forgotten

    @pytest.mark.parametrize("body", [{}, {"deleted": "true"}, {"deleted": 1}, {"matched": "2"}, {"deleted_count": 1}])
    def test_an_answer_that_doesnt_say_is_no_success(self, body: object) -> None:
        error = refused(lambda: MemoryCalls(talk()).forget(scope="all").parse(reply(body)))
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
        assert CommitCalls(talk()).commit(memories=["x"]).parse(reply(spelled(body))) == CommitResponse(
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
        assert CommitCalls(talk()).commit(memories=["x"]).parse(reply(body)) == CommitResponse(status="processing")
        error = refused(lambda: CommitCalls(talk()).commit(memories=["x"]).parse(reply({"status": ""})))
        assert error.code is ApiCode.SERVER_ERROR


# Refusals, and hostile answers

TOOL = {"type": "tool_error", "code": "tool_not_connected", "message": "m"}
KEY = {"type": "permission_error", "code": "secret_key_required", "message": "m"}
VERBS: list[Callable[[ProfileSession], HttpCall[Any]]] = [
    lambda c: ReadCalls(c).read(),
    lambda c: MemoryCalls(c).search(),
    lambda c: MemoryCalls(c).remember("x"),
    lambda c: MemoryCalls(c).forget(scope="all"),
    lambda c: CommitCalls(c).commit(memories=["x"]),
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
    build: Callable[[ProfileSession], HttpCall[Any]], error: Any, code: ApiCode, of_use: bool
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
    build: Callable[[ProfileSession], HttpCall[Any]], body: object
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


@examples(200)
@given(
    build=st.sampled_from(VERBS),
    subject=st.sampled_from([LINKED, UNLINKED]),
    status=st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 409, 429, 500]),
    content=contents,
    headers=told_headers,
)
def test_any_answer_is_a_value_or_a_configure_error(
    build: Callable[[ProfileSession], HttpCall[Any]],
    subject: Subject,
    status: int,
    content: bytes,
    headers: dict[str, str],
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
