"""The commit that a read owes: who keeps it, what settles it, and the block that does both by itself."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import anyio
import pytest

from configure_auth.client.call import HttpCall
from configure_auth.client.client import AsyncConfigure, Configure, Profile
from configure_auth.client.commit_content import pack
from configure_auth.client.profile import Subject
from configure_auth.client.profile_session import ProfileSession
from configure_auth.errors import ApiCode, ConfigureError
from configure_auth.sandbox import Call, Sandbox
from configure_auth.settings import Settings
from configure_auth.values import Secret

from ..support.web import Adapter, Options, running
from .conftest import http

if TYPE_CHECKING:
    from .conftest import Line, Server
    from .conftest import Received as Heard

T = TypeVar("T")
PROFILE, SEARCH, COMMIT = "/v1/profile", "/v1/profile/search", "/v1/profile/commit"
READ_ID, SESSION, SCOPE = "x-configure-read-id", "x-configure-session-id", "x-configure-runtime-scope-id"
SCOPES = ("profile.read", "profile.commit")
TURN = [{"role": "user", "content": "What do I like?"}, {"role": "assistant", "content": "Tea."}]


class Blocking:
    """A blocking profile with the face of an awaited one, so that each story is told once."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self.note = profile.note
        self.owes_commit = profile.owes_commit

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        verb = getattr(self._profile, name)

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return verb(*args, **kwargs)

        return awaited

    async def __aenter__(self) -> Blocking:
        self._profile.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._profile.__exit__(*error)


Story: TypeAlias = Callable[[Any], Awaitable[T]]
Use: TypeAlias = Callable[..., Any]


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def use(request: pytest.FixtureRequest) -> Use:
    """Tells a story with a profile: blocking, on asyncio, and on trio."""
    kind: str = request.param

    def use(settings: Settings, story: Story[T], **subject: Any) -> T:
        async def tell() -> T:
            if kind == "blocking":
                with Configure(settings, timeout=5) as configure:
                    return await story(Blocking(configure.profile(**subject)))
            async with AsyncConfigure(settings, timeout=5) as awaited:
                return await story(awaited.profile(**subject))

        return anyio.run(tell, backend="asyncio" if kind == "blocking" else kind)

    return use


@pytest.fixture
def settings(configure_sandbox: Sandbox) -> Settings:
    """In the reading that asks the most of a client: a read waits for the commit of every other in its scope."""
    configure_sandbox.variants.scopes_blocking = "same"
    return Settings.from_mapping(configure_sandbox.environment())


@pytest.fixture
def token(configure_sandbox: Sandbox) -> str:
    return configure_sandbox.issue_agent_token(configure_sandbox.add_person(name="Ada"))


def sent(sandbox: Sandbox) -> list[str]:
    """The last part of every profile call's path, in order."""
    return [call.path.rpartition("/")[2] for call in sandbox.calls if call.path.startswith(PROFILE)]


def commits(sandbox: Sandbox) -> list[Call]:
    return sandbox.calls_to("POST", COMMIT)


def memories(sandbox: Sandbox) -> tuple[str, ...]:
    return sandbox.memories(sandbox.people[0])


async def refused(waiting: Awaitable[object]) -> ConfigureError:
    try:
        await waiting
    except ConfigureError as error:
        return error
    raise AssertionError("nothing was refused")


# What a read owes


@pytest.mark.parametrize("verb", ["read", "search"])
def test_what_is_read_of_a_linked_profile_owes_a_commit(
    configure_sandbox: Sandbox, settings: Settings, token: str, use: Use, verb: str
) -> None:
    async def story(profile: Any) -> None:
        assert profile.owes_commit() is False
        await getattr(profile, verb)()
        assert profile.owes_commit() is True
        for again in (profile.read(), profile.search()):
            error = await refused(again)
            assert (error.code, error.suggested_action) == (ApiCode.COMMIT_REQUIRED, "commit_profile")
            assert error.backend_code == "commit_required"

        committed = await profile.commit(messages=TURN, memories=["Likes tea"], sync=True)
        assert (committed.status, len(committed.obligations_committed)) == ("completed", 1)
        assert profile.owes_commit() is False
        await getattr(profile, verb)()

    use(settings, story, token=token)
    first, *_, again = [call for call in configure_sandbox.calls if call.method == "GET"]
    (commit,) = commits(configure_sandbox)
    told = {name: commit.json[name] for name in ("read_id", "session_id", "runtime_scope_id")}
    assert told == {name: commit.headers[f"x-configure-{name.replace('_', '-')}"] for name in told}
    assert (told["session_id"], told["runtime_scope_id"]) == (first.headers[SESSION], first.headers[SCOPE])
    # The conversation goes on in another scope.
    assert again.headers[SESSION] == first.headers[SESSION]
    assert again.headers[SCOPE] != first.headers[SCOPE]
    assert READ_ID not in first.headers
    assert READ_ID not in again.headers
    assert memories(configure_sandbox) == ("Likes tea",)
    assert configure_sandbox.commits_owed == 1


def test_an_open_read_is_named_with_the_next(configure_sandbox: Sandbox, settings: Settings, token: str) -> None:
    with Configure(settings) as configure:
        profile = configure.profile(token=token)
        profile.read()
        with pytest.raises(ConfigureError):
            profile.search()
        profile.commit(messages=TURN)
    (search,) = configure_sandbox.calls_to("GET", SEARCH)
    assert search.headers[READ_ID] == commits(configure_sandbox)[0].json["read_id"]


def test_an_unlinked_profile_owes_nothing_and_is_never_named_beside_a_token(
    configure_sandbox: Sandbox, settings: Settings, use: Use
) -> None:
    async def story(profile: Any) -> None:
        async with profile:
            await profile.read()
            await profile.search()
            await profile.read()
            assert profile.owes_commit() is False
        committed = await profile.commit(memories=["Likes tea"])
        assert committed.obligations_committed == ()

    use(settings, story, external_id="u1")
    assert sent(configure_sandbox) == ["profile", "search", "profile", "commit"]
    for call in configure_sandbox.calls:
        assert call.headers["x-user-id"] == "u1"
        assert "authorization" not in call.headers
    assert "read_id" not in commits(configure_sandbox)[0].json


def test_a_refused_commit_settles_nothing(configure_sandbox: Sandbox, settings: Settings, token: str, use: Use) -> None:
    configure_sandbox.fault(COMMIT, status=503, times=1)
    configure_sandbox.fault(COMMIT, body={"ok": True}, times=1)

    async def story(profile: Any) -> None:
        await profile.read()
        for _ in range(2):
            error = await refused(profile.commit(messages=TURN))
            assert error.code is ApiCode.SERVER_ERROR
            assert profile.owes_commit() is True
        await profile.commit(messages=TURN)
        assert profile.owes_commit() is False

    use(settings, story, token=token)
    assert len({call.json["read_id"] for call in commits(configure_sandbox)}) == 1
    assert len({call.json["runtime_scope_id"] for call in commits(configure_sandbox)}) == 1
    assert configure_sandbox.commits_owed == 0


def test_a_read_whose_answer_is_lost_is_settled_with_its_scope(
    configure_sandbox: Sandbox, settings: Settings, token: str, use: Use
) -> None:
    configure_sandbox.fault(PROFILE, status=503, handled=True, times=1)

    async def story(profile: Any) -> None:
        await refused(profile.read())
        assert profile.owes_commit() is False
        async with profile:
            assert (await refused(profile.read())).code is ApiCode.COMMIT_REQUIRED
            assert profile.owes_commit() is True
        assert profile.owes_commit() is False
        await profile.read()

    use(settings, story, token=token)
    (commit,) = commits(configure_sandbox)
    assert "read_id" not in commit.json
    assert configure_sandbox.commits_owed == 1


# The block


def test_a_block_commits_once_what_was_noted_in_it(
    configure_sandbox: Sandbox, settings: Settings, token: str, use: Use
) -> None:
    async def story(profile: Any) -> None:
        async with profile as entered:
            assert entered is profile
            await profile.read()
            profile.note(messages=TURN[:1])
            profile.note(messages=TURN[1:], memories=["Likes tea"])
            teas = ["green"]
            result = {"tool_name": "shop", "content": {"tea": teas}}
            profile.note(memories=["Lives in Leeds"], tool_results=[result])
            teas.append("added too late")
            assert commits(configure_sandbox) == []
        assert profile.owes_commit() is False

    use(settings, story, token=token)
    (commit,) = commits(configure_sandbox)
    assert commit.json["messages"] == TURN
    assert commit.json["memories"] == ["Likes tea", "Lives in Leeds"]
    assert commit.json["toolResults"] == [{"toolName": "shop", "content": {"tea": ["green"]}}]
    assert commit.json["read_id"] == commit.headers[READ_ID]
    assert memories(configure_sandbox) == ("Likes tea", "Lives in Leeds")
    assert (configure_sandbox.commits_owed, commit.status) == (0, 200)


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "unlinked"])
def test_a_block_with_notes_alone_commits_them(
    configure_sandbox: Sandbox, settings: Settings, token: str, use: Use, linked: bool
) -> None:
    async def story(profile: Any) -> None:
        async with profile:
            profile.note(memories=["Likes tea"])

    use(settings, story, **({"token": token} if linked else {"external_id": "u1"}))
    (commit,) = commits(configure_sandbox)
    assert commit.json["memories"] == ["Likes tea"]
    assert "messages" not in commit.json
    assert "read_id" not in commit.json


def test_a_block_that_only_reads_settles_the_read_with_one_line_about_nobody(
    configure_sandbox: Sandbox, settings: Settings, token: str, use: Use
) -> None:
    async def story(profile: Any) -> None:
        for _ in range(2):
            async with profile:
                await profile.read()

    use(settings, story, token=token)
    assert sent(configure_sandbox) == ["profile", "commit", "profile", "commit"]
    for commit in commits(configure_sandbox):
        (message,) = commit.json["messages"]
        assert (message["role"], "\n" in message["content"], "Ada" in message["content"]) == ("assistant", False, False)
        assert "memories" not in commit.json
        assert commit.status == 200
    assert configure_sandbox.commits_owed == 0
    assert memories(configure_sandbox) == ()


def test_memories_alone_are_not_trusted_to_settle_a_read(
    configure_sandbox: Sandbox, settings: Settings, token: str, use: Use
) -> None:
    async def story(profile: Any) -> None:
        async with profile:
            await profile.read()
            profile.note(memories=["Likes tea"])

    use(settings, story, token=token)
    (commit,) = commits(configure_sandbox)
    assert (len(commit.json["messages"]), commit.json["memories"]) == (1, ["Likes tea"])


def test_a_block_in_which_nothing_happens_sends_nothing(
    configure_sandbox: Sandbox, settings: Settings, token: str, use: Use
) -> None:
    async def story(profile: Any) -> None:
        async with profile:
            pass
        async with profile:
            profile.note(messages=[], memories=[])
        async with profile:
            await profile.read()
            await profile.commit(messages=TURN)

    use(settings, story, token=token)
    assert sent(configure_sandbox) == ["profile", "commit"]


class Trouble(Exception):
    """Of the app's own."""


@pytest.mark.parametrize("trouble", [Trouble, KeyboardInterrupt])
def test_after_an_exception_no_note_is_committed_and_it_goes_on(
    configure_sandbox: Sandbox, settings: Settings, token: str, use: Use, trouble: type[BaseException]
) -> None:
    async def fail(profile: Any, mine: BaseException) -> None:
        async with profile:
            await profile.read()
            profile.note(memories=["Half a thought"])
            raise mine

    async def story(profile: Any) -> None:
        mine = trouble()
        with pytest.raises(trouble) as caught:
            await fail(profile, mine)
        assert caught.value is mine
        # A cancellation or Ctrl-C isn't delayed by a commit.
        assert len(commits(configure_sandbox)) == issubclass(trouble, Exception)
        assert profile.owes_commit() is not issubclass(trouble, Exception)
        async with profile:
            profile.note(memories=["Likes tea"])

    use(settings, story, token=token)
    assert [one.json.get("memories") for one in commits(configure_sandbox) if "memories" in one.json] == [["Likes tea"]]
    assert configure_sandbox.commits_owed == 0


@pytest.mark.parametrize("fault", [{"status": 500}, {"drop": True}, {"body": "x", "content_type": "text/html"}])
def test_a_failed_commit_is_repeated_by_the_next_block_or_raises(
    configure_sandbox: Sandbox, settings: Settings, token: str, use: Use, fault: dict[str, Any]
) -> None:
    configure_sandbox.fault(COMMIT, times=1, **fault)

    async def block(profile: Any, *notes: str) -> None:
        async with profile:
            if not profile.owes_commit():
                await profile.read()
            profile.note(memories=notes)

    async def story(profile: Any) -> None:
        if "body" in fault:  # the same again would be no better
            assert (await refused(block(profile, "Likes tea"))).code is ApiCode.SERVER_ERROR
        else:
            await block(profile, "Likes tea")
        assert profile.owes_commit() is True
        await block(profile)
        assert profile.owes_commit() is False

    use(settings, story, token=token)
    first, second = commits(configure_sandbox)
    assert first.json["read_id"] == second.json["read_id"]
    assert ("memories" in second.json) is ("body" not in fault)
    assert configure_sandbox.commits_owed == 0


def test_a_block_holds_what_one_commit_holds(
    configure_sandbox: Sandbox, settings: Settings, token: str, use: Use
) -> None:
    async def too_much(profile: Any) -> None:
        profile.note(messages=TURN)

    async def story(profile: Any) -> None:
        async with profile:
            profile.note(messages=TURN * 9, memories=["x" * 1000] * 20)
            profile.note(messages=[{"role": "user", "content": "x" * 16_000}])
            error = await refused(too_much(profile))
            assert (error.code, error.sent) == (ApiCode.INVALID_INPUT, True)
            profile.note(messages=TURN[:1])

    use(settings, story, token=token)
    (commit,) = commits(configure_sandbox)
    assert (len(commit.json["messages"]), len(commit.json["memories"])) == (20, 20)


def test_a_block_that_is_open_is_not_entered_again(
    configure_sandbox: Sandbox, settings: Settings, token: str, use: Use
) -> None:
    async def block(profile: Any) -> None:
        async with profile:
            pass

    async def late(profile: Any) -> None:
        profile.note(memories=["Likes tea"])

    async def story(profile: Any) -> None:
        async with profile:
            profile.note(memories=["Likes tea"])
            assert "is open" in str(await refused(block(profile)))
        assert "inside of a `with` block" in str(await refused(late(profile)))

    use(settings, story, token=token)
    assert commits(configure_sandbox)[0].json["memories"] == ["Likes tea"]


# What the headers say


def answering(headers: dict[str, str], *, settled: object = None) -> Callable[[Line, Heard], None]:
    """A service that lets every read through, with the same headers, and takes every commit."""

    def answer(line: Line, received: Heard) -> None:
        if received.target == COMMIT:
            line.write(http({"status": "processing", "obligations_committed": settled}))
        else:
            line.write(http({"identity": {}}, headers=headers))

    return answer


def committed(server: Server) -> list[dict[str, Any]]:
    return [json.loads(received.body) for received in server.received if received.target == COMMIT]


async def read_in_a_block(profile: Any) -> None:
    async with profile:
        await profile.read()


@pytest.mark.parametrize(
    ("headers", "read_ids"),
    [
        ({}, []),
        ({"X-Configure-Commit-Required": "0"}, []),
        ({"X-Configure-Commit-Required": "1"}, [None]),
        ({"X-Configure-Read-Id": "read_1"}, ["read_1"]),
        ({"X-Configure-Read-Id": "read_1", "X-Configure-Commit-Required": "1"}, ["read_1"]),
        ({"X-Configure-Read-Ids": "read_1, read_2,,read_1", "X-Configure-Commit-Required": "1"}, ["read_1", "read_2"]),
        ({"X-Configure-Read-Id": "read 1,read_2,\xe9," + "x" * 129}, ["read_2"]),
        ({"X-Configure-Read-Id": " , ", "X-Configure-Commit-Required": "1"}, [None]),
    ],
)
def test_every_read_that_is_owed_a_commit_gets_one(
    server: Server, use: Use, headers: dict[str, str], read_ids: list[str | None]
) -> None:
    server.answers(answering(headers))
    use(server.settings, read_in_a_block, token="tok")
    assert [body.get("read_id") for body in committed(server)] == read_ids
    assert [received.headers.get(READ_ID) for received in server.received if received.target == COMMIT] == read_ids


def test_a_commit_that_settles_others_spares_theirs(server: Server, use: Use) -> None:
    server.answers(answering({"X-Configure-Read-Ids": "r1,r2,r3"}, settled=["r1", "r3"]))
    use(server.settings, read_in_a_block, token="tok")
    assert [body["read_id"] for body in committed(server)] == ["r1", "r2"]


def test_a_commit_settles_the_oldest_read_alone(server: Server, use: Use) -> None:
    server.answers(answering({"X-Configure-Read-Ids": "r1,r2"}))

    async def story(profile: Any) -> None:
        await profile.read()
        await profile.commit(messages=TURN)
        assert profile.owes_commit() is True
        await profile.commit(messages=TURN)
        assert profile.owes_commit() is False

    use(server.settings, story, token="tok")
    assert [body["read_id"] for body in committed(server)] == ["r1", "r2"]
    assert len({body["runtime_scope_id"] for body in committed(server)}) == 1


def test_a_commit_without_a_read_is_for_all_of_its_scope(server: Server, use: Use) -> None:
    server.answers(
        http({}, headers={"X-Configure-Commit-Required": "1"}),
        http({}, headers={"X-Configure-Read-Id": "r1"}),
        http({"status": "processing"}),
    )

    async def story(profile: Any) -> None:
        async with profile:
            await profile.read()
            await profile.search()
        assert profile.owes_commit() is False

    use(server.settings, story, token="tok")
    assert ["read_id" in body for body in committed(server)] == [False]


@pytest.mark.parametrize(
    ("headers", "owes"),
    [({"X-Configure-Read-Id": "read_1"}, False), ({"X-Configure-Commit-Required": "1"}, True)],
)
def test_an_unlinked_read_owes_only_what_configure_says(
    server: Server, use: Use, headers: dict[str, str], owes: bool
) -> None:
    server.answers(answering(headers))
    use(server.settings, read_in_a_block, external_id="u1")
    assert len(committed(server)) == owes


def test_a_commit_goes_to_the_scope_that_configure_counts_the_read_in(server: Server, use: Use) -> None:
    server.answers(
        answering({"X-Configure-Read-Id": "r1", "X-Configure-Session-Id": "s1", "X-Configure-Runtime-Scope-Id": "a b"})
    )
    use(server.settings, read_in_a_block, token="tok")
    (body,) = committed(server)
    assert body["session_id"] == "s1"
    # One that can't be sent isn't believed: ours stands.
    assert body["runtime_scope_id"] == server.received[0].headers[SCOPE]


def test_a_broken_answer_owes_too(server: Server, use: Use) -> None:
    server.answers(http(b"<html>", headers={"X-Configure-Read-Id": "r1"}), http({"status": "processing"}))

    async def story(profile: Any) -> None:
        async with profile:
            assert (await refused(profile.read())).code is ApiCode.SERVER_ERROR

    use(server.settings, story, token="tok")
    assert [body["read_id"] for body in committed(server)] == ["r1"]


def test_what_is_owed_doesnt_grow_without_end(server: Server) -> None:
    numbers = iter(range(1000))

    def answer(line: Line, _: Heard) -> None:
        line.write(http({}, headers={"X-Configure-Read-Id": ",".join(f"r{next(numbers)}" for _ in range(30))}))

    server.answers(answer)
    with Configure(server.settings) as configure:
        profile = configure.profile(token="tok")
        for _ in range(7):
            profile.read()
        owed = profile._session.owed
        assert (len(owed), owed[-1].read_id) == (100, "r199")
        # Nor with a read that is told again and again.
        server.answers(http({}, headers={"X-Configure-Read-Id": "r199"}))
        profile.read()
        assert profile._session.owed == owed


# Shared by threads and tasks


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hurried")
def test_threads_share_one_block(configure_sandbox: Sandbox, settings: Settings, token: str) -> None:
    together = threading.Barrier(4)

    def speak(profile: Profile, number: int) -> str:
        together.wait(10)
        for part in range(50):
            profile.note(tool_results=[{"tool_name": f"{number}", "content": f"{part}"}])
        try:
            profile.read()
        except ConfigureError as error:
            return error.code
        return "read"

    with (
        Configure(settings) as configure,
        ThreadPoolExecutor(4) as pool,
        configure.profile(token=token) as profile,
    ):
        done = list(pool.map(lambda number: speak(profile, number), range(4)))
    # The service lets one read through and refuses the others until the commit.
    assert sorted(done) == ["COMMIT_REQUIRED"] * 3 + ["read"]
    (commit,) = commits(configure_sandbox)
    noted = {(result["toolName"], result["content"]) for result in commit.json["toolResults"]}
    assert noted == {(f"{number}", f"{part}") for number in range(4) for part in range(50)}
    assert configure_sandbox.commits_owed == 0


def test_reads_of_several_threads_are_all_settled(server: Server) -> None:
    together = threading.Barrier(3)
    numbers = iter(range(3))

    def answer(line: Line, received: Heard) -> None:
        if received.target == COMMIT:
            line.write(http({"status": "processing"}))
            return
        together.wait(10)
        line.write(http({}, headers={"X-Configure-Read-Id": f"r{next(numbers)}"}))

    server.answers(answer)
    with Configure(server.settings) as configure, ThreadPoolExecutor(3) as pool:
        profile = configure.profile(token="tok")
        with profile:
            list(pool.map(lambda _: profile.read(), range(3)))
        assert profile.owes_commit() is False
    assert sorted(body["read_id"] for body in committed(server)) == ["r0", "r1", "r2"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks_share_one_block(configure_sandbox: Sandbox, settings: Settings, token: str, backend: str) -> None:
    through: list[str] = []

    async def main() -> None:
        async with AsyncConfigure(settings) as configure:

            async def speak(number: int) -> None:
                profile.note(memories=[str(number)])
                try:
                    await profile.read()
                    through.append("read")
                except ConfigureError as error:
                    through.append(error.code)

            async with configure.profile(token=token) as profile, anyio.create_task_group() as tasks:
                for number in range(4):
                    tasks.start_soon(speak, number)

    anyio.run(main, backend=backend)
    assert sorted(through) == ["COMMIT_REQUIRED"] * 3 + ["read"]
    (commit,) = commits(configure_sandbox)
    assert sorted(commit.json["memories"]) == ["0", "1", "2", "3"]
    assert configure_sandbox.commits_owed == 0


def test_a_read_that_was_on_its_way_during_a_commit_is_settled_in_its_own_scope(
    configure_sandbox: Sandbox, settings: Settings, token: str
) -> None:
    with Configure(settings) as configure, ThreadPoolExecutor(1) as pool:
        profile = configure.profile(token=token)
        profile.read()
        with configure_sandbox.hold(SEARCH) as held:
            late = pool.submit(profile.search)
            held.arrived.wait(1)
            profile.commit(messages=TURN)
            assert profile.owes_commit() is False
            held.release()
            late.result(10)
        assert profile.owes_commit() is True
        # The conversation is in a scope of its own already.
        profile.read()
        with profile:
            pass
    assert [len(configure_sandbox.calls_to("GET", path)) for path in (PROFILE, SEARCH)] == [2, 1]
    late_scope = configure_sandbox.calls_to("GET", SEARCH)[0].headers[SCOPE]
    new_scope = configure_sandbox.calls_to("GET", PROFILE)[1].headers[SCOPE]
    assert [call.json["runtime_scope_id"] for call in commits(configure_sandbox)[1:]] == [late_scope, new_scope]
    assert configure_sandbox.commits_owed == 0


def test_two_profiles_share_nothing(configure_sandbox: Sandbox, settings: Settings, token: str) -> None:
    with Configure(settings) as configure:
        one, other = configure.profile(token=token), configure.profile(token=token)
        with one:
            one.read()
            other.read()
            assert other.owes_commit() is True
        assert (one.owes_commit(), other.owes_commit()) == (False, True)
    assert configure_sandbox.commits_owed == 1


# Whatever performs the calls


def test_every_verb_goes_out_with_the_token_of_whoever_performs_it(
    configure_sandbox: Sandbox, settings: Settings, token: str
) -> None:
    with Configure(settings) as configure:

        def perform(call: HttpCall[T], /) -> T:
            return configure.send(call.bearing(Secret(token)))

        with Profile(perform, settings, Subject(token="yesterdays")) as profile:
            profile.remember("Likes tea")
            assert len(profile.search().results) == 1
            profile.forget(scope="all")
            profile.note(memories=["Lives in Leeds"])
    assert sent(configure_sandbox) == ["remember", "search", "forget", "commit"]
    assert {call.headers["authorization"] for call in configure_sandbox.calls} == {f"Bearer {token}"}
    assert {call.status for call in configure_sandbox.calls} == {200}
    assert configure_sandbox.commits_owed == 0


@pytest.mark.parametrize("adapter", ["flask", "starlette"])
def test_the_profile_of_an_app_renews_its_token_within_a_block(
    configure_sandbox: Sandbox, tmp_path: Path, adapter: Adapter
) -> None:
    def add_turn(app: Any, configure_auth: Any) -> None:
        def work(profile: Any) -> None:
            profile.note(memories=["Likes tea"])
            # The token that the read went out with ends before the commit.
            configure_sandbox.advance(3600)

        if adapter == "flask":

            def turn() -> str:
                with configure_auth.profile() as profile:
                    profile.read(sections=["identity"])
                    work(profile)
                return "said"

            app.add_url_rule("/turn", view_func=turn)
        else:
            from starlette.responses import PlainTextResponse
            from starlette.routing import Route

            async def answer(request: Any) -> Any:
                async with await configure_auth.profile(request) as profile:
                    await profile.read(sections=["identity"])
                    work(profile)
                return PlainTextResponse("said")

            app.router.routes.append(Route("/turn", answer))

    with (
        running(adapter, configure_sandbox, tmp_path, Options(customise=add_turn, login={"scopes": SCOPES})) as web,
        web.browser() as browser,
    ):
        assert browser.login().status_code == 303
        before = len(configure_sandbox.calls)
        assert browser.get("/turn").text == "said"
    read, refresh, commit = configure_sandbox.calls[before:]
    assert (read.path, refresh.path, commit.path) == (PROFILE, "/oauth/token", COMMIT)
    assert read.headers["authorization"] != commit.headers["authorization"]
    assert (commit.status, commit.json["memories"]) == (200, ["Likes tea"])
    assert commit.json["runtime_scope_id"] == read.headers[SCOPE]
    assert commit.json["read_id"] in commit.headers[READ_ID]


def test_a_conversation_shows_nothing_of_whom_it_is_about() -> None:
    talking = ProfileSession(Settings(api_key=Secret("sk_CANARY"), agent="acme"), Subject(token="CANARY"))
    talking.open()
    Profile(lambda call: call, talking.settings, talking.subject)
    assert "CANARY" not in repr(talking) + repr(vars(talking))


# What LLM frameworks hold


class _Message:
    """LangChain's, with a `type`, or a part of Pydantic AI's, with a `part_kind`."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


FRAMEWORKS: dict[str, tuple[list[Any], list[tuple[str, str]]]] = {
    "OpenAI's": (
        [
            {"role": "system", "content": "You are Echo."},
            {"role": "user", "content": [{"type": "text", "text": "Which"}, {"type": "text", "text": "seat?"}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "search"}}]},
            {"role": "assistant", "content": "", "tool_calls": []},
            {"role": "tool", "tool_call_id": "c1", "content": "Window."},
            {"type": "function_call", "name": "search", "arguments": "{}"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "A window seat."}]},
        ],
        [("user", "Which\nseat?"), ("tool", "Window."), ("assistant", "A window seat.")],
    ),
    "LangChain's": (
        [
            _Message(type="system", content="You are Echo."),
            _Message(type="human", content="Which seat?"),
            _Message(type="ai", content="", tool_calls=[{"name": "search"}]),
            _Message(type="tool", content="Window."),
            _Message(type="ai", content=[{"type": "text", "text": "A window seat."}]),
        ],
        [("user", "Which seat?"), ("tool", "Window."), ("assistant", "A window seat.")],
    ),
    "Pydantic AI's": (
        [
            _Message(
                kind="request",
                parts=[
                    _Message(part_kind="system-prompt", content="You are Echo."),
                    _Message(part_kind="user-prompt", content="Which seat?"),
                ],
            ),
            _Message(kind="response", parts=[_Message(part_kind="tool-call", tool_name="search", args={})]),
            _Message(kind="request", parts=[_Message(part_kind="tool-return", tool_name="search", content="Window.")]),
            _Message(kind="response", parts=[_Message(part_kind="text", content="A window seat.")]),
        ],
        [("user", "Which seat?"), ("tool", "Window."), ("assistant", "A window seat.")],
    ),
}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_messages_of_llm_frameworks_are_taken_as_they_are(name: str) -> None:
    given, expected = FRAMEWORKS[name]

    assert [(one["role"], one["content"]) for one in pack(given).messages] == expected
