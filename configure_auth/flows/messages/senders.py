"""Identify the sender of a message: by the stored link, by the phone, else by the app's own id for the sender."""

from __future__ import annotations

import logging
import secrets
from abc import ABC, abstractmethod
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
from ...runtime.verbs import verb
from ...stores import SenderExport, StoredSubject
from ...values import MessageIdentity, PhoneRecognition, Secret
from ..effects import Emit, UseStore
from ..erasure import UNREACHABLE, erase
from ..features import Features
from ..keyed_ids import forget_id, keyed_id, known_id, salted_id
from ..site import Site, digest
from ..tokens import validate_token
from .journeys import Messages, Sender, link_seal_context, resolve_sender, seal_link, start_journey, unsealed_link
from .phones import PhoneEvidence

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")

ROUNDS = 3
"""How often a link is read again if another message of the same sender has changed it."""

ONCE = 24 * 3600.0
"""Seconds that a message is remembered by its id."""

_NO_PHONE = ""


@dataclass(frozen=True)
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


class SubjectVerbs(ABC):
    """The verbs of a message agent.

    `sender` is the platform's permanent id of a message's sender. The key that is stored for it is a keyed hash (the
    subject), and the id that Configure gets is another one (the external id).
    """

    @property
    @abstractmethod
    def _features(self) -> Features:
        """The features of the app that a verb is for."""

    @property
    def _ready(self) -> Features:
        """The same, with what every verb needs.

        Raises:
            NotConfigured: a setting is missing.
        """
        features = self._features
        features.require()
        return features

    @verb
    async def start_journey(self, sender: str | int, *, display_name: str | None = None, context: object = None) -> str:
        """Return a sign-in link for one sender, whose sign-in Configure reports to the app.

        It is good once, for `STATE_LIFETIME`. Send it to that sender only.

        Args:
            display_name: the agent's name on Configure's page, for this link alone: such as "Echo for @ada in Acme", so
                that another user who gets the link sees for whom it is.
            context: what `on_linked` gets as its third argument, such as {"channel": "C024"}: at most 1000 characters
                of JSON, stored encrypted.

        Raises:
            SettingsError: CONFIGURE_APP_URL isn't set, or the context can't be carried.
        """
        return await start_journey(self._ready.messages, sender, display_name=display_name, context=context)

    @verb
    async def message_sign_in_url(self) -> str:
        """Return the hosted sign-in link for any sender; nothing is stored, and CONFIGURE_APP_URL isn't needed.

        A user who signs in there is recognized by the phone of a later message, else stays on the external id.
        """
        features = self._ready.messages
        features.unrecognized.clear()
        return features.link()

    @verb
    async def connect(self, sender: str | int) -> ConnectResponse:
        """Have Configure create a sign-in link for one sender; it is in `connect_url`. Send it to that sender only.

        The sign-in belongs to the external id of `message_identity`, so that `client.profile(identity)` is the
        sender's linked profile afterwards; no report is sent to the app.

        Raises:
            ConfigureError: Configure's failure.
        """
        messages = self._ready.messages
        known = await resolve_sender(messages, sender)
        external_id = await salted_id(messages.site, "sender", known.name)
        messages.unrecognized.forget(known.subject)
        return await ConnectCalls(ProfileSession(messages.site.settings, Subject(external_id=external_id))).connect()

    @verb
    async def message_identity(
        self,
        sender: str | int,
        *,
        phone_candidates: Iterable[str | None] | None = (),
        raise_on_error: bool = False,
    ) -> MessageIdentity:
        """Identify the sender of a message; `client.profile(identity)` is their profile, linked or not.

        The rules of what proves a link, for each platform, are in the documentation's page on message agents.

        Args:
            phone_candidates: what the platform says of the sender's own phone; never the agent's line, and never what
                the sender typed. None and blank ones count as not given.
            raise_on_error: raise where Configure fails. Otherwise the identity is `unlinked_because="unavailable"`, and
                every use of its profile is a retryable error.

        Raises:
            SettingsError: a phone candidate isn't a string.
            ConfigureError: only with `raise_on_error`.
        """
        messages = self._ready.messages
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

    @verb
    async def identity_before_link(self, sender: str | int) -> MessageIdentity:
        """Return a sender as they are without a link; `client.profile(...)` of it is what the agent kept before one."""
        messages = self._ready.messages
        known = await resolve_sender(messages, sender)
        return MessageIdentity(external_id=await salted_id(messages.site, "sender", known.name))

    @verb
    async def once(self, message_id: str | int) -> bool:
        """Return True for the first of several deliveries of one message, False for the others in 24 hours.

        Of any number of calls at once, in all processes that share the store, one gets True. A message whose handling
        fails afterwards is not delivered as new again.

        Args:
            message_id: the platform's own id of the message.
        """
        site = self._ready.messages.site
        if not isinstance(message_id, str | int) or isinstance(message_id, bool) or not str(message_id).strip():
            raise SettingsError("message_id must be the platform's own id of a message")
        name, now = await keyed_id(site, "message", str(message_id)), site.clock()
        return await UseStore(
            lambda stores: stores.leases.acquire(name, owner=secrets.token_hex(16), until=now + ONCE, now=now)
        )

    @verb
    async def unlink_subject(self, sender: str | int) -> bool:
        """Disconnect a sender who asks for it. Return whether a link existed.

        Until the sender follows a new link, they are unlinked, although Configure would recognize their phone. What the
        agent kept before the link is kept, and used again; `forget_subject` erases that too.
        """
        messages = self._ready.messages
        known = await resolve_sender(messages, sender)
        return await _told_of(known, await _opt_out(messages.site, known), "disconnected")

    @verb
    async def forget_subject(self, sender: str | int) -> bool:
        """Erase a sender: what the agent saved at Configure, then everything here. Return whether a link existed.

        What stays is a keyed hash, with the wish not to be recognized by phone until they follow a new link.

        Raises:
            ConfigureError: Configure could not be asked. The message says what is still to do; nothing was deleted
                here, so that the call can be repeated.
        """
        messages = self._ready.messages
        site, known = messages.site, await resolve_sender(messages, sender)
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
        late = await _opt_out(site, known)
        return await _told_of(known, gone or late, "forgotten")

    @verb
    async def export_subject(self, sender: str | int) -> SenderExport | None:
        """Return what is stored of a sender, without the token; None if nothing is. `dataclasses.asdict` makes a
        mapping of it.
        """
        messages = self._ready.messages
        site, known = messages.site, await resolve_sender(messages, sender)
        link = await UseStore(lambda stores: stores.journeys.find(site.agent, known.subject))
        if link is None:
            return None
        return SenderExport(disconnected_at=link.public.linked_at) if link.is_opt_out else SenderExport(link.public)


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


async def _opt_out(site: Site, sender: Sender) -> StoredSubject | None:
    """Delete a sender's link and journeys, and store the opt-out. Return the link.

    Without it, Configure would recognize the phone at the next message, because the user approved the agent once.
    """
    opt_out = unsealed_link(site, sender.subject)
    return await UseStore(lambda stores: stores.journeys.unlink(opt_out))


async def _told_of(sender: Sender, gone: StoredSubject | None, why: Literal["disconnected", "forgotten"]) -> bool:
    if gone is None or gone.is_opt_out:
        return False
    await Emit(SenderUnlinked(account=gone.public, why=why, sender=sender.id))
    return True
