"""The agent's turn: what it says to a message. Here twice, for a bot's own process and for a web app; copy either."""

from __future__ import annotations

from configure_auth import ConfigureError, MessageAgent, MessageIdentity
from configure_auth.starlette import ConfigureAuth

__all__ = ["CONNECTED", "answer", "answer_in_web_app"]

CONNECTED = "You're connected. Say something, and I'll answer by name."
DISCONNECTED = "Done. I no longer know who you are."
LINK = "This link is for you alone, and good for 15 minutes: "
ECHO = "I hear you: "
SAY_CONNECT = 'Say "connect", and I\'ll know who you are.'
HINT = f" ({SAY_CONNECT})"
WHY = {
    "contradicted": "Your link was followed with another phone, so I dropped it.",
    "invalid": "Configure no longer accepts our connection, so I dropped it.",
    "unproven": "Your link was followed, but I can't tell yet whether by you, so I don't use it.",
    "unavailable": "Configure doesn't answer just now, so I can't tell who you are.",
}


def why(identity: MessageIdentity) -> str:
    """What became of a link, in the message in which it was found."""
    return WHY.get(identity.unlinked_because or "", "")


def unlinked(identity: MessageIdentity, text: str) -> str:
    """The answer to a sender who isn't linked, and why."""
    hint = "" if identity.unlinked_because == "unavailable" else SAY_CONNECT
    return f"{ECHO}{text} ({f'{why(identity)} {hint}'.strip()})"


def answer(agent: MessageAgent, sender: str, phone: str, text: str) -> str:
    wish = text.lower()
    if wish == "disconnect":
        agent.unlink_subject(sender)
        return DISCONNECTED
    identity = agent.message_identity(sender, phone_candidates=[phone])
    if wish == "connect":
        if identity.linked:
            return CONNECTED
        return f"{why(identity)} {LINK}{agent.start_journey(sender)}".lstrip()
    if not identity.linked:
        return unlinked(identity, text)
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
        if identity.linked:
            return CONNECTED
        return f"{why(identity)} {LINK}{await configure_auth.start_journey(sender)}".lstrip()
    if not identity.linked:
        return unlinked(identity, text)
    try:
        profile = await configure_auth.client.profile(identity).read(sections=["identity"])
    except ConfigureError:  # it is away, or the person shares nothing any more: the thread goes on
        return ECHO + text
    return f"{profile.identity.name}, {ECHO}{text}" if profile.identity.name else ECHO + text
