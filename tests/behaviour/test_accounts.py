"""Whose is a Configure user: one local user's, and the reverse."""

from __future__ import annotations

from typing import Any

import pytest

from configure_auth.events import AccountLinked, AccountUnlinked

from ..support.reading import ending, together
from ..support.web import Browser, MakeWeb, Web

pytestmark = pytest.mark.all_stores

ADA, BOB = "+15550100001", "+15550100002"


def configure_id(web: Web, phone: str) -> str:
    return next(person.user_id for person in web.sandbox.people if person.phone == phone)


def linked(web: Web, user_id: str, phone: str) -> Browser:
    """A browser in which this user has connected this person."""
    browser = web.browser()
    browser.sign_in_locally(user_id)
    assert browser.link(phone).status_code == 303
    return browser


def who_has(browser: Browser) -> str | None:
    configure_user_id: str | None = (browser.account() or {}).get("configure_user_id")
    return configure_user_id


@pytest.mark.catalogue("I9")
def test_linking_the_same_pair_again_renews_the_token(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    browser.link()
    first = browser.get("/token").json()["token"]
    browser.link()

    assert browser.get("/token").json()["token"] != first
    assert len(browser.get("/configure/status").json()["accounts"]) == 1


@pytest.mark.catalogue("I6")
def test_a_configure_user_of_somebody_else_is_refused(web: Web, browser: Browser) -> None:
    with linked(web, "u1", ADA) as owner:
        token = owner.get("/token").json()
        browser.sign_in_locally("u2")

        assert ending(browser.link(ADA)) == (409, "account_taken")
        assert browser.account() is None
        assert owner.get("/token").json() == token


def test_a_configure_user_moves_where_the_app_says_so(make_web: MakeWeb) -> None:
    web = make_web(link={"on_conflict": "move"})
    with linked(web, "u1", ADA) as owner, linked(web, "u2", ADA) as taker:
        assert owner.account() is None
        assert who_has(taker) == configure_id(web, ADA)
    gone, moved = web.people.events[-2:]
    assert isinstance(gone, AccountUnlinked)
    assert isinstance(moved, AccountLinked)
    assert (gone.user_id, moved.account.user_id, moved.moved_from) == ("u1", "u2", "u1")


def test_an_attempt_of_the_one_who_lost_the_connection_cannot_take_it_back(make_web: MakeWeb) -> None:
    web = make_web(link={"on_conflict": "move"})
    with linked(web, "u1", ADA) as owner:
        late = owner.at_configure(owner.start("link"), ADA)
        linked(web, "u2", ADA).close()

        assert ending(owner.come_back(late)) == (409, "interrupted")
        assert owner.account() is None


@pytest.mark.parametrize("verdict", ["move", "reject"])
def test_a_function_decides_a_conflict(make_web: MakeWeb, verdict: str) -> None:
    asked: list[tuple[Any, str]] = []

    def decide(account: Any, owner: str) -> str:
        asked.append((account, owner))
        return verdict

    web = make_web(link={"on_conflict": decide})
    with linked(web, "u1", ADA) as owner, web.browser() as taker:
        taker.sign_in_locally("u2")
        answer = taker.link(ADA)

        assert [(account.user_id, account.configure_user_id, owner) for account, owner in asked] == [
            ("u2", configure_id(web, ADA), "u1")
        ]
        assert answer.status_code == {"move": 303, "reject": 409}[verdict]
        assert who_has({"move": taker, "reject": owner}[verdict]) == configure_id(web, ADA)
        assert {"move": owner, "reject": taker}[verdict].account() is None


def test_a_function_that_decides_nothing_changes_nothing(make_web: MakeWeb) -> None:
    web = make_web(link={"on_conflict": lambda account, owner: None})
    with linked(web, "u1", ADA) as owner, web.browser() as taker:
        taker.sign_in_locally("u2")

        assert ending(taker.link(ADA)) == (500, "misconfigured")
        assert taker.account() is None
        assert who_has(owner) == configure_id(web, ADA)


@pytest.mark.catalogue("I8")
def test_a_second_configure_user_is_refused(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    browser.link(ADA)

    assert ending(browser.link(BOB)) == (409, "already_connected")
    assert who_has(browser) == configure_id(web, ADA)


@pytest.mark.catalogue("I8")
def test_a_second_configure_user_replaces_the_first_when_the_start_says_so(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    browser.link(ADA)

    assert browser.link(BOB, "?replace=1").status_code == 303
    assert who_has(browser) == configure_id(web, BOB)
    assert len(browser.get("/configure/status").json()["accounts"]) == 1
    gone, new = web.people.events[-2:]
    assert isinstance(gone, AccountUnlinked)
    assert isinstance(new, AccountLinked)
    assert (gone.configure_user_id, new.moved_from) == (configure_id(web, ADA), None)
    with linked(web, "u2", ADA) as other:
        assert who_has(other) == configure_id(web, ADA)


def test_replace_does_not_take_what_is_somebody_elses(web: Web, browser: Browser) -> None:
    with linked(web, "u2", BOB) as owner:
        browser.sign_in_locally("u1")
        browser.link(ADA)

        assert ending(browser.link(BOB, "?replace=1")) == (409, "account_taken")
        assert who_has(browser) == configure_id(web, ADA)
        assert who_has(owner) == configure_id(web, BOB)


@pytest.mark.catalogue("I7", "Q11")
def test_of_two_users_at_once_one_gets_the_configure_user(web: Web) -> None:
    browsers = [web.browser() for _ in range(4)]
    callbacks = []
    for number, browser in enumerate(browsers):
        browser.sign_in_locally(f"u{number}")
        callbacks.append(browser.at_configure(browser.start("link"), ADA))

    answers = together([lambda b=b, c=c: b.come_back(c) for b, c in zip(browsers, callbacks, strict=True)])  # type: ignore[misc]

    assert sorted(answer.status_code for answer in answers) == [303, 409, 409, 409]
    assert sum(browser.account() is not None for browser in browsers) == 1
    for browser in browsers:
        browser.close()


def test_link_first_and_the_button_later_is_one_account(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    browser.link(ADA)
    browser.sign_out()
    browser.login(ADA)

    assert browser.who() == "u1"
    assert web.people.logins[0][0].local_user_id == "u1"
    accounts = browser.get("/configure/status").json()["accounts"]
    assert [account["kind"] for account in accounts] == ["agent", "oauth"]


def test_the_button_first_and_link_later_is_one_account(web: Web, browser: Browser) -> None:
    browser.login(ADA)

    assert browser.link(ADA).status_code == 303
    accounts = browser.get("/configure/status").json()["accounts"]
    assert [account["kind"] for account in accounts] == ["agent", "oauth"]
    assert len({account["configure_user_id"] for account in accounts}) == 1


def test_a_person_who_signed_in_cannot_be_linked_by_another_user(web: Web, browser: Browser) -> None:
    with web.browser() as owner:
        owner.login(ADA)
        browser.sign_in_locally("u2")

        assert ending(browser.link(ADA)) == (409, "account_taken")
        assert who_has(owner) == configure_id(web, ADA)


def test_where_the_two_ids_of_a_person_differ_nobody_is_merged(web: Web, browser: Browser) -> None:
    web.sandbox.variants.sub_differs = True
    browser.sign_in_locally("u1")
    browser.link(ADA)
    browser.sign_out()
    browser.login(ADA)

    assert browser.who() not in (None, "u1")
    identity, _ = web.people.logins[0]
    assert identity.local_user_id is None
    assert identity.user_id != configure_id(web, ADA)


@pytest.mark.catalogue("I1", "I3")
def test_the_same_email_and_phone_merge_nobody(web: Web, browser: Browser) -> None:
    web.sandbox.add_person(ADA, user_id="first", email="ada@example.com", email_verified=True)
    browser.login(ADA)
    first = browser.who()
    browser.sign_out()
    web.sandbox.add_person(ADA, user_id="second", email="ada@example.com", email_verified=True)
    web.people.logins.clear()
    browser.login(ADA)

    assert web.people.logins[0][0].local_user_id is None
    assert browser.who() != first


@pytest.mark.catalogue("I5")
def test_a_new_name_and_email_are_still_the_same_user(web: Web, browser: Browser) -> None:
    web.sandbox.add_person(ADA, user_id="same", name="Ada", email="ada@example.com")
    browser.login(ADA)
    first = browser.who()
    browser.sign_out()
    web.sandbox.add_person(ADA, user_id="same", name="Grace", email="grace@example.com")
    browser.login(ADA)

    assert browser.who() == first


@pytest.mark.catalogue("A14", "I15")
def test_a_user_id_given_out_again_inherits_nothing(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("1")
    browser.link(ADA)
    callback = browser.at_configure(browser.start("link"), ADA)
    assert browser.post("/forget/1").json() == {"forgotten": True}
    event = web.people.events[-1]
    assert isinstance(event, AccountUnlinked)
    assert (event.user_id, event.why) == ("1", "forgotten")
    assert browser.post("/forget/1").json() == {"forgotten": False}
    with web.browser() as newcomer:
        newcomer.sign_in_locally("1")
        assert newcomer.account() is None

    assert ending(browser.come_back(callback)) == (400, "expired")
    assert browser.account() is None
    with linked(web, "2", ADA) as other:
        assert who_has(other) == configure_id(web, ADA)


@pytest.mark.catalogue("I15")
def test_forgetting_a_user_who_signs_in_makes_a_new_one_of_them(web: Web, browser: Browser) -> None:
    browser.login(ADA)
    first = browser.who()
    browser.post(f"/forget/{first}")
    browser.sign_out()
    browser.login(ADA)

    assert web.people.logins[-1][0].local_user_id is None
    assert browser.who() not in (None, first)


def test_a_whole_number_is_a_user_id_too(make_web: MakeWeb) -> None:
    web = make_web(on_login=lambda identity, grant: 7)
    with web.browser() as browser:
        browser.login(ADA)

        assert (browser.account() or {})["user_id"] == "7"


def test_export_has_all_that_is_stored_of_a_user(make_web: MakeWeb) -> None:
    web = make_web(claims={})
    with web.browser() as browser, linked(web, "u2", BOB):
        browser.sign_in_locally("u1")
        browser.link(ADA)
        browser.start("link", "?next=/settings?tab=7")
        token = browser.post("/agents/a1").json()["token"]
        own = {"sec-fetch-site": "same-origin"}
        browser.http.post("/api/v1/agents/claim", json={"claimToken": token}, headers=own).raise_for_status()

        found = browser.get("/export/u1").json()

        (account,) = found["accounts"]
        assert (account["configure_user_id"], account["token"]) == (configure_id(web, ADA), "")
        assert {"expires_at", "linked_at", "refresh_sends", "needs_reconnect"} <= account.keys()
        assert found["agents"] == ["a1"]
        assert [one["next"] for one in found["sign_ins"]] == [None, "/settings?tab=7"]
        sealed = {one[name] for one in found["sign_ins"] for name in ("verifier", "code", "outcome", "replay")}
        assert sealed == {None}

        browser.post("/forget/u1")
        assert not any(browser.get("/export/u1").json().values())
        assert browser.get("/export/u2").json()["accounts"]
