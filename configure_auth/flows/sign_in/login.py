"""The login: exchange a code for an identity, and let the app sign its user in."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

from ...client.oauth import Introspection, TokenResponse, exchange_authorization_code, introspect
from ...client.oauth_messages import authorization_url, code_challenge
from ...client.profile import ProfileResponse, RuntimeScope, Subject, read_profile
from ...errors import Code, ConfigureError, SettingsError, SignInError, StoreError
from ...events import LoggedIn
from ...runtime.frozen import dataclass
from ...settings import Settings, require_absolute_uri
from ...stores import REPLAY, Saved, StoredAccount
from ...values import Identity, Intent, PendingSignIn, Secret, SignUpNeeded, TokenGrant
from ..app import Hook, normalize_id
from ..effects import AskApp, Emit, Flow, SendBoth, UseStore
from ..request import Request
from ..response import Response
from ..routing import Route, current_user
from ..site import Clock, Site
from ..tokens import token_pair, with_tokens
from .attempts import Carried, Outcome, SignInKind, save_account
from .link import check_starter, save_error
from .pending_logins import TOKEN, claim_pending_login, read_pending_login, save_pending_login
from .routes import SIGN_IN_ROUTES, SignInFeature

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")

SCOPES = ("profile.read", "profile.search")

_OTHER_USER = (
    "on_login returned another user than identity.local_user_id, whom this Configure user belongs to; if the app "
    "deleted that user, call forget_user(id)"
)


@dataclass(frozen=True, kw_only=True)
class OAuthOptions:
    """The app as an OAuth client of Configure.

    `resource` (RFC 8707) is the API that the tokens are for; authorize, token and refresh requests have it.
    """

    needs: ClassVar[tuple[str, ...]] = ("api_key", "agent", "oauth_client_id", "oauth_client_secret")

    settings: Settings
    scopes: tuple[str, ...] = SCOPES
    resource: str

    @classmethod
    def of(cls, settings: Settings, scopes: tuple[str, ...] | None = None, resource: str | None = None) -> OAuthOptions:
        """
        Raises:
            SettingsError: a scope isn't one word.
        """
        scopes = SCOPES if scopes is None else scopes
        if isinstance(scopes, str) or not scopes or any(not s.isascii() or s.split() != [s] for s in scopes):
            raise SettingsError('scopes is a tuple of words, such as ("profile.read", "profile.search")')
        resource = settings.base_url if resource is None else require_absolute_uri("resource", resource)
        return cls(settings=settings, scopes=tuple(scopes), resource=resource)

    @property
    def connections(self) -> int:
        """How many connections `fetch_identity` uses at once."""
        return 2 if "profile.read" in self.scopes else 1

    def authorize(self, *, redirect_uri: str, state: str, verifier: Secret) -> str:
        # Two hosts are known to serve authorize; the sign-in helper of Configure uses the accounts origin.
        return authorization_url(
            f"{self.settings.accounts_url}/oauth/authorize",
            client_id=self.settings.required_oauth_client_id,
            redirect_uri=redirect_uri,
            scopes=self.scopes,
            code_challenge=code_challenge(verifier.reveal()),
            state=state,
            resource=self.resource,
        )


async def exchange_code(
    client: OAuthOptions, *, code: Secret, redirect_uri: str, verifier: Secret, site: Site
) -> tuple[Identity, TokenGrant]:
    """Exchange a code, then introspect the token and read the profile at the same time."""
    settings = client.settings
    try:
        tokens = await exchange_authorization_code(
            settings,
            code=code,
            redirect_uri=redirect_uri,
            code_verifier=verifier,
            resource=client.resource,
            scopes=client.scopes,
        )
    except ConfigureError as error:
        if error.backend_code == "invalid_grant":
            raise SignInError(Code.EXPIRED, "Configure no longer accepts the code") from error
        raise
    identity = await resolve_identity(client, tokens.access_token, tokens.scopes, site)
    return identity, make_grant(tokens, site.clock())


async def resolve_identity(client: OAuthOptions, token: Secret, scopes: tuple[str, ...], site: Site) -> Identity:
    """Return the identity of a token of ours. The store isn't asked for its local user: there may be attempts only."""
    user_id, profile = await fetch_identity(client.settings, token, scopes, site.clock)
    who = profile.identity if profile is not None else None
    return Identity(
        user_id=user_id,
        name=who.name if who else None,
        email=who.email if who else None,
        email_verified=bool(who and who.email and who.email_verified),
        phone_last4=who.phone_last4 if who else None,
    )


async def fetch_identity(
    settings: Settings, token: Secret, scopes: tuple[str, ...], clock: Clock
) -> tuple[str, ProfileResponse | None]:
    """Return the Configure user of an access token of ours, and the profile if the scopes allow to read it.

    Raises:
        SignInError: the token isn't ours or isn't valid, or the profile is another user's.
    """
    if "profile.read" in scopes:
        # A runtime scope of its own, so that no later read is blocked until this one is committed.
        reading = read_profile(settings, Subject(token=token), sections=("identity",), scope=RuntimeScope())
        introspection, profile = await SendBoth(introspect(settings, token), reading)
    else:
        introspection, profile = await introspect(settings, token), None
    return _check_same_subject(settings, introspection, profile, clock()), profile


def _check_same_subject(
    settings: Settings, introspection: Introspection, profile: ProfileResponse | None, now: float
) -> str:
    """Return the introspected Configure user, unless the profile names another one.

    The introspected `sub` and the hosted exchange's `user_id` are taken as ids of one kind here and nowhere else. No
    document says so; if they should differ, the login does not find a linked user, and no users are merged.
    """
    if not introspection.active or introspection.sub is None:
        raise SignInError(Code.UPSTREAM_REJECTED, "Configure reports the token that it just issued as inactive")
    if introspection.expires_at is not None and introspection.expires_at <= now:
        raise SignInError(Code.UPSTREAM_REJECTED, "Configure issued a token that has expired already")
    if introspection.client_id not in (None, settings.oauth_client_id) or introspection.agent not in (
        None,
        settings.agent,
    ):
        raise SignInError(Code.UPSTREAM_REJECTED, "Configure issued a token of another client")
    claimed = (None, None) if profile is None else (profile.user_id, profile.identity.claimed_user_id)
    if any(user_id not in (None, introspection.sub) for user_id in claimed):
        raise SignInError(Code.UPSTREAM_REJECTED, "Configure returned the profile of another user")
    return introspection.sub


def make_grant(tokens: TokenResponse, now: float) -> TokenGrant:
    ends = None if tokens.expires_in is None else datetime.fromtimestamp(now + tokens.expires_in, UTC)
    return TokenGrant(
        access_token=tokens.access_token, refresh_token=tokens.refresh_token, expires_at=ends, scopes=tokens.scopes
    )


def check_sso_redirect_uri(settings: Settings, callback: str) -> None:
    """Check CONFIGURE_SSO_REDIRECT_URI against the login's callback.

    Raises:
        SettingsError: it is another URL.
    """
    if settings.sso_redirect_uri not in (None, callback):
        raise SettingsError(
            f"CONFIGURE_SSO_REDIRECT_URI is not {callback!a}, which CONFIGURE_APP_URL and path= make; unset it, or "
            "make the three agree"
        )


@dataclass(frozen=True, kw_only=True)
class LoginKind(SignInKind):
    """Signs users of the app in with Configure."""

    intent: ClassVar[Intent] = "login"
    aborted: ClassVar[Code] = Code.LOGIN_REFUSED

    on_login: Hook
    client: OAuthOptions
    issue_token: Hook | None = None

    @property
    def connections(self) -> int:
        return self.client.connections

    def hosted_url(self, *, redirect_uri: str, state: str, verifier: Secret) -> str:
        return self.client.authorize(redirect_uri=redirect_uri, state=state, verifier=verifier)

    async def admit(self, user_id: str | None) -> bool:
        # A signed-in user stays signed in: another sign-in never replaces a session (login CSRF). It may renew a grant
        # that Configure no longer accepts, for the same Configure user.
        return user_id is None or await self._dead(user_id) is not None

    def check_user(self, record: PendingSignIn, user_id: str | None) -> None:
        if record.user_id is not None:
            check_starter(record, user_id)
        elif user_id is not None:
            # Maybe another person. Only the exchange could tell, and the session must be the starter's before it.
            raise SignInError(Code.ALREADY_SIGNED_IN, "another tab has signed in during this sign-in")

    async def _dead(self, user_id: str) -> StoredAccount | None:
        found = await UseStore(lambda stores: stores.accounts.find(self.site.agent, user_id))
        return next((one for one in found if one.kind == "oauth" and one.needs_reconnect), None)

    async def exchange(
        self, record: PendingSignIn, code: Secret, verifier: Secret, carried: Carried
    ) -> tuple[Outcome, Response]:
        identity, grant = await exchange_code(
            self.client, code=code, redirect_uri=record.redirect_uri, verifier=verifier, site=self.site
        )
        location = record.next or self.after
        grant = replace(grant, next=location, **carried.given())
        if record.user_id is not None:
            return await self._reconnect(record, record.user_id, identity, grant)
        found = await UseStore(lambda stores: stores.accounts.owner(self.site.agent, identity.user_id))
        owner, version = found or (None, None)
        identity = replace(identity, local_user_id=owner)
        return await self._undone_on_failure(self._enter(record, identity, grant, version))

    async def _reconnect(
        self, record: PendingSignIn, user_id: str, identity: Identity, grant: TokenGrant
    ) -> tuple[Outcome, Response]:
        """Renew the grant of a signed-in user, whose session stays as it is."""
        dead = await self._dead(user_id)
        if dead is None or dead.configure_user_id != identity.user_id:
            raise SignInError(Code.ALREADY_CONNECTED, "the user signs in with another Configure user")
        location = self.site.onward(grant.next or self.after, "connected")
        outcome = Outcome(location=location, user_id=user_id)
        account = self._account(user_id, identity, grant)
        saved = await self._save((record, outcome), account, record.version)
        if saved.end != "saved":
            raise save_error(saved)
        await Emit(LoggedIn(account=account.public))
        return replace(outcome, is_stored=saved.is_finished), Response.redirect(location)

    async def repeat(self, record: PendingSignIn, outcome: Outcome, user_id: str | None) -> Response:
        """Sign in again within 30 s: browsers drop the first response, and its session cookie with it."""
        location = outcome.location or self.after
        if user_id is None and outcome.user_id is not None:
            location = record.next or self.after  # after a sign-out the page must not say "signed in"
        if outcome.replay is None or user_id is not None:
            return Response.redirect(location)
        identity, grant = deserialize_login(outcome.replay)
        found = await UseStore(lambda stores: stores.accounts.owner(self.site.agent, identity.user_id))
        owner = None if found is None else found[0]
        if owner is None or owner != outcome.user_id:
            return Response.redirect(location)
        return await self._undone_on_failure(self._enter_again(record, replace(identity, local_user_id=owner), grant))

    async def _enter(
        self, record: PendingSignIn, identity: Identity, grant: TokenGrant, version: int | None
    ) -> tuple[Outcome, Response]:
        """Let the app sign its user in, and save the connection."""
        began = self.site.clock()
        user_id, response = await self._sign_in(identity, grant)
        if user_id is None:
            await save_pending_login(self.site, record, serialize_login(identity, grant))
            # A reload leads to the form again.
            form = getattr(response.app_response, "headers", {}).get("location")
            return Outcome(location=form or grant.next), response
        known = version if user_id == identity.local_user_id else None
        account = self._account(user_id, identity, grant)
        location = self._onward(grant)
        outcome = Outcome(location=location, user_id=user_id, replay=serialize_login(identity, grant))
        saved = await self._save((record, outcome), account, known, since=began if known is None else None)
        if saved.end == "taken" and identity.local_user_id is None:
            # Another tab of the same browser was faster, and created the local user.
            found = await UseStore(lambda stores: stores.accounts.owner(self.site.agent, identity.user_id))
            if found is not None:
                owner, version = found
                return await self._enter(record, replace(identity, local_user_id=owner), grant, version)
        if saved.end == "connected" and identity.local_user_id is None:
            sentence = (
                f"on_login returned the user {user_id[:100]!a} for a new Configure user, but that user is connected "
                "with another one; if on_login has just made the user, it did not commit before, and the id was given "
                "out twice"
            )
            log.warning("%s", sentence)
            raise SignInError(Code.ALREADY_CONNECTED, sentence)
        if saved.end == "taken":
            raise SignInError(Code.ACCOUNT_TAKEN, _OTHER_USER)
        if saved.end != "saved":
            raise save_error(saved)
        await Emit(LoggedIn(account=account.public))
        await self._keep_for_token(record, user_id)
        return replace(outcome, is_stored=saved.is_finished), response

    async def _keep_for_token(self, record: PendingSignIn, user_id: str) -> None:
        """Let a script of the app's page get the app's token for this user, once."""
        if self.issue_token is not None:
            await save_pending_login(self.site, record, user_id, purpose=TOKEN, lifetime=REPLAY)

    async def complete(self, request: Request, user_id: str) -> str:
        """Connect the user that a sign-up form made with the Configure user of its login; return the page to go on to.

        Raises:
            SignInError: `expired` if no form of this browser waits, or another request completes it; `account_taken`;
                `wrong_user` if another user than this one is signed in, whose browser it is now.
        """
        if await current_user(self.site) not in (None, user_id):
            raise SignInError(Code.WRONG_USER, "another user is signed in than the one whose sign-up form this was")
        identity, grant = deserialize_login(await claim_pending_login(self.site, request))
        await AskApp(lambda app: app.renew_session(self.site.keep_session, self.site.renew_session))
        account = self._account(user_id, identity, grant)
        saved = await self._save(None, account, None)
        if saved.end != "saved":
            raise save_error(saved)
        await Emit(LoggedIn(account=account.public))
        return self._onward(grant)

    def _onward(self, grant: TokenGrant) -> str:
        return self.site.onward(grant.next or self.after, "signed-in")

    async def pending(self, request: Request) -> tuple[Identity, TokenGrant] | None:
        """Return what `on_login` got before the form that this browser is shown; None if there is none.

        None too where a user is signed in: it may be another one's form.
        """
        if await current_user(self.site) is not None:
            return None
        found = await read_pending_login(self.site, request)
        return None if found is None else deserialize_login(found)

    async def _undone_on_failure(self, entering: Flow[T]) -> T:
        """Undo the app's sign-in after a failure: the user must not stay signed in."""
        try:
            return await entering
        except Exception:
            await AskApp(lambda app: app.renew_session(self.site.keep_session, self.site.renew_session))
            raise

    def _account(self, user_id: str, identity: Identity, grant: TokenGrant) -> StoredAccount:
        account = StoredAccount(
            agent=self.site.agent,
            kind="oauth",
            user_id=user_id,
            configure_user_id=identity.user_id,
            token="",
            expires_at=grant.expires_at.timestamp() if grant.expires_at else None,
            scopes=grant.scopes,
            linked_at=self.site.clock(),
        )
        return with_tokens(self.site, account, grant.access_token, grant.refresh_token)

    async def _save(
        self,
        ending: tuple[PendingSignIn, Outcome] | None,
        account: StoredAccount,
        version: int | None,
        since: float | None = None,
    ) -> Saved:
        try:
            return await save_account(self.site, ending, account, version=version, since=since)
        except StoreError as error:
            # The app has created its user by now: retry once before the user has to start again.
            log.warning("a sign-in could not be saved at the first try: %s", error)
        return await save_account(self.site, ending, account, version=version, since=since)

    async def _enter_again(self, record: PendingSignIn, identity: Identity, grant: TokenGrant) -> Response:
        user_id, response = await self._sign_in(identity, grant)
        if user_id is None or user_id != identity.local_user_id:
            raise SignInError(Code.ACCOUNT_TAKEN, _OTHER_USER)
        await self._keep_for_token(record, user_id)
        return response

    async def _sign_in(self, identity: Identity, grant: TokenGrant) -> tuple[str | None, Response]:
        """Return the user's id, None where the app shows a form first, and the response."""
        await AskApp(lambda app: app.renew_session(self.site.keep_session, self.site.renew_session))
        result = await AskApp(lambda app: app.call(self.on_login, identity, grant))
        if isinstance(result, SignUpNeeded):
            form = result.response
            return None, Response(app_response=await AskApp(lambda app: app.to_response(form)))
        response = Response.redirect(self._onward(grant))
        if isinstance(result, tuple) and len(result) == 2:
            result, given = result
            if given is not None:
                response = Response(app_response=await AskApp(lambda app: app.to_response(given)))
        user_id = normalize_id(result, "on_login")
        if user_id is None:
            raise SettingsError(
                "on_login must return the id of the user it signed in or SignUpNeeded(response), or raise LoginRefused"
            )
        # Many apps see their user at the next request only: None says nothing.
        if await current_user(self.site) not in (None, user_id):
            raise SettingsError(
                "on_login returned another id than user_id returns after it; both must return the user's primary key "
                "(Flask-Security's get_id() is not)"
            )
        return user_id, response


@dataclass(frozen=True, kw_only=True)
class Login(SignInFeature):
    """The routes of the login. `on_login(identity, grant)` signs the app's user in and returns its id."""

    needs: ClassVar[tuple[str, ...]] = (*OAuthOptions.needs, "token_keys")
    after_option: ClassVar[str] = "after_login"

    path: str = "/auth/configure"

    on_login: Hook
    scopes: tuple[str, ...] | None = None
    resource: str | None = None
    issue_token: Hook | None = None
    sign_in: LoginKind = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        settings = self.site.settings
        client = OAuthOptions.of(settings, self.scopes, self.resource)
        kind = LoginKind(
            site=self.site, after=self.home, on_login=self.on_login, client=client, issue_token=self.issue_token
        )
        object.__setattr__(self, "sign_in", kind)
        if not self.may_move:
            check_sso_redirect_uri(settings, self.url(settings.app_url or "", "/callback"))


async def token(feature: Login, request: Request) -> Response:
    """Handle `POST /token`: return the app's own token to a script of its page, once, soon after the login."""
    site, hook = feature.site, feature.issue_token
    app_url = site.app_url(request)
    if hook is None:
        raise SignInError(Code.INVALID_REQUEST, "login(issue_token=) isn't given", status=404)
    if not site.is_from_app(request, app_url):
        raise SignInError(Code.CROSS_SITE, "a token was requested from another origin")
    try:
        user_id = await claim_pending_login(site, request, purpose=TOKEN)
    except SignInError as error:
        raise SignInError(
            Code.SIGNED_OUT,
            f"no login of this browser ended in the last {REPLAY:g} seconds, or its token was returned already; a "
            'script of another origin sends credentials: "include"',
        ) from error
    accounts = await UseStore(lambda stores: stores.accounts.find(site.agent, user_id))
    if all(account.kind != "oauth" for account in accounts):
        raise SignInError(Code.SIGNED_OUT, "the user of this login was forgotten or disconnected meanwhile")
    issued = await AskApp(lambda app: app.call(hook, user_id))
    if isinstance(issued, str):
        issued = {"access_token": issued, "token_type": "bearer"}
    if not isinstance(issued, Mapping):
        raise SettingsError(f"issue_token returned a {type(issued).__name__}; expected a string or a mapping for JSON")
    return Response(status=200, json=issued)


LOGIN_ROUTES = (*SIGN_IN_ROUTES, Route("token", "/token", ("POST",), token))


def serialize_login(identity: Identity, grant: TokenGrant) -> str:
    ends = grant.expires_at.isoformat() if grant.expires_at else None
    rest = {
        "expires_at": ends,
        "scopes": grant.scopes,
        "next": grant.next,
        "data": dict(grant.data),
        "untrusted": dict(grant.untrusted),
    }
    return json.dumps(
        {"identity": asdict(identity), "tokens": token_pair(grant.access_token, grant.refresh_token), "grant": rest}
    )


def deserialize_login(replay: str) -> tuple[Identity, TokenGrant]:
    plain: dict[str, Any] = json.loads(replay)
    tokens, rest = json.loads(plain["tokens"]), plain["grant"]
    grant = TokenGrant(
        access_token=Secret(tokens["access_token"]),
        refresh_token=Secret(tokens["refresh_token"]) if tokens["refresh_token"] else None,
        expires_at=datetime.fromisoformat(rest["expires_at"]) if rest["expires_at"] else None,
        scopes=tuple(rest["scopes"]),
        next=rest["next"],
        data=rest["data"],
        untrusted=rest["untrusted"],
    )
    return Identity(**plain["identity"]), grant
