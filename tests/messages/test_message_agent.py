"""A bot in a process of its own, beside the app with the route that Configure's page reports to, on one store."""

from __future__ import annotations

import asyncio
import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

import anyio
import pytest
import trio

from configure_auth import AsyncMessageAgent, ConfigureError, MessageAgent, NotConfigured, Settings, SettingsError
from configure_auth.events import Event, JourneyCompleted, SenderLinked, SenderUnlinked
from configure_auth.sandbox import Sandbox
from configure_auth.stores.memory import memory_stores

from ..public.running import environment, python
from ..support.reading import no_calls
from ..support.stores import StoresAt, first
from ..support.web import MakeWeb, Web, query_of
from .conftest import ADA, BOB, KEY, WITHOUT_PHONES, Platform

KEYS = {"CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with"}

Kind = Literal["plain", "asyncio", "trio"]

one_app = pytest.mark.parametrize("adapter", ["flask"])
one_store = pytest.mark.parametrize("store", ["sqlite"])


class Bot(ABC):
    """A message agent that is asked one thing after the other, plain or awaited."""

    agent: Any

    @abstractmethod
    def __init__(self, *given: Any, **named: Any) -> None: ...

    @abstractmethod
    def run(self, step: Callable[[Any], Any]) -> Any:
        """What a step with the agent gives, which is awaited where the agent's verbs are."""

    @abstractmethod
    def close(self) -> None: ...

    def connect(self, sender: str = KEY) -> str:
        link: str = self.run(lambda agent: agent.start_journey(sender))
        return link

    def message(self, sender: str | int = KEY, *phones: str, **given: Any) -> Any:
        return self.run(lambda agent: agent.message_identity(sender, phone_candidates=phones, **given))

    def forget(self) -> bool:
        forgotten: bool = self.run(lambda agent: agent.forget_subject(KEY))
        return forgotten


class Plain(Bot):
    def __init__(self, *given: Any, **named: Any) -> None:
        self.agent = MessageAgent(*given, **named)

    def run(self, step: Callable[[Any], Any]) -> Any:
        return step(self.agent)

    def close(self) -> None:
        self.agent.close()


class OnAsyncio(Bot):
    """On one loop, as a bot has it."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.agent = AsyncMessageAgent(*given, **named)
        self._runner = asyncio.Runner()

    def run(self, step: Callable[[Any], Any]) -> Any:
        return self._runner.run(step(self.agent))

    def close(self) -> None:
        self._runner.run(self.agent.aclose())
        self._runner.close()


class OnTrio(Bot):
    """Each step on a loop of its own."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.agent = AsyncMessageAgent(*given, **named)

    def run(self, step: Callable[[Any], Any]) -> Any:
        return trio.run(step, self.agent)

    def close(self) -> None:
        trio.run(self.agent.aclose)


BOTS: Mapping[Kind, type[Bot]] = {"plain": Plain, "asyncio": OnAsyncio, "trio": OnTrio}


class MakeBot(Protocol):
    """Makes a bot beside an app, with the app's settings and store unless others are given."""

    def __call__(self, web: Web, *, store: Any = None, kind: Kind | None = None, **options: Any) -> Bot: ...


@pytest.fixture(params=["plain", "asyncio", "trio"])
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def shared(store: str, stores_at: StoresAt, tmp_path: Path) -> Mapping[str, Any]:
    """The arguments of the app's store. What is in memory is one for both, as nowhere but in a test."""
    return {"store": memory_stores()} if store == "memory" else stores_at(store, tmp_path)


@pytest.fixture
def web(make_web: MakeWeb, shared: Mapping[str, Any]) -> Web:
    return make_web(stores=shared, messages=WITHOUT_PHONES, settings=KEYS)


@pytest.fixture
def platform(web: Web) -> Iterator[Platform]:
    platform = Platform(web)
    with platform.browser:
        yield platform


def settings_of(web: Web, **changes: str | None) -> Settings:
    return Settings.from_mapping({**web.sandbox.environment(app_url=web.url), **KEYS, **changes})


@pytest.fixture
def make_bot(kind: Kind, shared: Mapping[str, Any]) -> Iterator[MakeBot]:
    with ExitStack() as stack:
        wanted = kind

        def make(web: Web, *, store: Any = None, kind: Kind | None = None, **options: Any) -> Bot:
            chosen = {"store": store or shared["store"], "clock": web.sandbox.clock, **WITHOUT_PHONES, **options}
            bot = BOTS[kind or wanted](settings_of(web), **chosen)
            stack.callback(bot.close)
            return bot

        yield make


@pytest.fixture
def bot(make_bot: MakeBot, web: Web) -> Bot:
    return make_bot(web)


# One conversation


def test_a_sender_connects_in_the_app_and_is_known_to_the_bot(platform: Platform, bot: Bot) -> None:
    ada = platform.sandbox.add_person(ADA, name="Ada")
    before = bot.message()
    assert (before.linked, before.source, before.token) == (False, "external_id", None)

    link = bot.connect()
    assert query_of(link)["message_complete_url"] == f"{platform.web.url}/configure/messages/complete"
    platform.follow(link)

    after = bot.message(KEY, ADA)
    assert (after.linked, after.user_id, after.display_name) == (True, ada.user_id, "Ada")
    assert after.external_id == before.external_id
    assert platform.sandbox.is_live(after.token.reveal())
    with no_calls(platform.sandbox):
        assert bot.message() == replace(after, display_name=None)
    # The app names the same people the same, and hears from the bot's sender.
    assert platform.message()["external_id"] == after.external_id
    assert [key for key, _ in platform.linked] == [KEY]
    assert [type(event) for event in platform.events] == [JourneyCompleted]

    account = bot.run(lambda agent: agent.export_subject(KEY)).account
    assert (account.user_id, account.configure_user_id) == (platform.linked[0][1].user_id, ada.user_id)
    assert [bot.forget(), bot.forget()] == [True, False]
    assert bot.run(lambda agent: agent.export_subject(KEY)).account is None
    assert platform.message()["linked"] is False


def test_a_link_of_the_app_is_finished_and_proven_at_the_bot(platform: Platform, bot: Bot) -> None:
    platform.follow(platform.connect())
    bob = platform.sandbox.add_person(BOB)
    platform.sandbox.issue_agent_token(bob)

    assert bot.message(KEY, BOB).user_id == bob.user_id
    assert platform.message()["user_id"] == bob.user_id


@one_app
def test_a_sender_has_the_profile_of_the_one_they_are(platform: Platform, bot: Bot) -> None:
    platform.sandbox.add_person(ADA, name="Ada")

    def profile() -> Any:
        identity = bot.message()
        return bot.run(lambda agent: agent.client.profile(identity).read(sections=("identity",)))

    profile()
    platform.follow(platform.connect())
    assert profile().identity.name == "Ada"

    own, linked = platform.sandbox.calls_to("GET", "/v1/profile")
    assert own.headers["x-user-id"] == bot.message().external_id
    assert "authorization" not in own.headers
    assert "x-user-id" not in linked.headers


@one_app
@one_store
def test_a_failure_of_configure_is_raised_only_where_the_bot_wants_it(platform: Platform, bot: Bot) -> None:
    platform.sandbox.fault("/v1/auth/sign-in/recognize-phone", status=500)

    assert bot.message(KEY, ADA).source == "external_id"
    with pytest.raises(ConfigureError) as raised:
        bot.message(KEY, ADA, raise_on_error=True)
    assert raised.value.status_code == 500


@one_app
@one_store
def test_a_bot_that_was_closed_goes_on(platform: Platform, bot: Bot) -> None:
    platform.follow(bot.connect())
    known = bot.message()

    for _ in range(2):
        bot.run(lambda agent: agent.close() if isinstance(bot, Plain) else agent.aclose())
        with no_calls(platform.sandbox):
            assert bot.message() == known
    platform.follow(bot.connect("chat:new"))
    assert bot.message("chat:new").user_id == known.user_id


@pytest.mark.parametrize("kind", ["plain", "asyncio"])
@one_app
@one_store
def test_a_bot_keeps_its_connection_until_it_is_closed(platform: Platform, bot: Bot) -> None:
    def connection(key: str) -> int:
        bot.message(key, ADA)  # a new sender, whose phone is asked about
        return platform.sandbox.calls[-1].connection

    first = connection("chat:1")
    assert connection("chat:2") == first
    bot.run(lambda agent: agent.close() if isinstance(bot, Plain) else agent.aclose())
    assert connection("chat:3") != first


@one_app
@one_store
def test_with_a_block_it_is_closed(web: Web, shared: Mapping[str, Any]) -> None:
    with MessageAgent(settings_of(web), **shared) as agent:
        assert agent.message_identity(KEY, phone_candidates=[ADA]).linked is False

    async def use() -> None:
        async with AsyncMessageAgent(settings_of(web), **shared) as agent:
            assert (await agent.message_identity(KEY, phone_candidates=[ADA])).linked is False

    asyncio.run(use())
    trio.run(use)


@pytest.mark.parametrize("kind", ["plain"])
@one_app
def test_threads_may_share_a_bot(platform: Platform, bot: Bot) -> None:
    platform.follow(bot.connect())

    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda number: bot.message(KEY if number % 2 else f"chat:{number}", ADA), range(24)))

    assert {one.user_id for one in got} == {platform.sandbox.people[0].user_id}
    assert len({one.external_id for one in got}) == 13


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
@one_app
def test_tasks_may_share_a_bot(platform: Platform, bot: Bot) -> None:
    platform.follow(bot.connect())
    got = []

    async def many(agent: AsyncMessageAgent) -> None:
        async def one(number: int) -> None:
            key = KEY if number % 2 else f"chat:{number}"
            got.append(await agent.message_identity(key, phone_candidates=[ADA]))

        async with anyio.create_task_group() as tasks:
            for number in range(24):
                tasks.start_soon(one, number)

    bot.run(many)

    assert {one.user_id for one in got} == {platform.sandbox.people[0].user_id}
    assert len({one.external_id for one in got}) == 13


@pytest.mark.parametrize("kind", ["plain", "asyncio", "trio"])
@one_app
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_bot_may_name_a_driver_of_asyncios(
    platform: Platform, make_bot: MakeBot, shared: Mapping[str, Any], kind: Literal["plain", "asyncio", "trio"]
) -> None:
    url: str = shared["store"]
    url = url.replace("sqlite:", "sqlite+aiosqlite:", 1).replace("postgresql:", "postgresql+asyncpg:", 1)
    bot = make_bot(platform.web, store=url, kind=kind)

    platform.follow(bot.connect())
    assert bot.message(KEY, ADA).linked
    assert bot.forget() is True


# Events


@one_app
@one_store
@pytest.mark.parametrize("awaits", [False, True], ids=["plain", "awaited"])
def test_a_bot_hears_of_its_own_events(
    platform: Platform, make_bot: MakeBot, kind: Kind, awaits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []

    def hear(event: Event) -> None:
        heard.append(event)
        raise RuntimeError("the bot's handler is broken")

    async def hear_awaited(event: Event) -> None:
        hear(event)

    if awaits and kind == "plain":
        pytest.skip("nothing awaits it")
    bot = make_bot(platform.web, on_event=hear_awaited if awaits else hear)
    ada = platform.sandbox.add_person(ADA)
    platform.sandbox.issue_agent_token(ada)

    assert bot.message(KEY, ADA).user_id == ada.user_id
    assert bot.forget() is True

    assert [type(event) for event in heard] == [SenderLinked, SenderUnlinked]
    assert heard[0].account.configure_user_id == ada.user_id  # type: ignore[attr-defined]
    assert caplog.text.count("a handler of Sender") == 2
    assert {event.sender for event in heard} == {KEY}  # type: ignore[attr-defined]
    # Each process tells of what it did.
    assert platform.events == []


# Another process


BOT = """
import json, sys
from configure_auth import MessageAgent

def known(agent):
    identity = agent.message_identity("chat:ada")
    return [identity.linked, identity.user_id, identity.external_id]
"""

FORKED = (
    BOT
    + """
import os, warnings

# Python 3.12's own warning of threads; those of a pool that is forgotten hold nothing.
warnings.filterwarnings("ignore", "This process", DeprecationWarning)
agent = MessageAgent(store=sys.argv[1], on_unproven="accept")
before = known(agent)
child = os.fork()
if child == 0:
    try:
        assert known(agent) == before, known(agent)
        assert agent.start_journey("chat:child").startswith("http")
        agent.forget_subject("chat:child")
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
    os._exit(0)
_, status = os.waitpid(child, 0)
assert known(agent) == before
agent.close()
print(json.dumps(before))
sys.exit(os.waitstatus_to_exitcode(status))
"""
)

SECOND = (
    BOT
    + """
agent = MessageAgent(store=sys.argv[1], on_unproven="accept")
print(json.dumps(known(agent)))
agent.close()
"""
)


@pytest.mark.parametrize("kind", ["plain"])
@one_app
@pytest.mark.parametrize("store", first(["sqlite", "postgresql", "redis"]))
@pytest.mark.parametrize("program", [SECOND, FORKED], ids=["second", "forked"])
def test_a_bot_in_another_process_knows_the_sender(
    platform: Platform, bot: Bot, shared: Mapping[str, Any], program: str
) -> None:
    platform.follow(bot.connect())
    known = bot.message()

    assert _says(platform.web, program, shared["store"]) == [True, known.user_id, known.external_id]


def _says(web: Web, program: str, *arguments: str) -> Any:
    """What a program prints, which has the app's settings."""
    settings = environment(**web.sandbox.environment(app_url=web.url), **KEYS)
    ended: subprocess.CompletedProcess[str] = python("-c", program, *arguments, env=settings)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    return json.loads(ended.stdout)


# What is refused when it is made


GOOD = {"CONFIGURE_APP_URL": "http://localhost:3000", **KEYS}


@pytest.mark.parametrize(
    ("settings", "options", "said"),
    [
        ({"CONFIGURE_APP_URL": "http://bot.example.com"}, {}, "CONFIGURE_APP_URL is http, which is for loopback only"),
        ({}, {"connectors": "gmail"}, r'connectors is a tuple of tools, such as \("gmail", "calendar"\)'),
        ({}, {"region": "us"}, 'region is the two capital letters of a country, such as "US", or None'),
        ({}, {"region": "USA"}, "region is the two capital letters"),
        ({}, {"region": "XX"}, "region is the two capital letters"),
        ({}, {"region": ""}, "region is the two capital letters"),
        ({}, {"message_line_phone": "nonsense"}, "message_line_phone must be a phone number such as [+]14155550100"),
        ({}, {"message_line_phone": "(415) 555-0100"}, "message_line_phone must be a phone number"),
        ({}, {"message_line_phone": "(415) 555-0100", "region": "GB"}, "message_line_phone must be a phone number"),
        ({}, {"message_line_phone": ""}, "message_line_phone must be a phone number"),
        ({}, {"on_unproven": "maybe"}, 'on_unproven must be "wait", "accept" or "reject"'),
        ({}, {"theme": "blue"}, 'theme must be "light" or "dark"'),
        ({}, {"path": "messages"}, "path must begin with a slash"),
        ({}, {"store": "nonsense"}, "store= is not a URL; it looks like"),
        ({}, {"store": "redis://localhost"}, "Redis keeps the attempts to sign in only"),
    ],
)
@pytest.mark.parametrize("agent", [MessageAgent, AsyncMessageAgent])
def test_what_cannot_work_is_said_when_it_is_made(
    configure_sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    agent: Any,
    settings: dict[str, str | None],
    options: dict[str, Any],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SettingsError, match=said):
        agent(Settings.from_mapping({**configure_sandbox.environment(), **GOOD, **settings}), **options)

    assert list(tmp_path.iterdir()) == []


def test_missing_settings_are_named_at_the_first_verb(configure_sandbox: Sandbox, tmp_path: Path) -> None:
    missing = ("CONFIGURE_API_KEY", "CONFIGURE_AGENT", "CONFIGURE_TOKEN_KEYS")
    environment = {**configure_sandbox.environment(), **dict.fromkeys(missing)}
    agent = MessageAgent(Settings.from_mapping(environment), store=f"sqlite:///{tmp_path / 'bot.db'}")

    with pytest.raises(NotConfigured) as refused:
        agent.start_journey("sender-1")

    assert all(name in str(refused.value) for name in missing)
    agent.close()


@pytest.mark.parametrize("agent", ["MessageAgent", "AsyncMessageAgent"])
def test_without_phonenumbers_it_says_what_to_install(configure_sandbox: Sandbox, agent: str) -> None:
    program = f"""
import sys
sys.modules["phonenumbers"] = None
from configure_auth import {agent}, SettingsError
try:
    {agent}(store="memory://")
except SettingsError as error:
    print(error)
"""
    ended = python("-c", program, env=environment(**configure_sandbox.environment(), **KEYS))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "message agents need phonenumbers: pip install 'configure_auth[messages]'\n"


def test_a_line_is_sent_as_an_international_number(configure_sandbox: Sandbox) -> None:
    settings = Settings.from_mapping({**configure_sandbox.environment(), **GOOD})
    for line, region in (("(415) 555-0100", "US"), ("+1 415 555 0100", None)):
        agent = MessageAgent(settings, store="memory://", message_line_phone=line, region=region)
        assert query_of(agent.start_journey(KEY))["message_line_phone"] == "+14155550100"


@pytest.mark.parametrize("key", ["", " ", "\t", None, True, 1.5, b"chat", "x" * 256, "a\0b", "\ud800"])
def test_a_senders_key_that_can_be_none_is_refused(configure_sandbox: Sandbox, key: Any) -> None:
    agent = MessageAgent(Settings.from_mapping({**configure_sandbox.environment(), **GOOD}), store="memory://")

    for verb in (agent.start_journey, agent.message_identity, agent.forget_subject, agent.export_subject):
        with pytest.raises(SettingsError, match="sender must"):
            verb(key)


def test_one_phone_that_is_no_list_is_refused(configure_sandbox: Sandbox) -> None:
    agent = MessageAgent(Settings.from_mapping({**configure_sandbox.environment(), **GOOD}), store="memory://")

    with pytest.raises(SettingsError, match=r"phone_candidates is a list .* such as \[\"\+14155550100\"\]"):
        agent.message_identity(KEY, phone_candidates=ADA)


def test_nothing_is_opened_or_asked_when_it_is_made(
    configure_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**configure_sandbox.environment(), **GOOD}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    for agent in (MessageAgent(), AsyncMessageAgent()):
        for secret in (configure_sandbox.credentials.api_key, *KEYS.values()):
            assert secret not in repr(agent) + str(vars(agent))
    assert list(tmp_path.iterdir()) == []
    assert configure_sandbox.calls == []
