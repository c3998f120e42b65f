"""Signing in with Configure: who is it, and which local user does the app make of that."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

from ...client.oauth import Introspection, TokenAnswer, exchange_authorization_code, introspect
from ...client.oauth_messages import authorization_url, code_challenge
from ...client.profile import ProfileResponse, RuntimeScope, Subject, read_profile
from ...errors import Code, ConfigureError, SettingsError, SignInError, StoreError
from ...events import LoggedIn
from ...settings import Settings
from ...stores import Saved, StoredAccount
from ...values import Identity, Intent, PendingSignIn, Secret, TokenGrant
from ..answer import Answer
from ..app import Hook, local_id
from ..effects import AskApp, Emit, Flow, SendBoth, UseStore
from ..site import Clock, Site
from .attempts import Outcome
from .link import stale
from .routes import SignInFeature

__all__ = [
    "SCOPES",
    "Login",
    "OAuthClient",
    "grant_of",
    "identify",
    "person_of",
    "play",
    "replay_of",
    "require_agreement",
    "whose",
]

log = logging.getLogger("configure_auth")

T = TypeVar("T")

SCOPES = ("profile.read", "profile.search")


@dataclass(frozen=True, kw_only=True)
class OAuthClient:
    """The app as an OAuth client of Configure.

    `resource` (RFC 8707) is where the tokens are meant for; it goes on authorize, token and refresh requests alike.
    """

    settings: Settings
    scopes: tuple[str, ...] = SCOPES
    resource: str

    @classmethod
    def of(cls, settings: Settings, scopes: tuple[str, ...] | None = None, resource: str | None = None) -> OAuthClient:
        """
        Raises:
            SettingsError: a credential of the login is missing, or a scope isn't one word.
        """
        settings.required_api_key, settings.required_agent  # noqa: B018  # said now, not at the first sign-in
        settings.required_oauth_client_id, settings.required_oauth_client_secret  # noqa: B018
        scopes = SCOPES if scopes is None else scopes
        if isinstance(scopes, str) or not scopes or any(not s.isascii() or s.split() != [s] for s in scopes):
            raise SettingsError('scopes is a tuple of words, such as ("profile.read", "profile.search")')
        return cls(settings=settings, scopes=tuple(scopes), resource=resource or settings.base_url)

    def authorize(self, *, redirect_uri: str, state: str, verifier: Secret) -> str:
        # Two hosts are known to serve authorize; the sign-in helper that people meet in life asks the accounts origin.
        return authorization_url(
            f"{self.settings.accounts_url}/oauth/authorize",
            client_id=self.settings.required_oauth_client_id,
            redirect_uri=redirect_uri,
            scopes=self.scopes,
            code_challenge=code_challenge(verifier.reveal()),
            state=state,
            resource=self.resource,
        )


async def identify(
    client: OAuthClient, *, code: Secret, redirect_uri: str, verifier: Secret, site: Site
) -> tuple[Identity, TokenGrant, int | None]:
    """Code -> tokens -> who it is: one call, then two at the same time.

    Returns:
        the identity, the grant, and the version of the local user whose it is (None where it's nobody's yet).
    """
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
            raise SignInError(Code.EXPIRED, "Configure no longer takes the code") from error
        raise
    identity, version = await whose(client, tokens.access_token, tokens.scopes, site)
    return identity, grant_of(tokens, site.clock()), version


async def whose(client: OAuthClient, token: Secret, scopes: tuple[str, ...], site: Site) -> tuple[Identity, int | None]:
    """Who a token of ours belongs to, with the version of the local user."""
    user_id, profile = await person_of(client.settings, token, scopes, site.clock)
    agent = client.settings.required_agent
    owner = await UseStore(lambda stores: stores.accounts.owner(agent, user_id))
    local_user_id, version = owner or (None, None)
    who = profile.identity if profile is not None else None
    identity = Identity(
        user_id=user_id,
        name=who.name if who else None,
        email=who.email if who else None,
        email_verified=bool(who and who.email and who.email_verified),
        phone_last4=who.phone_last4 if who else None,
        local_user_id=local_user_id,
    )
    return identity, version


async def person_of(
    settings: Settings, token: Secret, scopes: tuple[str, ...], clock: Clock
) -> tuple[str, ProfileResponse | None]:
    """The Configure user of an access token of ours, and the profile where the scopes allow to read it.

    Raises:
        SignInError: the token isn't ours, or doesn't hold, or its profile is somebody else's.
    """
    if "profile.read" in scopes:
        # A runtime scope of its own, so that this read owes no commit that a later read would be blocked by.
        reading = read_profile(settings, Subject(token=token), sections=("identity",), scope=RuntimeScope())
        introspection, profile = await SendBoth(introspect(settings, token), reading)
    else:
        introspection, profile = await introspect(settings, token), None
    return _one_person(settings, introspection, profile, clock()), profile


def _one_person(settings: Settings, introspection: Introspection, profile: ProfileResponse | None, now: float) -> str:
    """The Configure user of a token, as introspection says, where nothing that came along contradicts it.

    The introspected `sub` and the hosted exchange's `user_id` are taken as ids of one kind here and nowhere else. No
    document says so; if they should differ, a person who linked is not found by the login, and nobody is merged.
    """
    if not introspection.active or introspection.sub is None:
        raise SignInError(Code.UPSTREAM_REJECTED, "Configure calls the token it just gave inactive")
    if introspection.expires_at is not None and introspection.expires_at <= now:
        raise SignInError(Code.UPSTREAM_REJECTED, "Configure gave a token that has ended already")
    if introspection.client_id not in (None, settings.oauth_client_id) or introspection.agent not in (
        None,
        settings.agent,
    ):
        raise SignInError(Code.UPSTREAM_REJECTED, "Configure gave a token of another client")
    claimed = (None, None) if profile is None else (profile.user_id, profile.identity.claimed_user_id)
    if any(user_id not in (None, introspection.sub) for user_id in claimed):
        raise SignInError(Code.UPSTREAM_REJECTED, "Configure gave the profile of somebody else")
    return introspection.sub


def grant_of(tokens: TokenAnswer, now: float) -> TokenGrant:
    ends = None if tokens.expires_in is None else datetime.fromtimestamp(now + tokens.expires_in, UTC)
    return TokenGrant(
        access_token=tokens.access_token, refresh_token=tokens.refresh_token, expires_at=ends, scopes=tokens.scopes
    )


def require_agreement(settings: Settings, callback: str) -> None:
    """
    Raises:
        SettingsError: CONFIGURE_SSO_REDIRECT_URI is another address than the login's callback.
    """
    if settings.sso_redirect_uri not in (None, callback):
        raise SettingsError(
            f"CONFIGURE_SSO_REDIRECT_URI is not {callback!a}, which CONFIGURE_APP_URL and path= make; unset it, or "
            "mend one of the three"
        )


@dataclass(frozen=True, kw_only=True)
class Login(SignInFeature):
    """The login's routes. `on_login(identity, grant)` signs the app's user in and returns its id."""

    intent: ClassVar[Intent] = "login"
    turned_away: ClassVar[Code] = Code.LOGIN_REFUSED

    on_login: Hook
    scopes: tuple[str, ...] | None = None
    resource: str | None = None
    client: OAuthClient = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.site.destinations.require("after_login", self.after)
        if not callable(self.on_login):
            raise SettingsError("on_login must be a function (identity, grant) that returns the local user's id")
        settings = self.site.settings
        object.__setattr__(self, "client", OAuthClient.of(settings, self.scopes, self.resource))
        require_agreement(settings, self.url(settings.app_url or "", "/callback"))

    def hosted_url(self, *, redirect_uri: str, state: str, verifier: Secret) -> str:
        return self.client.authorize(redirect_uri=redirect_uri, state=state, verifier=verifier)

    def admit(self, user_id: str | None) -> bool:
        # Whoever is signed in stays who they are: another sign-in never takes a session over.
        return user_id is None

    def needs_session(self) -> bool:
        return False

    def same_user(self, record: PendingSignIn, user_id: str | None) -> bool:
        # A second tab whose first one has signed in meanwhile: go on, without an exchange.
        return user_id is None

    async def redeem(self, record: PendingSignIn, code: Secret, verifier: Secret) -> tuple[Outcome, Answer]:
        identity, grant, version = await identify(
            self.client, code=code, redirect_uri=record.redirect_uri, verifier=verifier, site=self.site
        )
        location = record.next or self.after
        grant = replace(grant, next=location)
        user_id, answer = await self._undone_on_failure(self._enter(identity, grant, version))
        outcome = Outcome(location=location, user_id=user_id, replay=replay_of(identity, grant))
        return outcome, answer

    async def _enter(self, identity: Identity, grant: TokenGrant, version: int | None) -> tuple[str, Answer]:
        """Let the app sign its user in, and keep whose Configure user it is."""
        user_id, answer = await self._sign_in(identity, grant)
        known = version if user_id == identity.local_user_id else None
        account = self._account(user_id, identity, grant)
        saved = await self._save(account, known)
        if saved.end == "taken" and identity.local_user_id is None:
            # Another tab of the same person was faster, and made the local user.
            found = await UseStore(lambda stores: stores.accounts.owner(self.site.agent, identity.user_id))
            if found is not None:
                owner, version = found
                return await self._enter(replace(identity, local_user_id=owner), grant, version)
        if saved.end != "saved":
            raise stale(saved)
        await Emit(LoggedIn(account=account.public))
        return user_id, answer

    async def _undone_on_failure(self, entering: Flow[T]) -> T:
        """Whoever the app signed in before a failure must not stay so."""
        try:
            return await entering
        except Exception:
            await AskApp(lambda app: app.renew_session(self.site.keep_session))
            raise

    def _account(self, user_id: str, identity: Identity, grant: TokenGrant) -> StoredAccount:
        site = self.site
        return StoredAccount(
            agent=site.agent,
            kind="oauth",
            user_id=user_id,
            configure_user_id=identity.user_id,
            token=site.sealer.seal(_tokens(grant), "oauth", site.agent, user_id, identity.user_id),
            expires_at=grant.expires_at.timestamp() if grant.expires_at else None,
            scopes=grant.scopes,
            linked_at=site.clock(),
        )

    async def _save(self, account: StoredAccount, version: int | None) -> Saved:
        try:
            return await UseStore(lambda stores: stores.accounts.save(account, version=version))
        except StoreError as error:
            # The app has its user by now: once more, before the person has to start again.
            log.warning("a sign-in could not be kept at once: %s", error)
        return await UseStore(lambda stores: stores.accounts.save(account, version=version))

    async def repeat(self, record: PendingSignIn, outcome: Outcome, user_id: str | None) -> Answer:
        """Browsers drop the winner's response, and its session cookie with it: for 30 s sign in again."""
        location = outcome.location or self.after
        if outcome.replay is None or user_id is not None:
            return Answer.redirect(location)
        identity, grant = play(outcome.replay)
        found = await UseStore(lambda stores: stores.accounts.owner(self.site.agent, identity.user_id))
        owner = None if found is None else found[0]
        if owner is None or owner != outcome.user_id:
            return Answer.redirect(location)
        return await self._undone_on_failure(self._enter_again(replace(identity, local_user_id=owner), grant))

    async def _enter_again(self, identity: Identity, grant: TokenGrant) -> Answer:
        user_id, answer = await self._sign_in(identity, grant)
        if user_id != identity.local_user_id:
            raise SignInError(Code.ACCOUNT_TAKEN, "on_login gave another user than identity.local_user_id")
        return answer

    async def _sign_in(self, identity: Identity, grant: TokenGrant) -> tuple[str, Answer]:
        await AskApp(lambda app: app.renew_session(self.site.keep_session))
        result = await AskApp(lambda app: app.call(self.on_login, identity, grant))
        answer = Answer.redirect(grant.next or self.after)
        if isinstance(result, tuple) and len(result) == 2:
            result, given = result
            if given is not None:
                answer = Answer(response=await AskApp(lambda app: app.response(given)))
        user_id = local_id(result, "on_login")
        if user_id is None:
            raise SettingsError("on_login must return the id of the user it signed in, or raise LoginRefused")
        return user_id, answer


def _tokens(grant: TokenGrant) -> str:
    return json.dumps(
        {
            "access_token": grant.access_token.reveal(),
            "refresh_token": grant.refresh_token.reveal() if grant.refresh_token else None,
        }
    )


def replay_of(identity: Identity, grant: TokenGrant) -> str:
    ends = grant.expires_at.isoformat() if grant.expires_at else None
    rest = {"expires_at": ends, "scopes": grant.scopes, "next": grant.next}
    return json.dumps({"identity": asdict(identity), "tokens": _tokens(grant), "grant": rest})


def play(replay: str) -> tuple[Identity, TokenGrant]:
    plain: dict[str, Any] = json.loads(replay)
    tokens, rest = json.loads(plain["tokens"]), plain["grant"]
    grant = TokenGrant(
        access_token=Secret(tokens["access_token"]),
        refresh_token=Secret(tokens["refresh_token"]) if tokens["refresh_token"] else None,
        expires_at=datetime.fromisoformat(rest["expires_at"]) if rest["expires_at"] else None,
        scopes=tuple(rest["scopes"]),
        next=rest["next"],
    )
    return Identity(**plain["identity"]), grant
