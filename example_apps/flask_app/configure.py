"""Continue with Configure: everything that was added to the app, but for the buttons in its templates."""

from __future__ import annotations

from flask import Flask, url_for
from flask_login import current_user, login_user
from sqlalchemy import update

from configure_auth import Identity, LoginRefused, TokenGrant
from configure_auth.events import AccountUnlinked
from configure_auth.flask import ConfigureAuth
from configure_auth.flask.signals import account_unlinked

from .models import User, db

__all__ = ["add_link", "add_login", "configure_auth"]

# [link]
configure_auth = ConfigureAuth(user_id=lambda: current_user.get_id(), login_url="/sign-in")  # None when signed out


def add_link(app: Flask) -> None:
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.account_link(after_link="/settings", can_disconnect=can_disconnect))


# [login]
def sign_in_or_up(identity: Identity, grant: TokenGrant) -> str:
    user = User.by_id(identity.local_user_id) if identity.local_user_id else User.by(configure_id=identity.user_id)
    if user is None:  # nobody is found by email or phone: those may belong to somebody else
        email = identity.email if identity.email_verified else None
        if email and User.by(email=email):
            sign_in = url_for("pages.sign_in", next=url_for("configure.sign_in"))
            raise LoginRefused("You have an account already: sign in and connect Configure to it.", sign_in=sign_in)
        user = User(name=identity.name, email=email, configure_id=identity.user_id)
        db.session.add(user)
    db.session.commit()
    login_user(user)
    return str(user.id)


def forget_profile(app: Flask, event: AccountUnlinked) -> None:  # it no longer signs in to the account that it made
    db.session.execute(update(User).filter_by(configure_id=event.configure_user_id).values(configure_id=None))
    db.session.commit()


def can_disconnect(user_id: str) -> bool:  # without a password Configure is the only way in
    user = User.by_id(user_id)
    return user is not None and user.has_password()


def add_login(app: Flask) -> None:
    app.register_blueprint(configure_auth.login(on_login=sign_in_or_up, after_login="/"))
    account_unlinked.connect(forget_profile, app)
