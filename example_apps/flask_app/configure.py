"""Continue with Configure: everything that was added to the app, but for the buttons in its templates."""

from __future__ import annotations

from flask import Flask
from flask_login import current_user, login_user

from configure_auth import Identity, TokenGrant
from configure_auth.flask import ConfigureAuth

from .models import User, db

__all__ = ["add_link", "add_login", "configure_auth"]

# [link]
configure_auth = ConfigureAuth(user_id=lambda: current_user.get_id())  # None when signed out


def add_link(app: Flask) -> None:
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.account_link(after_link="/settings", can_disconnect=can_disconnect))


# [login]
def sign_in_or_up(identity: Identity, grant: TokenGrant) -> str:
    user = User.by_id(identity.local_user_id) if identity.local_user_id else None
    if user is None:  # nobody is found by email or phone: those may belong to somebody else
        user = User(name=identity.name, email=identity.email)
        db.session.add(user)
    db.session.commit()
    login_user(user)
    return str(user.id)


def can_disconnect(user_id: str) -> bool:  # without a password Configure is the only way in
    user = User.by_id(user_id)
    return user is not None and user.has_password()


def add_login(app: Flask) -> None:
    app.register_blueprint(configure_auth.login(on_login=sign_in_or_up, after_login="/"))
