"""The steps of a visit: what each posted form does. Both kinds of sign-in walk through here."""

from __future__ import annotations

import secrets
from typing import Final
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from .directory import read_phone
from .interactions import CODE_TRIES, INTERACTION_SECONDS, RIGHT_CODE, HostedRequest, Interaction, OAuthRequest
from .ledger import Grant
from .pages import error_page, step_page
from .values import SCOPES, Completion
from .wire import Incoming, Refusal
from .world import World

COOKIES: Final = {"api": "configure_sandbox_accounts", "accounts": "configure_sandbox_accounts"}
SIGN_IN_COOKIE: Final = "configure_sandbox_sign_in"
COOKIE_SECONDS: Final = 30 * 86400


def begin(
    world: World, incoming: Incoming, request: OAuthRequest | HostedRequest, agent: str, agent_name: str
) -> Response:
    """Opens a visit and shows its first page: the phone, or the consent for a browser that is known."""
    for stale in [i for i in world.interactions.values() if world.now() - i.created_at > INTERACTION_SECONDS]:
        del world.interactions[stale.id]
    interaction = Interaction(request, agent, agent_name, incoming.path, world.now())
    user_id = world.browsers.get(incoming.cookies.get(_cookie_name(incoming), ""))
    if user_id is not None:
        interaction.user_id = user_id
        interaction.remembered = True
        interaction.step = "consent"
    world.interactions[interaction.id] = interaction
    return step_page(world, interaction)


def advance(world: World, incoming: Incoming) -> Response:
    """Handles a form that one of the pages posted."""
    try:
        pairs = incoming.form()
    except Refusal as refusal:
        return error_page("That did not work", refusal.message, refusal.status)
    fields = dict(pairs)
    interaction = world.interactions.get(fields.get("interaction", ""))
    if interaction is None or interaction.action != incoming.path:
        return error_page("This page is out of date", "Go back to the app and start again.", 400, code="expired")
    if world.now() - interaction.created_at > INTERACTION_SECONDS:
        del world.interactions[interaction.id]
        return error_page("This page is out of date", "Go back to the app and start again.", 400, code="expired")
    if interaction.step in {"done", "failed"}:
        # A second click on the same button: the same end, nothing new.
        return _finished(world, interaction)
    match fields.get("do"):
        case "cancel":
            return _cancel(world, interaction)
        case "phone":
            return _phone(world, interaction, fields.get("phone", ""))
        case "code" if interaction.step == "code":
            return _code(world, incoming, interaction, fields.get("code", ""))
        case "other":
            interaction.step, interaction.user_id, interaction.phone = "phone", None, None
            interaction.remembered = False
            return step_page(world, interaction)
        case "allow" if interaction.step == "consent":
            return _allow(world, interaction, tuple(value for name, value in pairs if name == "connector"))
    return step_page(world, interaction)


def _cookie_name(incoming: Incoming) -> str:
    return COOKIES.get(incoming.origin, SIGN_IN_COOKIE)


def _phone(world: World, interaction: Interaction, text: str) -> Response:
    phone = read_phone(text)
    if phone is None:
        interaction.step = "phone"
        return step_page(world, interaction, error="That doesn't look like a phone number.", phone_text=text)
    interaction.phone = phone
    interaction.user_id = None
    interaction.step = "code"
    return step_page(world, interaction)


def _code(world: World, incoming: Incoming, interaction: Interaction, text: str) -> Response:
    assert interaction.phone is not None
    if text.strip() != RIGHT_CODE:
        interaction.tries += 1
        if interaction.tries >= CODE_TRIES:
            interaction.step = "failed"
            return _finished(world, interaction)
        return step_page(world, interaction, error="That code is wrong.")
    person = world.directory.sign_up(interaction.phone)
    interaction.user_id = person.user_id
    interaction.step = "consent"
    response = step_page(world, interaction)
    cookie = secrets.token_urlsafe(24)
    world.browsers[cookie] = person.user_id
    response.set_cookie(_cookie_name(incoming), cookie, max_age=COOKIE_SECONDS, path="/", httponly=True, samesite="lax")
    return response


def _allow(world: World, interaction: Interaction, connectors: tuple[str, ...]) -> Response:
    assert interaction.user_id is not None
    request = interaction.request
    if isinstance(request, OAuthRequest):
        _allow_client(world, interaction, request)
    else:
        _allow_agent(world, interaction, request, connectors)
    interaction.step = "done"
    return _finished(world, interaction)


def _allow_client(world: World, interaction: Interaction, request: OAuthRequest) -> None:
    assert interaction.user_id is not None
    narrower = world.variants.granted_scopes
    scopes = request.scopes if narrower is None else tuple(s for s in request.scopes if s in narrower)
    world.ledger.approve(Grant("oauth", interaction.user_id, interaction.agent, scopes, (), world.now()))
    code = world.ledger.issue_code(
        user_id=interaction.user_id,
        client_id=request.client_id,
        redirect_uri=request.redirect_uri,
        scopes=scopes,
        code_challenge=request.code_challenge,
        resource=request.resource,
    )
    interaction.redirect_to = _return_url(world, request.redirect_uri, [("code", code)], request.state)


def _allow_agent(world: World, interaction: Interaction, request: HostedRequest, connectors: tuple[str, ...]) -> None:
    assert interaction.user_id is not None
    chosen = tuple(c for c in request.connectors if c in connectors)
    world.ledger.approve(Grant("agent", interaction.user_id, request.agent, SCOPES, chosen, world.now()))
    if request.return_to is not None:
        code = world.ledger.issue_return_code(interaction.user_id, request.agent)
        interaction.redirect_to = _return_url(world, request.return_to, [("code", code)], request.state)
    if request.external_id is not None:
        world.connect(request.agent, request.external_id, interaction.user_id)
    if request.return_url is not None:
        interaction.redirect_to = request.return_url
    if request.message_complete_url is not None and request.by_message:
        token = world.ledger.issue_agent_token(interaction.user_id, request.agent, SCOPES)
        body = {"token": token.token, "userId": interaction.user_id, "agent": request.agent}
        if request.journey is not None:
            body["journeyId"] = request.journey
        if world.variants.completion_sender in {"server", "both"}:
            world.outbox.append(Completion(request.message_complete_url, body))
        if world.variants.completion_sender in {"page", "both"}:
            interaction.page_completion = body


def _cancel(world: World, interaction: Interaction) -> Response:
    """Sends the person back empty-handed.

    For the hosted sign-in this is a guess: whether and how it comes back is not documented, so OAuth's way is taken.
    """
    request = interaction.request
    error = [("error", "access_denied"), ("error_description", "the sign-in was cancelled")]
    if isinstance(request, OAuthRequest):
        interaction.redirect_to = _return_url(world, request.redirect_uri, error, request.state)
    elif request.return_to is not None:
        shown = error if world.variants.hosted_cancel == "error" else []
        interaction.redirect_to = _return_url(world, request.return_to, shown, request.state)
    elif request.return_url is not None:
        interaction.redirect_to = request.return_url
    interaction.step = "failed" if interaction.redirect_to is None else "done"
    interaction.user_id = None
    return _finished(world, interaction)


def _finished(world: World, interaction: Interaction) -> Response:
    if interaction.redirect_to is not None:
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return RedirectResponse(interaction.redirect_to, 303, headers)
    if interaction.step == "failed":
        if interaction.tries >= CODE_TRIES:
            text = "Too many wrong codes. Go back to the app and start again."
            return error_page("Sign-in stopped", text, 429, code="too_many_tries")
        assert isinstance(interaction.request, HostedRequest)  # a cancelled OAuth sign-in has an address to go to
        return error_page("Sign-in cancelled", "Nothing was shared.", 200, code="cancelled", hosted=interaction.request)
    return step_page(world, interaction)


def _return_url(world: World, address: str, added: list[tuple[str, str]], state: str | None) -> str:
    match world.variants.callback_state:
        case "same":
            states = [state]
        case "missing":
            states = [None]
        case "changed":
            states = [secrets.token_urlsafe(16)]
        case "repeated":
            states = [state, state]
    pairs = added + [("state", s) for s in states if s is not None]
    if world.variants.callback_iss:
        pairs.append(("iss", world.urls.accounts))
    query = urlencode(pairs)
    # Joined by hand: a URL library would respell an address that apps compare byte for byte.
    separator = "" if not query else "&" if "?" in address else "?"
    return f"{address}{separator}{query}"
