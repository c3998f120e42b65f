"""The login without routes of ours: for an app that calls Authlib's methods from its own start and callback."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, NoReturn, Self
from urllib.parse import urljoin

from ...client.oauth import refresh_tokens
from ...client.oauth_messages import with_parameters
from ...client.oauth_registry import ClientFactory, ConfigureOAuthError, ConfigureToken, token_of, userinfo_of
from ...client.profile import RuntimeScope, Subject
from ...client.transport import CALL_TIMEOUT
from ...client.wire import api_headers
from ...errors import Code, SettingsError, SignInError
from ...events import SignInStarted
from ...runtime.circuit import Circuit
from ...runtime.frozen import dataclass
from ...runtime.verbs import verb
from ...settings import Settings, require_origin
from ...values import STATE_LIFETIME, Identity, Intent, PendingSignIn, Secret, TokenGrant
from ..effects import Emit, Flow, OpenAhead
from ..failures import as_sign_in_error
from ..request import Request
from ..response import BrowserCookie, Response
from ..site import Clock, Site, circuit_of, digest
from .attempts import (
    Carried,
    Outcome,
    SignInKind,
    decline_start,
    random_state,
    read_attempt,
    save_attempt,
    seal_verifier,
)
from .callback import STATE, CompletedSignIn, Returned, complete_sign_in, read_callback
from .login import OAuthOptions, deserialize_login, exchange_code, make_grant, resolve_identity, serialize_login
from .pending_logins import forget_browser

_OURS = frozenset(
    "client_id client_secret response_type response_mode redirect_uri code_challenge code_challenge_method "
    "code_verifier request request_uri resource".split()
)
"""Parameters of an authorization request that an app can't give."""

_OF_ID_TOKENS = frozenset({"claims_options", "claims_cls", "leeway"})
"""Options of Authlib for the check of an ID token, which have no effect there either if there is none."""

_STATE_LIMIT = 2048
_STATE = re.compile(rf"[^\x00-\x1f\x7f\ud800-\udfff]{{1,{_STATE_LIMIT}}}")


@dataclass(frozen=True, kw_only=True)
class ProviderKind(SignInKind):
    """Configure as one OAuth provider among others: only the app knows who is signed in."""

    intent: ClassVar[Intent] = "provider"
    aborted: ClassVar[Code] = Code.LOGIN_REFUSED

    client: OAuthOptions

    @classmethod
    def of(
        cls, settings: Settings, scopes: tuple[str, ...] | None, resource: str | None, clock: Clock | None
    ) -> ProviderKind:
        # What is sealed here is valid for `STATE_LIFETIME` only, so the client's secret is enough without other keys.
        secret = settings.oauth_client_secret
        keys = settings.token_keys or (() if secret is None else (secret,))
        site = Site(settings=settings, keys=keys, user_id=lambda: None, clock=clock or time.time)
        return cls(site=site, client=OAuthOptions.of(settings, scopes, resource))

    def require_settings(self) -> None:
        """
        Raises:
            NotConfigured: a credential is missing; the message names all that are.
        """
        self.site.require(OAuthOptions.needs)

    def hosted_url(self, *, redirect_uri: str, state: str, verifier: Secret) -> str:
        return self.client.authorize(redirect_uri=redirect_uri, state=state, verifier=verifier)

    def state_hash(self, parameter: str, state: Secret, browser_hash: str) -> str:
        # The app may have made the state: one that a third party knows is worth nothing in another browser.
        return digest(f"{parameter}:{browser_hash}", state.reveal())

    def check_user(self, record: PendingSignIn, user_id: str | None) -> None:
        pass

    async def exchange(
        self, record: PendingSignIn, code: Secret, verifier: Secret, carried: Carried
    ) -> tuple[Outcome, Response]:
        client = replace(self.client, scopes=tuple(carried.data.get("scopes", self.client.scopes)))
        identity, grant = await exchange_code(
            client, code=code, redirect_uri=record.redirect_uri, verifier=verifier, site=self.site
        )
        return Outcome(location=self.after, replay=serialize_login(identity, grant)), Response()


def authorize(
    provider: ProviderKind, redirect_uri: str, parameters: Mapping[str, Any], cookie: BrowserCookie | None = None
) -> dict[str, Any]:
    """Return the URL of an authorization request and what has to be saved of it, named as Authlib names them.

    Args:
        cookie: of the browser, if it is known: a state of ours is marked as made for it. The others are those of
            `RegistryClient.authorize_redirect`.

    Raises:
        SettingsError: one of them can't be honoured.
    """
    require_origin("redirect_uri", redirect_uri, path=True)
    more = {name: value for name, value in parameters.items() if value is not None}
    if refused := _OURS & more.keys():
        raise SettingsError(f"authorize_redirect: {', '.join(sorted(refused))} can't be given; this client sets them")
    scope, state = more.pop("scope", None), more.pop("state", None)
    client = provider.client
    if scope is not None:
        scopes = tuple(scope.split()) if isinstance(scope, str) else tuple(scope)
        client = OAuthOptions.of(client.settings, scopes, client.resource)
    if state is None:
        state = secrets.token_urlsafe(49)[:65] if cookie is None else random_state(provider, cookie).reveal()
    if not isinstance(state, str) or not _STATE.fullmatch(state):
        raise SettingsError("authorize_redirect: state is a string of 1 to 2048 characters without control characters")
    verifier = Secret(secrets.token_urlsafe(32))
    url = client.authorize(redirect_uri=redirect_uri, state=state, verifier=verifier)
    return {
        "url": with_parameters(url, more) if more else url,
        "state": state,
        "code_verifier": verifier.reveal(),
        "scopes": client.scopes,
    }


async def authorize_redirect(
    provider: ProviderKind, request: Request, redirect_uri: str, parameters: Mapping[str, Any]
) -> Response:
    """Create an attempt and redirect to Configure; arguments as for `authorize`."""
    cookie = provider.site.browser_cookie(request, redirect_uri)
    made = authorize(provider, redirect_uri, parameters, cookie)
    if (declined := decline_start(request)) is not None:
        return declined
    await save_authorization(provider, request, cookie, redirect_uri=redirect_uri, **made)
    if request.is_own_click:
        await OpenAhead(provider.client.connections)
    return Response.redirect(made["url"], cookie=cookie)


async def save_authorization(
    provider: ProviderKind,
    request: Request,
    cookie: BrowserCookie,
    *,
    redirect_uri: str,
    state: str,
    code_verifier: str,
    scopes: Sequence[str] = (),
    **_of_authlib: object,
) -> None:
    """Save an attempt; the arguments are those that `authorize` returns.

    Raises:
        SignInError: this browser has an attempt with the same state, open or used.
    """
    site, browser_hash, now = provider.site, digest("browser", cookie.binding), provider.site.clock()
    state_hash = provider.state_hash(STATE, Secret(state), browser_hash)
    if await read_attempt(site, provider.intent, state_hash, browser_hash) is not None:
        raise SignInError(Code.INVALID_REQUEST, "this browser has used this state before; make a new one")
    changed = scopes and tuple(scopes) != provider.client.scopes
    carried = Carried(data={"scopes": list(scopes)} if changed else {})
    record = PendingSignIn(
        state_hash=state_hash,
        browser_hash=browser_hash,
        intent=provider.intent,
        agent=site.agent,
        user_id=None,
        next=None,
        verifier=seal_verifier(site, Secret(code_verifier), carried, state_hash),
        redirect_uri=redirect_uri,
        version=None,
        replace=False,
        created_at=now if request.is_navigation else now - STATE_LIFETIME,
        expires_at=now + STATE_LIFETIME,
    )
    await save_attempt(site, record)
    await Emit(SignInStarted(intent=provider.intent, user_id=None))


def session_cookie(value: str) -> BrowserCookie:
    """Return the binding of an attempt to the app's session, where no response of ours could set a cookie."""
    return BrowserCookie(name="session", value=value, secure=False)


async def authorize_access_token(
    provider: ProviderKind, request: Request, session_binding: str | None, options: Mapping[str, object]
) -> tuple[Identity, TokenGrant]:
    """Check the callback as the login's own routes do, and exchange its code once.

    For 30 s the same browser gets the same result again (a reload, the loser of a race); later it's `already_used`.
    """
    site = provider.site
    if refused := options.keys() - _OF_ID_TOKENS:
        raise SettingsError(f"authorize_access_token: {', '.join(sorted(refused))} can't be given to this client")
    returned = read_callback(request, site.settings, any_state=_STATE_LIMIT)
    if request.is_prefetch_or_head:
        raise SignInError(Code.INVALID_REQUEST, "a prefetch or a HEAD of the callback is not a sign-in")
    # The attempt is bound to the cookie's name as well, so only the cookie of its start matches.
    known = site.cookie_of_either_name(request)
    cookies = [*([] if known is None else [known]), *([session_cookie(session_binding)] if session_binding else [])]
    if not cookies:
        raise SignInError(Code.COOKIE_MISSING, "the request lacks the cookie that the start set")
    completed = await _complete(provider, returned, cookies)
    if completed is None:
        raise SignInError(Code.INTERRUPTED, "another request is still completing this sign-in; load the page again")
    if completed.outcome.replay is None:
        raise SignInError(Code.ALREADY_USED, "this sign-in has ended before; start again")
    return deserialize_login(completed.outcome.replay)


async def _complete(provider: ProviderKind, returned: Returned, cookies: list[BrowserCookie]) -> CompletedSignIn | None:
    """`complete_sign_in`, for the first of these that an attempt is bound to."""
    for cookie in cookies[:-1]:
        try:
            return await complete_sign_in(provider, returned, cookie, None)
        except SignInError as error:
            if error.code != Code.WRONG_BROWSER:
                raise
    return await complete_sign_in(provider, returned, cookies[-1], None)


def _entry(token: Mapping[str, Any], name: str) -> tuple[Secret, tuple[str, ...]]:
    if not token.get(name):
        raise SignInError(Code.INVALID_REQUEST, f"this token has no {name}")
    return Secret(token[name]), tuple(str(token.get("scope", "")).split())


@contextmanager
def in_authlib_terms() -> Iterator[None]:
    """Raise every failure, also of opening the store, as an error that code written for Authlib catches."""
    try:
        yield
    except ConfigureOAuthError:
        raise
    except Exception as error:  # whatever it was, it gets a code
        raise ConfigureOAuthError(as_sign_in_error(error)) from error


class RegistryClient:
    """The object behind `oauth.configure`: Authlib's methods, over one pool of connections.

    On Starlette they are awaited, and those that look at a request have it as their first argument.
    """

    def __init__(self, kind: ProviderKind, circuit: Circuit, name: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self._kind = kind
        self._circuit = circuit
        self._map_profile = options.get("map_profile")
        # The key in the app's session that attempts are bound to where no response of ours can set a cookie.
        self._binding = f"_{name}_browser"

    @classmethod
    def factory(cls, settings: Settings, options: Mapping[str, Any], *, max_calls: int) -> ClientFactory[Self]:
        """Return what makes clients with the options of `RegistryOptions`. `max_calls` is the framework's default."""
        clock = options.get("clock")
        kind = ProviderKind.of(settings, options.get("scopes"), options.get("resource"), clock)
        circuit = circuit_of(options.get("max_calls", max_calls), clock)
        return ClientFactory(lambda name: cls(kind, circuit, name, options))

    def authorize_redirect(self, *_arguments: Any, **_parameters: Any) -> Any:
        """Redirect to Configure: `authorize_redirect(redirect_uri, **parameters)`.

        Args:
            redirect_uri: the app's callback, an absolute URL exactly as it is registered at Configure.
            parameters: of the authorization request. `scope` replaces the client's for this sign-in; `state`, of at
                most 2048 characters, travels as it is and is good once in this browser; others, such as `prompt` and
                `login_hint`, are sent as they are.

        Raises:
            OAuthError: Authlib's; `error` is a stable code such as `misconfigured` or `store_busy`.
        """
        raise NotImplementedError

    def create_authorization_url(self, redirect_uri: object, **parameters: Any) -> Any:
        """Return `url`, `state` and `code_verifier` of an authorization request, for `save_authorize_data`."""
        with in_authlib_terms():
            self._kind.require_settings()
            return authorize(self._kind, str(redirect_uri), parameters)

    def save_authorize_data(self, *_arguments: Any, **_made: Any) -> Any:
        """Save what `create_authorization_url` returned, before the app redirects to its `url`.

        The attempt is bound to the app's session, because no response of ours can set a cookie.

        Args:
            redirect_uri: as it was given there, by keyword; what was returned are the others.
        """
        raise NotImplementedError

    def _saved(
        self, request: Request, session: MutableMapping[str, Any], redirect_uri: object, made: Mapping[str, Any]
    ) -> Flow[None]:
        binding = session.setdefault(self._binding, secrets.token_urlsafe(32))
        session[self._binding] = binding  # noticed as a change by every session
        cookie = session_cookie(binding)
        return save_authorization(self._kind, request, cookie, redirect_uri=str(redirect_uri), **made)

    def load_server_metadata(self) -> Any:
        """Return `server_metadata`."""
        return self.server_metadata

    def authorize_access_token(self, *_arguments: Any, **_options: Any) -> Any:
        """In the callback: check it, exchange its code once, and identify the user.

        Args:
            options: those of Authlib for ID tokens (`claims_options`, `leeway`), which have no effect: there is none.

        Returns:
            a dict as Authlib's, with `token["userinfo"]`: `sub`, and where there are any `name`, `email`,
            `email_verified` and `configure_phone_last4`.

        Raises:
            OAuthError: Authlib's; `error` is a stable code: `cancelled`, `expired`, `wrong_browser`, ...
        """
        raise NotImplementedError

    async def _token(
        self, request: Request, session: Mapping[str, Any], options: Mapping[str, object]
    ) -> ConfigureToken:
        identity, grant = await authorize_access_token(self._kind, request, session.get(self._binding), options)
        return token_of(identity, grant, self._map_profile, self._kind.site.clock())

    @verb
    async def userinfo(self, token: Mapping[str, Any]) -> Any:
        """Return the user of a token, in the form of `token["userinfo"]`."""
        with in_authlib_terms():
            access_token, scopes = _entry(token, "access_token")
            identity = await resolve_identity(self._kind.client, access_token, scopes, self._kind.site)
        return userinfo_of(identity, self._map_profile)

    @verb
    async def refresh_token(self, token: Mapping[str, Any]) -> ConfigureToken:
        """A new token for one with a refresh token, which is used up by it; keep the new one before anything else."""
        client, now = self._kind.client, self._kind.site.clock()
        with in_authlib_terms():
            old, scopes = _entry(token, "refresh_token")
            response = await refresh_tokens(client.settings, refresh_token=old, resource=client.resource, scopes=scopes)
            # RFC 6749 section 6: without a new refresh token the old one stays.
            response = replace(response, refresh_token=response.refresh_token or old)
            return token_of(None, make_grant(response, now), None, now)

    def forget_browser(self, *_arguments: Any) -> Any:
        """Call this at the app's sign-out, before its session is cleared: a callback that is loaded again in this
        browser then signs nobody in.
        """
        raise NotImplementedError

    def _forgotten(self, request: Request, session: Mapping[str, Any]) -> Flow[None]:
        binding = session.get(self._binding)
        return forget_browser(self._kind.site, request, session_cookie(binding) if binding else None)

    @property
    def client_id(self) -> str | None:
        return self._kind.client.settings.oauth_client_id

    @property
    def client_kwargs(self) -> dict[str, Any]:
        return {"scope": " ".join(self._kind.client.scopes), "code_challenge_method": "S256"}

    @property
    def api_base_url(self) -> str:
        return f"{self._kind.client.settings.base_url}/"

    @property
    def authorize_url(self) -> str:
        return f"{self._kind.client.settings.accounts_url}/oauth/authorize"

    @property
    def access_token_url(self) -> str:
        return f"{self.api_base_url}oauth/token"

    @property
    def server_metadata(self) -> dict[str, Any]:
        """Configure's endpoints (RFC 8414). Configure publishes no such document, so this is what the package knows."""
        return {
            "authorization_endpoint": self.authorize_url,
            "token_endpoint": self.access_token_url,
            "introspection_endpoint": f"{self.api_base_url}oauth/introspect",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        }

    def parse_id_token(self, *_arguments: object, **_options: object) -> NoReturn:
        """
        Raises:
            OAuthError: always, because Configure issues no ID token.
        """
        raise ConfigureOAuthError(
            SignInError(Code.INVALID_REQUEST, 'Configure issues no ID token; token["userinfo"] says who signed in')
        )

    def request(self, method: str, url: str, token: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Call Configure's API with a token, and return the response of requests, or of httpx2 on Starlette.

        Args:
            url: a path of the API, such as "v1/profile", or its URL; the token is sent nowhere else.
            token: of `authorize_access_token`.
            options: of that library: `params`, `json`, `headers`, `timeout` (10 s), ...

        Raises:
            OAuthError: the token is missing, the URL isn't one of the API, or the call failed.
        """
        raise NotImplementedError

    def get(self, url: str, **options: Any) -> Any:
        """`request` with GET."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Any:
        """`request` with POST."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Any:
        """`request` with PUT."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> Any:
        """`request` with PATCH."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> Any:
        """`request` with DELETE."""
        return self.request("DELETE", url, **options)

    def _addressed(
        self, url: str, token: Mapping[str, Any] | None, options: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Return the URL of a call to Configure's API and its options, with the token in a header."""
        access_token, _ = _entry(token or {}, "access_token")
        target = urljoin(self.api_base_url, url)
        if not target.startswith(self.api_base_url):
            raise SignInError(Code.INVALID_REQUEST, f"a token of Configure is sent to {self.api_base_url} only")
        headers = {
            **(options.pop("headers", None) or {}),
            **api_headers(self._kind.client.settings, content=False),
            **RuntimeScope().headers,
            **Subject(token=access_token).headers,
        }
        return target, {"timeout": CALL_TIMEOUT, **options, "headers": headers}
