"""Continue with Configure: everything that was added to the app, but for the buttons in its page."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from configure_auth import AsyncProfile, Identity, LinkedAccount, LoginRefused, Settings
from configure_auth.events import AccountUnlinked
from configure_auth.fastapi import ConfigureAuth

from .api import CurrentUser
from .models import SessionDep, User
from .tokens import bearer_token, remember

__all__ = ["configure_api", "forget_profiles", "link_routes", "login_routes", "make_configure_auth"]


HAS_ACCOUNT = "You have an account already: sign in and connect Configure to it."


# [link]
def make_configure_auth(settings: Settings, spa: tuple[str, ...] = ()) -> ConfigureAuth:
    return ConfigureAuth(settings, user=CurrentUser, login_url="/sign-in", trusted_origins=spa)


def link_routes(configure_auth: ConfigureAuth) -> APIRouter:
    return configure_auth.account_link(after_link="/settings", can_disconnect=can_disconnect)


# [api]
class Profile(BaseModel):
    name: str | None
    phone_last4: str | None
    summary: str | None
    preferences: list[str]


def configure_api(configure_auth: ConfigureAuth) -> APIRouter:
    api = APIRouter(tags=["Configure"])

    @api.get("/connection")
    async def connection(
        user: CurrentUser, account: Annotated[LinkedAccount | None, Depends(configure_auth.account)]
    ) -> LinkedAccount | None:
        return account

    @api.get("/profile")
    async def profile(user: CurrentUser, client: Annotated[AsyncProfile, Depends(configure_auth.profile)]) -> Profile:
        """What the person shares with this app: for display, so that no commit has to follow."""
        found = await client.read(sections=["identity", "summary", "preferences"])
        return Profile(
            name=found.identity.name,
            phone_last4=found.identity.phone_last4,
            summary=found.sections.get("summary"),
            preferences=found.sections.get("preferences") or [],
        )

    return api


# [login]
async def sign_in_or_up(identity: Identity, db: SessionDep, request: Request, response: Response) -> int:
    if identity.local_user_id:
        user = await db.get(User, int(identity.local_user_id))
    else:
        user = await db.scalar(select(User).filter_by(configure_id=identity.user_id))
    if user is None:  # nobody is found by email or phone: those may belong to somebody else
        email = identity.email if identity.email_verified else None
        if email and await db.scalar(select(User).filter_by(email=email)):
            # Its page asks to sign in, and has the button that connects.
            raise LoginRefused(HAS_ACCOUNT, sign_in="/settings")
        user = User(name=identity.name, email=email, configure_id=identity.user_id)
        db.add(user)
        await db.commit()
    remember(request, response, user)  # the page gets its bearer token by this cookie; none is ever in an address
    return user.id


async def issue_token(user_id: str, db: SessionDep, request: Request) -> str:  # for a page on another port
    return bearer_token(request, await db.get_one(User, int(user_id)))


async def can_disconnect(user_id: str, db: SessionDep) -> bool:  # without a password Configure is the only way in
    return (await db.get_one(User, int(user_id))).has_password


def login_routes(configure_auth: ConfigureAuth) -> APIRouter:
    return configure_auth.login(on_login=sign_in_or_up, after_login="/", issue_token=issue_token)


def forget_profiles(configure_auth: ConfigureAuth, sessions: async_sessionmaker[AsyncSession]) -> None:
    @configure_auth.on(AccountUnlinked)
    async def forget_profile(event: AccountUnlinked) -> None:  # it no longer signs in to the account that it made
        async with sessions.begin() as db:
            await db.execute(update(User).filter_by(configure_id=event.configure_user_id).values(configure_id=None))
