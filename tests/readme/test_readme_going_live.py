"""What "Going live" promises of keys, the store file and the proxy, done as it says."""

from __future__ import annotations

import re
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from configure_auth import ConfigureError, SettingsError
from configure_auth.flask import ConfigureAuth
from configure_auth.sandbox import Sandbox

from .document import DOCUMENTATION

OURS = {"Sec-Fetch-Site": "same-origin"}
FIRST, SECOND = "the first key of the app made at random", "the second key of the app made at random"
MakeSite = Callable[..., "Site"]


class Site:
    """An app with the link, in which u1 is signed in; `again` starts it anew with other settings, on the same file."""

    def __init__(self, folder: Path, settings: dict[str, str], **config: str) -> None:
        self.folder = folder
        self.store = folder / "configure.db"
        self.app = Flask("site", instance_path=str(folder))
        self.app.config.update({**settings, "SECRET_KEY": "k" * 40, **config})
        self.configure_auth = ConfigureAuth(user_id=lambda: "u1")
        self.configure_auth.init_app(self.app)
        self.app.register_blueprint(self.configure_auth.account_link(after_link="/settings"))
        self.browser: FlaskClient = self.app.test_client()

    def link(self, sandbox: Sandbox, **choices: Any) -> tuple[int, str | None]:
        start = self.browser.get("/configure/sign-in", headers=OURS, **choices)
        if start.status_code != 303:
            return start.status_code, start.text
        callback = sandbox.sign_in(start.location, "+15550100001")
        answer = self.browser.get(callback, headers={"Sec-Fetch-Site": "cross-site"}, **choices)
        return answer.status_code, answer.location

    def read(self) -> None:
        with self.app.app_context():
            self.configure_auth.profile_for("u1").read(sections=["identity"])

    def configure_user(self) -> str | None:
        with self.app.app_context():
            account = self.configure_auth.account_for("u1")
            return None if account is None else account.configure_user_id


@pytest.fixture
def make_site(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MakeSite:
    monkeypatch.delenv("CONFIGURE_TOKEN_KEYS")
    plain = {name: value for name, value in settings.items() if name != "CONFIGURE_TOKEN_KEYS"}
    return lambda **config: Site(tmp_path, plain, **config)


def test_a_new_key_in_front_opens_what_the_old_one_sealed(make_site: MakeSite, configure_sandbox: Sandbox) -> None:
    assert make_site(CONFIGURE_TOKEN_KEYS=FIRST).link(configure_sandbox) == (303, "/settings?configure=connected")

    make_site(CONFIGURE_TOKEN_KEYS=f"{SECOND},{FIRST}").read()


def test_the_app_s_secret_key_goes_into_the_list_when_there_is_one(
    make_site: MakeSite, configure_sandbox: Sandbox
) -> None:
    make_site().link(configure_sandbox)

    make_site(CONFIGURE_TOKEN_KEYS=f"{FIRST},{'k' * 40}").read()


def test_a_lost_key_costs_its_tokens_until_the_person_connects_again(
    make_site: MakeSite, configure_sandbox: Sandbox
) -> None:
    make_site(CONFIGURE_TOKEN_KEYS=FIRST).link(configure_sandbox)
    make_site(CONFIGURE_TOKEN_KEYS=f"{SECOND},{FIRST}").configure_user()  # makes the second key known
    site = make_site(CONFIGURE_TOKEN_KEYS=SECOND)

    with pytest.raises(SettingsError, match="not among CONFIGURE_TOKEN_KEYS"):
        site.read()

    assert site.link(configure_sandbox) == (303, "/settings?configure=connected")
    site.read()


def test_unknown_keys_are_refused_until_the_readme_s_statement_lets_them_in(
    make_site: MakeSite, configure_sandbox: Sandbox
) -> None:
    before = make_site(CONFIGURE_TOKEN_KEYS=FIRST)
    before.link(configure_sandbox)
    known = before.configure_user()
    site = make_site(CONFIGURE_TOKEN_KEYS=SECOND)
    status, page = site.link(configure_sandbox)
    assert (status, "set up correctly" in (page or "")) == (500, True)

    found = re.search(r'sqlite3 configure.db "(DELETE[^"]+)"', DOCUMENTATION)
    assert found
    with closing(sqlite3.connect(site.store)) as database, database:
        assert database.execute(found[1]).rowcount == 1

    site = make_site(CONFIGURE_TOKEN_KEYS=SECOND)
    assert site.configure_user() == known
    assert site.link(configure_sandbox) == (303, "/settings?configure=connected")
    site.read()


def test_a_file_of_another_schema_is_left_as_it_is(
    make_site: MakeSite, configure_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site()
    site.link(configure_sandbox)
    with closing(sqlite3.connect(site.store)) as database, database:
        database.execute("UPDATE configure_parameters SET value = '999' WHERE name = 'schema'")
    before = dump(site.store)

    assert make_site().link(configure_sandbox)[0] == 500

    assert "of schema 999" in caplog.text
    assert dump(site.store) == before


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def test_the_file_lies_in_the_instance_folder_and_is_the_owner_s(
    make_site: MakeSite, configure_sandbox: Sandbox, tmp_path: Path
) -> None:
    site = make_site()
    assert not site.store.exists()
    site.link(configure_sandbox)

    assert site.store == tmp_path / "configure.db"
    assert stat.S_IMODE(site.store.stat().st_mode) == 0o600


def test_a_proxy_that_replaces_the_host_is_said_and_survived(
    make_site: MakeSite, configure_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site(CONFIGURE_TOKEN_KEYS=FIRST, CONFIGURE_APP_URL="https://app.example.com")
    configure_sandbox.register_return_to("https://app.example.com/configure/callback")
    behind = {"HTTP_HOST": "10.0.0.7:8000"}

    moved = site.browser.get("/configure/sign-in", headers=OURS, environ_overrides=behind, base_url="https://localhost")
    assert moved.location == "https://app.example.com/configure/sign-in?moved=1"
    assert "wrong_host" in caplog.text
    start = site.browser.get(
        "/configure/sign-in?moved=1", headers=OURS, environ_overrides=behind, base_url="https://localhost"
    )
    assert start.status_code == 303
    assert "return_to=https%3A%2F%2Fapp.example.com%2Fconfigure%2Fcallback" in start.location
    assert start.headers["Set-Cookie"].startswith("__Host-configure=")


def test_off_localhost_an_app_without_keys_says_so_at_its_routes(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site(CONFIGURE_APP_URL="https://app.example.com")

    answer = site.browser.get("/configure/sign-in", headers=OURS, base_url="https://app.example.com")

    assert answer.status_code == 503
    assert "not set: CONFIGURE_TOKEN_KEYS" in caplog.text


def test_an_outage_is_a_page_and_the_account_is_still_known(make_site: MakeSite, configure_sandbox: Sandbox) -> None:
    site = make_site()
    site.link(configure_sandbox)
    known = site.configure_user()
    configure_sandbox.fault("/v1/auth/sign-in/exchange", status=503)
    configure_sandbox.fault("/v1/profile", status=503)

    assert site.link(configure_sandbox)[0] == 503

    assert site.configure_user() == known
    with pytest.raises(ConfigureError):
        site.read()
    configure_sandbox.clear_faults()
    site.read()
