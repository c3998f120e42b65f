"""The app's own endpoints: signing up, in and out, and the account."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, StringConstraints
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from starlette.concurrency import run_in_threadpool

from .models import SessionDep, User
from .tokens import COOKIE, bearer_token, forget, remember, user_id_of

__all__ = ["CurrentUser", "api"]

api = APIRouter()


class NewUser(BaseModel):
    username: Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=40)]
    password: Annotated[str, StringConstraints(min_length=8, max_length=200)]
    email: str | None = None


class Credentials(BaseModel):
    username: Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=200)]
    password: Annotated[str, StringConstraints(max_length=200)]


class Token(BaseModel):
    token: str


class Account(BaseModel, from_attributes=True):
    id: int
    username: str | None
    name: str | None
    email: str | None
    has_password: bool


bearer = HTTPBearer(auto_error=False, description="What sign-up and sign-in give.")


async def get_current_user(
    request: Request, db: SessionDep, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> User:
    user_id = user_id_of(request, given.credentials, "bearer") if given else None
    user = None if user_id is None else await db.get(User, user_id)
    if user is None:
        raise HTTPException(401, "Sign in first.", {"WWW-Authenticate": "Bearer"})
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


@api.post("/sign-up", status_code=201)
async def sign_up(new: NewUser, request: Request, response: Response, db: SessionDep) -> Token:
    user = User(username=new.username, email=new.email)
    await run_in_threadpool(user.set_password, new.password)
    db.add(user)
    try:
        await db.commit()
    except IntegrityError:
        raise HTTPException(409, "That username or e-mail is taken.") from None
    return start_session(request, response, user)


@api.post("/sign-in")
async def sign_in(given: Credentials, request: Request, response: Response, db: SessionDep) -> Token:
    user = await db.scalar(select(User).filter_by(username=given.username))
    if user is None or not await run_in_threadpool(user.check_password, given.password):
        raise HTTPException(401, "That username and password don't match.")
    return start_session(request, response, user)


@api.post("/token")
async def new_token(request: Request, response: Response, db: SessionDep) -> Token | None:
    """A new bearer token for a browser that was signed in before; null where nobody was."""
    user_id = user_id_of(request, request.cookies.get(COOKIE, ""), "refresh")
    user = None if user_id is None else await db.get(User, user_id)
    return None if user is None else start_session(request, response, user)


@api.post("/sign-out", status_code=204)
async def sign_out(request: Request, response: Response, user: CurrentUser) -> None:
    # A callback that is loaded again signs nobody in.
    await request.app.state.configure_auth.forget_browser(request)
    forget(request, response)


@api.get("/account")
async def account(user: CurrentUser) -> Account:
    return Account.model_validate(user)


@api.delete("/account", status_code=204)
async def delete_account(request: Request, response: Response, db: SessionDep, user: CurrentUser) -> None:
    await request.app.state.configure_auth.forget_user(user.id)  # first: a connection must not outlive its person
    await db.delete(user)
    await db.commit()
    forget(request, response)


def start_session(request: Request, response: Response, user: User) -> Token:
    remember(request, response, user)
    response.headers["Cache-Control"] = "no-store"
    return Token(token=bearer_token(request, user))
