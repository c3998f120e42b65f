"""Continue with Configure: everything that was added to the app, but for the buttons in its page."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel
from starlette.routing import Mount

from configure_auth import ApiCode, AsyncProfile, ConfigureError, Identity, LinkedAccount, Settings, TokenGrant
from configure_auth.starlette import ConfigureAuth

from .api import SignedIn
from .models import User, database
from .tokens import current_user_id, remember

__all__ = ["configure_api", "configure_failed", "link_routes", "login_routes", "make_configure_auth"]


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
        user = db.get(User, int(identity.local_user_id)) if identity.local_user_id else None
        if user is None:  # nobody is found by email or phone: those may belong to somebody else
            user = User(name=identity.name, email=identity.email)
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
