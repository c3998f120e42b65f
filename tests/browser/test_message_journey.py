"""Two people who write to an agent: each follows a link in a message, and comes back to the thread.

The page with the threads plays their phones; Configure's page opens beside it.
"""

from __future__ import annotations

import shutil
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from example_apps.message_agent.agent import CONNECTED, DISCONNECTED, ECHO, HINT, LINK, SAY_CONNECT, WHY
from example_apps.message_agent.threads import PHONES

from ..support.stores import first
from .apps import MESSAGE_AGENT, ExampleApp, Served
from .conftest import ARGUMENTS, Meet
from .person import Person

COMPLETE = "/configure/messages/complete"
STRANGER, BY_ADA, BY_BOB = f"{ECHO}hello{HINT}", f"Ada Lovelace, {ECHO}hello", f"Bob, {ECHO}hello"
DROPPED, AWAY = f"{ECHO}hello ({WHY['contradicted']} {SAY_CONNECT})", f"{ECHO}hello ({WHY['unavailable']})"

every_sender = pytest.mark.parametrize("sender", first(["page", "server", "both"]))
"""Who tells the agent: the page, its browser asking first; Configure's server; or both at once."""


@pytest.fixture
def example() -> ExampleApp:
    return MESSAGE_AGENT


@pytest.fixture
def served(served: Served) -> Served:
    served.sandbox.variants.completion_sender = "page"
    return served


class Sender:
    """Somebody with a browser of their own, who writes in one of the threads."""

    def __init__(self, person: Person, name: str) -> None:
        self.person, self.phone = person, PHONES[name]
        person.visit("/")
        self.thread = person.page.get_by_role("region", name=name.capitalize())
        self.messages = self.thread.get_by_role("listitem")

    def say(self, text: str, answer: str) -> None:
        """Send a message, and see what the agent says to it."""
        before = self.messages.count()
        self.thread.get_by_role("textbox").fill(text)
        self.thread.get_by_role("textbox").press("Enter")
        expect(self.messages).to_have_count(before + 2)
        self.expect(answer)

    def expect(self, answer: str) -> None:
        expect(self.messages.last).to_have_text(answer)
        expect(self.messages.last).to_have_class("agent")

    def link(self) -> str:
        """Ask to be connected; where the link leads."""
        self.thread.get_by_role("textbox").fill("connect")
        self.thread.get_by_role("button", name="Send").click()
        expect(self.messages.last).to_contain_text(LINK)
        return self.messages.last.get_by_role("link").get_attribute("href") or ""

    def press_the_link(self) -> Page:
        with self.person.context.expect_page() as opened:
            self.messages.last.get_by_role("link").click()
        return opened.value

    def let_in(self, tab: Page) -> None:
        """Sign in with one's own phone, and let the agent in."""
        self.person.prove_phone(self.phone, tab)
        self.person.allow(tab)
        expect(tab.get_by_role("heading", level=1)).to_have_text("You're connected")

    def follow(self, link: str) -> Page:
        """Open a link that somebody passed on, to the end."""
        tab = self.person.new_tab()
        tab.goto(link)
        self.let_in(tab)
        return tab

    def completions(self) -> list[tuple[str, int]]:
        """What the pages of Configure in this browser posted to the agent."""
        answers = [answer for answer in self.person.answers if urlsplit(answer.url).path == COMPLETE]
        return [(answer.request.method, answer.status) for answer in answers]


@pytest.fixture
def ada(meet: Meet, served: Served) -> Sender:
    return Sender(meet(), "ada")


@pytest.fixture
def bob(meet: Meet, served: Served) -> Sender:
    return Sender(meet(), "bob")


@every_sender
def test_two_people_connect_and_are_answered_by_name(ada: Sender, bob: Sender, served: Served, sender: Any) -> None:
    served.sandbox.variants.completion_sender = sender
    served.sandbox.add_person(bob.phone, name="Bob")
    ada.person.look("empty")
    ada.say("hello", STRANGER)
    bob.say("hello", STRANGER)
    for one in (bob, ada):
        one.link()
    for one in (ada, bob):
        tab = one.press_the_link()
        one.let_in(tab)
        expect(tab.get_by_text("Now go back to your messages.")).to_be_visible()
        if sender != "server":
            expect(tab.get_by_role("status")).to_have_text("Echo knows.")
        one.person.look("done", tab)
        tab.close()
        one.expect(CONNECTED)  # by itself
        assert one.completions() == ([] if sender == "server" else [("POST", 200)])

    ada.say("hello", BY_ADA)
    bob.say("hello", BY_BOB)
    expect(ada.messages.get_by_text(CONNECTED)).to_have_count(1)
    ada.person.look("thread")

    ada.say("disconnect", DISCONNECTED)
    ada.say("hello", STRANGER)
    bob.say("hello", BY_BOB)
    ada.person.page.reload()
    ada.expect(STRANGER)
    ada.link()
    tab = ada.press_the_link()
    ada.person.allow(tab)  # Configure knows this browser
    ada.expect(CONNECTED)
    ada.say("hello", BY_ADA)


@pytest.mark.extended
@every_sender
@pytest.mark.parametrize("known", ["unknown", "known", "connected"])
def test_a_link_that_was_passed_on(ada: Sender, bob: Sender, served: Served, sender: Any, known: str) -> None:
    """By his phone Bob is nobody that Configure knows, or somebody, or somebody who has let the agent in elsewhere."""
    served.sandbox.variants.completion_sender = sender
    link = bob.link()
    if known != "unknown":
        person = served.sandbox.add_person(bob.phone, name="Bob")
    if known == "connected":
        served.sandbox.issue_agent_token(person)

    ada.follow(link)

    bob.expect(CONNECTED)
    bob.say("hello", BY_BOB if known == "connected" else DROPPED)
    expect(bob.messages.filter(has_text="Ada")).to_have_count(0)
    ada.say("hello", BY_ADA)


@pytest.mark.extended
def test_a_link_that_has_done_its_work(ada: Sender, bob: Sender) -> None:
    link = ada.link()
    ada.let_in(ada.press_the_link())
    ada.expect(CONNECTED)

    tab = bob.follow(link)

    expect(tab.get_by_role("status")).to_have_text("The app answered 404.")
    bob.person.refusals.append(f"POST {COMPLETE} 404")
    ada.say("hello", BY_ADA)


@pytest.mark.extended
def test_a_sign_in_that_was_cancelled(ada: Sender) -> None:
    ada.link()
    tab = ada.press_the_link()

    ada.person.cancel(tab)

    expect(tab.get_by_role("heading", level=1)).to_have_text("Sign-in cancelled")
    expect(tab.get_by_text("Now go back to your messages.")).to_be_visible()
    ada.person.look("cancelled", tab)
    ada.say("hello", STRANGER)


@pytest.mark.extended
def test_the_agent_goes_on_while_configure_is_away(ada: Sender, bob: Sender, served: Served) -> None:
    ada.link()
    ada.let_in(ada.press_the_link())
    ada.expect(CONNECTED)
    ada.say("hello", BY_ADA)
    for path in ("/v1/profile", "/v1/auth/sign-in/validate", "/v1/auth/sign-in/recognize-phone"):
        served.sandbox.fault(path, status=503)

    ada.say("hello", f"{ECHO}hello")
    bob.say("hello", AWAY)
    bob.link()
    tab = bob.press_the_link()
    bob.let_in(tab)
    expect(tab.get_by_role("status")).to_have_text("The app answered 503.")
    bob.person.refusals.append(f"POST {COMPLETE} 503")

    served.sandbox.clear_faults()
    served.sandbox.add_person(bob.phone, name="Bob")
    ada.say("hello", BY_ADA)
    bob.say("hello", BY_BOB)  # by his phone, for he did let the agent in


@pytest.mark.extended
@pytest.mark.parametrize("allowed", [True, False])
def test_a_page_of_the_internet_reaches_an_agent_on_this_machine(
    browser: Browser, served: Served, allowed: bool
) -> None:
    """Chromium asks the person before a public page, such as Configure's own, may reach an app on localhost."""
    public = f"--ip-address-space-overrides={urlsplit(served.sandbox.sign_in_url).netloc}=public"
    arguments = [*ARGUMENTS, public]
    executable = shutil.which("chromium")
    with browser.browser_type.launch(executable_path=executable, headless=True, args=arguments) as chromium:
        ada = Sender(Person.at(chromium, served), "ada")
        if allowed:
            ada.person.context.grant_permissions(["local-network-access"], origin=served.sandbox.sign_in_url)
        ada.link()
        tab = ada.press_the_link()
        ada.let_in(tab)

        if allowed:
            expect(tab.get_by_role("status")).to_have_text("Echo knows.")
            ada.expect(CONNECTED)
            ada.person.check()
        else:
            expect(tab.get_by_role("status")).to_have_text("The app could not be reached.")
        ada.say("hello", BY_ADA)  # without the report too, by her phone
