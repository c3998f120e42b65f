"""Continue with Configure: everything that was added to the app, but for the buttons in its templates."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from starlette.requests import Request
from starlette.routing import Mount

from configure_auth import Identity, LoginRefused, Settings, TokenGrant
from configure_auth.events import AccountUnlinked
from configure_auth.starlette import ConfigureAuth, authenticated_user

from .german import GERMAN
from .models import User, database

__all__ = ["forget_profiles", "link_routes", "login_routes", "make_configure_auth"]


HAS_ACCOUNT = "You have an account already: sign in and connect Configure to it."


# [link]
def make_configure_auth(settings: Settings) -> ConfigureAuth:
    return ConfigureAuth(
        settings,
        user_id=authenticated_user,  # None when signed out
        login_url="/sign-in",
        texts={"de": GERMAN},  # for browsers that prefer German
        base_template="configure.html",
    )


def link_routes(configure_auth: ConfigureAuth) -> Mount:
    return configure_auth.account_link(after_link="/settings", can_disconnect=can_disconnect)


# [login]
async def sign_in_or_up(request: Request, identity: Identity, grant: TokenGrant) -> str:
    async with database(request) as db:
        if identity.local_user_id:
            user = await User.by_id(db, identity.local_user_id)
        else:
            user = await User.by(db, configure_id=identity.user_id)
        if user is None:  # nobody is found by email or phone: those may belong to somebody else
            email = identity.email if identity.email_verified else None
            if email and await User.by(db, email=email):
                raise LoginRefused(HAS_ACCOUNT, sign_in="/sign-in?next=/configure/sign-in")
            user = User(name=identity.name, email=email, configure_id=identity.user_id)
            db.add(user)
        await db.commit()
    user.sign_in(request)
    return user.identity


def can_disconnect(request: Request, user_id: str) -> bool:  # without a password Configure is the only way in
    user: User = request.user
    return user.has_password()


def login_routes(configure_auth: ConfigureAuth) -> Mount:
    return configure_auth.login(on_login=sign_in_or_up, after_login="/")


def forget_profiles(configure_auth: ConfigureAuth, sessions: async_sessionmaker[AsyncSession]) -> None:
    @configure_auth.on(AccountUnlinked)
    async def forget_profile(event: AccountUnlinked) -> None:  # it no longer signs in to the account that it made
        async with sessions.begin() as db:
            await db.execute(update(User).filter_by(configure_id=event.configure_user_id).values(configure_id=None))
