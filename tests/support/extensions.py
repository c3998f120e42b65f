"""Sign-ins in an app on Flask-Security or Flask-AppBuilder, by the code of the documentation's pages, as a program.

Run by `versions.py`, which installs it: `python extensions.py flask-security|flask-appbuilder FOLDER DOCS`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from configure_auth import Settings
from configure_auth.sandbox import Sandbox

SITE = "http://localhost:3000"
ADA, ADA_EMAIL, GRACE, NO_EMAIL = "+15550100001", "ada@example.com", "+15550100002", "+15550100003"
OWN, FROM_CONFIGURE = {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "cross-site"}


def run(page: Path, *markers: str, **given: Any) -> dict[str, Any]:
    """Execute the blocks of a page that contain these words; `given` are the names that the page takes as given."""
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for marker in markers:
        (block,) = (one for one in blocks if marker in one)
        exec(compile(block, f"{page.name}: {marker}", "exec", dont_inherit=True), given)
    return given


class Browser:
    """A browser at the app."""

    def __init__(self, app: Any, sandbox: Sandbox) -> None:
        self.client = app.test_client()
        self.sandbox = sandbox

    def open(self, path: str, headers: dict[str, str] = OWN, **more: Any) -> Any:
        return self.client.open(path, base_url=SITE, headers=headers, **more)

    def callback(self, start: str, phone: str) -> str:
        """Go from a start to the end of Configure's pages."""
        response = self.open(start)
        assert response.status_code == 303, (response.status_code, response.text)
        return self.sandbox.sign_in(response.location, phone).removeprefix(SITE)

    def sign_in(self, start: str, phone: str) -> Any:
        return self.open(self.callback(start, phone), FROM_CONFIGURE)


def flask_security(sandbox: Sandbox, settings: Settings, folder: str, docs: Path) -> None:
    from flask import Flask, jsonify
    from flask_security import Security, SQLAlchemyUserDatastore, current_user, hash_password
    from flask_security.models import fsqla_v3
    from flask_sqlalchemy import SQLAlchemy

    app = Flask(__name__, instance_path=folder)
    app.config.update(
        SECRET_KEY="a key of the app that signs its sessions",
        SECURITY_PASSWORD_SALT="a salt of the app",
        SECURITY_REGISTERABLE=True,
        SECURITY_SEND_REGISTER_EMAIL=False,
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/app.db",
        WTF_CSRF_ENABLED=False,
    )
    db = SQLAlchemy(app)
    fsqla_v3.FsModels.set_db_info(db)

    class Role(db.Model, fsqla_v3.FsRoleMixin):  # type: ignore[name-defined, misc, unused-ignore]
        pass

    class User(db.Model, fsqla_v3.FsUserMixin):  # type: ignore[name-defined, misc, unused-ignore]
        configure_id = db.Column(db.String(64), unique=True)

    users = SQLAlchemyUserDatastore(db, User, Role)
    Security(app, users)
    with app.app_context():
        db.create_all()
        users.create_user(email=ADA_EMAIL, password=hash_password("a password of Ada's"))
        users.commit()
    made = run(docs / "existing-apps.md", "flask_security", "user_logged_out", app=app)
    made["configure_auth"].init_app(app, settings)

    @app.get("/who")
    def who() -> Any:
        account = made["configure_auth"].account()
        return jsonify(current_user.is_authenticated and current_user.id, account and account.user_id)

    sandbox.add_person(ADA, email=ADA_EMAIL, email_verified=True)
    sandbox.add_person(GRACE, email="grace@example.com", email_verified=True)
    sandbox.add_person(NO_EMAIL, email=None)
    login = "/auth/configure/sign-in"

    ada = Browser(app, sandbox)
    refused = ada.sign_in(login, ADA)
    assert (refused.status_code, "/login?next=" in refused.text) == (403, True), refused.text
    ada.open("/login", method="POST", data={"email": ADA_EMAIL, "password": "a password of Ada's"})
    assert ada.sign_in("/configure/sign-in", ADA).status_code == 303
    assert ada.open("/who").json == [1, "1"]
    again = Browser(app, sandbox)
    assert again.sign_in(login, ADA).status_code == 303
    assert again.open("/who").json == [1, "1"], "the account that was connected"

    grace = Browser(app, sandbox)
    callback = grace.callback(login, GRACE)
    assert grace.open(callback, FROM_CONFIGURE).status_code == 303
    assert grace.open("/who").json == [2, "2"], "an account of her own"
    grace.open("/logout", method="POST")
    assert grace.open("/who").json == [False, None]
    grace.open(callback, FROM_CONFIGURE)
    assert grace.open("/who").json == [False, None], "a callback that is loaded after the sign-out"
    assert Browser(app, sandbox).sign_in(login, NO_EMAIL).status_code == 403


def flask_appbuilder(sandbox: Sandbox, settings: Settings, folder: str, docs: Path) -> None:
    import os

    from flask import Flask
    from flask_appbuilder import AppBuilder
    from flask_appbuilder.const import AUTH_OAUTH
    from flask_appbuilder.security.sqla.manager import SecurityManager
    from flask_appbuilder.utils.legacy import get_sqla_class

    app = Flask(__name__, instance_path=folder)
    os.environ.update(sandbox.environment(SITE))
    made = run(docs / "authlib.md", "OAUTH_PROVIDERS", "get_oauth_user_info", "user_logged_out", app=app)
    app.config.update(
        SECRET_KEY="a key of the app that signs its sessions",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/app.db",
        AUTH_TYPE=AUTH_OAUTH,
        AUTH_USER_REGISTRATION=True,
        AUTH_USER_REGISTRATION_ROLE="Admin",
        OAUTH_PROVIDERS=made["OAUTH_PROVIDERS"],
    )
    manager = type("OwnSecurityManager", (made["SignsInWithConfigure"], SecurityManager), {})
    db = get_sqla_class()()
    with app.app_context():
        db.init_app(app)
        builder = AppBuilder(app, db.session, security_manager_class=manager)
        db.create_all()
    sandbox.register_redirect_uri(f"{SITE}/oauth-authorized/configure")
    start, own_page = "/login/configure?next=/users/userinfo/", "/users/userinfo/"

    for _ in range(2):
        browser = Browser(app, sandbox)
        assert 'id="btn-signin-configure"' in browser.open("/login/").text
        callback = browser.callback(start, ADA)
        for _ in range(2):  # a second load gets the same outcome
            assert browser.open(callback, FROM_CONFIGURE).location == own_page
        assert browser.open(own_page).status_code == 200
    browser.open("/logout/")
    browser.open(callback, FROM_CONFIGURE)
    assert browser.open(own_page).status_code == 302, "a callback that is loaded after the sign-out"
    with app.app_context():
        (user,) = builder.sm.get_all_users()
        assert user.username.startswith("configure_"), user.username


def main(extension: str, folder: str, docs: str) -> None:
    """Walk through all of it; an exception is a failure."""
    walks = {"flask-security": flask_security, "flask-appbuilder": flask_appbuilder}
    with Sandbox() as sandbox:
        sandbox.register_return_to(f"{SITE}/configure/callback")
        sandbox.register_redirect_uri(f"{SITE}/auth/configure/callback")
        settings = Settings.from_mapping({**sandbox.environment(SITE), "CONFIGURE_TOKEN_KEYS": "k" * 43})
        walks[extension](sandbox, settings, folder, Path(docs))


if __name__ == "__main__":
    main(*sys.argv[1:])
