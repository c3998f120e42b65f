"""The id of one of the app's users at Configure: the same for ever, nobody's to guess, and the hosted element's too."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path

import pytest

from configure_auth import Configure, Settings, SettingsError
from configure_auth.sandbox import Sandbox

from ..support.adapters import either
from ..support.server_side import pages
from ..support.stores import StoresAt, first
from ..support.web import Adapter, Browser, MakeWeb, Options, Web, running

__all__ = ["either"]

KEY, NEW_KEY = "the key of last year and long enough for anybody", "the key of this year and long enough for anybody"
KEYED = {"CONFIGURE_TOKEN_KEYS": KEY}
EXTERNAL_ID = re.compile(r"user_[0-9a-f]{64}")

in_memory = pytest.mark.parametrize("store", ["memory"])
lasting = pytest.mark.parametrize("store", first(["sqlite", "postgresql", "redis"]))
"""The stores that outlive a process."""


@pytest.fixture
def web(make_web: MakeWeb) -> Web:
    return make_web(settings=KEYED, customise=pages())


@pytest.fixture
def browser(web: Web) -> Iterator[Browser]:
    """u1's."""
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        yield browser


def external_id(web: Web, user_id: str = "u1") -> str:
    with web.browser() as browser:
        said: str = browser.get(f"/external-id/{user_id}").raise_for_status().json()["external_id"]
        return said


def memories(web: Web, user_id: str) -> list[str]:
    with web.browser() as browser:
        said: list[str] = browser.get(f"/memories/{user_id}").raise_for_status().json()["memories"]
        return said


def remember(web: Web, user_id: str, fact: str) -> None:
    with web.browser() as browser:
        assert browser.http.post(f"/remember/{user_id}", content=fact).json() == {"saved": True}


class Tags(HTMLParser):
    """The start tags of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


def shown(browser: Browser, query: str = "") -> Tags:
    answer = browser.get(f"/element{query}")
    assert answer.status_code == 200, answer.text
    return Tags(answer.text)


# ── the same ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_verb_and_the_markup_say_the_same_id(web: Web, browser: Browser) -> None:
    known = external_id(web)

    assert EXTERNAL_ID.fullmatch(known)
    assert browser.get("/external-id").json() == {"external_id": known}
    (element,) = shown(browser).of("configure-auth")
    assert element["external-id"] == known
    assert external_id(web) == known


@lasting
def test_it_is_the_same_after_a_restart_and_under_the_other_framework(
    web: Web, stores_at: StoresAt, store: str, adapter: Adapter
) -> None:
    known = external_id(web)
    options = Options(stores=stores_at(store, web.folder), settings=KEYED, customise=pages())
    other: Adapter = "starlette" if adapter == "flask" else "flask"

    for framework in (adapter, other):
        with running(framework, web.sandbox, web.folder, options) as again:
            assert external_id(again) == known


PROGRAM = """
import sys
from flask import Flask
from configure_auth import Secret, Settings
from configure_auth.flask import ConfigureAuth

app = Flask("bot", instance_path=sys.argv[1])
settings = Settings(api_key="sk_key", agent="demo-agent", token_keys=(Secret(sys.argv[3]),))
configure_auth = ConfigureAuth(settings, store=sys.argv[2], user_id=lambda: None)
configure_auth.init_app(app)
sys.stdin.readline()
with app.app_context():
    print(configure_auth.external_id_for("u1"))
"""


@pytest.mark.extended
@pytest.mark.parametrize("adapter", ["flask"])
@pytest.mark.parametrize("store", ["sqlite"])
def test_processes_that_are_the_first_to_ask_agree(
    adapter: Adapter, store: str, stores_at: StoresAt, tmp_path: Path, configure_sandbox: Sandbox
) -> None:
    stores = stores_at(store, tmp_path)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path), stores["store"], KEY],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60)[0].strip() for process in processes]

    options = Options(stores=stores, settings={**KEYED, "CONFIGURE_AGENT": "demo-agent"}, customise=pages())
    with running(adapter, configure_sandbox, tmp_path, options) as web:
        assert said == [external_id(web)] * 2


@lasting
def test_it_stays_when_the_keys_are_changed_and_resealed(make_web: MakeWeb, tmp_path: Path) -> None:
    def keyed(*keys: str) -> Web:
        return make_web(folder=tmp_path, settings={"CONFIGURE_TOKEN_KEYS": ",".join(keys)}, customise=pages())

    known = external_id(keyed(KEY))
    both = keyed(NEW_KEY, KEY)
    assert external_id(both) == known
    with both.browser() as admin:
        assert admin.post("/reseal").json() == {"sealed": 1, "current": 0, "in_use": 0, "unreadable": 0}
        assert admin.post("/reseal").json() == {"sealed": 0, "current": 1, "in_use": 0, "unreadable": 0}

    assert external_id(keyed(NEW_KEY)) == known


def test_it_outlives_a_disconnect(web: Web, browser: Browser) -> None:
    known = external_id(web)
    browser.link()
    assert external_id(web) == known

    browser.post("/configure/disconnect")

    assert external_id(web) == known


# ── another ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_another_for_every_user(web: Web) -> None:
    users = ("u1", "u2", "U1", "u11", "1", "ü", "user:u1")

    assert len({external_id(web, user_id) for user_id in users}) == len(users)


def test_it_is_another_for_whoever_gets_the_id_of_somebody_forgotten(web: Web) -> None:
    known, other = external_id(web), external_id(web, "u2")
    remember(web, "u1", "Prefers window seats")
    with web.browser() as admin:
        admin.post("/forget/u1").raise_for_status()

    assert external_id(web) not in (known, other)
    assert external_id(web) == external_id(web)
    assert external_id(web, "u2") == other
    assert memories(web, "u1") == []


def test_it_says_nothing_of_the_user(web: Web) -> None:
    known = external_id(web, "somebody@example.com")

    assert EXTERNAL_ID.fullmatch(known)
    assert web.sandbox.calls == []


@pytest.mark.parametrize("store", ["memory", "sqlite", "postgresql", "redis"])
def test_it_is_another_for_another_agent_and_in_another_store(make_web: MakeWeb, tmp_path: Path, store: str) -> None:
    agents = [
        make_web(folder=tmp_path, settings={**KEYED, "CONFIGURE_AGENT": agent}, customise=pages())
        for agent in ("demo-agent", "other-agent")
    ]
    elsewhere = make_web(settings=KEYED, customise=pages())

    assert len({external_id(web) for web in (*agents, elsewhere)}) == 3


@in_memory
def test_a_raw_id_takes_a_word_of_the_app_s(make_web: MakeWeb) -> None:
    web = make_web(customise=pages(), constructor={"allow_guessable_external_id": True})
    with web.browser() as browser:
        browser.sign_in_locally("u1")

        assert external_id(web) == "u1"
        assert browser.get("/external-id").json() == {"external_id": "u1"}
        (element,) = shown(browser).of("configure-auth")
        assert element["external-id"] == "u1"
    remember(web, "u1", "Prefers window seats")
    assert [call.headers["x-user-id"] for call in web.sandbox.calls] == ["u1"]


# ── in use ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("store", ["sqlite"])
def test_it_is_in_no_file_of_the_store(web: Web, browser: Browser) -> None:
    known = external_id(web)
    browser.link()
    shown(browser)

    files = [path.read_bytes() for path in web.folder.rglob("*") if path.is_file()]
    assert any(b"u1" in content for content in files)
    assert not any(known.encode() in content or known[5:].encode() in content for content in files)


@in_memory
def test_it_is_what_configure_gets_of_a_user_and_all_of_it(web: Web) -> None:
    remember(web, "somebody@example.com", "Prefers window seats")
    remember(web, "u2", "Prefers the aisle")

    assert (memories(web, "somebody@example.com"), memories(web, "u2")) == (
        ["Prefers window seats"],
        ["Prefers the aisle"],
    )
    assert memories(web, "u3") == []
    known = [external_id(web, user_id) for user_id in ("somebody@example.com", "u2", "u3")]
    assert {call.headers["x-user-id"] for call in web.sandbox.calls} == set(known)
    for call in web.sandbox.calls:
        assert "somebody" not in f"{call}"


@in_memory
def test_the_profile_of_the_markup_s_id_is_the_server_s(web: Web, browser: Browser) -> None:
    remember(web, "u1", "Prefers window seats")
    (element,) = shown(browser).of("configure-auth")

    with Configure(Settings.from_mapping(web.sandbox.environment())) as client:
        found = client.profile(external_id=element["external-id"]).search("*")
    assert [hit.text for hit in found.results] == ["Prefers window seats"]


# ── the markup ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.catalogue("O5")
@in_memory
def test_the_markup_has_what_the_element_needs_and_nothing_secret(make_web: MakeWeb) -> None:
    web = make_web(settings=KEYED, customise=pages(), link={"connectors": ("gmail", "calendar")})
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        page = shown(browser, "?next=/notes%3Fa=1%26b=2")
        text = browser.get("/element").text

    credentials = web.sandbox.credentials
    (element,) = page.of("configure-auth")
    assert element == {
        "api-key": credentials.publishable_key,
        "agent": credentials.agent,
        "external-id": external_id(web),
        "connectors": "gmail,calendar",
    }
    place = next(attributes for attributes in page.of("div") if "data-configure-session" in attributes)
    assert place["data-configure-session"] == "/configure/session"
    assert place["data-configure-next"] == "/notes?a=1&b=2"
    sources = [script["src"] for script in page.of("script")]
    assert sources == ["/configure/element.js", f"{web.sandbox.script_url}/js/configure.js"]
    assert [link["href"] for link in page.of("a")] == ["/configure/sign-in?next=%2Fnotes%3Fa%3D1%26b%3D2"]
    assert not any(secret in text for secret in (credentials.api_key, credentials.client_secret, KEY))
    assert "u1" not in text
    assert all("style" not in attributes for _, attributes in page.found)
    assert [attributes for tag, attributes in page.found if any(name.startswith("on") for name in attributes)] == []
    assert "<style" not in text


@in_memory
def test_the_paths_have_what_the_app_is_mounted_under(make_web: MakeWeb) -> None:
    web = make_web(mount="/shop", settings={**KEYED, "CONFIGURE_APP_URL": "{url}/shop"}, customise=pages())
    with web.browser() as browser:
        browser.post("/shop/in/u1").raise_for_status()
        page = Tags(browser.get("/shop/element").text)

        sources = [script["src"] for script in page.of("script")]
        assert sources[0] == "/shop/configure/element.js"
        assert browser.get(str(sources[0])).headers["content-type"] == "text/javascript; charset=utf-8"
    place = next(attributes for attributes in page.of("div") if "data-configure-session" in attributes)
    assert place["data-configure-session"] == "/shop/configure/session"


@in_memory
def test_nobody_gets_no_element(web: Web) -> None:
    with web.browser() as stranger:
        page = shown(stranger)
        assert stranger.get("/external-id").json() == {"external_id": None}

    assert page.of("configure-auth") == page.of("script") == []


@in_memory
def test_what_it_is_told_stays_in_its_attributes(make_web: MakeWeb) -> None:
    injected = 'x"><script>alert(1)</script>'
    web = make_web(
        customise=pages(),
        settings={"CONFIGURE_PUBLISHABLE_KEY": f"pk_{injected}"},
        constructor={"allow_guessable_external_id": True, "user_id": lambda: injected},
        link={"connectors": (injected,)},
    )
    with web.browser() as browser:
        page = shown(browser)

    (element,) = page.of("configure-auth")
    assert (element["api-key"], element["external-id"], element["connectors"]) == (
        f"pk_{injected}",
        injected,
        injected,
    )
    assert len(page.of("script")) == 2


@in_memory
def test_it_leads_to_no_other_site(web: Web, browser: Browser) -> None:
    for elsewhere in ("https://evil.example/", "//evil.example", "javascript:alert(1)", "/%5Cevil.example", "/a%0Ab"):
        page = shown(browser, f"?next={elsewhere}")
        assert [one for _, attributes in page.found for one in attributes if one == "data-configure-next"] == []


# ── the keys ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@in_memory
def test_element_is_empty_without_a_publishable_key(make_web: MakeWeb, caplog: pytest.LogCaptureFixture) -> None:
    web = make_web(settings={"CONFIGURE_PUBLISHABLE_KEY": None}, customise=pages())
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        response = browser.get("/element")

        assert "configure-auth" not in response.text
        assert response.status_code == 200
        assert "not set: CONFIGURE_PUBLISHABLE_KEY (the key (pk_...) that a page of yours may show)" in caplog.text
        assert EXTERNAL_ID.fullmatch(external_id(web)), "only the page needs it"


@in_memory
def test_the_element_needs_the_link_s_routes(make_web: MakeWeb) -> None:
    web = make_web(link=None, customise=pages())
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        answer = browser.get("/element")

    assert (answer.status_code, answer.text) == (
        500,
        "configure_auth_element: register configure_auth.account_link(...) first",
    )


@pytest.mark.catalogue("O5")
@in_memory
@pytest.mark.parametrize("key", ["sk_0123456789", "sk_test_0123456789", "cfg_0123456789", "ocs_0123456789", "SK_0"])
def test_a_secret_key_is_refused_where_it_is_set_and_not_shown(make_web: MakeWeb, key: str) -> None:
    with pytest.raises(SettingsError, match="CONFIGURE_PUBLISHABLE_KEY must be a key that begins with pk_") as refused:
        make_web(settings={"CONFIGURE_PUBLISHABLE_KEY": key}, customise=pages())
    assert key not in str(refused.value)
