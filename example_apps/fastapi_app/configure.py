"""Continue with Configure: everything that was added to the app, but for the buttons in its page."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker
from starlette.routing import Mount

from configure_auth import (
    ApiCode,
    AsyncProfile,
    ConfigureError,
    Identity,
    LinkedAccount,
    LoginRefused,
    Settings,
    TokenGrant,
)
from configure_auth.events import AccountUnlinked
from configure_auth.starlette import ConfigureAuth

from .api import SignedIn
from .models import User, database
from .tokens import current_user_id, remember

__all__ = ["configure_api", "configure_failed", "forget_profiles", "link_routes", "login_routes", "make_configure_auth"]


HAS_ACCOUNT = "You have an account already: sign in and connect Configure to it."


# [link]
def make_configure_auth(settings: Settings) -> ConfigureAuth:
    return ConfigureAuth(settings, session=False, user_id=current_user_id)  # None without a bearer token


def link_routes(configure_auth: ConfigureAuth) -> Mount:
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
        user: SignedIn, account: Annotated[LinkedAccount | None, Depends(configure_auth.account)]
    ) -> LinkedAccount | None:
        return account

    @api.get("/profile")
    async def profile(user: SignedIn, client: Annotated[AsyncProfile, Depends(configure_auth.profile)]) -> Profile:
        """What the person shares with this app."""
        found = await client.read(sections=["identity", "summary", "preferences"])
        return Profile(
            name=found.identity.name,
            phone_last4=found.identity.phone_last4,
            summary=found.sections.get("summary"),
            preferences=found.sections.get("preferences") or [],
        )

    return api


async def configure_failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, ConfigureError)
    # 401 would mean that the app's own bearer token isn't good.
    return JSONResponse({"error": error.code}, 409 if error.code == ApiCode.AUTH_REQUIRED else 503)


# [login]
def sign_in_or_up(request: Request, identity: Identity, grant: TokenGrant) -> tuple[str, Response]:
    with database(request) as db:
        if identity.local_user_id:
            user = db.get(User, int(identity.local_user_id))
        else:
            user = db.scalar(select(User).filter_by(configure_id=identity.user_id))
        if user is None:  # nobody is found by email or phone: those may belong to somebody else
            email = identity.email if identity.email_verified else None
            if email and db.scalar(select(User).filter_by(email=email)):
                # Its page asks to sign in, and has the button that connects.
                raise LoginRefused(HAS_ACCOUNT, sign_in="/settings")
            user = User(name=identity.name, email=email, configure_id=identity.user_id)
            db.add(user)
        db.commit()
    response = RedirectResponse(grant.next or "/", 303)
    remember(request, response, user)  # the page gets its bearer token by this cookie; none is ever in an address
    return str(user.id), response


def can_disconnect(request: Request, user_id: str) -> bool:  # without a password Configure is the only way in
    with database(request) as db:
        return db.get_one(User, int(user_id)).has_password


def login_routes(configure_auth: ConfigureAuth) -> Mount:
    return configure_auth.login(on_login=sign_in_or_up, after_login="/")


def forget_profiles(configure_auth: ConfigureAuth, sessions: sessionmaker[Session]) -> None:
    @configure_auth.on(AccountUnlinked)
    def forget_profile(event: AccountUnlinked) -> None:  # it no longer signs in to the account that it made
        with sessions.begin() as db:
            db.execute(update(User).filter_by(configure_id=event.configure_user_id).values(configure_id=None))
