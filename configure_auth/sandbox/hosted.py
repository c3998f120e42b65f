"""GET /{agent}: the hosted sign-in, and GET /js/configure.js, the parts of its script that apps use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from typing import Any, Final

from starlette.responses import Response

from .database import Agent, Database
from .http_messages import ApiError, ApiRequest, UnregisteredAddress, invalid
from .interactions import HostedRequest
from .pages import error_page
from .phones import canonical_phone
from .sign_in_steps import advance, begin
from .uris import is_web_address, read_return_destination
from .values import CONNECTORS

_TAKEN_AS_THEY_ARE: Final = frozenset(
    "state journey agent_name agent_logo delivery message_body message_complete_url theme".split()
)


def hosted_sign_in(db: Database, incoming: ApiRequest) -> Response:
    """Show the first page of a hosted sign-in, for `/{agent}` and `/{agent}/reconnect`.

    What the real page does with a wrong parameter is unknown; here each of them is an error page.
    """
    agent = db.agents.get(incoming.path_params["agent"])
    if agent is None:
        return error_page("No such agent", "This agent is not registered.", 404, code="unknown_agent")
    try:
        params = {name: value for name, value in incoming.params.items() if value}
        request = _read(agent, params, reconnect=incoming.path.endswith("/reconnect"))
    except ApiError as error:
        return error_page(
            "This sign-in can't start", error.message, error.status, code=error.code, address=error.address
        )
    return begin(db, incoming, request, agent.handle, request.agent_name or agent.name)


def minted_sign_in(db: Database, incoming: ApiRequest) -> Response:
    """Show the first page of a link that `message-url` or `connect` made; it takes no query."""
    link = db.minted.get(incoming.path_params["code"])
    if link is None or link.agent != incoming.path_params["agent"] or incoming.query:
        return error_page("No such link", "This link does not belong to this agent.", 404, code="unknown_link")
    if db.now() >= link.expires_at:
        return error_page("This link has expired", "Ask for a new one in your messages.", 410, code="expired")
    agent = db.agents[link.agent]
    request = _read(agent, dict(link.query), reconnect=link.reason == "reconnect")
    request = replace(request, external_id=link.external_id, return_url=link.return_url)
    return begin(db, incoming, request, agent.handle, request.agent_name or agent.name)


def hosted_step(db: Database, incoming: ApiRequest) -> Response:
    """Handle a form of the hosted pages."""
    if incoming.path_params["agent"] not in db.agents:
        raise ApiError(404, "invalid_request_error", "not_found", "this origin has no such path")
    return advance(db, incoming)


def _read(agent: Agent, params: Mapping[str, Any], *, reconnect: bool) -> HostedRequest:
    key = params.get("pk")
    if key is not None and key.startswith("sk_"):
        raise invalid("a secret key must never be in a URL", "pk", "publishable_key_required")
    if key is not None and key != agent.credentials.publishable_key:
        raise invalid("the publishable key is not the one of this agent", "pk", "publishable_key_invalid")
    if params.get("agent") not in {None, agent.handle}:
        raise invalid("the agent is named by the path alone", "agent")
    return_to = _return_to(agent, params.get("return_to"))
    for name in ("message_complete_url", "agent_logo"):
        if name in params and not is_web_address(params[name]):
            raise invalid(f"{name} must be https, or http on localhost", name)
    line = params.get("message_line_phone")
    if line is not None and canonical_phone(line) is None:
        raise invalid("message_line_phone is not a phone number", "message_line_phone")
    theme = params.get("theme")
    if theme not in {None, "light", "dark"}:
        raise invalid("theme must be light or dark", "theme")
    connectors = tuple(name.strip() for name in params.get("connectors", "").split(",") if name.strip())
    for name in connectors:
        if name not in CONNECTORS:
            raise invalid(f"connector {name!r} is not known", "connectors")
    return HostedRequest(
        agent=agent.handle,
        reconnect=reconnect,
        return_to=return_to,
        message_line_phone=canonical_phone(line) if line is not None else None,
        connectors=connectors,
        **{name: value for name, value in params.items() if name in _TAKEN_AS_THEY_ARE},
    )


def _return_to(agent: Agent, text: str | None) -> str | None:
    if text is None:
        return None
    destination = read_return_destination(text)
    if destination is None or destination not in agent.return_destinations:
        address = UnregisteredAddress("return_to", text, tuple(agent.return_destinations))
        raise ApiError(
            400,
            "invalid_request_error",
            "return_destination_not_allowed",
            str(address),
            param="return_to",
            address=address,
        )
    return destination


def hosted_script(db: Database, incoming: ApiRequest) -> Response:
    """Return the script, with the sandbox's own URLs and variant in it."""
    text = files(__package__).joinpath("templates", "configure.js").read_text("utf-8")
    text = text.replace("__API_URL__", db.urls.api_in_browsers).replace("__ACCOUNTS_URL__", db.urls.accounts)
    text = text.replace("__ELEMENT_TOKEN__", db.variants.element_token)
    return Response(text, media_type="text/javascript", headers={"Cache-Control": "no-store"})
