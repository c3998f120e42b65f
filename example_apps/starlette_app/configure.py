"""Continue with Configure: everything that was added to the app, but for the buttons in its templates."""

from __future__ import annotations

from starlette.requests import Request
from starlette.routing import Mount

from configure_auth import Identity, Settings, TokenGrant
from configure_auth.starlette import ConfigureAuth, authenticated_user

from .models import User, database

__all__ = ["link_routes", "login_routes", "make_configure_auth"]


# [link]
def make_configure_auth(settings: Settings) -> ConfigureAuth:
    return ConfigureAuth(settings, user_id=authenticated_user)  # None when signed out


def link_routes(configure_auth: ConfigureAuth) -> Mount:
    return configure_auth.account_link(after_link="/settings", can_disconnect=can_disconnect)


# [login]
async def sign_in_or_up(request: Request, identity: Identity, grant: TokenGrant) -> str:
    async with database(request) as db:
        user = await User.by_id(db, identity.local_user_id) if identity.local_user_id else None
        if user is None:  # nobody is found by email or phone: those may belong to somebody else
            user = User(name=identity.name, email=identity.email)
            db.add(user)
        await db.commit()
    user.sign_in(request)
    return user.identity


def can_disconnect(request: Request, user_id: str) -> bool:  # without a password Configure is the only way in
    user: User = request.user
    return user.has_password()


def login_routes(configure_auth: ConfigureAuth) -> Mount:
    return configure_auth.login(on_login=sign_in_or_up, after_login="/")
