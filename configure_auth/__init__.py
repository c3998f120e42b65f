"""Continue with Configure, for Python web apps that already exist. Importing this needs no web framework."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from .access_log import AccessLogFilter
    from .bearer.user import BearerUser
    from .client.client import AsyncConfigure, AsyncProfile, Configure, Profile
    from .client.profile import ProfileResponse
    from .errors import (
        AgentNoOwner,
        AgentOwned,
        ApiCode,
        BearerError,
        ConfigureAuthError,
        ConfigureError,
        LoginRefused,
        NotConfigured,
        SettingsError,
        SignInError,
        StoreError,
    )
    from .flows.registration import Registration, ensure_callback
    from .message_agent import AsyncMessageAgent, MessageAgent
    from .settings import Settings
    from .values import ClaimedAgent, Identity, LinkedAccount, MessageIdentity, Secret, SignUpNeeded, TokenGrant

__all__ = [
    "AccessLogFilter",
    "AgentNoOwner",
    "AgentOwned",
    "ApiCode",
    "AsyncConfigure",
    "AsyncMessageAgent",
    "AsyncProfile",
    "BearerError",
    "BearerUser",
    "ClaimedAgent",
    "Configure",
    "ConfigureAuthError",
    "ConfigureError",
    "Identity",
    "LinkedAccount",
    "LoginRefused",
    "MessageAgent",
    "MessageIdentity",
    "NotConfigured",
    "Profile",
    "ProfileResponse",
    "Registration",
    "Secret",
    "Settings",
    "SettingsError",
    "SignInError",
    "SignUpNeeded",
    "StoreError",
    "TokenGrant",
    "ensure_callback",
]

if not TYPE_CHECKING:
    # On first use: pytest loads `configure_auth.testing` in every run, and an HTTP client takes its time to import.
    _HOMES = (".errors", ".values", ".settings", ".access_log", ".client.profile", ".client.client", ".bearer.user")
    _HOMES += (".flows.registration", ".message_agent")
    """The modules of these names, those first that others import."""

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version(__name__)
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        homes = (import_module(home, __name__) for home in _HOMES)
        value = globals()[name] = next(getattr(home, name) for home in homes if hasattr(home, name))
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
