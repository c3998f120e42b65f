"""The steps of a sign-in, OAuth or hosted: what each posted form does."""

from __future__ import annotations

import secrets
from typing import Final
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from .database import Database
from .http_messages import ApiError, ApiRequest
from .interactions import CODE_TRIES, INTERACTION_SECONDS, RIGHT_CODE, HostedRequest, Interaction, OAuthRequest
from .issuer import Grant
from .pages import error_page, step_page
from .phones import read_phone
from .values import SCOPES, Completion

COOKIE_SECONDS: Final = 30 * 86400


def begin(
    db: Database, incoming: ApiRequest, request: OAuthRequest | HostedRequest, agent: str, agent_name: str
) -> Response:
    """Start a sign-in and return its first page: the phone, or the consent for a signed-in browser."""
    _forget_stale(db)
    interaction = Interaction(request, agent, agent_name, incoming.path, db.now())
    user_id = db.browsers.get(incoming.cookies.get(_cookie_name(incoming), ""))
    if user_id is not None:
        interaction.user_id = user_id
        interaction.step = "consent"
    db.interactions[interaction.id] = interaction
    return step_page(db, interaction)


def _forget_stale(db: Database) -> None:
    for stale in [i for i in db.interactions.values() if db.now() - i.created_at > INTERACTION_SECONDS]:
        del db.interactions[stale.id]


def advance(db: Database, incoming: ApiRequest) -> Response:
    """Handle a form that one of the pages posted."""
    try:
        pairs = incoming.form()
    except ApiError as error:
        return error_page("That did not work", error.message, error.status)
    fields = dict(pairs)
    _forget_stale(db)
    interaction = db.interactions.get(fields.get("interaction", ""))
    if interaction is None or interaction.action != incoming.path:
        return error_page("This page is out of date", "Go back to the app and start again.", 400, code="expired")
    if interaction.step in {"done", "failed"}:
        # A second click on the same button gets the same response.
        return _finished(db, interaction)
    match fields.get("do"):
        case "cancel":
            return _cancel(db, interaction)
        case "phone":
            return _phone(db, interaction, fields.get("phone", ""))
        case "code" if interaction.step == "code":
            return _code(db, incoming, interaction, fields.get("code", ""))
        case "other":
            interaction.step, interaction.user_id, interaction.phone = "phone", None, None
            return step_page(db, interaction)
        case "allow" if interaction.step == "consent":
            return _allow(db, interaction, tuple(value for name, value in pairs if name == "connector"))
    return step_page(db, interaction)


def _cookie_name(incoming: ApiRequest) -> str:
    return "configure_sandbox_sign_in" if incoming.origin == "sign-in" else "configure_sandbox_accounts"


def _phone(db: Database, interaction: Interaction, text: str) -> Response:
    phone = read_phone(text)
    if phone is None:
        interaction.step = "phone"
        return step_page(db, interaction, error="That doesn't look like a phone number.", phone_text=text)
    interaction.phone = phone
    interaction.user_id = None
    interaction.step = "code"
    return step_page(db, interaction)


def _code(db: Database, incoming: ApiRequest, interaction: Interaction, text: str) -> Response:
    assert interaction.phone is not None
    if text.strip() != RIGHT_CODE:
        interaction.tries += 1
        if interaction.tries >= CODE_TRIES:
            interaction.step = "failed"
            return _finished(db, interaction)
        return step_page(db, interaction, error="That code is wrong.")
    person = db.people.sign_up(interaction.phone)
    interaction.user_id = person.user_id
    interaction.step = "consent"
    response = step_page(db, interaction)
    cookie = secrets.token_urlsafe(24)
    db.browsers[cookie] = person.user_id
    response.set_cookie(_cookie_name(incoming), cookie, max_age=COOKIE_SECONDS, path="/", httponly=True, samesite="lax")
    return response


def _allow(db: Database, interaction: Interaction, connectors: tuple[str, ...]) -> Response:
    assert interaction.user_id is not None
    request = interaction.request
    if isinstance(request, OAuthRequest):
        _allow_client(db, interaction, interaction.user_id, request)
    else:
        chosen = tuple(c for c in request.connectors if c in connectors)
        _allow_agent(db, interaction, interaction.user_id, request, chosen)
    interaction.step = "done"
    return _finished(db, interaction)


def _allow_client(db: Database, interaction: Interaction, user_id: str, request: OAuthRequest) -> None:
    narrower = db.variants.granted_scopes
    scopes = request.scopes if narrower is None else tuple(s for s in request.scopes if s in narrower)
    db.issuer.grants.append(Grant("oauth", user_id, interaction.agent, scopes, (), db.now()))
    code = db.issuer.issue_code(user_id, request, scopes)
    interaction.redirect_to = _return_url(db, request.redirect_uri, [("code", code)], request.state)


def _allow_agent(
    db: Database, interaction: Interaction, user_id: str, request: HostedRequest, connectors: tuple[str, ...]
) -> None:
    db.issuer.grants.append(Grant("agent", user_id, request.agent, SCOPES, connectors, db.now()))
    if request.return_to is not None:
        code = db.issuer.issue_return_code(user_id, request.agent)
        interaction.redirect_to = _return_url(db, request.return_to, [("code", code)], request.state)
    if request.external_id is not None:
        db.connect(request.agent, request.external_id, user_id)
    if request.return_url is not None:
        interaction.redirect_to = request.return_url
    if request.message_complete_url is not None and request.by_message:
        token = db.issuer.issue_agent_token(user_id, request.agent, SCOPES)
        body = {"token": token.token, "userId": user_id, "agent": request.agent}
        if request.journey is not None:
            body["journeyId"] = request.journey
        if db.variants.completion_sender in {"server", "both"}:
            db.outbox.append(Completion(request.message_complete_url, body))
        if db.variants.completion_sender in {"page", "both"}:
            interaction.page_completion = body


def _cancel(db: Database, interaction: Interaction) -> Response:
    """End the sign-in without a code.

    For the hosted sign-in this is a guess: whether and how it comes back is not documented, so OAuth's way is taken.
    """
    request = interaction.request
    error = [("error", "access_denied"), ("error_description", "the sign-in was cancelled")]
    if isinstance(request, OAuthRequest):
        interaction.redirect_to = _return_url(db, request.redirect_uri, error, request.state)
    elif request.return_to is not None:
        shown = error if db.variants.hosted_cancel == "error" else []
        interaction.redirect_to = _return_url(db, request.return_to, shown, request.state)
    elif request.return_url is not None:
        interaction.redirect_to = request.return_url
    interaction.step = "failed" if interaction.redirect_to is None else "done"
    interaction.user_id = None
    return _finished(db, interaction)


def _finished(db: Database, interaction: Interaction) -> Response:
    if interaction.redirect_to is not None:
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return RedirectResponse(interaction.redirect_to, 303, headers)
    if interaction.step == "failed":
        if interaction.tries >= CODE_TRIES:
            text = "Too many wrong codes. Go back to the app and start again."
            return error_page("Sign-in stopped", text, 429, code="too_many_tries")
        assert isinstance(interaction.request, HostedRequest)  # a cancelled OAuth sign-in has an address to go to
        return error_page("Sign-in cancelled", "Nothing was shared.", 200, code="cancelled", hosted=interaction.request)
    return step_page(db, interaction)


def _return_url(db: Database, address: str, added: list[tuple[str, str]], state: str | None) -> str:
    states: dict[str, list[str | None]] = {
        "same": [state],
        "missing": [],
        "changed": [secrets.token_urlsafe(16)],
        "repeated": [state, state],
    }
    pairs = added + [("state", s) for s in states[db.variants.callback_state] if s is not None]
    if db.variants.callback_iss:
        pairs.append(("iss", db.urls.accounts))
    query = urlencode(pairs)
    # Joined as text: a URL library would change an address that apps compare byte for byte.
    separator = "" if not query else "&" if "?" in address else "?"
    return f"{address}{separator}{query}"
