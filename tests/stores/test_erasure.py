"""What is deleted is gone from the file too, and a deletion that failed half-way can be repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from configure_auth import Settings, StoreError
from configure_auth.flask import ConfigureAuth
from configure_auth.sandbox import Sandbox
from configure_auth.stores import Stores
from configure_auth.testing.conformance.records import NOW, attempt, connection, link

from ..support.stores import StoresAt
from ..support.wrapping import wrapped
from .opened import opened

TOKEN = "sealed-token-that-must-not-stay"


def test_nothing_of_a_user_or_a_sender_stays_in_the_file(tmp_path: Path) -> None:
    stores = opened("sqlite:///x.db", tmp_path)
    stores.accounts.save(connection("forgotten-user", "c1", token=TOKEN), version=None)
    stores.states.put(attempt("s", user_id="forgotten-user"), limit=10, now=NOW)
    stores.journeys.save(link("forgotten-sender", "c1", token=TOKEN), serial=None)
    stores.agents.register("agent", "0" * 64, app="a", until=NOW + 60, now=NOW)
    stores.agents.claim("0" * 64, "forgotten-user", app="a", now=NOW)
    assert [secret for secret in (TOKEN, "forgotten-") if secret in written(tmp_path)] == [TOKEN, "forgotten-"]

    stores.states.forget("a", "forgotten-user")
    stores.agents.forget("a", "forgotten-user")
    stores.accounts.forget("a", "forgotten-user")
    stores.journeys.forget("a", "forgotten-sender")

    # The connections are open still: nothing waits for them to be closed.
    assert [secret for secret in (TOKEN, "forgotten-") if secret in written(tmp_path)] == []
    stores.close()


def written(folder: Path) -> str:
    return "".join(file.read_bytes().decode("latin-1") for file in folder.glob("x.db*"))


class Failing:
    """Whatever has methods, with one of them failing as long as `fails`."""

    def __init__(self, inner: Any, method: str) -> None:
        self._inner, self._method, self.fails = inner, method, True

    def __getattr__(self, name: str) -> Any:
        if name == self._method and self.fails:
            raise StoreError("the store hangs")
        return getattr(self._inner, name)


@pytest.mark.parametrize("part", ["states", "agents", "leases"])
def test_a_second_forget_user_finishes_what_failed_and_says_truly_what_it_did(
    configure_sandbox: Sandbox, tmp_path: Path, part: str
) -> None:
    failing: list[Failing] = []

    def wrap(store: Any, name: str) -> Any:
        if name != part:
            return store
        failing.append(Failing(store, "acquire" if part == "leases" else "forget"))
        return failing[0]

    stores: Stores = wrapped(opened("sqlite:///x.db", tmp_path), wrap)
    stores.accounts.save(connection("u1", "c1", agent=configure_sandbox.agent), version=None)
    with flask_app(configure_sandbox, store=stores) as auth:
        with pytest.raises(StoreError):
            auth.forget_user("u1")
        failing[0].fails = False

        assert auth.forget_user("u1") is True
        assert auth.forget_user("u1") is False
        assert auth.account_for("u1") is None
    stores.close()


@pytest.mark.parametrize("kept_in", ["sqlite", "postgresql"])
def test_no_lease_of_a_forgotten_user_stays_and_none_names_a_user(
    configure_sandbox: Sandbox, stores_at: StoresAt, tmp_path: Path, kept_in: str
) -> None:
    names: list[str] = []

    class Watched:
        def __init__(self, leases: Any) -> None:
            self._leases = leases

        def acquire(self, name: str, **given: Any) -> bool:
            names.append(name)
            taken: bool = self._leases.acquire(name, **given)
            return taken

        def release(self, name: str, *, owner: str) -> None:
            self._leases.release(name, owner=owner)

    inner = opened(stores_at(kept_in, tmp_path)["store"], tmp_path)
    stores = wrapped(inner, lambda store, name: Watched(store) if name == "leases" else store)
    with flask_app(configure_sandbox, store=stores) as auth:
        auth.forget_user("7")
        # As a worker leaves them that was killed: this user's, and another's, which stays.
        for name in (names[0], "another"):
            assert inner.leases.acquire(name, owner="killed", until=NOW + 10**9, now=NOW)
        auth.forget_user("7")

    assert inner.leases.acquire(names[0], owner="next", until=NOW + 1, now=NOW)
    assert not inner.leases.acquire("another", owner="next", until=NOW + 1, now=NOW)
    assert len(names[0]) > 64  # a keyed hash, and not one that is made from the id alone
    stores.close()


class flask_app:  # a context manager
    """A `ConfigureAuth` in the context of an app of its own."""

    def __init__(self, sandbox: Sandbox, **options: Any) -> None:
        settings = Settings.from_mapping(sandbox.environment(app_url="http://localhost"))
        self._auth = ConfigureAuth(settings, user_id=lambda: None, **options)
        app = Flask(__name__)
        app.secret_key = "a secret key of the app, long enough"
        self._auth.init_app(app)
        self._context = app.app_context()

    def __enter__(self) -> ConfigureAuth:
        self._context.push()
        return self._auth

    def __exit__(self, *_: object) -> None:
        self._context.pop()


@pytest.mark.catalogue("A14")
@pytest.mark.parametrize("kept_in", ["sqlite", "postgresql"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_login_does_not_bring_back_a_user_who_was_forgotten_meanwhile(
    kept_in: str, when: str, configure_sandbox: Sandbox, stores_at: StoresAt, tmp_path: Path
) -> None:
    """`on_login` returns a user whom the app deletes before the login is saved."""
    configure_sandbox.register_redirect_uri("http://localhost/auth/configure/callback")
    settings = Settings.from_mapping(configure_sandbox.environment(app_url="http://localhost"))
    auth = ConfigureAuth(settings, store=stores_at(kept_in, tmp_path)["store"], user_id=lambda: None)

    def on_login(identity: Any, grant: Any) -> str:
        if when == "meanwhile":
            auth.forget_user("u7")
        return "u7"

    app = Flask(__name__)
    app.secret_key = "a secret key of the app, long enough"
    auth.init_app(app)
    app.register_blueprint(auth.login(on_login=on_login))
    client = app.test_client()
    with app.app_context():
        auth.forget_user("u7")
    began = client.get("/auth/configure/sign-in", headers={"Sec-Fetch-Site": "same-origin"})
    callback = configure_sandbox.sign_in(began.headers["location"])

    ended = client.get(callback.removeprefix("http://localhost"))

    with app.app_context():
        found = auth.account_for("u7")
    auth.close()
    assert (ended.status_code, found is None) == ((303, False) if when == "before" else (409, True))
