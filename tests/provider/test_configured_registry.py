"""A registry that is made from configuration, with a state of its own, in the manner of Flask-AppBuilder."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jwt
import pytest
from authlib.integrations.flask_client import OAuth
from flask import Flask, jsonify, redirect, request, session, url_for

from configure_auth import Settings
from configure_auth.errors import SettingsError
from configure_auth.flask import oauth_client
from configure_auth.sandbox import Sandbox

SITE = "http://localhost:3000"


class Remotes:
    """Clients by their names in `OAUTH_PROVIDERS`; each `remote_app` is what `OAuth.register` takes."""

    def __init__(self, app: Flask) -> None:
        oauth = OAuth(app)
        self.clients: dict[str, Any] = {}
        providers: Sequence[Mapping[str, Any]] = app.config["OAUTH_PROVIDERS"]
        for provider in providers:
            client = oauth.register(provider["name"], **provider["remote_app"])
            client._tokengetter = lambda: session.get("oauth")
            self.clients[provider["name"]] = client
        app.add_url_rule("/login/<provider>", view_func=self.login)
        app.add_url_rule("/oauth-authorized/<provider>", view_func=self.oauth_authorized)

    def login(self, provider: str) -> Any:
        key = session["oauth_state"] = secrets.token_urlsafe(24)
        state = jwt.encode(request.args.to_dict(flat=False), key, algorithm="HS256")
        back = url_for("oauth_authorized", provider=provider, _external=True)
        return self.clients[provider].authorize_redirect(redirect_uri=back, state=state)

    def oauth_authorized(self, provider: str) -> Any:
        token = self.clients[provider].authorize_access_token()
        state = jwt.decode(request.args["state"], session["oauth_state"], algorithms=["HS256"])
        session["oauth"] = (token["access_token"], "")
        return redirect(state["next"][0]) if "next" in state else jsonify(token["userinfo"])


@pytest.fixture
def app(configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Flask]:
    configure_sandbox.register_redirect_uri(f"{SITE}/oauth-authorized/configure")
    app = Flask(__name__, instance_path=str(tmp_path))
    settings = Settings.from_mapping(configure_sandbox.environment(SITE))
    app.config.update(
        SECRET_KEY="a key of the app that signs its sessions",
        OAUTH_PROVIDERS=[
            {
                "name": "configure",
                "icon": "fa-user",
                "token_key": "access_token",
                "remote_app": {"client_cls": oauth_client(settings, store="sqlite:///oauth.db")},
            }
        ],
    )
    remotes = Remotes(app)
    yield app
    remotes.clients["configure"].close()


def test_sign_in_by_a_configured_registry(app: Flask, configure_sandbox: Sandbox) -> None:
    browser = app.test_client()
    away = browser.get("/login/configure?next=/reports", base_url=SITE).location
    assert away
    callback = configure_sandbox.sign_in(away, name="Ada").removeprefix(SITE)

    assert browser.get(callback, base_url=SITE).location == "/reports"
    # A second load of the callback gets the same outcome.
    assert browser.get(callback, base_url=SITE).location == "/reports"


def test_options_beside_client_cls_are_refused(app: Flask) -> None:
    registered = app.config["OAUTH_PROVIDERS"][0]["remote_app"]

    with pytest.raises(SettingsError, match="client_kwargs of the provider 'configure' have no effect"):
        OAuth(app).register("configure", **registered, client_kwargs={"scope": "profile.read"})
