"""Keys that are changed, and what has ended: purge and re-sealing, while people use the app."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from configure_auth.values import STATE_LIFETIME

from ..support.reading import ending
from ..support.stores import StoresAt
from ..support.web import Browser, MakeWeb, Web

OLD, NEW = "the key of last year and long enough for anybody", "the key of this year and long enough for anybody"
TOKEN = "/oauth/token"


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    """Those that outlive a restart with other keys."""
    chosen: str = request.param
    return chosen


def reseal(web: Web) -> Any:
    with web.browser() as admin:
        return admin.post("/reseal").raise_for_status().json()


def with_keys(make_web: MakeWeb, folder: Path, *keys: str) -> Web:
    # Everybody is the same local user, whichever app they come to.
    return make_web(
        folder=folder,
        settings={"CONFIGURE_TOKEN_KEYS": ",".join(keys)},
        on_login=lambda identity, grant: identity.local_user_id or "u2",
    )


@pytest.fixture
def sealed_with_old(make_web: MakeWeb, tmp_path: Path) -> Path:
    """u1 linked and u2 signed in, under the old key alone."""
    web = with_keys(make_web, tmp_path, OLD)
    with web.browser() as one, web.browser() as two:
        one.sign_in_locally("u1")
        assert one.link("+15550100001").status_code == 303
        assert two.login("+15550100002").status_code == 303
    return tmp_path


def token(web: Web, user_id: str) -> Any:
    with web.browser() as browser:
        browser.sign_in_locally(user_id)
        return browser.get("/token").json().get("token")


@pytest.mark.catalogue("O4")
def test_a_key_is_added_in_front_and_later_the_old_one_goes(make_web: MakeWeb, sealed_with_old: Path) -> None:
    both = with_keys(make_web, sealed_with_old, NEW, OLD)
    before = [token(both, user) for user in ("u1", "u2")]
    assert all(before)

    # Two connections, and the key of the ids.
    assert reseal(both) == {"sealed": 3, "current": 0, "in_use": 0, "unreadable": 0}
    assert reseal(both) == {"sealed": 0, "current": 3, "in_use": 0, "unreadable": 0}

    assert [token(with_keys(make_web, sealed_with_old, NEW), user) for user in ("u1", "u2")] == before


def test_a_key_that_never_sealed_anything_here_is_refused_in_a_sentence(
    make_web: MakeWeb, sealed_with_old: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with with_keys(make_web, sealed_with_old, NEW).browser() as browser:
        browser.sign_in_locally("u1")
        answer = browser.get("/configure/sign-in")

    assert ending(answer) == (500, "misconfigured")
    assert "add the key that did to the list" in caplog.text


@pytest.fixture
def both(make_web: MakeWeb, sealed_with_old: Path) -> Web:
    """u3 linked under the new key, before anything was resealed."""
    web = with_keys(make_web, sealed_with_old, NEW, OLD)
    with web.browser() as third:
        third.sign_in_locally("u3")
        assert third.link("+15550100003").status_code == 303
    return web


def test_an_old_key_that_went_too_early_is_asked_for(
    make_web: MakeWeb, sealed_with_old: Path, both: Web, caplog: pytest.LogCaptureFixture
) -> None:
    alone = with_keys(make_web, sealed_with_old, NEW)
    with alone.browser() as admin:
        assert admin.post("/reseal").status_code == 500
    with alone.browser() as fourth:
        assert ending(fourth.login("+15550100004")) == (500, "misconfigured")
    assert "not among CONFIGURE_TOKEN_KEYS; add that key to the end of the list" in caplog.text
    assert OLD not in caplog.text

    assert reseal(both) == {"sealed": 3, "current": 1, "in_use": 0, "unreadable": 0}
    assert all(token(alone, user) for user in ("u1", "u2", "u3"))


def test_a_new_key_that_is_gone_leaves_its_tokens_and_says_which_it_was(
    make_web: MakeWeb, sealed_with_old: Path, both: Web, caplog: pytest.LogCaptureFixture
) -> None:
    alone = with_keys(make_web, sealed_with_old, OLD)
    assert reseal(alone) == {"sealed": 0, "current": 3, "in_use": 0, "unreadable": 1}
    assert "not among CONFIGURE_TOKEN_KEYS" in caplog.text
    assert NEW not in caplog.text
    assert token(alone, "u1")

    assert reseal(both) == {"sealed": 3, "current": 1, "in_use": 0, "unreadable": 0}
    assert token(both, "u3")


def test_a_refresh_in_flight_is_left_alone_and_loses_nothing(make_web: MakeWeb, sealed_with_old: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    both = with_keys(make_web, sealed_with_old, NEW, OLD)
    both.sandbox.advance(3600)
    with both.sandbox.hold(TOKEN) as held, ThreadPoolExecutor(1) as other:
        asked = other.submit(token, both, "u2")
        held.arrived.wait()
        assert reseal(both) == {"sealed": 2, "current": 0, "in_use": 1, "unreadable": 0}
        held.release()

    assert both.sandbox.is_live(asked.result())
    # The refresh itself sealed with the first key.
    assert reseal(both) == {"sealed": 0, "current": 3, "in_use": 0, "unreadable": 0}
    assert token(with_keys(make_web, sealed_with_old, NEW), "u2") == asked.result()


def test_what_has_ended_goes_by_a_purge(make_web: MakeWeb, tmp_path: Path, store: str) -> None:
    web = make_web(folder=tmp_path)
    with web.browser() as browser:
        old = [browser.begin("link") for _ in range(3)]
        web.sandbox.advance(STATE_LIFETIME + 121)
        new = browser.begin("link")
        purged = browser.post("/purge").json()["purged"]
        again = browser.post("/purge").json()["purged"]

        # Redis lets them go by itself; elsewhere the new start took some of them along, which leaves none here.
        assert (purged, again) == (0, 0)
        assert [ending(browser.come_back(browser.end(start, code="x"))) for start in old] == [(400, "expired")] * 3
        assert browser.come_back(browser.at_configure(new)).status_code == 303


@pytest.mark.parametrize("store", ["memory", "sqlite", "postgresql"])
def test_a_purge_says_how_many_it_were(web: Web, browser: Browser) -> None:
    for _ in range(3):
        browser.begin("link")
    assert browser.post("/purge").json()["purged"] == 0

    web.sandbox.advance(STATE_LIFETIME + 121)

    assert browser.post("/purge").json()["purged"] == 3
    assert browser.post("/purge").json()["purged"] == 0


@pytest.mark.parametrize("store", ["redis"])
def test_redis_lists_attempts_under_a_keyed_hash(make_web: MakeWeb, tmp_path: Path, stores_at: StoresAt) -> None:
    """A hash without a key is found by trying ids. After a change of keys both names are looked at."""
    with Redis.from_url(stores_at("redis", tmp_path)["states"], decode_responses=True) as client:
        with with_keys(make_web, tmp_path, OLD).browser() as browser:
            browser.sign_in_locally("7")
            callbacks = [browser.at_configure(browser.start("link"))]
            listed = client.keys("*:user:*")
            agent = browser.web.sandbox.agent
            guesses = [hashlib.new(name, f"{agent}{by}7".encode()) for name in ("sha1", "sha256") for by in "\0:"]
            assert len(listed) == 1
            assert not [guess for guess in guesses if guess.hexdigest() in listed[0]]
        with with_keys(make_web, tmp_path, NEW, OLD).browser() as other:
            other.sign_in_locally("7")
            callbacks.append(other.at_configure(other.start("link")))
            assert len(client.keys("*:user:*")) == 2

            other.post("/forget/7")

            assert client.keys("*:user:*") == []
            assert ending(other.come_back(callbacks[1])) == (400, "expired")
