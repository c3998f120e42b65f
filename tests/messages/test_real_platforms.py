"""What bots on real platforms met: whose profile a message reads, what is erased, what happens in an outage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from flask import Flask

from configure_auth import AsyncMessageAgent, ConfigureError, MessageAgent, Settings, SettingsError
from configure_auth.events import CommitFailed, SenderUnlinked
from configure_auth.fastapi import ConfigureAuth as FastAPIConfigureAuth
from configure_auth.flask import ConfigureAuth as FlaskConfigureAuth
from configure_auth.sandbox import Sandbox
from configure_auth.starlette import ConfigureAuth as StarletteConfigureAuth
from configure_auth.stores.memory import memory_stores

from ..support.reading import no_calls
from ..support.web import query_of
from .senders import RECOGNIZE, VALIDATE

ADA, BOB = "+14155550101", "+14155550102"
KEYS = {"CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with"}
APP_URL = "http://localhost:3000"


class Bot:
    """A bot with an app beside it that takes the completions of its journeys."""

    def __init__(self, sandbox: Sandbox, **options: Any) -> None:
        self.sandbox = sandbox
        self.events: list[Any] = []
        self.told: list[tuple[Any, ...]] = []
        self.settings = Settings.from_mapping({**sandbox.environment(app_url=APP_URL), **KEYS})
        shared: dict[str, Any] = {"store": memory_stores(), "clock": sandbox.clock}
        self.agent = MessageAgent(self.settings, on_event=self.events.append, **shared, **options)
        self.app = Flask(__name__)
        web = FlaskConfigureAuth(self.settings, user_id=lambda: None, session=False, **shared)
        web.init_app(self.app)
        self.app.register_blueprint(web.messages(on_linked=lambda *given: self.told.append(given), **options))
        self.web = web

    def follow(self, link: str, phone: str) -> str:
        """Somebody with this phone signs in behind a link; their id."""
        person = self.sandbox.add_person(phone)
        body = {"journeyId": query_of(link)["journey"], "token": self.sandbox.issue_agent_token(person)}
        answer = self.app.test_client().post("/configure/messages/complete", base_url=APP_URL, json=body)
        assert answer.status_code == 200, answer.text
        return person.user_id

    def journey(self, sender: str, phone: str) -> str:
        return self.follow(self.agent.start_journey(sender), phone)

    def approved(self, phone: str) -> str:
        person = self.sandbox.add_person(phone)
        self.sandbox.issue_agent_token(person)
        return person.user_id

    def unlinked(self) -> list[tuple[str, str]]:
        return [(event.sender, event.why) for event in self.events if isinstance(event, SenderUnlinked)]

    def close(self) -> None:
        self.agent.close()
        self.web.close()


@pytest.fixture
def make_bot(configure_sandbox: Sandbox) -> Iterator[Any]:
    made: list[Bot] = []

    def make(**options: Any) -> Bot:
        made.append(Bot(configure_sandbox, **options))
        return made[-1]

    yield make
    for bot in made:
        bot.close()


@pytest.fixture
def bot(make_bot: Any) -> Bot:
    found: Bot = make_bot()
    return found


# Nobody reads another person's profile


def test_a_whatsapp_id_is_no_number_of_the_region(make_bot: Any) -> None:
    bot = make_bot(region="DE")
    bot.approved("+49447911123456")
    british = bot.approved("+447911123456")
    wa_id = "447911123456"

    with no_calls(bot.sandbox):
        assert bot.agent.message_identity(wa_id, phone_candidates=[wa_id]).linked is False
    whatsapp = make_bot(region="DE", platform="whatsapp")
    assert whatsapp.agent.message_identity(wa_id, phone_candidates=[wa_id]).user_id == british


@pytest.mark.parametrize("on_unproven", ["wait", "accept", "reject"])
def test_a_phone_that_cannot_be_read_keeps_a_passed_on_link_unused(
    make_bot: Any, on_unproven: str, caplog: pytest.LogCaptureFixture
) -> None:
    bot = make_bot(on_unproven=on_unproven)
    clicker = bot.journey("chat:ada", BOB)

    got = bot.agent.message_identity("chat:ada", phone_candidates=["15550100004"])

    assert (got.linked, got.unlinked_because, bot.unlinked()) == (False, "unproven", [])
    assert caplog.text.count("can't be read") == 1
    assert "5550100004" not in caplog.text
    # It is kept until a turn with a readable one.
    assert bot.agent.message_identity("chat:ada", phone_candidates=["15550100004", BOB]).user_id == clicker


def test_a_telegram_id_is_no_phone(make_bot: Any) -> None:
    bot = make_bot(region="US")
    bot.approved("+12025550123")

    with no_calls(bot.sandbox):
        got = bot.agent.message_identity("2025550123")
        assert bot.agent.message_identity(2025550123) == got
    assert got.external_id != bot.agent.message_identity("+12025550123").external_id


@pytest.mark.parametrize("seconds", [600, 3 * 86400])
def test_a_number_with_a_new_owner_loses_the_link(bot: Bot, seconds: int) -> None:
    bot.journey("chat:ada", ADA)
    assert bot.agent.message_identity("chat:ada", phone_candidates=[ADA]).linked
    new_owner = bot.approved(BOB)
    bot.sandbox.advance(seconds)

    got = bot.agent.message_identity("chat:ada", phone_candidates=[BOB])

    assert got.user_id == new_owner
    assert bot.unlinked() == [("chat:ada", "contradicted")]


def test_a_proof_holds_for_ten_minutes(bot: Bot) -> None:
    bot.journey("chat:ada", ADA)
    assert bot.agent.message_identity("chat:ada", phone_candidates=[ADA]).linked
    bot.sandbox.revoke_approval(bot.sandbox.people[0])

    bot.sandbox.advance(590)
    with no_calls(bot.sandbox):
        assert bot.agent.message_identity("chat:ada", phone_candidates=[ADA]).linked
    bot.sandbox.advance(10)
    got = bot.agent.message_identity("chat:ada", phone_candidates=[ADA])

    assert (got.linked, got.unlinked_because) == (False, "invalid")


def test_another_phone_is_compared_at_once(bot: Bot) -> None:
    bot.journey("chat:ada", ADA)
    assert bot.agent.message_identity("chat:ada", phone_candidates=[ADA]).linked
    bot.sandbox.add_person(BOB)

    got = bot.agent.message_identity("chat:ada", phone_candidates=[BOB])

    assert (got.linked, got.unlinked_because) == (False, "contradicted")


def test_a_call_without_evidence_does_not_use_an_unproven_link(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    clicker = bot.journey("chat:ada", BOB)

    job = bot.agent.message_identity("chat:ada")

    assert (job.token, job.unlinked_because, bot.unlinked()) == (None, "unproven", [])
    assert 'set on_unproven="accept"' in caplog.text
    assert bot.agent.message_identity("chat:ada", phone_candidates=[BOB]).user_id == clicker
    assert bot.agent.message_identity("chat:ada").user_id == clicker


def test_a_senders_number_is_evidence_in_a_call_without_a_message(make_bot: Any) -> None:
    bot = make_bot(on_unproven="accept")
    bot.journey(ADA, BOB)
    bot.sandbox.add_person(ADA)

    got = bot.agent.message_identity(ADA)

    assert (got.linked, got.unlinked_because) == (False, "contradicted")
    # It links nobody by itself.
    bot.approved("+14155550103")
    with no_calls(bot.sandbox):
        assert bot.agent.message_identity("+14155550103").linked is False


@pytest.mark.parametrize(("on_unproven", "linked"), [("accept", True), ("reject", False), ("wait", False)])
def test_a_platform_without_phones_says_for_whom_a_link_is(make_bot: Any, on_unproven: str, linked: bool) -> None:
    bot = make_bot(display_name="Echo", on_unproven=on_unproven)
    link = bot.agent.start_journey("U02ABC", display_name="Echo for @ada in Acme")

    assert query_of(link)["agent_name"] == "Echo for @ada in Acme"
    bot.follow(link, ADA)
    assert bot.agent.message_identity("U02ABC").linked is linked
    assert query_of(bot.agent.start_journey("U02DEF"))["agent_name"] == "Echo"


# Erasure


def facts_of(bot: Bot, **subject: Any) -> list[str]:
    with bot.agent.client.profile(**subject) as profile:
        return sorted(memory.text for memory in profile.search("*", limit=100).results)


def test_forgetting_a_sender_erases_at_configure_first(bot: Bot) -> None:
    before = bot.agent.message_identity("chat:ada")
    bot.agent.client.profile(before).remember("said before the link")
    bot.journey("chat:ada", ADA)
    linked = bot.agent.message_identity("chat:ada", phone_candidates=[ADA])
    for number in range(10):
        bot.agent.client.profile(linked).remember(f"fact {number}")

    bot.sandbox.fault("/v1/profile/forget", status=503)
    with pytest.raises(ConfigureError) as caught:
        bot.agent.forget_subject("chat:ada")
    assert caught.value.retryable
    for left in ("the profile of the external id", "in the linked profile", "stored here", "call it again"):
        assert left in str(caught.value)
    kept = bot.agent.export_subject("chat:ada")
    assert kept is not None
    assert kept.account is not None

    bot.sandbox.clear_faults()
    assert bot.agent.forget_subject("chat:ada") is True
    assert facts_of(bot, external_id=before.external_id) == []
    assert linked.token is not None
    assert facts_of(bot, token=linked.token) == []
    # The wish not to be recognised stays, and nothing else.
    with no_calls(bot.sandbox):
        got = bot.agent.message_identity("chat:ada", phone_candidates=[ADA])
    assert (got.linked, got.unlinked_because) == (False, "disconnected")
    assert got.external_id != before.external_id
    assert bot.agent.forget_subject("chat:ada") is False


def test_forgetting_a_sender_whose_token_is_dead_goes_on(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    bot.journey("chat:ada", ADA)
    for token in bot.sandbox.tokens:
        bot.sandbox.revoke_token(token.token)

    assert bot.agent.forget_subject("chat:ada") is True
    assert "no longer accepts can't be used to erase" in caplog.text


def test_forgetting_a_user_erases_at_configure_first(bot: Bot) -> None:
    external_id = bot.agent.external_id_for(7)
    bot.agent.client.profile(external_id=external_id).remember("likes trains")

    bot.sandbox.fault("/v1/profile/forget", drop=True)
    with pytest.raises(ConfigureError, match="still to do: the profile of the external id"):
        bot.agent.forget_user(7)
    assert bot.agent.external_id_for(7) == external_id

    bot.sandbox.clear_faults()
    assert bot.agent.forget_user(7) is False
    assert facts_of(bot, external_id=external_id) == []
    assert bot.agent.external_id_for(7) != external_id


# Knowing why, and outages


def test_events_and_hooks_have_the_senders_own_id(bot: Bot) -> None:
    bot.journey("chat:ada", ADA)
    bot.sandbox.add_person(BOB)
    bot.agent.message_identity("chat:ada", phone_candidates=[BOB])

    assert bot.unlinked() == [("chat:ada", "contradicted")]
    assert "chat:ada" not in repr(bot.events)


@pytest.mark.parametrize("path", [VALIDATE, RECOGNIZE])
def test_an_outage_makes_a_sender_unknown_and_writes_to_no_other_profile(bot: Bot, path: str) -> None:
    bot.journey("chat:ada", ADA)
    bot.sandbox.fault(path, status=503)

    got = bot.agent.message_identity("chat:ada", phone_candidates=[ADA])

    assert (got.linked, got.unlinked_because) == (False, "unavailable")
    profile = bot.agent.client.profile(got)
    for use in (profile.read, profile.search, lambda: profile.remember("x"), profile.connect):
        with no_calls(bot.sandbox), pytest.raises(ConfigureError) as caught:
            use()
        assert caught.value.retryable
    # The caller may ask for the other one.
    assert facts_of(bot, external_id=got.external_id) == []
    bot.sandbox.clear_faults()
    assert bot.agent.message_identity("chat:ada", phone_candidates=[ADA]).linked


def test_awaited_an_unknown_sender_has_no_profile_either(configure_sandbox: Sandbox) -> None:
    settings = Settings.from_mapping({**configure_sandbox.environment(app_url=APP_URL), **KEYS})
    configure_sandbox.fault(RECOGNIZE, status=503)

    async def main() -> None:
        async with AsyncMessageAgent(settings, store="memory://") as agent:
            got = await agent.message_identity("chat:new", phone_candidates=[ADA])
            assert got.unlinked_because == "unavailable"
            with pytest.raises(ConfigureError):
                await agent.client.profile(got).remember("x")

    asyncio.run(main())


def test_what_was_kept_before_a_link_is_reachable_after_it(bot: Bot) -> None:
    bot.agent.client.profile(bot.agent.message_identity("chat:ada")).remember("likes trains")
    bot.journey("chat:ada", ADA)
    linked = bot.agent.message_identity("chat:ada", phone_candidates=[ADA])

    before = bot.agent.identity_before_link("chat:ada")

    assert linked.linked
    assert before.linked is False
    assert [one.text for one in bot.agent.client.profile(before).search("*").results] == ["likes trains"]
    # A sender who disconnects has that again, and nothing of the linked profile.
    bot.agent.unlink_subject("chat:ada")
    after = bot.agent.message_identity("chat:ada", phone_candidates=[ADA])
    assert after.external_id == before.external_id
    assert [one.text for one in bot.agent.client.profile(after).search("*").results] == ["likes trains"]


def test_export_has_the_link_and_later_the_time_of_the_disconnect(bot: Bot) -> None:
    assert bot.agent.export_subject("chat:ada") is None
    bot.journey("chat:ada", ADA)
    linked = bot.agent.export_subject("chat:ada")
    bot.agent.unlink_subject("chat:ada")
    left = bot.agent.export_subject("chat:ada")

    assert linked is not None
    assert left is not None
    assert linked.account is not None
    assert linked.disconnected_at is None
    assert left.account is None
    assert left.disconnected_at is not None


@pytest.mark.parametrize("link", [Bot.journey, lambda bot, _, phone: bot.approved(phone)], ids=["journey", "phone"])
def test_a_consent_that_was_revoked_ends_the_trust_at_once(bot: Bot, link: Callable[[Bot, str, str], str]) -> None:
    link(bot, "chat:ada", ADA)
    linked = bot.agent.message_identity("chat:ada", phone_candidates=[ADA])
    bot.sandbox.revoke_approval(bot.sandbox.people[0])

    with pytest.raises(ConfigureError) as caught:
        bot.agent.client.profile(linked).read()

    assert caught.value.code == "AUTH_REQUIRED"
    got = bot.agent.message_identity("chat:ada", phone_candidates=[ADA])
    assert (got.linked, got.unlinked_because) == (False, "invalid")


@pytest.mark.parametrize("options", [{"deadline": 0.3}, {"timeout": 0.3}])
def test_a_slow_configure_is_waited_for_as_long_as_the_bot_says(make_bot: Any, options: dict[str, float]) -> None:
    """Configure responds after 5 seconds, which is within the default of the other option."""
    bot = make_bot(**options)
    bot.journey("chat:ada", ADA)
    with bot.sandbox.hold(RECOGNIZE) as held:
        late = Timer(5, held.release)
        late.start()
        got = bot.agent.message_identity("chat:ada", phone_candidates=[ADA])
        late.cancel()
        late.join()

    assert got.unlinked_because == "unavailable"


def test_the_deadline_is_of_the_whole_identity(make_bot: Any) -> None:
    bot = make_bot(deadline=5)
    bot.journey("chat:ada", ADA)
    with bot.sandbox.hold(RECOGNIZE) as held, ThreadPoolExecutor(1) as threads:
        asked = threads.submit(bot.agent.message_identity, "chat:ada", phone_candidates=[ADA])
        held.arrived.wait(1)
        bot.sandbox.advance(6)
        held.release()
        assert asked.result().unlinked_because == "unavailable"


@pytest.mark.parametrize("name", ["timeout", "deadline"])
@pytest.mark.parametrize("seconds", [0, -1, 301, True])
def test_a_time_that_is_none_is_refused(configure_sandbox: Sandbox, name: str, seconds: Any) -> None:
    settings = Settings.from_mapping({**configure_sandbox.environment(app_url=APP_URL), **KEYS})
    options: dict[str, Any] = {name: seconds}

    with pytest.raises(SettingsError, match=f"{name} must be a number of seconds"):
        MessageAgent(settings, store="memory://", **options)


# What every bot needs


def test_a_message_is_new_once(bot: Bot) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(bot.agent.once, ["wamid.1"] * 8)) == [False] * 7 + [True]
    assert bot.agent.once("wamid.2") is True
    bot.sandbox.advance(86400 - 1)
    assert bot.agent.once("wamid.1") is False
    bot.sandbox.advance(1)
    assert bot.agent.once("wamid.1") is True
    odd: Any
    for odd in ("", None, 1.5):
        with pytest.raises(SettingsError, match="message_id"):
            bot.agent.once(odd)


def test_a_phone_that_links_nobody_is_asked_about_once_in_a_while(bot: Bot) -> None:
    before = len(bot.sandbox.calls_to("POST", RECOGNIZE))
    for _ in range(20):
        assert bot.agent.message_identity("chat:ada", phone_candidates=[ADA]).linked is False
    assert len(bot.sandbox.calls_to("POST", RECOGNIZE)) == before + 1

    # A link that was handed out is followed soon.
    bot.agent.message_sign_in_url()
    ada = bot.approved(ADA)
    assert bot.agent.message_identity("chat:ada", phone_candidates=[ADA]).user_id == ada


def test_a_phone_that_links_nobody_is_asked_about_again(bot: Bot) -> None:
    """A user may sign in by a link that the bot didn't send."""
    assert bot.agent.message_identity("chat:ada", phone_candidates=[ADA]).linked is False
    ada = bot.approved(ADA)
    bot.sandbox.advance(20)
    with no_calls(bot.sandbox):
        assert bot.agent.message_identity("chat:ada", phone_candidates=[ADA]).linked is False

    bot.sandbox.advance(10)

    assert bot.agent.message_identity("chat:ada", phone_candidates=[ADA]).user_id == ada


def test_a_journey_carries_what_the_hook_needs(bot: Bot) -> None:
    context = {"channel": "C024", "thread": 17}
    link = bot.agent.start_journey("U02ABC", context=context)
    assert "C024" not in link

    bot.follow(link, ADA)
    bot.journey("U02DEF", BOB)

    assert [given[0] for given in bot.told] == ["U02ABC", "U02DEF"]
    assert [given[2:] for given in bot.told] == [(context,), ()]
    for odd in (object(), {"x": "x" * 1000}, float("nan")):
        with pytest.raises(SettingsError, match="context must"):
            bot.agent.start_journey("U02ABC", context=odd)


def test_a_second_message_agent_of_one_app_is_refused(configure_sandbox: Sandbox) -> None:
    settings = Settings.from_mapping({**configure_sandbox.environment(app_url=APP_URL), **KEYS})
    app = Flask(__name__)
    on_flask = FlaskConfigureAuth(settings, store="memory://", user_id=lambda: None)
    on_flask.init_app(app)
    app.register_blueprint(on_flask.messages())
    with pytest.raises(SettingsError, match=r"messages\(\) is registered twice"):
        app.register_blueprint(on_flask.messages(path="/other"), name="other")

    on_starlette = StarletteConfigureAuth(settings, store="memory://", user_id=lambda request: None)
    on_starlette.messages()
    with pytest.raises(SettingsError, match=r"messages\(\) is registered twice"):
        on_starlette.messages(path="/other")


def test_the_hook_has_the_same_names_on_fastapi(configure_sandbox: Sandbox) -> None:
    settings = Settings.from_mapping({**configure_sandbox.environment(app_url=APP_URL), **KEYS})
    app_auth = FastAPIConfigureAuth(settings, store="memory://", user=lambda: None)

    def on_linked(sender: str, account: Any, context: Any = None) -> None:
        """FastAPI would refuse a parameter of another name."""

    app_auth.messages(on_linked=on_linked)


def test_a_bot_without_a_store_names_its_file(
    configure_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {**configure_sandbox.environment(app_url=APP_URL), **KEYS}

    MessageAgent(Settings.from_mapping(settings)).close()

    (record,) = caplog.records
    assert (record.levelname, str(tmp_path / "configure.db") in record.getMessage()) == ("WARNING", True)
    caplog.clear()
    MessageAgent(Settings.from_mapping({**settings, "CONFIGURE_STORE": "sqlite:///bot.db"})).close()
    assert caplog.records == []


def test_a_script_has_the_profiles_of_the_apps_users(bot: Bot) -> None:
    with bot.app.app_context():
        assert bot.agent.external_id_for(7) == bot.web.external_id_for(7)
    assert bot.agent.account_for(7) is None
    with pytest.raises(ConfigureError, match="not connected"):
        bot.agent.profile_for(7)


# A commit at the end of a block


def test_a_commit_that_may_succeed_later_is_repeated_by_the_next_block(
    bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    bot.journey("chat:ada", ADA)
    linked = bot.agent.message_identity("chat:ada", phone_candidates=[ADA])
    bot.sandbox.fault("/v1/profile/commit", status=503)

    with caplog.at_level(logging.WARNING), bot.agent.client.profile(linked) as profile:
        profile.read()
        profile.note(messages=[{"role": "user", "content": "hello"}])
    replied = True

    assert replied
    assert caplog.text.count("a commit failed (SERVER_ERROR)") == 1
    assert [event.code for event in bot.events if isinstance(event, CommitFailed)] == ["SERVER_ERROR"]
    with pytest.raises(ConfigureError), bot.agent.client.profile(linked, strict=True) as profile:
        profile.read()
    bot.sandbox.clear_faults()
    with bot.agent.client.profile(linked) as profile:
        profile.read()
    sent = [call.json for call in bot.sandbox.calls_to("POST", "/v1/profile/commit")][-2:]
    assert [one["messages"][0]["content"] == "hello" for one in sent] == [True, False]


def test_a_block_that_fails_leaves_no_read_uncommitted(bot: Bot) -> None:
    bot.journey("chat:ada", ADA)
    linked = bot.agent.message_identity("chat:ada", phone_candidates=[ADA])

    with pytest.raises(ZeroDivisionError), bot.agent.client.profile(linked) as profile:  # noqa: PT012
        profile.read()
        profile.note(memories=["of a turn that failed"])
        raise ZeroDivisionError

    assert profile.owes_commit() is False
    (commit,) = bot.sandbox.calls_to("POST", "/v1/profile/commit")
    assert "memories" not in commit.json
