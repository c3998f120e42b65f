"""The app's own endpoints: signing up, in and out, and the account."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, StringConstraints
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from starlette.concurrency import run_in_threadpool

from .models import User, database
from .tokens import bearer_token, current_user_id, forget, remember, remembered_user_id

__all__ = ["SignedIn", "api"]

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


bearer = HTTPBearer(auto_error=False, description="What sign-up and sign-in give.")  # for the docs


def signed_in(
    request: Request, user_id: Annotated[str | None, Depends(current_user_id)], _: Annotated[object, Depends(bearer)]
) -> User:
    if user_id is not None:
        with database(request) as db:
            user = db.get(User, int(user_id))
        if user is not None:
            return user
    raise HTTPException(401, "Sign in first.", {"WWW-Authenticate": "Bearer"})


SignedIn = Annotated[User, Depends(signed_in)]


@api.post("/sign-up", status_code=201)
def sign_up(new: NewUser, request: Request, response: Response) -> Token:
    user = User(username=new.username, email=new.email)
    user.set_password(new.password)
    with database(request) as db:
        db.add(user)
        try:
            db.commit()
        except IntegrityError:
            raise HTTPException(409, "That username or e-mail is taken.") from None
    return start_session(request, response, user)


@api.post("/sign-in")
def sign_in(given: Credentials, request: Request, response: Response) -> Token:
    with database(request) as db:
        user = db.scalar(select(User).filter_by(username=given.username))
    if user is None or not user.check_password(given.password):
        raise HTTPException(401, "That username and password don't match.")
    return start_session(request, response, user)


@api.post("/token")
def new_token(
    request: Request, response: Response, user_id: Annotated[str | None, Depends(remembered_user_id)]
) -> Token | None:
    """A new bearer token for a browser that was signed in before; null where nobody was."""
    if user_id is None:
        return None
    with database(request) as db:
        user = db.get_one(User, int(user_id))
    return start_session(request, response, user)


@api.post("/sign-out", status_code=204)
async def sign_out(request: Request, response: Response, user: SignedIn) -> None:
    # A callback that is loaded again signs nobody in.
    await request.app.state.configure_auth.forget_browser(request)
    forget(request, response)


@api.get("/account")
def account(user: SignedIn) -> Account:
    return Account.model_validate(user)


@api.delete("/account", status_code=204)
async def delete_account(request: Request, response: Response, user: SignedIn) -> None:
    await request.app.state.configure_auth.forget_user(user.id)  # first: a connection must not outlive its person
    await run_in_threadpool(delete, request, user)
    forget(request, response)


def start_session(request: Request, response: Response, user: User) -> Token:
    remember(request, response, user)
    response.headers["Cache-Control"] = "no-store"
    return Token(token=bearer_token(request, user))


def delete(request: Request, user: User) -> None:
    with database(request) as db:
        db.delete(user)
        db.commit()
