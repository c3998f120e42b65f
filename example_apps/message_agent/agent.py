"""The agent's turn: what it says to a message. Here twice, for a bot's own process and for a web app; copy either."""

from __future__ import annotations

from configure_auth import ConfigureError, MessageAgent
from configure_auth.starlette import ConfigureAuth

__all__ = ["CONNECTED", "answer", "answer_in_web_app"]

CONNECTED = "You're connected. Say something, and I'll answer by name."
DISCONNECTED = "Done. I no longer know who you are."
LINK = "This link is for you alone, and good for 15 minutes: "
ECHO = "I hear you: "
HINT = ' (Say "connect", and I\'ll know who you are.)'


def answer(agent: MessageAgent, sender: str, phone: str, text: str) -> str:
    wish = text.lower()
    if wish == "disconnect":
        agent.unlink_subject(sender)
        return DISCONNECTED
    identity = agent.message_identity(sender, phone_candidates=[phone])
    if wish == "connect":
        return CONNECTED if identity.linked else LINK + agent.start_journey(sender)
    if not identity.linked:
        return ECHO + text + HINT
    try:
        profile = agent.client.profile(identity).read(sections=["identity"])
    except ConfigureError:  # it is away, or the person shares nothing any more: the thread goes on
        return ECHO + text
    return f"{profile.identity.name}, {ECHO}{text}" if profile.identity.name else ECHO + text


async def answer_in_web_app(configure_auth: ConfigureAuth, sender: str, phone: str, text: str) -> str:
    wish = text.lower()
    if wish == "disconnect":
        await configure_auth.unlink_subject(sender)
        return DISCONNECTED
    identity = await configure_auth.message_identity(sender, phone_candidates=[phone])
    if wish == "connect":
        return CONNECTED if identity.linked else LINK + await configure_auth.start_journey(sender)
    if not identity.linked:
        return ECHO + text + HINT
    try:
        profile = await configure_auth.client.profile(identity).read(sections=["identity"])
    except ConfigureError:  # it is away, or the person shares nothing any more: the thread goes on
        return ECHO + text
    return f"{profile.identity.name}, {ECHO}{text}" if profile.identity.name else ECHO + text
