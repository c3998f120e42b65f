"""The page on which a user connects Configure and takes along what the bot knows."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from werkzeug import Response as WerkzeugResponse

from configure_auth import ConfigureError

from .bot import configure_auth, profile_of
from .models import User, db

__all__ = ["pages"]

pages = Blueprint("pages", __name__)


@pages.get("/")
def home() -> str | WerkzeugResponse:
    outcome = request.args.get("configure")
    if outcome is not None:  # shown once, under an address without it
        session["outcome"] = outcome
        return redirect(url_for("pages.home"))
    user = db.session.get(User, session.get("user_id", 0))
    if user is None:
        session.pop("user_id", None)
        return render_template("page.html")
    account, memories = configure_auth.account(), None
    if account is not None and not account.needs_reconnect:
        try:
            with profile_of(user.id) as profile:
                memories = [hit.text for hit in profile.search("*").results]
        except ConfigureError:
            account = configure_auth.account()  # the read may have found that Configure took the access back
    return render_template("page.html", user=user, account=account, memories=memories)


@pages.post("/sign-in")
def sign_in() -> tuple[str, int] | WerkzeugResponse:
    name, password = request.form.get("name", ""), request.form.get("password", "")
    user = db.session.scalar(db.select(User).filter_by(name=name))
    if user is None or not user.check_password(password):
        return render_template("page.html", error="That name and password don't match."), 401
    session.clear()
    session["user_id"] = user.id
    return redirect(url_for("pages.home"))


@pages.post("/sign-out")
def sign_out() -> WerkzeugResponse:
    configure_auth.forget_browser()  # a callback that is loaded again signs nobody in
    session.clear()
    return redirect(url_for("pages.home"))


# [policy]
@pages.after_request
def secure(response: Response) -> Response:
    settings = configure_auth.client.settings
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        f"script-src 'self' {settings.script_url}; connect-src 'self' {settings.base_url}"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"  # Back after signing out shows nothing
    return response
