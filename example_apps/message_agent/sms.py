"""Twilio's webhook, for SMS and WhatsApp: a platform whose senders are known by their phones.

TWILIO_AUTH_TOKEN=... uvicorn --factory example_apps.message_agent.sms:create_app
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse

from configure_auth import LinkedAccount
from configure_auth.starlette import ConfigureAuth

from .agent import CONNECTED, answer_in_web_app
from .settings import INSTANCE, NAME, open_settings

__all__ = ["create_app"]


def create_app(
    config: Mapping[str, str] | None = None,
    *,
    instance_path: Path = INSTANCE,
    send: Callable[[str, str], object] = print,  # such as twilio.rest.Client(...).messages.create
) -> Starlette:
    settings = open_settings(config, instance_path)
    validator = RequestValidator({**os.environ, **(config or {})}["TWILIO_AUTH_TOKEN"])
    configure_auth = ConfigureAuth(settings, user_id=lambda request: None, session=False)  # nobody signs in here
    url = f"{settings.app_url}/twilio"  # as Twilio signs it, whatever a proxy makes of it

    def on_linked(request: Request, sender: str, account: LinkedAccount) -> None:
        send(sender, CONNECTED)

    async def receive(request: Request) -> Response:
        fields = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        if not validator.validate(url, fields, request.headers.get("x-twilio-signature", "")):
            return Response(status_code=403)
        if not await configure_auth.once(fields["MessageSid"]):
            return Response(status_code=204)  # delivered again
        sender = fields["From"]  # +14155550100, or whatsapp:+14155550100
        reply = MessagingResponse()
        reply.message(await answer_in_web_app(configure_auth, sender, sender, fields["Body"]))
        return Response(str(reply), media_type="application/xml")

    return Starlette(
        lifespan=configure_auth.lifespan,
        routes=[
            configure_auth.messages(display_name=NAME, on_linked=on_linked),
            Route("/twilio", receive, methods=["POST"]),
        ],
    )
