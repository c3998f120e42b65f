"""The ids that stand for a sender, here and at Configure: the same for ever, nobody's to guess, of one agent alone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from configure_auth import MessageAgent, Settings, SettingsError
from configure_auth.sandbox import Sandbox

from ..public.running import environment
from ..support.stores import StoresAt, first
from ..support.web import Adapter, MakeWeb
from .conftest import ADA, BOB, KEY, Platform

OLD, NEW = "the key of last year and long enough for anybody", "the key of this year and long enough for anybody"

lasting = pytest.mark.parametrize("store", first(["sqlite", "postgresql"]))
"""Where ids are kept: Redis keeps attempts only."""

Make = Callable[..., MessageAgent]


@pytest.fixture
def make_agent(store: str, stores_at: StoresAt, configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Make]:
    """Message agents on one store, each as a new process would have it."""
    with ExitStack() as stack:

        def make(keys: str = OLD, **changes: str) -> MessageAgent:
            settings = {**configure_sandbox.environment(), "CONFIGURE_TOKEN_KEYS": keys, **changes}
            url = stores_at(store, tmp_path)["store"]
            return stack.enter_context(MessageAgent(Settings.from_mapping(settings), store=url))

        yield make


def ids(agent: MessageAgent, sender: str = KEY) -> tuple[str, str]:
    """The app's own id of a sender at Configure, and what stands for them here."""
    known = agent.message_identity(sender, phone_candidates=[ADA])
    export = agent.export_subject(sender)
    assert export is not None
    assert export.account is not None
    return known.external_id, export.account.user_id


@pytest.fixture
def ada(configure_sandbox: Sandbox) -> None:
    configure_sandbox.issue_agent_token(configure_sandbox.add_person(ADA))


@lasting
@pytest.mark.usefixtures("ada")
def test_they_are_keyed_hashes_and_outlive_a_start(make_agent: Make) -> None:
    first = ids(make_agent())

    assert re.fullmatch(r"sender_[0-9a-f]{64} subject_[0-9a-f]{64}", " ".join(first))
    assert first[0][-64:] != first[1][-64:]
    assert ids(make_agent()) == first
    assert not set(ids(make_agent(), "chat:other")) & set(first)


@lasting
@pytest.mark.usefixtures("ada")
def test_they_are_others_for_another_agent(make_agent: Make, configure_sandbox: Sandbox) -> None:
    other = configure_sandbox.add_agent("other-agent")
    configure_sandbox.issue_agent_token(configure_sandbox.people[0], agent=other.agent)
    settings = {"CONFIGURE_AGENT": other.agent, "CONFIGURE_API_KEY": other.api_key}
    mine = ids(make_agent())
    yours = ids(make_agent(**settings, CONFIGURE_PUBLISHABLE_KEY=other.publishable_key))

    assert not set(mine) & set(yours)
    assert ids(make_agent()) == mine


@pytest.mark.parametrize("store", ["sqlite"])
@pytest.mark.usefixtures("ada")
def test_they_are_others_in_another_store(make_agent: Make, configure_sandbox: Sandbox, tmp_path: Path) -> None:
    mine = ids(make_agent())
    settings = Settings.from_mapping({**configure_sandbox.environment(), "CONFIGURE_TOKEN_KEYS": OLD})

    with MessageAgent(settings, store=f"sqlite:///{tmp_path / 'other.db'}") as elsewhere:
        assert not set(ids(elsewhere)) & set(mine)


@lasting
@pytest.mark.parametrize("adapter", ["flask", "starlette"])
def test_they_stay_when_the_keys_are_changed_and_resealed(
    make_web: MakeWeb, adapter: Adapter, store: str, stores_at: StoresAt, tmp_path: Path
) -> None:
    def platform(*keys: str) -> Platform:
        web = make_web(
            folder=tmp_path, messages={"on_unproven": "accept"}, settings={"CONFIGURE_TOKEN_KEYS": ",".join(keys)}
        )
        return Platform(web)

    def known(platform: Platform) -> list[Any]:
        account = platform.verb("/subject/export", sender=KEY)["account"]
        got = platform.message()
        return [account["user_id"], got["external_id"], got["token"]]

    before = platform(OLD)
    before.follow(before.connect())
    first = known(before)
    assert first[2] is not None

    both = platform(NEW, OLD)
    on_its_way = both.connect("chat:new")
    # Ada's token and the key of the ids; the journey has the new key already.
    assert both.verb("/reseal") == {"sealed": 2, "current": 0, "in_use": 0, "unreadable": 0}
    assert both.verb("/reseal") == {"sealed": 0, "current": 2, "in_use": 0, "unreadable": 0}
    assert known(both) == first

    alone = platform(NEW)
    assert known(alone) == first
    # Configure reports to the URL that the link names, which is the other process's; both have the key.
    both.follow(on_its_way)
    assert alone.message("chat:new")["linked"]
    # A process that began with the old key goes on as far as it needs none.
    assert before.message("chat:stranger")["external_id"] == alone.message("chat:stranger")["external_id"]
    for one in (before, both, alone):
        one.browser.close()


@lasting
@pytest.mark.usefixtures("ada")
def test_a_key_that_went_too_early_is_named_and_brings_them_back(make_agent: Make, configure_sandbox: Sandbox) -> None:
    first = ids(make_agent())
    # Something else that the new key sealed, so that it is known to the store.
    make_agent(f"{NEW},{OLD}").start_journey("chat:other")

    alone = make_agent(NEW)
    for verb in (alone.message_identity, alone.start_journey, alone.forget_subject, alone.export_subject):
        with pytest.raises(SettingsError, match=r"sealed with a key \(fingerprint .*add that key to the end") as raised:
            verb(KEY)
        assert OLD not in str(raised.value)

    assert ids(make_agent(f"{NEW},{OLD}")) == first


@lasting
def test_threads_that_are_the_first_to_ask_agree(make_agent: Make) -> None:
    for turn in range(3):
        agents = [make_agent() for _ in range(8)]
        ready = Barrier(len(agents))

        def ask(agent: MessageAgent, key: str = f"chat:{turn}", ready: Barrier = ready) -> str:
            ready.wait()
            return agent.message_identity(key).external_id

        with ThreadPoolExecutor(len(agents)) as threads:
            assert len(set(threads.map(ask, agents))) == 1


PROGRAM = """
import sys
from configure_auth import MessageAgent

agent = MessageAgent(store=sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(agent.message_identity("chat:ada").external_id)
agent.close()
"""


@lasting
def test_processes_that_are_the_first_to_ask_agree(
    make_agent: Make, configure_sandbox: Sandbox, store: str, stores_at: StoresAt, tmp_path: Path
) -> None:
    settings: Mapping[str, str] = environment(**configure_sandbox.environment(), CONFIGURE_TOKEN_KEYS=OLD)
    command = [sys.executable, "-W", "error", "-c", PROGRAM, stores_at(store, tmp_path)["store"]]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen(command, env=settings, text=True, **pipes)) for _ in range(4)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()
        # All of them wait for this, with nothing asked yet.
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60) for process in processes]

    assert {errors for _, errors in said} == {""}
    assert {text.strip() for text, _ in said} == {make_agent().message_identity(KEY).external_id}


@lasting
@pytest.mark.usefixtures("ada")
def test_who_is_forgotten_gets_another_at_configure_and_nobody_elses(make_agent: Make) -> None:
    agent, other = make_agent(), make_agent()
    mine, theirs = ids(agent), ids(agent, "chat:other")

    assert agent.forget_subject(KEY) is True

    again = other.message_identity(KEY, phone_candidates=[ADA])
    assert again.external_id not in (*mine, *theirs)
    assert agent.message_identity(KEY) == again
    assert ids(other, "chat:other") == theirs


@pytest.mark.catalogue("A21")
@pytest.mark.parametrize("store", ["sqlite"])
@pytest.mark.usefixtures("ada")
def test_a_copy_of_the_store_leads_to_nobodys_profile(make_agent: Make, tmp_path: Path) -> None:
    external_id, _ = ids(make_agent())
    make_agent().message_identity("chat:other", phone_candidates=[BOB])

    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b"configure_parameters" in content for content in files)
    assert not any(external_id.encode() in content or external_id[-64:].encode() in content for content in files)
