"""What all flows of one app share: settings, keys, clock and URLs."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from ..errors import SettingsError
from ..runtime.circuit import Circuit
from ..runtime.frozen import dataclass
from ..settings import DEFAULT_PORTS, Settings, is_loopback
from ..stores import Stores
from ..stores.opening import StateSource, StoreSource, chosen, open_stores
from ..stores.sealing import Sealer
from ..ui import wording
from ..values import STATE_LIFETIME, Secret
from .app import Hook, require_hook
from .destination import Destinations, read_origins, with_query
from .request import Request
from .response import COOKIE_NAME, LOOPBACK_COOKIE_NAME, BrowserCookie

log: logging.Logger = logging.getLogger(__name__)

MAY_VANISH = "a deployment that replaces the disk, such as a container, deletes every connection"
NAME_A_STORE = (
    "set CONFIGURE_STORE to postgresql://..., or to sqlite:////... with the path of a file on a disk that lasts"
)
_FINAL_DOT = re.compile(r"\.(:[0-9]+)?$", re.ASCII)

Clock = Callable[[], float]
"""Unix seconds; `time.time`, or a test's own."""


def digest(purpose: str, value: str) -> str:
    """Hash a state, a browser cookie, a journey's id or a token; only hashes of these are stored.

    The purpose keeps values of different kinds apart.
    """
    return hashlib.sha256(f"{purpose}:{value}".encode()).hexdigest()


def name_taken(name: str) -> SettingsError:
    """Return the error of a second `ConfigureAuth` in an app, which would be asked for the users of the first one."""
    return SettingsError(
        f"this app has another ConfigureAuth with name={name!a}; use that one object, or give this one another name by "
        "ConfigureAuth(name=...), and its routes another path="
    )


def circuit_of(max_calls: int, clock: Clock | None) -> Circuit:
    """Return what limits the sign-ins under way in one process."""
    if isinstance(max_calls, bool) or not isinstance(max_calls, int) or max_calls < 1:
        raise SettingsError("max_calls must be a whole number of sign-ins, 1 or more")
    return Circuit(max_calls, clock or time.time)


@dataclass(frozen=True, kw_only=True)
class AppOptions:
    """The options of `ConfigureAuth` that every framework has.

    Raises:
        SettingsError: an option is invalid; the message says what is expected.
    """

    user_id: Callable[..., object]
    name: str = "configure"
    allowed_next: Sequence[str] = ()
    trusted_origins: Sequence[str] = ()
    session: bool | None = True
    keep_session: tuple[str, ...] = ()
    renew_session: Hook | None = None
    allow_guessable_external_id: bool = False
    login_url: str | None = None
    texts: wording.Texts | None = None
    locale: Hook | None = None
    base_template: str | None = None
    max_calls: int = 4
    clock: Clock | None = None
    show_outcome: bool = True
    with_request: bool = False
    """Whether `user_id`, `renew_session` and `locale` get the request, as on Starlette."""

    def __post_init__(self) -> None:
        require_hook("user_id", self.user_id, with_request=self.with_request)
        if isinstance(self.keep_session, str):
            raise SettingsError('keep_session is a tuple of session keys, such as ("cart",)')
        if self.renew_session is not None:
            require_hook("renew_session", self.renew_session, with_request=self.with_request)
        if (self.keep_session or self.renew_session) and self.session is False:
            raise SettingsError("keep_session and renew_session have no meaning with session=False")
        if self.locale is not None:
            require_hook("locale", self.locale, with_request=self.with_request)
            if self.texts is None:
                raise SettingsError("locale chooses the language of texts=, which isn't given; give both, or neither")
        wording.read_texts(self.texts)
        if not self.name.isidentifier():
            raise SettingsError('name must be a plain word, such as "configure"')
        self.circuit()  # raises for a limit that is none
        destinations = self._destinations
        if self.login_url is not None:
            destinations.require("login_url", self.login_url)

    @property
    def _destinations(self) -> Destinations:
        trusted = read_origins("trusted_origins", self.trusted_origins)
        return Destinations((*read_origins("allowed_next", self.allowed_next), *trusted))

    def circuit(self) -> Circuit:
        return circuit_of(self.max_calls, self.clock)

    def site(self, settings: Settings, keys: tuple[Secret, ...] | None = None) -> Site:
        """Return the app with its settings.

        Args:
            keys: what encrypts its tokens; the setting's unless given. Without any, what needs them fails at its use.
        """
        if not settings.has_credentials:
            log.warning(
                "no credential of Configure is set: the button is empty, and our routes respond 503 not_configured; "
                "`python -m configure_auth sandbox` prints values to begin with"
            )
        if settings.allow_http and not settings.is_local:
            log.warning(
                "CONFIGURE_ALLOW_HTTP is set, and CONFIGURE_APP_URL is not on localhost: what is sent to %s is not "
                "encrypted; unset it where people sign in",
                ", ".join(settings.allow_http),
            )
        return Site(
            settings=settings,
            keys=settings.token_keys if keys is None else keys,
            destinations=self._destinations,
            trusted_origins=read_origins("trusted_origins", self.trusted_origins),
            user_id=self.user_id,
            session=self.session,
            keep_session=self.keep_session,
            renew_session=self.renew_session,
            allow_guessable_external_id=self.allow_guessable_external_id,
            login_url=self.login_url,
            texts=wording.read_texts(self.texts),
            locale=self.locale,
            base_template=self.base_template,
            show_outcome=self.show_outcome,
            clock=self.clock or time.time,
        )


@dataclass(frozen=True, kw_only=True)
class Site:
    """One app with its Configure settings, frozen.

    `keep_session`: session keys that survive a sign-in. `session` is false where pages carry a bearer token, and None
    where each request shows it: a link is a bearer's whose start had an Authorization header.
    `read_once` is what was read from the store and stays as it is there.
    """

    settings: Settings
    keys: tuple[Secret, ...] = field(repr=False)
    destinations: Destinations = field(default_factory=Destinations)
    trusted_origins: tuple[str, ...] = ()
    clock: Clock = time.time
    user_id: Callable[..., object]
    session: bool | None = True
    keep_session: tuple[str, ...] = ()
    renew_session: Hook | None = None
    allow_guessable_external_id: bool = False
    login_url: str | None = None
    texts: Callable[[Iterable[str]], wording.Words] = field(default_factory=lambda: wording.read_texts(None))
    locale: Hook | None = None
    base_template: str | None = None
    show_outcome: bool = True
    read_once: dict[str, Secret] = field(default_factory=dict, repr=False, compare=False)

    @property
    def agent(self) -> str:
        return self.settings.required_agent

    @cached_property
    def sealer(self) -> Sealer:
        return Sealer(self.keys or self.settings.required_token_keys)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Fingerprints of the keys; none where no key is set yet."""
        return self.sealer.fingerprints if self.keys else ()

    def open_stores(
        self, store: StoreSource | None, states: StateSource | None, folder: Path, *, awaited: bool
    ) -> Stores:
        """Open what the app named, or else the settings; arguments and errors as for `stores.opening.open_stores`."""
        opened = open_stores(
            *chosen(store, states, self.settings),
            agent=self.settings.agent or "",
            fingerprints=self.fingerprints,
            folder=folder,
            awaited=awaited,
            local=self.settings.is_local,
            names=self.index_names,
        )
        if store is not None or self.settings.store is not None:
            return opened
        if not self.settings.is_local:
            log.warning("the store is %s; %s: %s", opened.path, MAY_VANISH, NAME_A_STORE)
        return replace(opened, by_default=True)

    def index_names(self, user_id: str) -> tuple[str, ...]:
        """Return the keyed hashes of a user id, the first key's first: what a store may name records by."""
        return self.sealer.macs(user_id)

    def require(self, names: Iterable[str]) -> None:
        """`Settings.require`, where the keys may be the app's own."""
        self.settings.require(name for name in names if name != "token_keys" or not self.keys)

    def words(self, languages: Iterable[str], chosen: object = None) -> wording.Words:
        """Return the texts in the first of these languages that the app has; in English if `texts=` fails.

        Args:
            chosen: the language that `locale=` gave, instead of all others.
        """
        try:
            return self.texts(languages if chosen is None else (str(chosen),))
        except Exception:  # a page in English is better than none
            log.exception("texts= failed, and the texts are English")
            return wording.ENGLISH_WORDS

    def onward(self, location: str, outcome: str) -> str:
        """Return a page of the app with how a flow ended, for display only: anybody can type it."""
        return with_query(location, "configure", outcome) if self.show_outcome else location

    def shows_causes(self, request: Request) -> bool:
        """Whether pages say what the developer has to change: in debug mode, or if CONFIGURE_APP_URL is on loopback."""
        return request.debug or (self.settings.app_url is not None and self.settings.is_local)

    @property
    def mount(self) -> str:
        """The path that the app is mounted under, without a trailing slash."""
        return urlsplit(self.settings.app_url or "").path

    def app_url(self, request: Request) -> str:
        """Return the app's URL: the setting, of whose URLs the Host header may select one; else only on loopback."""
        if self.settings.app_url is not None:
            return self.listed_url(request) or self.settings.app_url
        try:
            parts = urlsplit(f"//{request.host}")
            loopback = is_loopback(parts.hostname) and parts.netloc == request.host and parts.port != 0
        except ValueError:
            loopback = False
        if not loopback:
            raise SettingsError(
                "CONFIGURE_APP_URL is not set: it is the https URL at which people reach this app, and it can be left "
                "out on localhost only"
            )
        return f"http://{request.host}"

    def listed_url(self, request: Request) -> str | None:
        """Return the URL of the setting with the request's host, in which a default port or a final dot may be."""
        for url in self.settings.app_urls:
            parts = urlsplit(url)
            host = request.host.lower().removesuffix(f":{DEFAULT_PORTS[parts.scheme]}")
            if _FINAL_DOT.sub(r"\1", host) == parts.netloc:
                return url
        return None

    def is_from_app(self, request: Request, app_url: str, *, own_only: bool = False) -> bool:
        """Whether a page of the app sent this request, on its own origin or a trusted one (prevents CSRF).

        Args:
            own_only: trusted origins don't count.
        """
        parts = urlsplit(app_url)
        if not self.session and request.is_from_client:
            return True  # no cookie authenticates a user here; where the browser cookie is needed, it is asked for
        return request.is_from(f"{parts.scheme}://{parts.netloc}", () if own_only else self.trusted_origins)

    def cookie(self, app_url: str, value: str) -> BrowserCookie:
        secure = app_url.startswith("https:")
        return BrowserCookie(name=COOKIE_NAME if secure else LOOPBACK_COOKIE_NAME, value=value, secure=secure)

    def known_cookie(self, request: Request, app_url: str) -> BrowserCookie | None:
        """Return this browser's cookie, None if it has none or it is malformed."""
        value = request.browser(self.cookie(app_url, "").name)
        return None if value is None else self.cookie(app_url, value)

    def cookie_of_either_name(self, request: Request) -> BrowserCookie | None:
        """Return this browser's cookie of https, else of http: for requests in which the start's URL isn't known."""
        return self.known_cookie(request, "https:") or self.known_cookie(request, "http:")

    def browser_cookie(self, request: Request, app_url: str) -> BrowserCookie:
        """Return this browser's cookie, or a new one."""
        return self.known_cookie(request, app_url) or self.cookie(app_url, secrets.token_urlsafe(32))

    def confirmation(self, cookie: BrowserCookie, path: str, asked: dict[str, str], at: float | None = None) -> str:
        """Return the proof that we rendered a link for this browser and start, if it has no Fetch Metadata.

        Args:
            at: Unix seconds, now by default; they are part of the proof.
        """
        made_at = int(self.clock() if at is None else at)
        meant = f"{made_at}:{path}?{urlencode(sorted(asked.items()))}"
        return f"{made_at}.{hmac.new(cookie.value.encode(), meant.encode(), hashlib.sha256).hexdigest()}"

    def is_confirmed(self, proof: str, cookie: BrowserCookie, path: str, asked: dict[str, str]) -> bool:
        """Whether a proof is ours, for this browser and start, and not older than an attempt may be."""
        made_at, _, _mac = proof.partition(".")
        if not (made_at.isascii() and made_at.isdecimal()) or not 0 <= self.clock() - int(made_at) < STATE_LIFETIME:
            return False
        return hmac.compare_digest(proof.encode(), self.confirmation(cookie, path, asked, int(made_at)).encode())
