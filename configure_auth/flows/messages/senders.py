"""Identify the sender of a message: by the stored link, by the phone, else by the app's own id for the sender."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from ...client.connect import ConnectCalls, ConnectResponse
from ...client.message_identity import SenderCalls
from ...client.profile import Subject
from ...client.profile_session import ProfileSession
from ...client.sign_in import is_agent_token
from ...errors import ConfigureError, SettingsError
from ...events import SenderLinked, SenderUnlinked
from ...stores import StoredSubject
from ...values import LinkedAccount, MessageIdentity, PhoneRecognition, Secret
from ..effects import Emit, UseStore
from ..keyed_ids import forget_id, is_present_id, salted_id
from ..site import Site
from ..tokens import validate_token
from .journeys import Messages, Sender, create_opt_out, link_seal_context, resolve_sender, seal_link

log: logging.Logger = logging.getLogger(__name__)

ROUNDS = 3
"""How often a link is read again if another message of the same sender has changed it."""


async def message_identity(
    messages: Messages,
    subject_key: str | int,
    *,
    phone_candidates: Iterable[str | None] | None = (),
    raise_on_error: bool = False,
) -> MessageIdentity:
    """Identify the sender of a message by token, phone or the app's own id, in this order.

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
        # The thread continues as for an unlinked sender; the stored link is kept for the next message.
        log.warning("failed to look up the sender of a message at Configure: %s", error)
    return nobody


async def connect_sender(messages: Messages, subject_key: str | int) -> ConnectResponse:
    """Have Configure create a sign-in link for a sender, who has the profile of `message_identity`'s external id."""
    sender = await resolve_sender(messages, subject_key)
    external_id = await salted_id(messages.site, "sender", sender.name)
    session = ProfileSession(messages.site.settings, Subject(external_id=external_id))
    return await ConnectCalls(session).connect()


async def _identified(
    messages: Messages, sender: Sender, phones: tuple[str, ...], nobody: MessageIdentity
) -> MessageIdentity | None:
    """One round; None if the link was changed meanwhile."""
    site = messages.site
    link = await UseStore(lambda stores: stores.journeys.find(site.agent, sender.subject))
    recognition = None
    if link is not None and link.is_opt_out:
        return nobody
    if link is not None and not link.proven:
        # Until a phone proves it: another user than the sender may have followed a forwarded link.
        recognition = await _recognized(site, phones)
        why = _objection(messages, link, recognition)
        if why is not None:
            log.warning("the link of a sender is deleted: %s", why)
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
    return await SenderCalls(site.settings).recognize_phone(phones) if phones else None


def _objection(
    messages: Messages, link: StoredSubject, recognition: PhoneRecognition | None
) -> Literal["contradicted", "unproven"] | None:
    """Return why a new link can't be the sender's, None if it can."""
    if recognition is not None and recognition.user_id is not None:
        return None if recognition.user_id == link.configure_user_id else "contradicted"
    if recognition is not None and not (recognition.recognized and recognition.approved):
        # The user who followed the link has just verified a phone and approved the agent; this is another phone.
        return "contradicted"
    return "unproven" if messages.on_unproven == "reject" else None


async def _is_good(site: Site, link: StoredSubject, token: Secret) -> bool:
    """Whether Configure still accepts a stored token."""
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
    # A recognized user has not necessarily approved the agent.
    if not (recognition.approved and of_ours and recognition.token is not None and recognition.user_id is not None):
        return replace(nobody, recognized=recognition.recognized)
    link = seal_link(site, sender.subject, recognition.user_id, recognition.token, proven=True)
    if not await _replaced(site, link, None):
        return None
    assert nobody.external_id is not None
    if not await is_present_id(site, "sender", sender.name, nobody.external_id):
        # The sender was forgotten since this message came: nothing comes back.
        await UseStore(lambda stores: stores.journeys.remove(site.agent, link.subject, serial=link.serial))
        return nobody
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
    """Return what is stored of a sender, without the token."""
    site = messages.site
    sender = await resolve_sender(messages, subject_key)
    link = await UseStore(lambda stores: stores.journeys.find(site.agent, sender.subject))
    return None if link is None or link.is_opt_out else link.public


async def unlink_subject(messages: Messages, subject_key: str | int) -> bool:
    """Delete a sender's link and journeys, and store the opt-out. Return whether a link existed.

    Without it, Configure would recognize the phone at the next message, because the user approved the agent once.
    """
    site = messages.site
    sender = await resolve_sender(messages, subject_key)
    opt_out = create_opt_out(site, sender.subject)
    gone = await UseStore(lambda stores: stores.journeys.unlink(opt_out))
    return await _told_of(gone, "disconnected")


async def forget_subject(messages: Messages, subject_key: str | int) -> bool:
    """Delete everything stored of a sender, also open journeys and an opt-out. Return whether a link existed."""
    site = messages.site
    sender = await resolve_sender(messages, subject_key)
    # The id first: a recognition under way looks for it after its save, and takes that back.
    await forget_id(site, "sender", sender.name)
    gone = await UseStore(lambda stores: stores.journeys.forget(site.agent, sender.subject))
    return await _told_of(gone, "forgotten")


async def _told_of(gone: StoredSubject | None, why: Literal["disconnected", "forgotten"]) -> bool:
    if gone is None or gone.is_opt_out:
        return False
    await Emit(SenderUnlinked(account=gone.public, why=why))
    return True
