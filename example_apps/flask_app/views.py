"""The app's pages."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask_login import current_user, login_required, login_user, logout_user
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from werkzeug import Response

from configure_auth import ConfigureError, ProfileResponse

from .configure import configure_auth
from .models import User, db

__all__ = ["pages"]

pages = Blueprint("pages", __name__)

Page = str | tuple[str, int] | Response

KEPT, AWAY = 15 * 60, 60  # seconds until the home page asks for a profile again, and after an outage


@pages.before_request
def show_outcome_once() -> Page | None:
    """Keep how a sign-in ended for one page, under an address without it."""
    outcome = request.args.get("configure")
    if outcome is None or request.method != "GET" or not current_user.is_authenticated:
        return None
    session["outcome"] = outcome
    return redirect(request.path)


@pages.get("/")
def home() -> Page:
    return render_template("home.html", known=known_of_user() if current_user.is_authenticated else None)


@pages.route("/sign-up", methods=["GET", "POST"])
def sign_up() -> Page:
    if request.method == "GET":
        return render_template("sign_up.html")
    username, password = posted_credentials()
    if not 1 <= len(username) <= 40 or not 8 <= len(password) <= 200:
        error = "Choose a username of up to 40 characters and a password of at least 8."
        return render_template("sign_up.html", error=error), 400
    user = User(username=username, email=request.form.get("email") or None)
    user.set_password(password)
    db.session.add(user)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return render_template("sign_up.html", error="That username or e-mail is taken."), 409
    return start_session(user)


@pages.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Page:
    if request.method == "GET":
        if request.args.get("next") == url_for("configure.sign_in"):  # the page that refused a login leads here
            session["next"] = url_for("configure.sign_in")
        return render_template("sign_in.html")
    username, password = posted_credentials()
    user = db.session.scalar(select(User).filter_by(username=username))
    if user is None or not user.check_password(password):
        return render_template("sign_in.html", error="That username and password don't match."), 401
    return start_session(user)


@pages.post("/sign-out")
def sign_out() -> Page:
    configure_auth.forget_browser()  # a callback that is loaded again signs nobody in
    logout_user()
    session.clear()
    return redirect(url_for("pages.home"))


@pages.get("/settings")
@login_required  # type: ignore[untyped-decorator]
def settings() -> Page:
    profile, error = None, None
    account = configure_auth.account()
    if account and not account.needs_reconnect:
        profile, error = read_profile()
        account = configure_auth.account()  # the read may have found that Configure took the access back
    return render_template("settings.html", account=account, profile=profile, error=error)


@pages.post("/delete-account")
@login_required  # type: ignore[untyped-decorator]
def delete_account() -> Page:
    if "sure" not in request.form:
        return redirect(url_for("pages.settings"))
    user = current_user._get_current_object()
    configure_auth.forget_user(str(user.id))  # first: a connection must not outlive its person
    db.session.delete(user)
    db.session.commit()
    return sign_out()


def posted_credentials() -> tuple[str, str]:
    return request.form.get("username", "").strip().lower(), request.form.get("password", "")


def start_session(user: User) -> Response:
    next_page = session.get("next") or url_for("pages.home")
    session.clear()
    login_user(user)
    return redirect(next_page)


def known_of_user() -> dict[str, Any] | None:
    """What the home page shows of the profile: asked once in a while, not in each view. Little: it is in a cookie."""
    account = configure_auth.account()
    if account is None or account.needs_reconnect:
        return None
    known = session.get("known")
    if known is None or known["of"] != account.configure_user_id or known["until"] < time.time():
        known = {"of": account.configure_user_id, "until": time.time() + KEPT, "name": None, "preferences": []}
        profile, _ = read_profile()
        if profile is None:  # Configure is down: the page goes on without
            known["until"] = time.time() + AWAY
        else:
            preferences = profile.sections.get("preferences") or []
            known |= {"name": profile.identity.name, "preferences": [text[:80] for text in preferences[:3]]}
        session["known"] = known
    return known


def read_profile() -> tuple[ProfileResponse | None, str | None]:
    """What the person shares with this app, or why there is nothing to show just now.

    For display, and in a session of its own, so that no commit has to follow.
    """
    try:
        return configure_auth.profile().read(sections=["identity", "summary", "preferences"]), None
    except ConfigureError:
        return None, "Configure doesn't answer just now, so your profile isn't shown. Everything else works."
