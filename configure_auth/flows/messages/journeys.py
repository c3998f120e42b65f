"""Message agents: the link that a sender gets, and its completion, which the user's own browser may report.

start      record -> link
complete   size and type -> journey -> token validated at Configure -> used up and saved in one step -> hook
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Iterable
from dataclasses import field, replace
from typing import Any, ClassVar, Literal, cast

from ...client.sign_in import SignInCalls, is_agent_token
from ...client.wire import is_token
from ...errors import Code, ConfigureError, SettingsError, SignInError
from ...events import JourneyCompleted
from ...runtime.frozen import dataclass
from ...stores import StoredSubject
from ...values import STATE_LIFETIME, Journey, Secret
from ..app import AppResponse, Hook, is_storable
from ..effects import AskApp, Emit, Shielded, UseStore
from ..json_body import read_json_body
from ..keyed_ids import keyed_id
from ..request import Request
from ..response import Response
from ..routing import Feature, Route
from ..site import Site, digest
from ..tokens import validate_token
from .phones import Phones

log: logging.Logger = logging.getLogger(__name__)

OPEN_LIMIT = 10
"""Journeys that one sender may have open at once; the oldest is deleted."""

TRIES = 100
"""Tokens that may be tried on one journey. Each costs a call; browsers never send that many."""

TRUSTED = 10 * 60.0
"""Seconds that a link is trusted after its token, and the phone of a message, were compared at Configure."""

UNRECOGNIZED = 30.0
"""Seconds that a phone is taken for unknown after Configure did not link it: not one call for every message."""

CONTEXT_LIMIT = 1000
"""Characters of JSON that a journey may carry for `on_linked`."""

_RECENT_LIMIT = 100_000

_JOURNEY_ID = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)


class Recent:
    """What this process learned a short time ago, under a name. A lost entry costs one call.

    Args:
        seconds: how long it holds.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    def add(self, name: str, facts: Iterable[str], now: float) -> None:
        until, known = self._known.pop(name, (0.0, frozenset[str]()))
        if now >= until:
            until, known = now + self._seconds, frozenset()
        self._known[name] = (until, known | frozenset(facts))
        while len(self._known) > _RECENT_LIMIT:
            self._known.pop(next(iter(self._known)), None)

    def knows(self, name: str, fact: str, now: float) -> bool:
        until, known = self._known.get(name, (0.0, frozenset[str]()))
        return now < until and fact in known

    def forget(self, name: str) -> None:
        self._known.pop(name, None)

    def clear(self) -> None:
        self._known.clear()


@dataclass(frozen=True)
class Sender:
    """The sender of a message: the platform's id, the same normalized, and the key that is stored, a keyed hash."""

    id: str = field(repr=False)
    name: str = field(repr=False)
    subject: str


@dataclass(frozen=True, kw_only=True)
class Messages(Feature):
    """A message agent. `on_linked(sender, account)` is called when a journey is completed.

    `on_unproven` says what becomes of a new link where a message brings no sign of whose phone it came from.
    """

    needs: ClassVar[tuple[str, ...]] = ("api_key", "agent", "token_keys")

    path: str = "/configure/messages"

    on_linked: Hook | None = None
    on_unproven: Literal["wait", "accept", "reject"] = "wait"
    region: str | None = None
    platform: Literal["whatsapp"] | None = None
    timeout: float | None = None
    deadline: float = 8.0
    display_name: str | None = None
    agent_logo: str | None = None
    message_line_phone: str | None = None
    message_body: str | None = None
    connectors: tuple[str, ...] = ()
    theme: Literal["light", "dark"] | None = None
    phones: Phones = field(init=False)
    trusted: Recent = field(default_factory=lambda: Recent(TRUSTED), repr=False, compare=False)
    """The links that were validated, by serial: with which phones."""
    unrecognized: Recent = field(default_factory=lambda: Recent(UNRECOGNIZED), repr=False, compare=False)
    """The senders whose phones link nobody, by stored key: which phones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        settings = self.site.settings
        if isinstance(self.connectors, str):
            raise SettingsError('connectors is a tuple of tools, such as ("gmail", "calendar")')
        if self.on_unproven not in ("wait", "accept", "reject"):
            raise SettingsError('on_unproven must be "wait", "accept" or "reject"')
        for name, seconds in (("timeout", self.timeout), ("deadline", self.deadline)):
            if seconds is not None and (isinstance(seconds, bool) or not 0 < seconds <= 300):
                raise SettingsError(f"{name} must be a number of seconds above 0 and at most 300")
        phones = Phones(self.region, self.platform)
        object.__setattr__(self, "phones", phones)
        if self.message_line_phone is not None:
            numbers = phones.read([self.message_line_phone]).numbers
            if not numbers:
                raise SettingsError("message_line_phone must be a phone number such as +14155550100")
            # Configure would read a local number as an international one.
            object.__setattr__(self, "message_line_phone", numbers[0])
        try:
            if settings.agent is not None:
                self.link()
        except ConfigureError as error:
            raise SettingsError(f"messages: {error}") from error

    def link(self, journey_id: str | None = None, display_name: str | None = None) -> str:
        """Return the URL of the hosted sign-in: for one journey, or the same one for every sender."""
        settings = self.site.settings
        shown = {
            "publishable_key": settings.publishable_key,
            "display_name": display_name or self.display_name,
            "agent_logo": self.agent_logo,
            "message_line_phone": self.message_line_phone,
            "message_body": self.message_body,
            "theme": self.theme,
        }
        if journey_id is None and not self.connectors and not any(shown.values()):
            # The canonical form, which is all that a registered agent needs.
            return SignInCalls(settings).sign_in_url()
        return SignInCalls(settings).sign_in_url(
            journey_id=journey_id,
            message_complete_url=None if journey_id is None else self.complete_url(),
            delivery="message",
            connectors=self.connectors or None,
            **cast(dict[str, Any], shown),
        )

    def complete_url(self) -> str:
        """Return the URL to which Configure reports that a journey is completed.

        Raises:
            SettingsError: CONFIGURE_APP_URL isn't set.
        """
        app_url = self.site.settings.app_url
        if app_url is None:
            raise SettingsError(
                "start_journey needs CONFIGURE_APP_URL: Configure's page reports there that a journey is completed; "
                "for links without a report use message_sign_in_url"
            )
        return self.url(app_url, "/complete")

    async def respond_to_error(self, route: Route, request: Request, error: SignInError) -> Response:
        """Return the status alone: which step failed is logged, and not shown to the caller."""
        log.info("a completion was rejected with status %s: %s", error.status, error)
        busy = error.code in (Code.UPSTREAM_UNAVAILABLE, Code.UPSTREAM_TIMEOUT, Code.UPSTREAM_REJECTED, Code.STORE_BUSY)
        return Response(
            status=503 if busy else error.status,
            json={"ok": False, "linked": False},
            retry_after=(error.retry_after or 5) if busy else error.retry_after,
            readable_by=_reader(self, request),
            # RFC 9110, section 15.5.6: a 405 says what is allowed.
            allow=route.methods if error.status == 405 else (),
        )


async def resolve_sender(messages: Messages, sender: str | int) -> Sender:
    """Return the sender whom the platform calls `sender`."""
    given = str(sender) if isinstance(sender, int) and not isinstance(sender, bool) else sender
    name = messages.phones.sender(given) if isinstance(given, str) and is_storable(given) else ""
    if not name:
        raise SettingsError(
            "sender must be the platform's own, lasting id of a message's sender, 1 to 255 characters long"
        )
    return Sender(str(given), name, await keyed_id(messages.site, "subject", name))


def seal_link(site: Site, subject: str, configure_user_id: str, token: Secret, *, proven: bool) -> StoredSubject:
    """Return a sender's link with its token sealed."""
    link = unsealed_link(site, subject, configure_user_id=configure_user_id, proven=proven)
    return replace(link, token=site.sealer.seal(token.reveal(), *link_seal_context(link)))


def unsealed_link(site: Site, subject: str, *, configure_user_id: str = "", proven: bool = True) -> StoredSubject:
    """Return a sender's link without a token; without a Configure user it records that the sender opted out."""
    return StoredSubject(
        agent=site.agent,
        subject=subject,
        configure_user_id=configure_user_id,
        token="",
        linked_at=site.clock(),
        proven=proven,
        serial=secrets.token_hex(8),
    )


def link_seal_context(link: StoredSubject) -> tuple[str, str, str, str]:
    """The context that a link's token is sealed to."""
    return "subject", link.agent, link.subject, link.configure_user_id


async def start_journey(
    messages: Messages, sender: str | int, *, display_name: str | None = None, context: object = None
) -> str:
    """Start a journey. Return the link to send to the sender, and to no other user."""
    messages.complete_url()
    site = messages.site
    known = await resolve_sender(messages, sender)
    journey_id = Secret(secrets.token_urlsafe(32))
    link = messages.link(journey_id.reveal(), display_name)
    journey_hash = digest("journey", journey_id.reveal())
    now = site.clock()
    journey = Journey(
        journey_hash=journey_hash,
        agent=site.agent,
        subject=known.subject,
        # For the hook, which replies in the thread.
        sender=site.sealer.seal(_with_context(known.id, context), "sender", journey_hash),
        created_at=now,
        expires_at=now + STATE_LIFETIME,
    )
    await UseStore(lambda stores: stores.journeys.put(journey, limit=OPEN_LIMIT, now=now))
    messages.unrecognized.forget(known.subject)
    return link


def _with_context(sender: str, context: object) -> str:
    try:
        written = json.dumps([sender, context], allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise SettingsError("context must be what JSON can carry, such as {'channel': 'C024'}") from None
    if len(written) - len(json.dumps(sender)) > CONTEXT_LIMIT:
        raise SettingsError(f"context must have at most {CONTEXT_LIMIT} characters as JSON")
    return written


@dataclass(frozen=True)
class _Completion:
    """The posted fields. All but the journey and the token can only make the completion fail."""

    journey_id: str = field(repr=False)
    token: Secret
    user_id: object = None
    agent: object = None


async def complete(messages: Messages, request: Request) -> Response:
    """Handle `POST /complete`, which brings the token of a journey. `OPTIONS` is the preflight of Configure's page."""
    if request.method == "OPTIONS":
        return _preflight(messages, request)
    completion = await _read(request)
    journey_hash, token_hash = digest("journey", completion.journey_id), digest("token", completion.token.reveal())
    journey = await _present(messages.site, journey_hash)
    if journey is not None and journey.token_hash is None:
        if await _counted(messages.site, journey_hash):
            journey = await _completed(messages, journey, completion, token_hash)
        else:
            journey = await _present(messages.site, journey_hash)
            if journey is not None and journey.token_hash is None:
                raise SignInError(Code.INVALID_REQUEST, "too many tokens were tried", status=429, retry_after=60)
    if journey is None or journey.token_hash is None or not secrets.compare_digest(journey.token_hash, token_hash):
        raise SignInError(Code.EXPIRED, "the journey is unknown or over", status=404)
    return Response(status=200, json={"ok": True, "linked": True}, readable_by=_reader(messages, request))


async def _present(site: Site, journey_hash: str) -> Journey | None:
    return await UseStore(lambda stores: stores.journeys.read(journey_hash, agent=site.agent, now=site.clock()))


async def _counted(site: Site, journey_hash: str) -> bool:
    return await UseStore(
        lambda stores: stores.journeys.attempt(journey_hash, agent=site.agent, limit=TRIES, now=site.clock())
    )


async def _read(request: Request) -> _Completion:
    fields = await read_json_body(request)
    token, journey_id = fields.get("token"), fields.get("journeyId", fields.get("journey_id"))
    said = fields.get("userId", fields.get("user_id")), fields.get("agent")
    well_formed = is_token(token) and all(isinstance(one, str | None) for one in said)
    if not well_formed or not isinstance(journey_id, str) or not _JOURNEY_ID.fullmatch(journey_id):
        # Deleted, so that a traceback that shows local variables contains no token.
        del fields, token
        raise SignInError(Code.INVALID_REQUEST, "a completion needs a token and a journeyId")
    assert isinstance(token, str)
    return _Completion(journey_id, Secret(token), *said)


async def _completed(messages: Messages, journey: Journey, completion: _Completion, token_hash: str) -> Journey | None:
    """Complete a journey. Return it as it is stored now, by this completion or an earlier one."""
    site = messages.site
    user_id = await _validated(site, completion)
    link = seal_link(site, journey.subject, user_id, completion.token, proven=False)
    return await Shielded(_linked(messages, journey, link, token_hash))


async def _validated(site: Site, completion: _Completion) -> str:
    """Return the user of the token. Agent and user come from Configure; those in the body must not contradict them."""
    if completion.agent not in (None, "", site.agent):
        raise _forged("a completion for another agent")
    validation = await validate_token(site, completion.token)
    if validation is None or not is_agent_token(validation, site.agent) or validation.user_id is None:
        raise _forged("the token is not an agent token of this agent")
    if completion.user_id not in (None, "", validation.user_id):
        raise _forged("the token belongs to another user than the completion says")
    return validation.user_id


async def _linked(messages: Messages, journey: Journey, link: StoredSubject, token_hash: str) -> Journey | None:
    site = messages.site
    if journey.sender is None:  # completed meanwhile
        return await _present(site, journey.journey_hash)
    # First, because a process without its key must not use up a journey that it can't report to the hook.
    sender, context = json.loads(site.sealer.open(journey.sender, "sender", journey.journey_hash))
    end = await UseStore(
        lambda stores: stores.journeys.complete(
            journey.journey_hash, link=link, token_hash=token_hash, now=site.clock()
        )
    )
    if end == "taken":
        log.warning("a journey was completed by another Configure user than the linked one; the link is kept")
        raise SignInError(Code.ALREADY_CONNECTED, "the sender is linked to another Configure user")
    if end == "over":
        return None
    if end == "linked":
        account = link.public
        await Emit(JourneyCompleted(account=account, sender=sender))
        if messages.on_linked is not None:
            await _told(messages.on_linked, sender, account, *([] if context is None else [context]))
    return replace(journey, token_hash=token_hash)


async def _told(hook: Hook, *given: object) -> None:
    try:
        await AskApp(lambda app: app.call(hook, *given))
    except AppResponse:
        log.error("on_linked raised a response, which is ignored; the link is kept")
    except Exception:  # the link is committed, and must not look undone
        log.exception("on_linked failed; the link is kept")


def _forged(why: str) -> SignInError:
    return SignInError(Code.NOT_AN_AGENT_TOKEN, why, status=401)


def _reader(messages: Messages, request: Request) -> str | None:
    """Return the origin of Configure's page if the request comes from it."""
    origin = messages.site.settings.sign_in_url
    return origin if request.headers.get("origin") == origin else None


def _preflight(messages: Messages, request: Request) -> Response:
    # The page in the user's browser probably posts the completion, in development also to localhost.
    reader = _reader(messages, request)
    if reader is None:
        raise SignInError(Code.CROSS_SITE, "the preflight comes from another origin than Configure's page")
    permissions = [
        ("Access-Control-Allow-Methods", "POST"),
        ("Access-Control-Allow-Headers", "content-type"),
        ("Access-Control-Max-Age", "600"),
    ]
    if request.headers.get("access-control-request-private-network") == "true":
        permissions.append(("Access-Control-Allow-Private-Network", "true"))
    return Response(status=204, readable_by=reader, permissions=tuple(permissions))


MESSAGE_ROUTES = (Route("complete", "/complete", ("POST", "OPTIONS"), complete),)
