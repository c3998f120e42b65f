"""Identify the sender of a message: by the stored link, by the phone, else by the app's own id for the sender."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from dataclasses import field, replace
from functools import partial
from typing import Literal, TypeVar

from ...client.call import HttpCall
from ...client.connect import ConnectCalls, ConnectResponse
from ...client.message_identity import SenderCalls
from ...client.profile import Subject
from ...client.profile_session import ProfileSession
from ...client.sign_in import is_agent_token
from ...errors import ApiCode, ConfigureError, SettingsError
from ...events import SenderLinked, SenderUnlinked
from ...runtime.frozen import dataclass
from ...stores import SenderExport, StoredSubject
from ...values import MessageIdentity, PhoneRecognition, Secret
from ..effects import Emit, UseStore
from ..erasure import UNREACHABLE, erase
from ..keyed_ids import forget_id, keyed_id, known_id, salted_id
from ..site import Site, digest
from ..tokens import validate_token
from .journeys import Messages, Sender, create_opt_out, link_seal_context, resolve_sender, seal_link
from .phones import PhoneEvidence

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")

ROUNDS = 3
"""How often a link is read again if another message of the same sender has changed it."""

ONCE = 24 * 3600.0
"""Seconds that a message is remembered by its id."""

_NO_PHONE = ""


@dataclass(frozen=True, slots=True)
class _Turn:
    """One message: its sender, the phone that it came from, and until when it may be answered."""

    messages: Messages
    sender: Sender
    evidence: PhoneEvidence
    ends_at: float
    nobody: MessageIdentity = field(repr=False)

    @property
    def site(self) -> Site:
        return self.messages.site

    @property
    def proof(self) -> str:
        """A hash that stands for the message's phones; the same for each message from them."""
        return proof_of(self.evidence)

    def limited(self, call: HttpCall[T]) -> HttpCall[T]:
        """The call with the time that is left for it.

        Raises:
            ConfigureError: TIMEOUT if none is left.
        """
        left = self.ends_at - self.site.clock()
        if left <= 0:
            raise ConfigureError(ApiCode.TIMEOUT, "the deadline for a message's sender is over", retryable=True)
        return replace(call, timeout=min(left, self.messages.timeout or left))

    async def recognition(self, evidence: PhoneEvidence) -> PhoneRecognition | None:
        if not evidence.numbers:
            return None
        return await self.limited(SenderCalls(self.site.settings).recognize_phone(evidence.candidates))


def proof_of(evidence: PhoneEvidence) -> str:
    """A hash of the phones of a message, `_NO_PHONE` where it has none."""
    return digest("phones", " ".join(sorted(evidence.numbers))) if evidence.numbers else _NO_PHONE


async def message_identity(
    messages: Messages,
    sender: str | int,
    *,
    phone_candidates: Iterable[str | None] | None = (),
    raise_on_error: bool = False,
) -> MessageIdentity:
    """Identify the sender of a message by token, phone or the app's own id, in this order.

    Raises:
        ConfigureError: Configure failed, and `raise_on_error` is set.
    """
    if phone_candidates and isinstance(phone_candidates, str):
        raise SettingsError('phone_candidates is a list of what the platform says, such as ["+14155550100"]')
    evidence = messages.phones.read(phone_candidates or ())
    if evidence.unreadable:
        log.warning(
            "a phone of a message's sender can't be read, so it proves nothing: give numbers as +<country code>"
            '<number>, or set region= or platform="whatsapp"'
        )
    known = await resolve_sender(messages, sender)
    nobody = MessageIdentity(external_id=await salted_id(messages.site, "sender", known.name))
    turn = _Turn(messages, known, evidence, messages.site.clock() + messages.deadline, nobody)
    try:
        for _ in range(ROUNDS):
            found = await _identified(turn)
            if found is not None:
                return found
    except ConfigureError as error:
        if raise_on_error:
            raise
        # The stored link is kept for the next message.
        log.warning("failed to look up the sender of a message at Configure: %s", error)
    return replace(nobody, unlinked_because="unavailable")


async def connect_sender(messages: Messages, sender: str | int) -> ConnectResponse:
    """Have Configure create a sign-in link for a sender, who has the profile of `message_identity`'s external id."""
    known = await resolve_sender(messages, sender)
    external_id = await salted_id(messages.site, "sender", known.name)
    messages.unrecognized.forget(known.subject)
    session = ProfileSession(messages.site.settings, Subject(external_id=external_id))
    return await ConnectCalls(session).connect()


async def identity_before_link(messages: Messages, sender: str | int) -> MessageIdentity:
    """Return a sender as they are without a link, whether they have one or not."""
    known = await resolve_sender(messages, sender)
    return MessageIdentity(external_id=await salted_id(messages.site, "sender", known.name))


async def once(messages: Messages, message_id: str | int) -> bool:
    """Return whether this is the first call for a message in 24 hours, of all processes that share the store."""
    site = messages.site
    if not isinstance(message_id, str | int) or isinstance(message_id, bool) or not str(message_id).strip():
        raise SettingsError("message_id must be the platform's own id of a message")
    name, now = await keyed_id(site, "message", str(message_id)), site.clock()
    return await UseStore(
        lambda stores: stores.leases.acquire(name, owner=secrets.token_hex(16), until=now + ONCE, now=now)
    )


async def _identified(turn: _Turn) -> MessageIdentity | None:
    """One round; None if the link was changed meanwhile."""
    site, messages = turn.site, turn.messages
    link = await UseStore(lambda stores: stores.journeys.find(site.agent, turn.sender.subject))
    if link is None:
        return await _by_phone(turn, None)
    if link.is_opt_out:
        return replace(turn.nobody, unlinked_because="disconnected")
    # A sender's id that is a phone number says which phone the link must belong to, in calls without a message too.
    evidence = turn.evidence
    if not evidence.numbers and not evidence.unreadable:
        evidence = messages.phones.phone_of(turn.sender.id)
    proof = proof_of(evidence)
    is_trusted = link.proven and messages.trusted.knows(link.serial, proof, site.clock())
    recognition = None if is_trusted else await turn.recognition(evidence)
    objection = None if is_trusted else _objection(turn, link, recognition)
    if objection == "unproven" and (evidence.unreadable or messages.on_unproven == "wait"):
        log.warning(
            "a new link is not used until a message with a readable phone proves that its sender followed it%s",
            "" if evidence.unreadable else '; for a platform without phones set on_unproven="accept"',
        )
        return replace(turn.nobody, unlinked_because="unproven")
    if objection is not None:
        return await _dropped(turn, link, objection, recognition)
    if not link.proven and recognition is not None and recognition.user_id is not None:
        proven = replace(link, proven=True, serial=secrets.token_hex(8))
        if not await _replaced(proven, link.serial):
            return None
        link = proven
    token = Secret(site.sealer.open(link.token, *link_seal_context(link)))
    # The phone of a user who approved no agent of ours: another one, unless this user has just revoked the approval.
    is_doubtful = recognition is not None and recognition.user_id is None and not recognition.approved
    if is_doubtful or not (is_trusted or messages.trusted.knows(link.serial, _NO_PHONE, site.clock())):
        if not await _is_good(turn, link, token):
            return await _dropped(turn, link, "invalid", recognition)
        if is_doubtful:
            return await _dropped(turn, link, "contradicted", recognition)
    if not is_trusted:
        messages.trusted.add(link.serial, (_NO_PHONE, proof), site.clock())
    return replace(
        turn.nobody,
        token=token,
        user_id=link.configure_user_id,
        approved=True,
        recognized=True,
        display_name=None if recognition is None else recognition.display_name,
        source="token",
        on_refused=partial(messages.trusted.forget, link.serial),
    )


async def _is_good(turn: _Turn, link: StoredSubject, token: Secret) -> bool:
    """Whether Configure still accepts a stored token."""
    validation = await validate_token(turn.site, token, turn.limited)
    return (
        validation is not None
        and is_agent_token(validation, turn.site.agent)
        and validation.user_id == link.configure_user_id
    )


def _objection(
    turn: _Turn, link: StoredSubject, recognition: PhoneRecognition | None
) -> Literal["contradicted", "unproven"] | None:
    """Return why a link can't be used for this message, None if it can."""
    if recognition is not None and recognition.user_id is not None:
        return None if recognition.user_id == link.configure_user_id else "contradicted"
    if recognition is not None and not recognition.recognized:
        return "contradicted"
    if link.proven:
        return None  # whether its user still approves the agent is for the token's validation to say
    if recognition is not None and not recognition.approved:
        # The user who followed the link has just verified a phone and approved the agent; this is another phone.
        return "contradicted"
    return None if turn.messages.on_unproven == "accept" and not turn.evidence.unreadable else "unproven"


async def _by_phone(turn: _Turn, recognition: PhoneRecognition | None) -> MessageIdentity | None:
    """Identify a sender without a link; None if there is one meanwhile."""
    site, messages, subject = turn.site, turn.messages, turn.sender.subject
    if not turn.evidence.numbers or messages.unrecognized.knows(subject, turn.proof, site.clock()):
        known = messages.unrecognized.knows(subject, f"{turn.proof} is known", site.clock())
        return replace(turn.nobody, recognized=known)
    found = recognition or await turn.recognition(turn.evidence)
    assert found is not None
    of_ours = found.agent in (None, site.agent)
    # A recognized user has not necessarily approved the agent.
    if not (found.approved and of_ours and found.token is not None and found.user_id is not None):
        facts = (turn.proof, f"{turn.proof} is known") if found.recognized else (turn.proof,)
        messages.unrecognized.add(subject, facts, site.clock())
        return replace(turn.nobody, recognized=found.recognized)
    link = seal_link(site, subject, found.user_id, found.token, proven=True)
    if not await _replaced(link, None):
        return None
    if await known_id(site, "sender", turn.sender.name) != turn.nobody.external_id:
        # The sender was forgotten since this message came: nothing comes back.
        await UseStore(lambda stores: stores.journeys.remove(site.agent, link.subject, serial=link.serial))
        return turn.nobody
    messages.trusted.add(link.serial, (_NO_PHONE, turn.proof), site.clock())
    await Emit(SenderLinked(account=link.public, sender=turn.sender.id))
    return replace(
        turn.nobody,
        token=found.token,
        user_id=found.user_id,
        approved=True,
        recognized=True,
        display_name=found.display_name,
        source="phone_recognition",
        on_refused=partial(messages.trusted.forget, link.serial),
    )


async def _replaced(link: StoredSubject, serial: str | None) -> bool:
    return await UseStore(lambda stores: stores.journeys.save(link, serial=serial))


async def _dropped(
    turn: _Turn,
    link: StoredSubject,
    why: Literal["contradicted", "unproven", "invalid"],
    recognition: PhoneRecognition | None,
) -> MessageIdentity | None:
    """Delete a link and identify its sender without it."""
    log.warning("the link of a sender is deleted: %s", why)
    gone = await UseStore(lambda stores: stores.journeys.remove(turn.site.agent, link.subject, serial=link.serial))
    if gone:
        await Emit(SenderUnlinked(account=link.public, why=why, sender=turn.sender.id))
    found = await _by_phone(turn, recognition)
    return found if found is None or found.linked else replace(found, unlinked_because=why)


async def export_subject(messages: Messages, sender: str | int) -> SenderExport | None:
    """Return what is stored of a sender, without the token."""
    site = messages.site
    known = await resolve_sender(messages, sender)
    link = await UseStore(lambda stores: stores.journeys.find(site.agent, known.subject))
    if link is None:
        return None
    return SenderExport(disconnected_at=link.public.linked_at) if link.is_opt_out else SenderExport(link.public)


async def unlink_subject(messages: Messages, sender: str | int) -> bool:
    """Delete a sender's link and journeys, and store the opt-out. Return whether a link existed.

    Without it, Configure would recognize the phone at the next message, because the user approved the agent once.
    """
    site = messages.site
    known = await resolve_sender(messages, sender)
    opt_out = create_opt_out(site, known.subject)
    gone = await UseStore(lambda stores: stores.journeys.unlink(opt_out))
    return await _told_of(known, gone, "disconnected")


async def forget_subject(messages: Messages, sender: str | int) -> bool:
    """Erase a sender at Configure, then here. Only the opt-out stays. Return whether a link existed.

    Raises:
        ConfigureError: Configure could not be asked; nothing was deleted here, so that this can be repeated.
    """
    site = messages.site
    known = await resolve_sender(messages, sender)
    link = await UseStore(lambda stores: stores.journeys.find(site.agent, known.subject))
    tokens: list[Secret] = []
    if link is not None and not link.is_opt_out:
        try:
            tokens.append(Secret(site.sealer.open(link.token, *link_seal_context(link))))
        except SettingsError as error:  # its key is gone, and must not keep the sender from being deleted
            log.warning("%s (%s)", UNREACHABLE, error)
    await erase(site, await known_id(site, "sender", known.name), tokens)
    # The id first: a recognition under way looks for it after its save, and takes that back.
    await forget_id(site, "sender", known.name)
    gone = await UseStore(lambda stores: stores.journeys.forget(site.agent, known.subject))
    # Configure would recognize the phone of the next message, because the user approved the agent once.
    opt_out = create_opt_out(site, known.subject)
    late = await UseStore(lambda stores: stores.journeys.unlink(opt_out))
    return await _told_of(known, gone or late, "forgotten")


async def _told_of(sender: Sender, gone: StoredSubject | None, why: Literal["disconnected", "forgotten"]) -> bool:
    if gone is None or gone.is_opt_out:
        return False
    await Emit(SenderUnlinked(account=gone.public, why=why, sender=sender.id))
    return True
