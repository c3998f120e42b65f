"""Settings of an app: credentials and origins, validated once and then frozen."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from .errors import NotConfigured, SettingsError
from .keys import LEAST_KEY_LENGTH, MAKE_KEY, key_weakness, read_key
from .runtime.frozen import dataclass
from .values import Secret

T = TypeVar("T")

_AGENT = re.compile(r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]", re.ASCII)
_TEST_CLIENT = "testserver"
DEFAULT_PORTS = {"https": 443, "http": 80}
# A last label that makes browsers read the host as an IPv4 address (WHATWG URL, "ends in a number").
_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\.?$", re.ASCII | re.IGNORECASE)
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.ASCII | re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
_ABSOLUTE_URI = re.compile(
    r"(?:https?://[^/?#\s]+|(?!https?:)[a-z][a-z0-9+.-]*:[^#\s])[\x21\x22\x24-\x7e]*", re.ASCII | re.I
)
_VISIBLE = re.compile(r"[\x21-\x7e]+", re.ASCII)
# The handles that Configure's own client refuses; the server may reserve more.
_RESERVED = frozenset(
    "docs api www app admin dashboard status blog travelbot focusai wealthbot devbot mobile-demo mcp v1 auth "
    "profile tools connectors web memory".split()
)


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address, without port or brackets, is this machine only.

    That is localhost with its subdomains (RFC 6761, section 6.3: browsers resolve them to loopback), and the loopback
    addresses.
    """
    if host is None:
        return False
    return f".{host}".endswith(".localhost") or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def require_origin(variable: str, value: str, *, path: bool = False, allow_http: Collection[str] = ()) -> str:
    """Validate and normalize an absolute URL used for redirects or API calls; return it as browsers write it.

    That is with the host in lower case, and without the scheme's own port or a trailing slash, because Configure and
    `Origin` are compared with byte for byte.

    Args:
        variable: its name, for the error's message.
        value: https, or http on loopback (RFC 9700 section 2.6). User info, query, fragment, wildcard, space, control
            character, dot segment and percent-encoded host are refused, and so are hosts that browsers read as another
            one, such as 127.1 and 0x7f000001.
        path: whether a path is allowed.
        allow_http: hosts that may be http too.

    Raises:
        SettingsError: the value is none of these.
    """
    origin, problem = _read_origin(value, path=path, allow_http=allow_http)
    del value  # a secret in the wrong variable must not show in a traceback with local variables
    if problem:
        raise SettingsError(f"{variable} {problem}; set it to something like https://app.example.com")
    return origin


def _read_origin(value: str, *, path: bool, allow_http: Collection[str]) -> tuple[str, str]:
    """Return the normalized URL and "", or "" and what is wrong with it."""
    if not _VISIBLE.fullmatch(value):
        return "", "has a space, a control character or a letter outside ASCII (write the host in punycode)"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return "", "isn't a URL"
    host = parts.hostname
    if parts.scheme not in ("https", "http") or not host or port == 0:
        return "", "isn't an absolute https URL"
    if "%" in host or (_NUMBER.search(host) and not _is_address(host)):
        return "", "has a host that browsers read as another one (percent-encoded, or a shortened IP address)"
    if parts.scheme == "http" and not is_loopback(host) and host not in allow_http:
        return "", "is http, which is for loopback only"
    if "@" in parts.netloc or any(mark in value for mark in "?#*\\") or "//" in parts.path:
        return "", "has user info, a query, a fragment, a wildcard, a backslash or a doubled slash"
    if _DOT_SEGMENT.search(parts.path):
        return "", "has a dot segment in its path, which browsers resolve"
    trimmed = parts.path.rstrip("/")
    if not path and trimmed:
        return "", "has a path where only an origin is expected"
    host = f"[{host}]" if ":" in host else host
    own = port is None or port == DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}{'' if own else f':{port}'}{trimmed}", ""


def require_absolute_uri(variable: str, value: str) -> str:
    """Validate an absolute URI without a fragment, as RFC 8707 section 2 requires of a resource indicator.

    Raises:
        SettingsError: the value is none.
    """
    if not isinstance(value, str) or not _ABSOLUTE_URI.fullmatch(value):
        raise SettingsError(
            f"{variable} must be an absolute URI without a fragment (RFC 8707), such as https://api.configure.dev"
        )
    return value


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


TokenKeys: TypeAlias = "str | bytes | Secret | Sequence[str | bytes | Secret]"
SettingsSource: TypeAlias = "Settings | Mapping[str, Any] | Callable[[], object] | object | None"


def read_settings(source: SettingsSource) -> Settings:
    """Return settings from whatever an app has: see `ConfigureAuth`.

    Raises:
        SettingsError: it has no CONFIGURE_ setting, or one is malformed.
    """
    if callable(source):
        source = source()
    if isinstance(source, Settings):
        return source
    if source is None:
        return Settings.from_env()
    return Settings.from_mapping(source) if isinstance(source, Mapping) else Settings.from_object(source)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one app. Nothing here is required before the part that needs it is made.

    Args:
        api_key: the agent's secret key (`sk_...`, or `cfg_...` as older keys begin). Server only.
        publishable_key: the key that pages may show (`pk_...`).
        agent: the agent's handle: 2 to 63 lowercase letters, digits and hyphens.
        oauth_client_id: the OAuth client (`oc_...`); needed by the login only.
        oauth_client_secret: the OAuth client's secret (`ocs_...`).
        app_url: the URL at which users reach the app: https, or http on loopback. An app with several hosts lists one
            for each, also with commas, of one scheme and path: the request's host selects one of them. What has no
            request uses the first.
        token_keys: keys that stored tokens are encrypted with, each of 32 random bytes; the first one encrypts, all of
            them decrypt. str, bytes and `Secret` are read alike; a single string is split at commas.
        store: URL of the store.
        states: URL of a second store, for sign-ins in progress.
        base_url: origin of Configure's API; a path is allowed.
        accounts_url: origin of Configure's authorization page.
        sign_in_url: origin of the hosted sign-in.
        script_url: origin of Configure's script.
        allow_http: hosts of a sandbox in another container or on another machine, which Configure's four origins above
            may name with http: ("sandbox", "host.docker.internal"). With "testserver" among them, the host of
            Starlette's `TestClient`, `app_url` may be http there. For development only: with it the keys must be those
            of a sandbox (`sk_local_`, `sk_test_`, `ocs_local_`).
        sso_redirect_uri: the login's callback, where Configure's own variable names it; it must be the one that
            `app_url` and the login's path make.
        issuer: what `iss` of every callback must be (RFC 9207), compared as a string. None: a callback may lack it, and
            one that has it must name one of Configure's four origins above.

    Raises:
        SettingsError: a value is malformed; the message names the variable. A key in the wrong place (`pk_` for
            `sk_`, or the reverse) is refused, so that a secret key can't get into a page.
    """

    api_key: Secret | None = None
    publishable_key: str | None = None
    agent: str | None = None
    oauth_client_id: str | None = None
    oauth_client_secret: Secret | None = None
    app_url: str | None = None
    token_keys: tuple[Secret, ...] = ()
    store: Secret | None = None
    states: Secret | None = None
    base_url: str = "https://api.configure.dev"
    accounts_url: str = "https://accounts.configure.dev"
    sign_in_url: str = "https://sign-in.me"
    script_url: str = "https://configure.dev"
    sso_redirect_uri: str | None = None
    allow_http: tuple[str, ...] = ()
    issuer: str | None = None

    # Written out: the generated one would have plain secrets among its locals while a check raises.
    def __init__(
        self,
        *,
        api_key: str | Secret | None = None,
        publishable_key: str | None = None,
        agent: str | None = None,
        oauth_client_id: str | None = None,
        oauth_client_secret: str | Secret | None = None,
        app_url: str | Sequence[str] | None = None,
        token_keys: TokenKeys = (),
        store: str | Secret | None = None,
        states: str | Secret | None = None,
        base_url: str = base_url,
        accounts_url: str = accounts_url,
        sign_in_url: str = sign_in_url,
        script_url: str = script_url,
        sso_redirect_uri: str | None = None,
        allow_http: str | Sequence[str] = (),
        issuer: str | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "allow_http": _each_wrapped(allow_http),
            "api_key": _wrapped(api_key),
            # Wrapped too: a secret key may be here by mistake.
            "publishable_key": _wrapped(publishable_key),
            "agent": _wrapped(agent),
            "oauth_client_id": _wrapped(oauth_client_id),
            "oauth_client_secret": _wrapped(oauth_client_secret),
            "app_url": None,
            "token_keys": _each_wrapped(token_keys),
            "store": _wrapped(store),
            "states": _wrapped(states),
            "base_url": _wrapped(base_url),
            "accounts_url": _wrapped(accounts_url),
            "sign_in_url": _wrapped(sign_in_url),
            "script_url": _wrapped(script_url),
            "sso_redirect_uri": _wrapped(sso_redirect_uri),
            "issuer": _wrapped(issuer),
        }
        del api_key, publishable_key, agent, oauth_client_id, oauth_client_secret, token_keys, store, states
        app_urls = () if app_url is None else _each_wrapped(app_url) or (Secret(""),)
        app_urls = tuple(map(_stripped, app_urls)) if len(app_urls) > 1 else app_urls
        del app_url, base_url, accounts_url, sign_in_url, script_url, sso_redirect_uri, issuer
        for name, value in given.items():
            read = _READERS[name]
            if name in _CONFIGURE_ORIGINS:
                read = partial(read, allow_http=self.allow_http)
            object.__setattr__(self, name, None if value is None else read(_variable(name), value))
        allowed = {_TEST_CLIENT}.intersection(self.allow_http)
        self._set_app_urls(tuple(_url("CONFIGURE_APP_URL", url, allow_http=allowed) for url in app_urls))
        if self.allow_http:
            _refuse_live_key("CONFIGURE_API_KEY", self.api_key, "sk_local_", "sk_test_")
            _refuse_live_key("CONFIGURE_OAUTH_CLIENT_SECRET", self.oauth_client_secret, "ocs_local_")
        for key in self.token_keys:
            weakness = key_weakness(key)
            # On loopback any key will do that is long enough.
            if weakness is not None and (not self.is_local or len(key.reveal()) < LEAST_KEY_LENGTH):
                raise SettingsError(f"a key in CONFIGURE_TOKEN_KEYS {weakness}; {MAKE_KEY}")

    def _set_app_urls(self, urls: tuple[str, ...]) -> None:
        if len({(urlsplit(url).scheme, urlsplit(url).path) for url in urls}) > 1:
            raise SettingsError(
                "CONFIGURE_APP_URL: the listed URLs must have one scheme and one path; only hosts may differ"
            )
        object.__setattr__(self, "app_url", urls[0] if urls else None)
        object.__setattr__(self, "_app_urls", urls)

    @property
    def app_urls(self) -> tuple[str, ...]:
        """Every URL at which users reach the app; `app_url` is the first one."""
        urls: tuple[str, ...] = self.__dict__["_app_urls"]
        return urls

    @classmethod
    def from_env(cls) -> Settings:
        """Read the `CONFIGURE_*` variables of the process, now. A blank one counts as not set."""
        return cls.from_mapping(os.environ)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Settings:
        """Read the `CONFIGURE_*` entries of a mapping such as Flask's `app.config`; other entries are ignored.

        A blank string counts as not set. `CONFIGURE_TOKEN_KEYS` is a list, or one string with commas.
        """
        given = {name: _stripped(mapping.get(_variable(name))) for name in _READERS}
        del mapping  # neither it nor anything plain of it is alive while the constructor raises
        return cls(**{name: value for name, value in given.items() if value not in (None, _BLANK, ())})

    @classmethod
    def from_object(cls, source: object) -> Settings:
        """Read the attributes of an object such as a pydantic `BaseSettings`: CONFIGURE_API_KEY or configure_api_key.

        Besides strings they may be what has a `get_secret_value()`, such as pydantic's `SecretStr`, and URL objects.

        Raises:
            SettingsError: it has none of these attributes, or one is malformed.
        """
        spellings = {_variable(name): (_variable(name), f"configure_{name}") for name in _READERS}
        found = {
            variable: getattr(source, next(spelled for spelled in both if hasattr(source, spelled)))
            for variable, both in spellings.items()
            if any(hasattr(source, spelled) for spelled in both)
        }
        if not found:
            raise SettingsError(
                f"settings: got a {type(source).__name__} without any attribute such as CONFIGURE_API_KEY or "
                "configure_api_key"
            )
        return cls.from_mapping(found)

    # What is missing is said where it is needed, with the variable to set.

    @property
    def required_api_key(self) -> Secret:
        return _require("api_key", self.api_key)

    @property
    def required_publishable_key(self) -> str:
        return _require("publishable_key", self.publishable_key)

    @property
    def required_agent(self) -> str:
        return _require("agent", self.agent)

    @property
    def required_oauth_client_id(self) -> str:
        return _require("oauth_client_id", self.oauth_client_id)

    @property
    def required_oauth_client_secret(self) -> Secret:
        return _require("oauth_client_secret", self.oauth_client_secret)

    @property
    def required_token_keys(self) -> tuple[Secret, ...]:
        return _require("token_keys", self.token_keys or None)

    @property
    def has_credentials(self) -> bool:
        """Whether any credential is set. Without one the app counts as not yet connected to Configure."""
        return any(getattr(self, name) for name in _CREDENTIALS)

    def require(self, names: Iterable[str]) -> None:
        """Check that several settings are set.

        Args:
            names: attributes that have a `required_` property.

        Raises:
            NotConfigured: some are not; the message names each of them.
        """
        missing = [name for name in names if getattr(self, name) in (None, ())]
        if missing:
            listed = ", ".join(f"{_variable(name)} ({_MEANINGS[name]})" for name in missing)
            raise NotConfigured(
                f"not set: {listed}. Without an account at Configure, `python -m configure_auth sandbox` prints values "
                "to begin with"
            )

    def is_issuer(self, issuer: str | None) -> bool:
        """Whether a callback with this `iss` is Configure's (RFC 9207)."""
        if self.issuer is not None:
            return issuer == self.issuer
        return issuer in (None, self.accounts_url, self.sign_in_url, self.base_url, self.script_url)

    @property
    def is_local(self) -> bool:
        """Whether the app itself runs on loopback, as far as the settings say."""
        return all(
            is_loopback(host) or host == _TEST_CLIENT for host in (urlsplit(url).hostname for url in self.app_urls)
        )


_MEANINGS = {
    "api_key": "the secret key (sk_...) of your agent at Configure",
    "publishable_key": "the key (pk_...) that a page of yours may show",
    "agent": "the handle of your agent at Configure",
    "oauth_client_id": "the OAuth client (oc_...) of your agent",
    "oauth_client_secret": "the OAuth client's secret (ocs_...)",
    "token_keys": f"what seals the stored tokens; {MAKE_KEY}",
}
"""What the settings that something can require are."""

_CREDENTIALS = ("api_key", "publishable_key", "agent", "oauth_client_id", "oauth_client_secret")


def _require(name: str, value: T | None) -> T:
    if value is None:
        raise NotConfigured(f"{_variable(name)} is not set: it is {_MEANINGS[name]}")
    return value


_BLANK = Secret("")


def _variable(name: str) -> str:
    return f"CONFIGURE_{name.upper()}"


def _wrapped(value: Any) -> Any:
    """Text as a `Secret`; of anything else but None only its type, since its text may be a secret too."""
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    elif hasattr(type(value), "scheme"):  # a URL of pydantic, Starlette or yarl
        value = str(value)
    if isinstance(value, str):
        return Secret(value)
    return value if value is None or isinstance(value, Secret) else type(value)


def _stripped(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return _each_wrapped(value)
    value = _wrapped(value)
    return Secret(value.reveal().strip()) if isinstance(value, Secret) else value


def _each_wrapped(keys: Any) -> tuple[Any, ...]:
    keys = keys if isinstance(keys, list | tuple) else _wrapped(keys)
    if isinstance(keys, Secret):
        keys = [key for key in keys.reveal().split(",") if key.strip()]
    return tuple(map(_wrapped, keys)) if isinstance(keys, list | tuple) else (keys,)


# How each setting is read: from a `Secret`, so that nothing plain is among the locals of a frame that raises.

_Reader: TypeAlias = Callable[..., Any]


def _secret(variable: str, value: Any) -> Secret:
    if not isinstance(value, Secret):
        raise SettingsError(f"{variable} must be a string, not {value.__name__}")
    return value


def _text(variable: str, value: Any) -> str:
    return _secret(variable, value).reveal()


def _key(*prefixes: str) -> _Reader:
    def read(variable: str, value: Any) -> Secret:
        if not _begins_with(_secret(variable, value), prefixes):
            raise SettingsError(f"{variable} must be a key that begins with {prefixes[0]} and has no space in it")
        return _secret(variable, value)

    return read


def _public_key(prefix: str) -> _Reader:
    read_key = _key(prefix)
    return lambda variable, value: read_key(variable, value).reveal()


def _begins_with(key: Secret, prefixes: tuple[str, ...]) -> bool:
    plain = key.reveal()
    return plain.startswith(prefixes) and _VISIBLE.fullmatch(plain) is not None


def _agent(variable: str, value: Any) -> str:
    if not _AGENT.fullmatch(_text(variable, value)) or _text(variable, value) in _RESERVED:
        raise SettingsError(
            f"{variable} must be your agent's handle: 2 to 63 lowercase letters, digits and hyphens, "
            "beginning and ending with a letter or digit, and not one of Configure's reserved names"
        )
    return _text(variable, value)


def _origin(variable: str, value: Any, allow_http: Collection[str] = ()) -> str:
    return require_origin(variable, _text(variable, value), allow_http=allow_http)


def _url(variable: str, value: Any, allow_http: Collection[str] = ()) -> str:
    return require_origin(variable, _text(variable, value), path=True, allow_http=allow_http)


def _redirect_uri(variable: str, value: Any) -> str:
    # Its path stays as it is, because Configure compares it byte for byte.
    plain = _text(variable, value)
    return require_origin(variable, plain, path=True) + plain[len(plain.rstrip("/")) :]


def _issuer(variable: str, value: Any) -> str:
    # As it is, because it is compared as a string (RFC 9207, section 2.4).
    plain = _text(variable, value)
    if not _ABSOLUTE_URI.fullmatch(plain) or "?" in plain:
        raise SettingsError(f"{variable} must be the issuer's URL without query and fragment (RFC 9207)")
    return plain


def _hosts(variable: str, value: Any) -> tuple[str, ...]:
    hosts = tuple(_text(variable, host).strip().lower() for host in value)
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise SettingsError(
                f"{variable} must list host names without scheme, port or path: sandbox,host.docker.internal"
            )
    return hosts


def _refuse_live_key(variable: str, key: Secret | None, *prefixes: str) -> None:
    if key is not None and not _begins_with(key, prefixes):
        raise SettingsError(
            f"CONFIGURE_ALLOW_HTTP is for a sandbox only, and {variable} is not a sandbox's: unset "
            "CONFIGURE_ALLOW_HTTP, or use the keys that the sandbox prints"
        )


def _token_keys(variable: str, value: Any) -> tuple[Secret, ...]:
    return tuple(read_key(variable, key) for key in value)


_READERS: dict[str, _Reader] = {
    # `cfg_` is the older prefix of secret keys, which Configure's own checks still take.
    "api_key": _key("sk_", "cfg_"),
    "publishable_key": _public_key("pk_"),
    "agent": _agent,
    "oauth_client_id": _public_key("oc_"),
    "oauth_client_secret": _key("ocs_"),
    "app_url": _url,
    "token_keys": _token_keys,
    # A store's URL may have a password in it.
    "store": _secret,
    "states": _secret,
    "base_url": _url,
    "accounts_url": _origin,
    "sign_in_url": _origin,
    "script_url": _origin,
    "sso_redirect_uri": _redirect_uri,
    "allow_http": _hosts,
    "issuer": _issuer,
}
_CONFIGURE_ORIGINS = frozenset({"base_url", "accounts_url", "sign_in_url", "script_url"})
