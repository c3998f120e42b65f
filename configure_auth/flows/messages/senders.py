"""Who sent a message: the link that is kept, who the phone is recognised as, else the app's own id for the sender."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from ...client.connect import ConnectResponse, connect
from ...client.message_identity import recognize_phone
from ...client.profile import Subject
from ...client.profile_session import ProfileSession
from ...client.sign_in import is_agent_token
from ...errors import ConfigureError, SettingsError
from ...events import SenderLinked, SenderUnlinked
from ...stores import StoredSubject
from ...values import LinkedAccount, MessageIdentity, PhoneRecognition, Secret
from ..effects import Emit, UseStore
from ..keyed_ids import forget_id, salted_id
from ..site import Site
from ..tokens import validate_token
from .journeys import Messages, Sender, create_opt_out, link_seal_context, resolve_sender, seal_link

__all__ = ["connect_sender", "export_subject", "forget_subject", "message_identity", "unlink_subject"]

log: logging.Logger = logging.getLogger("configure_auth")

ROUNDS = 3
"""How often the link is looked at again that another message of the same sender changed meanwhile."""


async def message_identity(
    messages: Messages,
    subject_key: str | int,
    *,
    phone_candidates: Iterable[str | None] | None = (),
    raise_on_error: bool = False,
) -> MessageIdentity:
    """Who sent a message, in the order of the seed: token, phone, the app's own id.

    Raises:
        ConfigureError: Configure failed, and `raise_on_error` is set.
    """
    if isinstance(phone_candidates, str):
        raise SettingsError('phone_candidates is a list of what the platform says, such as ["+14155550100"]')
    sender = await resolve_sender(messages, subject_key)
    phones = messages.phones.numbers(phone_candidates or ())
    nobody = MessageIdentity(external_id=await salted_id(messages.site, "sender", sender.name))
    try:
        for _ in range(ROUNDS):
            found = await _identified(messages, sender, phones, nobody)
            if found is not None:
                return found
    except ConfigureError as error:
        if raise_on_error:
            raise
        # The thread goes on as with somebody who isn't linked; what is stored stays for the next message.
        log.warning("a message's sender could not be looked up at Configure: %s", error)
    return nobody


async def connect_sender(messages: Messages, subject_key: str | int) -> ConnectResponse:
    """Have Configure create a sign-in link for a sender, who has the profile of `message_identity`'s external id."""
    sender = await resolve_sender(messages, subject_key)
    external_id = await salted_id(messages.site, "sender", sender.name)
    return await connect(ProfileSession(messages.site.settings, Subject(external_id=external_id)))


async def _identified(
    messages: Messages, sender: Sender, phones: tuple[str, ...], nobody: MessageIdentity
) -> MessageIdentity | None:
    """One look; None where the link changed on the way."""
    site = messages.site
    link = await UseStore(lambda stores: stores.journeys.find(site.agent, sender.subject))
    recognition = None
    if link is not None and link.is_wish:
        return nobody
    if link is not None and not link.proven:
        # After a journey, until a phone proves it: whoever followed the link may not be who was sent it.
        recognition = await _recognized(site, phones)
        why = _objection(messages, link, recognition)
        if why is not None:
            log.warning("the link of a message's sender is dropped: %s", why)
            await _dropped(site, link, why)
            link = None
        elif recognition is not None and recognition.user_id is not None:
            proven = replace(link, proven=True, serial=secrets.token_hex(8))
            if not await _replaced(site, proven, link.serial):
                return None
            link = proven
    if link is not None:
        token = Secret(site.sealer.open(link.token, *link_seal_context(link)))
        trusted = messages.trusted_links.knows(link, site.clock())
        if trusted or await _is_good(site, link, token):
            if not trusted:
                messages.trusted_links.add(link, site.clock())
            return replace(
                nobody,
                token=token,
                user_id=link.configure_user_id,
                approved=True,
                recognized=True,
                display_name=None if recognition is None else recognition.display_name,
                source="token",
            )
        await _dropped(site, link, "invalid")
    if recognition is None:
        recognition = await _recognized(site, phones)
    return await _by_phone(messages, sender, recognition, nobody)


async def _recognized(site: Site, phones: tuple[str, ...]) -> PhoneRecognition | None:
    return await recognize_phone(site.settings, phones) if phones else None


def _objection(
    messages: Messages, link: StoredSubject, recognition: PhoneRecognition | None
) -> Literal["contradicted", "unproven"] | None:
    """Why a new link can't be the sender's, if so."""
    if recognition is not None and recognition.user_id is not None:
        return None if recognition.user_id == link.configure_user_id else "contradicted"
    if recognition is not None and not (recognition.recognized and recognition.approved):
        # Whoever followed the link has just shown Configure a phone and let our agent in; so this isn't theirs.
        return "contradicted"
    return "unproven" if messages.on_unproven == "reject" else None


async def _is_good(site: Site, link: StoredSubject, token: Secret) -> bool:
    """Whether Configure still takes a stored token."""
    validation = await validate_token(site, token)
    return (
        validation is not None
        and is_agent_token(validation, site.agent)
        and validation.user_id == link.configure_user_id
    )


async def _by_phone(
    messages: Messages, sender: Sender, recognition: PhoneRecognition | None, nobody: MessageIdentity
) -> MessageIdentity | None:
    site = messages.site
    if recognition is None:
        return nobody
    of_ours = recognition.agent in (None, site.agent)
    # Recognised is not authorised.
    if not (recognition.approved and of_ours and recognition.token is not None and recognition.user_id is not None):
        return replace(nobody, recognized=recognition.recognized)
    link = seal_link(site, sender.subject, recognition.user_id, recognition.token, proven=True)
    if not await _replaced(site, link, None):
        return None
    messages.trusted_links.add(link, site.clock())
    await Emit(SenderLinked(account=link.public))
    return replace(
        nobody,
        token=recognition.token,
        user_id=recognition.user_id,
        approved=True,
        recognized=True,
        display_name=recognition.display_name,
        source="phone_recognition",
    )


async def _replaced(site: Site, link: StoredSubject, serial: str | None) -> bool:
    return await UseStore(lambda stores: stores.journeys.save(link, serial=serial))


async def _dropped(site: Site, link: StoredSubject, why: Literal["contradicted", "unproven", "invalid"]) -> None:
    gone = await UseStore(lambda stores: stores.journeys.remove(site.agent, link.subject, serial=link.serial))
    if gone:
        await Emit(SenderUnlinked(account=link.public, why=why))


async def export_subject(messages: Messages, subject_key: str | int) -> LinkedAccount | None:
    """All that is kept of a sender, but for the token."""
    site = messages.site
    sender = await resolve_sender(messages, subject_key)
    link = await UseStore(lambda stores: stores.journeys.find(site.agent, sender.subject))
    return None if link is None or link.is_wish else link.public


async def unlink_subject(messages: Messages, subject_key: str | int) -> bool:
    """Delete a sender's link and journeys, and keep the wish not to be recognised; whether a link was there.

    Configure goes on to recognise the phone of whoever let our agent in once, at the very next message.
    """
    site = messages.site
    sender = await resolve_sender(messages, subject_key)
    wish = create_opt_out(site, sender.subject)
    gone = await UseStore(lambda stores: stores.journeys.unlink(wish))
    return await _told_of(gone, "disconnected")


async def forget_subject(messages: Messages, subject_key: str | int) -> bool:
    """Delete all there is of a sender, journeys on their way and a wish too; whether a link was there."""
    site = messages.site
    sender = await resolve_sender(messages, subject_key)
    gone = await UseStore(lambda stores: stores.journeys.forget(site.agent, sender.subject))
    await forget_id(site, "sender", sender.name)
    return await _told_of(gone, "forgotten")


async def _told_of(gone: StoredSubject | None, why: Literal["disconnected", "forgotten"]) -> bool:
    if gone is None or gone.is_wish:
        return False
    await Emit(SenderUnlinked(account=gone.public, why=why))
    return True
