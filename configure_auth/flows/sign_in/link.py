"""The account link: connect Configure to a signed-in user of the app, and disconnect it."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Any, ClassVar, Literal

from ...client.sign_in import SignInCalls, is_agent_token
from ...client.wire import is_token
from ...errors import Code, ConfigureError, SettingsError, SignInError
from ...events import AccountLinked, AccountUnlinked, LinkFailed
from ...runtime.frozen import dataclass
from ...stores import Saved, StoredAccount
from ...ui.element import ELEMENT_SCRIPT
from ...values import Intent, LinkedAccount, PendingSignIn, Secret, SignInGrant
from ..app import Hook
from ..destination import with_query
from ..effects import AskApp, Emit, Shielded, UseStore
from ..failures import as_sign_in_error
from ..json_body import read_json_body
from ..keyed_ids import external_id
from ..request import Request
from ..response import Response
from ..routing import Route, check_fresh, current_user
from ..site import Site
from ..tokens import validate_token, with_tokens
from .attempts import Carried, Outcome, SignInKind, random_reference, report_end, save_account
from .callback import limited
from .routes import SIGN_IN_ROUTES, SignInFeature, finish

OnConflict = Literal["reject", "move"]


@dataclass(frozen=True)
class WantedConnection:
    """A connection to be saved if the user's version is still `version`."""

    user_id: str
    configure_user_id: str
    token: Secret
    version: int | None
    replace: bool = False


@dataclass(frozen=True, kw_only=True)
class LinkKind(SignInKind):
    """Connects a Configure user to the signed-in user of the app."""

    intent: ClassVar[Intent] = "link"
    aborted: ClassVar[Code] = Code.ACCOUNT_TAKEN

    on_conflict: OnConflict | Hook = "reject"
    connectors: tuple[str, ...] = ()
    display_name: str | None = None

    def hosted_url(self, *, redirect_uri: str, state: str, verifier: Secret) -> str:
        return SignInCalls(self.site.settings).sign_in_url(
            publishable_key=self.site.settings.publishable_key,
            return_to=redirect_uri,
            state=state,
            display_name=self.display_name,
            connectors=self.connectors or None,
        )

    async def admit(self, user_id: str | None) -> bool:
        if user_id is None:
            raise _signed_out()
        return await super().admit(user_id)

    def needs_session(self, by_bearer: bool) -> bool:
        return not self.defers_exchange(by_bearer)

    def defers_exchange(self, by_bearer: bool) -> bool:
        return by_bearer if self.site.session is None else not self.site.session

    def check_user(self, record: PendingSignIn, user_id: str | None) -> None:
        check_starter(record, user_id)

    async def exchange(
        self, record: PendingSignIn, code: Secret, verifier: Secret, carried: Carried
    ) -> tuple[Outcome, Response]:
        assert record.user_id is not None
        site = self.site
        try:
            grant = await SignInCalls(site.settings).exchange_sign_in_code(code)
        except ConfigureError as error:
            if is_code_expired(error):
                raise SignInError(Code.EXPIRED, "Configure no longer accepts the code") from error
            raise
        check_grant(grant, site.agent)
        location = site.onward(record.next or self.after, "connected")
        outcome = Outcome(location=location)
        wanted = WantedConnection(record.user_id, grant.user_id, grant.token, record.version, record.replace)
        is_stored = await self.connect(wanted, (record, outcome), carried)
        return replace(outcome, is_stored=is_stored), Response.redirect(location)

    async def connect(
        self,
        wanted: WantedConnection,
        ending: tuple[PendingSignIn, Outcome] | None = None,
        carried: Carried | None = None,
    ) -> bool:
        """Save a connection and emit an event; return whether the outcome of its attempt was stored too.

        Raises:
            SignInError: it can't be saved, for example because the Configure user belongs to another user.
        """
        site, user_id = self.site, wanted.user_id
        account = StoredAccount(
            agent=site.agent,
            kind="agent",
            user_id=user_id,
            configure_user_id=wanted.configure_user_id,
            token="",
            expires_at=None,
            scopes=(),
            linked_at=site.clock(),
        )
        account = with_tokens(site, account, wanted.token)
        conditions: dict[str, Any] = {"version": wanted.version, "replace": wanted.replace}
        saved = await save_account(site, ending, account, **conditions)
        if saved.end == "taken" and await self._may_move(account, saved):
            saved = await save_account(site, ending, account, **conditions, move_from=saved.owner)
        if saved.end != "saved":
            raise save_error(saved)
        for gone in saved.unlinked:
            await Emit(_unlinked(gone))
        moved_from = next((gone.user_id for gone in saved.unlinked if gone.user_id != user_id), None)
        given = {} if carried is None else carried.given()
        await Emit(AccountLinked(account=account.public, moved_from=moved_from, **given))
        return saved.is_finished

    async def _may_move(self, account: StoredAccount, taken: Saved) -> bool:
        verdict = self.on_conflict
        if callable(verdict):
            hook, public = verdict, account.public
            verdict = await AskApp(lambda app: app.call(hook, public, taken.owner))
            if verdict not in ("reject", "move"):
                raise SettingsError('on_conflict must return "reject" or "move"')
        return verdict == "move"


@dataclass(frozen=True, kw_only=True)
class AccountLink(SignInFeature):
    """The routes of the account link.

    `on_conflict` decides what happens if the Configure user belongs to another user of the app.
    """

    needs: ClassVar[tuple[str, ...]] = ("api_key", "agent", "token_keys")
    after_option: ClassVar[str] = "after_link"

    path: str = "/configure"

    on_conflict: OnConflict | Hook = "reject"
    can_disconnect: Hook | None = None
    require_fresh: Hook | None = None
    refresh_url: str | None = None
    connectors: tuple[str, ...] = ()
    display_name: str | None = None
    sign_in: LinkKind = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.connectors, str):
            raise SettingsError('connectors is a tuple of tools, such as ("gmail", "calendar")')
        if not callable(self.on_conflict) and self.on_conflict not in ("reject", "move"):
            raise SettingsError('on_conflict must be "reject", "move", or a function that returns one of the two')
        if (self.require_fresh is None) != (self.refresh_url is None):
            raise SettingsError(
                "require_fresh and refresh_url need each other: refresh_url is the page at which the app asks for the "
                'password again, such as "/reauthenticate"'
            )
        if self.refresh_url is not None:
            self._check_page("refresh_url", self.refresh_url)
        kind = LinkKind(
            site=self.site,
            after=self.home,
            on_conflict=self.on_conflict,
            connectors=self.connectors,
            display_name=self.display_name,
        )
        object.__setattr__(self, "sign_in", kind)

    async def reauthenticate(self, request: Request, back: str) -> Response | None:
        try:
            await check_fresh(self.require_fresh)
        except SignInError:
            if request.wants_json or self.refresh_url is None:
                raise
            return Response.redirect(with_query(self.refresh_url, "next", back))
        return None


def _signed_out() -> SignInError:
    return SignInError(Code.SIGNED_OUT, "no user is signed in: user_id gave None")


async def session(feature: AccountLink, request: Request) -> Response:
    """Handle `POST /session`: connect the signed-in user by the agent token that Configure's element gave the page.

    `externalId` is the element's: another tab may have changed the signed-in user since the page was rendered.
    """
    site = feature.site
    if not site.is_from_app(request, site.app_url(request), own_only=True):
        raise SignInError(Code.CROSS_SITE, "a token that was posted from another origin")
    user_id = await current_user(site)
    if user_id is None:
        raise _signed_out()
    await check_fresh(feature.require_fresh)
    try:
        await _connect_by_token(feature, request, user_id)
    except Exception as error:
        failure = as_sign_in_error(error)
        if failure.code != Code.BUSY:
            failure.reference, code = random_reference(), Code(failure.code)
            await report_end(LinkKind.intent, code, failure.reference, user_id)
            await Emit(LinkFailed(intent=LinkKind.intent, code=code, user_id=user_id))
        if failure is error:
            raise
        raise failure from error
    return Response(status=200, json={"connected": True, "next": site.onward(feature.home, "connected")})


async def _connect_by_token(feature: AccountLink, request: Request, user_id: str) -> None:
    site = feature.site
    fields = await read_json_body(request)
    token, made_for = fields.pop("token", None), fields.get("externalId")
    given, token = Secret(token if isinstance(token, str) else ""), None
    if not is_token(given.reveal()) or not isinstance(made_for, str | None):
        raise SignInError(Code.INVALID_REQUEST, "the body must have a token")
    if made_for is not None and made_for != await external_id(site, user_id):
        raise SignInError(Code.WRONG_USER, "the page was rendered for another user than the one who is signed in now")
    # Before the call, so that a disconnect during it wins.
    version = await UseStore(lambda stores: stores.accounts.version(site.agent, user_id))
    validation = await limited(validate_token(site, given))
    if validation is None or not is_agent_token(validation, site.agent) or validation.user_id is None:
        raise SignInError(Code.NOT_AN_AGENT_TOKEN, "the posted token is not an agent token of this agent")
    await Shielded(feature.sign_in.connect(WantedConnection(user_id, validation.user_id, given, version)))


async def element(feature: AccountLink, request: Request) -> Response:
    """Handle `GET /element.js`: the script that posts the element's token to `POST /session`."""
    return Response(status=200, script=ELEMENT_SCRIPT)


def check_starter(record: PendingSignIn, user_id: str | None) -> None:
    """Check that the user who started an attempt is the one who is signed in at its callback.

    Raises:
        SignInError: it is another one, or none.
    """
    if user_id is None:
        raise SignInError(Code.SIGNED_OUT, "the user signed out before the callback")
    if user_id != record.user_id:
        raise SignInError(Code.WRONG_USER, "another user is signed in now than the one who started")


def is_code_expired(error: ConfigureError) -> bool:
    """Whether a rejected exchange means a used or expired code.

    No document names the status of that response; these fit.
    """
    return error.status_code in (400, 404, 409, 410)


def check_grant(grant: SignInGrant, agent: str) -> None:
    """Check the response of an exchange.

    Raises:
        SignInError: it has no agent token of this agent for a user who approved it.
    """
    if grant.agent != agent:
        raise SignInError(Code.UPSTREAM_REJECTED, "Configure returned a token of another agent")
    # `approved` and `token_use` may be absent: the only known client treats that as true and "agent", and the code can
    # only come from our own agent's page. To be strict, compare with True and "agent" here.
    if grant.approved is False:
        raise SignInError(Code.NOT_APPROVED, "the user did not approve this agent")
    if grant.token_use not in (None, "agent"):
        raise SignInError(Code.NOT_AN_AGENT_TOKEN, "Configure returned a token for another use")


def save_error(saved: Saved) -> SignInError:
    """Return the error of a connection that was not saved."""
    if saved.end == "taken":
        return SignInError(Code.ACCOUNT_TAKEN, "this Configure user belongs to another user of the app")
    if saved.end == "connected":
        return SignInError(
            Code.ALREADY_CONNECTED, "the user has another Configure user already; start with replace=1 to change it"
        )
    return SignInError(Code.INTERRUPTED, "the account was disconnected or deleted during the sign-in")


def _unlinked(account: StoredAccount) -> AccountUnlinked:
    return AccountUnlinked(user_id=account.user_id, configure_user_id=account.configure_user_id, kinds=(account.kind,))


async def disconnect(feature: AccountLink, request: Request) -> Response:
    """Handle `POST /disconnect`: delete the connection in the app. Idempotent; the response says if one was deleted."""
    site = feature.site
    if not site.is_from_app(request, site.app_url(request)):
        raise SignInError(Code.CROSS_SITE, "a disconnect that was posted from another origin")
    user_id = await current_user(site)
    if user_id is None:
        raise _signed_out()
    if (first := await feature.reauthenticate(request, feature.home)) is not None:
        return first
    found = await UseStore(lambda stores: stores.accounts.find(site.agent, user_id))
    if found and not await _may_disconnect(feature, user_id, found):
        raise SignInError(
            Code.LAST_SIGN_IN,
            "the user signs in with Configure and may have no other way to sign in; decide it with can_disconnect=",
        )
    gone = await unlink(site, user_id)
    if request.wants_json:
        return Response(status=200, json={"disconnected": bool(gone)})
    return Response.redirect(site.onward(feature.home, "disconnected"))


async def _may_disconnect(feature: AccountLink, user_id: str, found: tuple[StoredAccount, ...]) -> bool:
    hook = feature.can_disconnect
    if hook is None:
        # Only the app knows whether there is another way to sign in; without its decision no user is locked out.
        return all(account.kind != "oauth" for account in found)
    return bool(await AskApp(lambda app: app.call(hook, user_id)))


async def unlink(site: Site, user_id: str) -> tuple[LinkedAccount, ...]:
    """Delete a user's connections of every kind, so that attempts and refreshes in flight can't restore them."""
    gone = await UseStore(lambda stores: stores.accounts.unlink(site.agent, user_id))
    for account in gone:
        await Emit(_unlinked(account))
    return tuple(account.public for account in gone)


async def status(feature: AccountLink, request: Request) -> Response:
    """Handle `GET /status`: the connections as JSON, never a token."""
    site = feature.site
    user_id = await current_user(site)
    if user_id is None:
        raise _signed_out()
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
    return Response(status=200, json={"connected": bool(accounts), "accounts": accounts})


LINK_ROUTES = (
    *SIGN_IN_ROUTES,
    Route("finish", "/finish", ("POST",), finish),
    Route("session", "/session", ("POST",), session),
    Route("element", "/element.js", ("GET",), element),
    Route("status", "/status", ("GET",), status),
    Route("disconnect", "/disconnect", ("POST",), disconnect),
)
