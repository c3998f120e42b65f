"""The sign-in link of a message's sender, created by Configure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from functools import partial
from typing import Literal, cast, get_args

from ..runtime.frozen import dataclass
from ..runtime.verbs import verb
from ..settings import Settings
from ..values import Secret
from .call import HttpCall
from .message_lines import e164
from .profile import Subject
from .sign_in import connector_names, is_hosted_sign_in, require_complete_url, require_theme
from .wire import (
    ApiCalls,
    ResponseBody,
    api_call,
    given_text,
    invalid,
    optional_text,
    plain,
    require_text,
    without_blanks,
)

Reason = Literal["signin", "reconnect", "permissions"]
"""Why a sender gets a link."""

_REASONS: tuple[str, ...] = get_args(Reason)


@dataclass(frozen=True, kw_only=True)
class MessageSignInUrl:
    """A sign-in link for a message's sender, for that sender alone.

    `minted` is bound to the sender and good once, until `expires_at`, and its last part is `code`; `plain` is the
    agent's hosted sign-in for any user, and `fallback_reason` is Configure's word for why. `idempotency_key` is there
    where Configure repeats it.
    """

    url: str = field(repr=False)
    mode: Literal["minted", "plain"]
    reason: Reason
    expires_at: str | None = None
    fallback_reason: str | None = None
    idempotency_key: str | None = None
    code: Secret | None = None


class MessageSignInCalls(ApiCalls):
    """Sign-in links for the senders of messages."""

    @verb
    def create_message_sign_in_url(
        self,
        *,
        reason: Reason = "signin",
        channel: str,
        subject_key: str,
        external_id: str,
        sender_id: str | None = None,
        thread_key: str | None = None,
        space_id: str | None = None,
        message_id: str | None = None,
        message_sender_proof: str | Secret | None = None,
        connectors: str | Sequence[str] | None = None,
        display_name: str | None = None,
        agent_logo: str | None = None,
        theme: Literal["light", "dark"] | None = None,
        message_line_phone: str | None = None,
        message_body: str | None = None,
        message_complete_url: str | None = None,
        journey_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> HttpCall[MessageSignInUrl]:
        """Have Configure make the sign-in link for a message's sender.

        It mints one of the sender's own where it can prove who that is, and else answers with the agent's plain one,
        which `sign_in_url` builds without a call. What is None or empty is left out.

        Args:
            reason: "signin", "reconnect" or "permissions".
            channel: where the thread is, such as "imessage"; at most 64 characters.
            subject_key: the app's key for the sender; no phone number.
            external_id: the app's id for the sender, 1 to 255 characters of Latin-1, as `profile(external_id=)` takes
                it.
            sender_id: the platform's id of the sender; `thread_key`, `space_id` and `message_id` are where they wrote.
            message_sender_proof: what the platform signed to say that the message is this sender's.
            connectors: names of connectors to offer, as a list or with commas.
            display_name: what the page calls the agent.
            agent_logo: URL of an image.
            theme: "light" or "dark".
            message_line_phone: the agent's number, with its country code. It must be a registered line.
            message_body: the text that the person sends back to that number, at most 4096 characters.
            message_complete_url: where Configure reports that the journey is done: https, or http on loopback.
            journey_id: ties the sign-in to its thread.
            idempotency_key: with the same one, Configure gives the same link again until it expires.

        Raises:
            ConfigureError: INVALID_INPUT before anything is sent, and where Configure doesn't know the line;
                SERVER_ERROR for a malformed response, or whose link leads anywhere but to the hosted sign-in.
        """
        if reason not in _REASONS:
            raise invalid('reason must be "signin", "reconnect" or "permissions"')
        require_text("channel", channel, 64)
        require_text("subject_key", subject_key, 255)
        Subject(external_id=external_id)
        if given_text("message_complete_url", message_complete_url) is not None:
            require_complete_url(message_complete_url)
        if given_text("theme", theme) is not None:
            require_theme(theme)
        if len(given_text("message_body", message_body) or "") > 4096:
            raise invalid("message_body must have at most 4096 characters")
        proof = None if message_sender_proof is None else plain(message_sender_proof)
        body = {
            "reason": reason,
            "channel": channel,
            "subject": without_blanks(
                key=subject_key, externalId=external_id, senderId=optional_text("sender_id", sender_id)
            ),
            "thread": without_blanks(
                key=optional_text("thread_key", thread_key),
                spaceId=optional_text("space_id", space_id),
                messageId=optional_text("message_id", message_id),
            ),
            "messageSenderProof": optional_text("message_sender_proof", proof, 8192),
            "connectors": connector_names(connectors),
            "displayName": optional_text("display_name", display_name, 255),
            "agentLogo": optional_text("agent_logo", agent_logo),
            "theme": theme,
            "messageLinePhone": e164("message_line_phone", message_line_phone)
            if given_text("message_line_phone", message_line_phone)
            else None,
            "messageBody": message_body,
            "messageCompleteUrl": message_complete_url,
            "journeyId": optional_text("journey_id", journey_id, 255),
            "returnMode": "message",
            "idempotencyKey": optional_text("idempotency_key", idempotency_key, 255),
        }
        return api_call(
            self._settings,
            "POST",
            "/v1/auth/sign-in/message-url",
            partial(_message_url, self._settings),
            "the request for a sign-in link",
            body=without_blanks(**body),
        )


def _message_url(settings: Settings, body: ResponseBody) -> MessageSignInUrl:
    mode = cast(Literal["minted", "plain"], body.required_choice("mode", ("minted", "plain")))
    minted = mode == "minted"
    if not is_hosted_sign_in(settings, body.required_secret("url")):
        body.refuse("url")
    return MessageSignInUrl(
        url=body.required_secret("url").reveal(),
        mode=mode,
        reason=cast(Reason, body.required_choice("reason", _REASONS)),
        expires_at=body.required_text("expires_at", 64) if minted else None,
        # A word for the log: its vocabulary has changed before.
        fallback_reason=None if minted else body.word("fallback_reason"),
        idempotency_key=body.text("idempotency_key"),
        code=body.required_secret("code") if minted else None,
    )
