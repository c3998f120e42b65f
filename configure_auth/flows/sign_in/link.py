"""Connecting Configure to the account of a signed-in user, and disconnecting it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar, Literal

from ... import ui
from ...client.sign_in import exchange_sign_in_code, is_agent_token, sign_in_url
from ...client.wire import is_token
from ...errors import Code, ConfigureError, SettingsError, SignInError
from ...events import AccountLinked, AccountUnlinked
from ...stores import Saved, StoredAccount
from ...values import Intent, LinkedAccount, PendingSignIn, Secret, SignInGrant
from ..answer import Answer
from ..app import Hook
from ..effects import AskApp, Emit, Shielded, UseStore
from ..keyed_ids import external_id
from ..posted import posted
from ..site import Site
from ..tokens import validated
from ..visit import Visit
from .attempts import Outcome
from .routes import SIGN_IN_ROUTES, Route, SignInFeature, current_user, finish

__all__ = ["LINK_ROUTES", "AccountLink", "is_over", "require_our_grant", "stale", "unlink"]

OnConflict = Literal["reject", "move"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A connection to be saved, if the user's version is still this one."""

    user_id: str
    configure_user_id: str
    token: Secret
    version: int | None
    replace: bool = False


@dataclass(frozen=True, kw_only=True)
class AccountLink(SignInFeature):
    """The link's routes. `on_conflict` says what happens when the Configure user belongs to another local user."""

    intent: ClassVar[Intent] = "link"
    turned_away: ClassVar[Code] = Code.ACCOUNT_TAKEN

    on_conflict: OnConflict | Hook = "reject"
    can_disconnect: Hook | None = None
    connectors: tuple[str, ...] = ()
    display_name: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.site.settings.required_api_key  # noqa: B018  # said now, not when the first person comes back
        self.site.destinations.require("after_link", self.after)
        if isinstance(self.connectors, str):
            raise SettingsError('connectors is a tuple of tools, such as ("gmail", "calendar")')
        if not callable(self.on_conflict) and self.on_conflict not in ("reject", "move"):
            raise SettingsError('on_conflict must be "reject", "move", or a function that returns one of the two')

    def hosted_url(self, *, redirect_uri: str, state: str, verifier: Secret) -> str:
        return sign_in_url(
            self.site.settings,
            publishable_key=self.site.settings.publishable_key,
            return_to=redirect_uri,
            state=state,
            display_name=self.display_name,
            connectors=self.connectors or None,
        )

    def admit(self, user_id: str | None) -> bool:
        if user_id is None:
            raise SignInError(Code.SIGNED_OUT, "nobody is signed in whose account Configure could be connected to")
        return True

    def needs_session(self) -> bool:
        return self.site.session

    def parks(self) -> bool:
        return not self.site.session

    def same_user(self, record: PendingSignIn, user_id: str | None) -> bool:
        if user_id is None:
            raise SignInError(Code.SIGNED_OUT, "the person signed out before coming back")
        if user_id != record.user_id:
            raise SignInError(Code.WRONG_USER, "another user is signed in now than the one who started")
        return True

    async def redeem(self, record: PendingSignIn, code: Secret, verifier: Secret) -> tuple[Outcome, Answer]:
        assert record.user_id is not None
        site = self.site
        try:
            grant = await exchange_sign_in_code(site.settings, code)
        except ConfigureError as error:
            if is_over(error):
                raise SignInError(Code.EXPIRED, "Configure no longer takes the code") from error
            raise
        require_our_grant(grant, site.agent)
        wanted = _Wanted(record.user_id, grant.user_id, grant.token, record.version, record.replace)
        await self.connect(wanted)
        location = record.next or self.after
        return Outcome(location=location), Answer.redirect(location)

    async def connect(self, wanted: _Wanted) -> None:
        """Save a connection, and tell of it.

        Raises:
            SignInError: it can't be, as for a Configure user that belongs to somebody else.
        """
        site, user_id, identity = self.site, wanted.user_id, wanted.configure_user_id
        account = StoredAccount(
            agent=site.agent,
            kind="agent",
            user_id=user_id,
            configure_user_id=identity,
            token=site.sealer.seal(
                json.dumps({"access_token": wanted.token.reveal()}), "agent", site.agent, user_id, identity
            ),
            expires_at=None,
            scopes=(),
            linked_at=site.clock(),
        )
        saved = await UseStore(
            lambda stores: stores.accounts.save(account, version=wanted.version, replace=wanted.replace)
        )
        if saved.end == "taken":
            saved = await self._resolve(account, wanted, saved)
        if saved.end != "saved":
            raise stale(saved)
        for gone in saved.unlinked:
            await Emit(_unlinked(gone))
        moved_from = next((gone.user_id for gone in saved.unlinked if gone.user_id != user_id), None)
        await Emit(AccountLinked(account=account.public, moved_from=moved_from))

    async def _resolve(self, account: StoredAccount, wanted: _Wanted, taken: Saved) -> Saved:
        verdict = self.on_conflict
        if callable(verdict):
            hook, public = verdict, account.public
            verdict = await AskApp(lambda app: app.call(hook, public, taken.owner))
            if verdict not in ("reject", "move"):
                raise SettingsError('on_conflict must return "reject" or "move"')
        if verdict == "reject":
            return taken
        return await UseStore(
            lambda stores: stores.accounts.save(
                account, version=wanted.version, replace=wanted.replace, move_from=taken.owner
            )
        )

    async def repeat(self, record: PendingSignIn, outcome: Outcome, user_id: str | None) -> Answer:
        return Answer.redirect(outcome.location or self.after)


async def session(feature: AccountLink, visit: Visit) -> Answer:
    """`POST /session`: the agent token that Configure's element gave the page, for the user who is signed in.

    `externalId` is the element's: another tab may have changed who is signed in since the page was made.
    """
    site = feature.site
    if not site.sent(visit, site.app_url(visit)):
        raise SignInError(Code.CROSS_SITE, "a token that was posted from elsewhere")
    user_id = await current_user(site)
    if user_id is None:
        raise SignInError(Code.SIGNED_OUT, "nobody is signed in whose account Configure could be connected to")
    fields = await posted(visit)
    token, made_for = fields.pop("token", None), fields.get("externalId")
    given, token = Secret(token if isinstance(token, str) else ""), None
    if not is_token(given.reveal()) or not isinstance(made_for, str | None):
        raise SignInError(Code.INVALID_REQUEST, "the body must have a token")
    if made_for is not None and made_for != await external_id(site, user_id):
        raise SignInError(Code.WRONG_USER, "the page was made for another user than the one who is signed in now")
    # Before the call, so that a disconnect during it wins.
    version = await UseStore(lambda stores: stores.accounts.version(site.agent, user_id))
    validation = await validated(site, given)
    if validation is None or not is_agent_token(validation, site.agent) or validation.user_id is None:
        raise SignInError(Code.NOT_AN_AGENT_TOKEN, "the page gave something else than an agent token of this agent")
    await Shielded(feature.connect(_Wanted(user_id, validation.user_id, given, version)))
    return Answer(status=200, json={"connected": True, "next": feature.after})


async def element(feature: AccountLink, visit: Visit) -> Answer:
    """`GET /element.js`: what brings the element's token to `POST /session`."""
    return Answer(status=200, script=ui.ELEMENT_SCRIPT)


def is_over(error: ConfigureError) -> bool:
    """Whether a refused exchange means a used or an expired code.

    No document names the answer to one; these statuses are the ones that fit.
    """
    return error.status_code in (400, 404, 409, 410)


def require_our_grant(grant: SignInGrant, agent: str) -> None:
    """
    Raises:
        SignInError: it is not an agent token of ours for a person who approved us.
    """
    if grant.agent != agent:
        raise SignInError(Code.UPSTREAM_REJECTED, "Configure gave a token of another agent")
    # `approved` and `token_use` may be left out: the only reader known takes their absence for true and "agent", and
    # the code can have come from our own agent's page only. To be strict, compare with True and "agent" here.
    if grant.approved is False:
        raise SignInError(Code.NOT_APPROVED, "the person did not approve this agent")
    if grant.token_use not in (None, "agent"):
        raise SignInError(Code.NOT_AN_AGENT_TOKEN, "Configure gave a token for another use")


def stale(saved: Saved) -> SignInError:
    """Why a connection was not saved."""
    if saved.end == "taken":
        return SignInError(Code.ACCOUNT_TAKEN, "this Configure user belongs to another user of the app")
    if saved.end == "connected":
        return SignInError(
            Code.ALREADY_CONNECTED, "the user has another Configure user already; start with replace=1 to change it"
        )
    return SignInError(Code.INTERRUPTED, "the account was disconnected or deleted while the sign-in was on its way")


def _unlinked(account: StoredAccount) -> AccountUnlinked:
    return AccountUnlinked(user_id=account.user_id, configure_user_id=account.configure_user_id, kinds=(account.kind,))


async def disconnect(feature: AccountLink, visit: Visit) -> Answer:
    """`POST /disconnect`: delete the connection, in the app only. Idempotent; the answer says what was deleted."""
    site = feature.site
    if not site.sent(visit, site.app_url(visit)):
        raise SignInError(Code.CROSS_SITE, "a disconnect that was posted from elsewhere")
    user_id = await current_user(site)
    if user_id is None:
        raise SignInError(Code.SIGNED_OUT, "nobody is signed in")
    found = await UseStore(lambda stores: stores.accounts.find(site.agent, user_id))
    if found and not await _may_disconnect(feature, user_id, found):
        raise SignInError(
            Code.LAST_SIGN_IN,
            "the user signs in with Configure and may have no other way; say otherwise with can_disconnect=",
        )
    gone = await unlink(site, user_id)
    if visit.wants_json:
        return Answer(status=200, json={"disconnected": bool(gone)})
    return Answer.redirect(feature.after)


async def _may_disconnect(feature: AccountLink, user_id: str, found: tuple[StoredAccount, ...]) -> bool:
    hook = feature.can_disconnect
    if hook is None:
        # Only the app knows whether there is another way in; without its word nobody is locked out.
        return all(account.kind != "oauth" for account in found)
    return bool(await AskApp(lambda app: app.call(hook, user_id)))


async def unlink(site: Site, user_id: str) -> tuple[LinkedAccount, ...]:
    """Delete a user's connections of every kind; attempts and refreshes in flight can't bring them back."""
    gone = await UseStore(lambda stores: stores.accounts.unlink(site.agent, user_id))
    for account in gone:
        await Emit(_unlinked(account))
    return tuple(account.public for account in gone)


async def status(feature: AccountLink, visit: Visit) -> Answer:
    """`GET /status`: what is connected, as JSON, never a token."""
    site = feature.site
    user_id = await current_user(site)
    if user_id is None:
        raise SignInError(Code.SIGNED_OUT, "nobody is signed in")
    found = await UseStore(lambda stores: stores.accounts.find(site.agent, user_id))
    accounts = [
        {
            "kind": account.kind,
            "configure_user_id": account.configure_user_id,
            "scopes": list(account.scopes),
            "linked_at": account.linked_at.isoformat(),
            "needs_reconnect": account.needs_reconnect,
        }
        for account in (stored.public for stored in found)
    ]
    return Answer(status=200, json={"connected": bool(accounts), "accounts": accounts})


LINK_ROUTES = (
    *SIGN_IN_ROUTES,
    Route("finish", "/finish", ("POST",), finish),
    Route("session", "/session", ("POST",), session),
    Route("element", "/element.js", ("GET",), element),
    Route("status", "/status", ("GET",), status),
    Route("disconnect", "/disconnect", ("POST",), disconnect),
)
