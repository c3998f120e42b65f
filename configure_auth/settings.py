"""Where an app's credentials and origins come from, checked once and then frozen."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from .errors import SettingsError
from .values import Secret

__all__ = ["Settings", "is_loopback", "require_origin"]

T = TypeVar("T")

_AGENT = re.compile(r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]", re.ASCII)
_PORTS = {"https": 443, "http": 80}
_VISIBLE = re.compile(r"[\x21-\x7e]+", re.ASCII)
# The handles that Configure's own client refuses; the server may reserve more.
_RESERVED = frozenset(
    "docs api www app admin dashboard status blog travelbot focusai wealthbot devbot mobile-demo mcp v1 auth "
    "profile tools connectors web memory".split()
)


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address, without port or brackets, is this machine only."""
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_origin(variable: str, value: str, *, path: bool = False) -> str:
    """Check an absolute URL that we'll send people or secrets to; return it as browsers write it.

    That is with the host in lower case, and without the scheme's own port or a trailing slash: Configure and `Origin`
    are compared with byte for byte. https, or http on loopback; no user info, query, fragment, wildcard, space or
    control character. RFC 9700 section 2.6 forbids an unencrypted redirect_uri but on loopback.
    """

    def refuse(why: str) -> SettingsError:
        return SettingsError(f"{variable} {why}; set it to something like https://app.example.com")

    if not _VISIBLE.fullmatch(value):
        raise refuse("has a space, a control character or a letter outside ASCII (write the host in punycode)")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise refuse("isn't a URL") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise refuse("isn't an absolute https URL")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise refuse("is http, which is for loopback only")
    if "@" in parts.netloc or any(mark in value for mark in "?#*\\") or "//" in parts.path:
        raise refuse("has user info, a query, a fragment, a wildcard, a backslash or a doubled slash")
    trimmed = parts.path.rstrip("/")
    if not path and trimmed:
        raise refuse("has a path where an origin is wanted")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    own = port is None or port == _PORTS[parts.scheme]
    return f"{parts.scheme}://{host}{'' if own else f':{port}'}{trimmed}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an app tells us once. Nothing here is required before the part that needs it is made.

    Raises:
        SettingsError: a value is malformed; the message names the variable. A key in the wrong slot (`pk_` for
            `sk_`, or the reverse) is refused here, so that a secret key can't get into a page.
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

    def __post_init__(self) -> None:
        # A store's URL may have a password in it.
        for secret in ("api_key", "oauth_client_secret", "store", "states"):
            if isinstance(getattr(self, secret), str):
                object.__setattr__(self, secret, Secret(getattr(self, secret)))
        # `cfg_` is the older prefix of secret keys, which Configure's own checks still take.
        _check_prefix("CONFIGURE_API_KEY", self.api_key, "sk_", "cfg_")
        _check_prefix("CONFIGURE_PUBLISHABLE_KEY", self.publishable_key, "pk_")
        _check_prefix("CONFIGURE_OAUTH_CLIENT_ID", self.oauth_client_id, "oc_")
        _check_prefix("CONFIGURE_OAUTH_CLIENT_SECRET", self.oauth_client_secret, "ocs_")
        if self.agent is not None and (not _AGENT.fullmatch(self.agent) or self.agent in _RESERVED):
            raise SettingsError(
                "CONFIGURE_AGENT must be your agent's handle: 2 to 63 lowercase letters, digits and hyphens, "
                "beginning and ending with a letter or digit, and not one of Configure's reserved names"
            )
        for name, path in (
            ("app_url", True),
            ("base_url", True),
            ("accounts_url", False),
            ("sign_in_url", False),
            ("script_url", False),
        ):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, require_origin(f"CONFIGURE_{name.upper()}", value, path=path))
        if self.sso_redirect_uri is not None:
            # Its path stays as it is, for Configure compares it byte for byte.
            slashes = self.sso_redirect_uri[len(self.sso_redirect_uri.rstrip("/")) :]
            written = require_origin("CONFIGURE_SSO_REDIRECT_URI", self.sso_redirect_uri, path=True)
            object.__setattr__(self, "sso_redirect_uri", written + slashes)
        for key in self.token_keys:
            if len(key.reveal()) < 32:
                raise SettingsError(
                    "a key in CONFIGURE_TOKEN_KEYS is shorter than 32 characters; make one with: "
                    'python -c "import secrets; print(secrets.token_urlsafe(32))"'
                )

    @classmethod
    def from_env(cls) -> Settings:
        """The `CONFIGURE_*` variables of the process, read now. A blank one counts as not set."""
        return cls.from_mapping(os.environ)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Settings:
        """The `CONFIGURE_*` entries of a mapping such as Flask's `app.config`; other entries are ignored.

        `CONFIGURE_TOKEN_KEYS` is a list, or one string with commas; the first key seals, all of them open.
        """

        def text(name: str) -> str | None:
            value = mapping.get(name)
            if value is None:
                return None
            if isinstance(value, Secret):
                value = value.reveal()
            if not isinstance(value, str):
                raise SettingsError(f"{name} must be a string")
            return value.strip() or None

        def secret(name: str) -> Secret | None:
            value = text(name)
            return None if value is None else Secret(value)

        keys = mapping.get("CONFIGURE_TOKEN_KEYS") or ()
        if isinstance(keys, str | Secret):
            keys = (text("CONFIGURE_TOKEN_KEYS") or "").split(",")
        token_keys = (key.reveal() if isinstance(key, Secret) else str(key).strip() for key in keys)
        origins = {
            name: value
            for name in ("base_url", "accounts_url", "sign_in_url", "script_url")
            if (value := text(f"CONFIGURE_{name.upper()}")) is not None
        }
        return cls(
            api_key=secret("CONFIGURE_API_KEY"),
            publishable_key=text("CONFIGURE_PUBLISHABLE_KEY"),
            agent=text("CONFIGURE_AGENT"),
            oauth_client_id=text("CONFIGURE_OAUTH_CLIENT_ID"),
            oauth_client_secret=secret("CONFIGURE_OAUTH_CLIENT_SECRET"),
            app_url=text("CONFIGURE_APP_URL"),
            token_keys=tuple(Secret(key) for key in token_keys if key),
            store=secret("CONFIGURE_STORE"),
            states=secret("CONFIGURE_STATES"),
            sso_redirect_uri=text("CONFIGURE_SSO_REDIRECT_URI"),
            **origins,
        )

    # What is missing is said by the part that needs it, with the variable to set.

    @property
    def required_api_key(self) -> Secret:
        return _require("CONFIGURE_API_KEY", self.api_key, "the secret key (sk_...) of your agent at Configure")

    @property
    def required_publishable_key(self) -> str:
        return _require(
            "CONFIGURE_PUBLISHABLE_KEY", self.publishable_key, "the key (pk_...) that a page of yours may show"
        )

    @property
    def required_agent(self) -> str:
        return _require("CONFIGURE_AGENT", self.agent, "the handle of your agent at Configure")

    @property
    def required_oauth_client_id(self) -> str:
        return _require("CONFIGURE_OAUTH_CLIENT_ID", self.oauth_client_id, "the OAuth client (oc_...) of your agent")

    @property
    def required_oauth_client_secret(self) -> Secret:
        return _require(
            "CONFIGURE_OAUTH_CLIENT_SECRET", self.oauth_client_secret, "the OAuth client's secret (ocs_...)"
        )

    @property
    def required_token_keys(self) -> tuple[Secret, ...]:
        return _require(
            "CONFIGURE_TOKEN_KEYS",
            self.token_keys or None,
            'what seals the stored tokens; make a key with: python -c "import secrets; '
            'print(secrets.token_urlsafe(32))"',
        )

    @property
    def is_local(self) -> bool:
        """Whether the app itself runs on loopback, as far as the settings say."""
        return self.app_url is None or is_loopback(urlsplit(self.app_url).hostname)


def _require(variable: str, value: T | None, meaning: str) -> T:
    if value is None:
        raise SettingsError(f"{variable} is not set: it is {meaning}")
    return value


def _check_prefix(variable: str, value: str | Secret | None, *prefixes: str) -> None:
    if value is None:
        return
    plain = value.reveal() if isinstance(value, Secret) else value
    if not plain.startswith(prefixes) or not _VISIBLE.fullmatch(plain):
        raise SettingsError(f"{variable} must be a key that begins with {prefixes[0]} and has no space in it")
