"""The app's pages."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from configure_auth import ConfigureError, ProfileResponse
from configure_auth.starlette import ConfigureAuth

from .models import User, database
from .templating import page

__all__ = ["pages"]

KEPT, AWAY = 15 * 60, 60  # seconds until the home page asks for a profile again, and after an outage

View = Callable[[Request], Awaitable[Response]]


def shown_once(view: View) -> View:
    """Keep how a sign-in ended for one page, under an address without it."""

    @wraps(view)
    async def showing(request: Request) -> Response:
        outcome = request.query_params.get("configure")
        if outcome is None or not request.user.is_authenticated:
            return await view(request)
        request.session["outcome"] = outcome
        return go_to(request.url.path)

    return showing


def signed_in_only(view: View) -> View:
    @wraps(view)
    async def guarded(request: Request) -> Response:
        if request.user.is_authenticated:
            return await shown_once(view)(request)
        if request.method == "GET":  # the page to go on to is kept by us, not in a link that anybody can write
            request.session["next"] = request.url.path
        cancelled = request.query_params.get("configure") == "cancelled"
        return go_to("/sign-in?configure=cancelled" if cancelled else "/sign-in")

    return guarded


@shown_once
async def home(request: Request) -> Response:
    known = await known_of_user(request) if request.user.is_authenticated else None
    return page(request, "home.html", known=known)


async def sign_up(request: Request) -> Response:
    if request.method == "GET":
        return page(request, "sign_up.html")
    username, password, email = await posted_credentials(request)
    if not 1 <= len(username) <= 40 or not 8 <= len(password) <= 200:
        error = "Choose a username of up to 40 characters and a password of at least 8."
        return page(request, "sign_up.html", 400, username=username, error=error)
    user = User(username=username, email=email or None)
    await user.set_password(password)
    async with database(request) as db:
        db.add(user)
        try:
            await db.commit()
        except IntegrityError:
            return page(request, "sign_up.html", 409, username=username, error="That username or e-mail is taken.")
    return start_session(request, user)


async def sign_in(request: Request) -> Response:
    if request.method == "GET":
        if request.query_params.get("next") == "/configure/sign-in":  # the page that refused a login leads here
            request.session["next"] = "/configure/sign-in"
        return page(request, "sign_in.html")
    username, password, _ = await posted_credentials(request)
    async with database(request) as db:
        user = await db.scalar(select(User).filter_by(username=username))
    if user is None or not await user.check_password(password):
        return page(request, "sign_in.html", 401, username=username, error="That username and password don't match.")
    return start_session(request, user)


async def sign_out(request: Request) -> Response:
    await configure_auth_of(request).forget_browser(request)  # a callback that is loaded again signs nobody in
    request.session.clear()
    return go_to("/")


@signed_in_only
async def settings(request: Request) -> Response:
    configure_auth = configure_auth_of(request)
    profile, error = None, None
    account = await configure_auth.account(request)
    if account and not account.needs_reconnect:
        profile, error = await read_profile(request)
        account = await configure_auth.account(request)  # the read may have found that Configure took the access back
    button = await configure_auth.button(request, theme="auto")
    return page(request, "settings.html", account=account, profile=profile, error=error, button=button)


@signed_in_only
async def delete_account(request: Request) -> Response:
    async with request.form() as form:
        if "sure" not in form:
            return go_to("/settings")
    await configure_auth_of(request).forget_user(request.user.id)  # first: a connection must not outlive its person
    async with database(request) as db:
        await db.delete(request.user)
        await db.commit()
    return await sign_out(request)


pages = [
    Route("/", home),
    Route("/sign-up", sign_up, methods=["GET", "POST"]),
    Route("/sign-in", sign_in, methods=["GET", "POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
    Route("/settings", settings),
    Route("/delete-account", delete_account, methods=["POST"]),
]


def configure_auth_of(request: Request) -> ConfigureAuth:
    found: ConfigureAuth = request.app.state.configure_auth
    return found


async def posted_credentials(request: Request) -> tuple[str, str, str]:
    async with request.form() as form:
        username, password, email = (str(form.get(name, "")) for name in ("username", "password", "email"))
        return username.strip().lower(), password, email.strip()


def start_session(request: Request, user: User) -> Response:
    next_page = request.session.get("next", "/")
    request.session.clear()
    user.sign_in(request)
    return go_to(next_page)


def go_to(path: str) -> Response:
    return RedirectResponse(path, status_code=303)


async def known_of_user(request: Request) -> dict[str, Any] | None:
    """What the home page shows of the profile: asked once in a while, not in each view. Little: it is in a cookie."""
    account = await configure_auth_of(request).account(request)
    if account is None or account.needs_reconnect:
        return None
    known: dict[str, Any] | None = request.session.get("known")
    if known is None or known["of"] != account.configure_user_id or known["until"] < time.time():
        known = {"of": account.configure_user_id, "until": time.time() + KEPT, "name": None, "preferences": []}
        profile, _ = await read_profile(request)
        if profile is None:  # Configure is down: the page goes on without
            known["until"] = time.time() + AWAY
        else:
            preferences = profile.sections.get("preferences") or []
            known |= {"name": profile.identity.name, "preferences": [text[:80] for text in preferences[:3]]}
        request.session["known"] = known
    return known


async def read_profile(request: Request) -> tuple[ProfileResponse | None, str | None]:
    """What the person shares with this app, or why there is nothing to show just now.

    For display, and in a session of its own, so that no commit has to follow.
    """
    try:
        profile = await configure_auth_of(request).profile(request)
        return await profile.read(sections=["identity", "summary", "preferences"]), None
    except ConfigureError:
        return None, "Configure doesn't answer just now, so your profile isn't shown. Everything else works."
