"""Slack's webhook: a platform without phones, where a link must say for whom it is.

SLACK_SIGNING_SECRET=... SLACK_BOT_TOKEN=xoxb-... uvicorn --factory example_apps.message_agent.slack:create_app
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from configure_auth import ConfigureError, LinkedAccount
from configure_auth.starlette import ConfigureAuth

from .agent import CONNECTED, DISCONNECTED, ECHO, LINK, unlinked
from .settings import INSTANCE, NAME, open_settings

__all__ = ["create_app"]


def create_app(
    config: Mapping[str, str] | None = None,
    *,
    instance_path: Path = INSTANCE,
    api: str = WebClient.BASE_URL,
) -> Starlette:
    secrets = {**os.environ, **(config or {})}
    verifier = SignatureVerifier(secrets["SLACK_SIGNING_SECRET"])
    slack = WebClient(secrets["SLACK_BOT_TOKEN"], base_url=api)
    settings = open_settings(config, instance_path)
    configure_auth = ConfigureAuth(settings, user_id=lambda request: None, session=False)  # nobody signs in here

    def on_linked(request: Request, sender: str, account: LinkedAccount, context: dict[str, str]) -> None:
        slack.chat_postMessage(channel=context["channel"], text=CONNECTED)

    async def receive(request: Request) -> Response:
        body = await request.body()
        if not verifier.is_valid_request(body, dict(request.headers)):
            return Response(status_code=403)
        call: dict[str, Any] = json.loads(body)
        if call["type"] == "url_verification":
            return PlainTextResponse(call["challenge"])
        event = call["event"]
        # Direct messages alone: in a channel, everybody could follow a link. Not the agent's own.
        is_for_agent = event["type"] == "message" and event.get("channel_type") == "im" and "bot_id" not in event
        if is_for_agent and await configure_auth.once(call["event_id"]):
            said = await answer(f"{call['team_id']}:{event['user']}", event)
            await run_in_threadpool(slack.chat_postMessage, channel=event["channel"], text=said)
        return Response(status_code=200)

    async def answer(sender: str, event: Mapping[str, str]) -> str:
        text, wish = event["text"], event["text"].lower()
        if wish == "disconnect":
            await configure_auth.unlink_subject(sender)
            return DISCONNECTED
        identity = await configure_auth.message_identity(sender)
        if wish == "connect" and not identity.linked:
            return LINK + await configure_auth.start_journey(
                sender, display_name=f"{NAME} for {event['user']} in Slack", context={"channel": event["channel"]}
            )
        if not identity.linked:
            return unlinked(identity, text)
        try:
            profile = await configure_auth.client.profile(identity).read(sections=["identity"])
        except ConfigureError:
            return ECHO + text
        return f"{profile.identity.name}, {ECHO}{text}" if profile.identity.name else ECHO + text

    return Starlette(
        lifespan=configure_auth.lifespan,
        routes=[
            configure_auth.messages(display_name=NAME, on_linked=on_linked, on_unproven="accept"),
            Route("/slack", receive, methods=["POST"]),
        ],
    )
