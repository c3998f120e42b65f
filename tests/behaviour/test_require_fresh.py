"""The app's own re-authentication before a link, a disconnect and a claim."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from flask_login import LoginManager, UserMixin, login_fresh, login_user

from configure_auth import SettingsError
from configure_auth.flask import ConfigureAuth
from configure_auth.sandbox import Sandbox

from ..support.reading import ending, no_calls
from ..support.web import MakeWeb


@pytest.fixture
def store() -> str:
    return "memory"


def guarded(is_fresh: list[bool]) -> dict[str, Any]:
    return {"require_fresh": lambda: is_fresh[0], "refresh_url": "/confirm?from=link"}


def test_stale_session_is_led_to_the_app_and_back(make_web: MakeWeb) -> None:
    is_fresh = [False]
    web = make_web(link=guarded(is_fresh), login=None)
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        with no_calls(web.sandbox):
            asked = browser.get("/configure/sign-in?next=/settings?tab=2&replace=1")
        assert asked.status_code == 303
        to = urlsplit(asked.headers["location"])
        assert to.path == "/confirm"
        back = dict(parse_qsl(to.query))["next"]
        assert back == "/configure/sign-in?next=%2Fsettings%3Ftab%3D2&replace=1"
        assert web.people.events == []

        is_fresh[0] = True
        start = browser.get(back).headers["location"]
        assert browser.come_back(browser.at_configure(start)).headers["location"] == "/settings?tab=2"

        is_fresh[0] = False
        again = browser.post("/configure/disconnect")
        assert (again.status_code, again.headers["location"]) == (303, "/confirm?from=link&next=%2Fsettings")
        assert browser.account() is not None
        for path in ("/configure/sign-in", "/configure/disconnect", "/configure/session"):
            assert ending(browser.post(path, accept="application/json")) == (403, "not_fresh"), path
        assert browser.account() is not None

        is_fresh[0] = True
        assert browser.post("/configure/disconnect").status_code == 303
        assert browser.account() is None


def test_stale_session_claims_no_agent(make_web: MakeWeb) -> None:
    is_fresh = [False]
    web = make_web(claims={"require_fresh": lambda *_request: is_fresh[0]})
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        token = browser.post("/agents/a1").json()["token"]

        def claim() -> int:
            url, headers = "/api/v1/agents/claim", {"sec-fetch-site": "same-origin"}
            return browser.http.post(url, json={"claimToken": token}, headers=headers).status_code

        assert claim() == 403
        assert browser.get("/agents").json() == {"agents": []}
        is_fresh[0] = True
        assert claim() == 200


@pytest.mark.parametrize("half", [{"require_fresh": bool}, {"refresh_url": "/confirm"}])
def test_half_of_it_is_refused(make_web: MakeWeb, half: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="require_fresh and refresh_url need each other"):
        make_web(link=half)


def test_login_fresh_of_flask_login_works_as_it_is(configure_sandbox: Sandbox) -> None:
    class User(UserMixin):  # type: ignore[misc]
        id = "u1"

    app = Flask(__name__)
    app.secret_key = "a secret key of the app, long enough"
    app.config.update(configure_sandbox.environment(app_url="http://localhost"))
    manager = LoginManager(app)
    manager.user_loader(lambda user_id: User())
    configure_auth = ConfigureAuth(store="memory://", user_id=lambda: "u1")
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.account_link(require_fresh=login_fresh, refresh_url="/confirm"))
    app.add_url_rule("/in/<int:fresh>", "in", lambda fresh: str(login_user(User(), fresh=bool(fresh))))
    browser, own = app.test_client(), {"Sec-Fetch-Site": "same-origin"}

    for fresh, place in ((0, "/confirm?next="), (1, configure_sandbox.sign_in_url)):
        browser.get(f"/in/{fresh}")
        assert browser.get("/configure/sign-in", headers=own).location.startswith(place)
