"""Continue with Configure, for Python web apps that already exist. Importing this needs no web framework."""

from .api.client import AsyncConfigure, Configure
from .errors import ConfigureAuthError, ConfigureError, LoginRefused, SettingsError, SignInError, StoreError
from .settings import Settings
from .values import Identity, LinkedAccount, Secret, TokenGrant

__all__ = [
    "AsyncConfigure",
    "Configure",
    "ConfigureAuthError",
    "ConfigureError",
    "Identity",
    "LinkedAccount",
    "LoginRefused",
    "Secret",
    "Settings",
    "SettingsError",
    "SignInError",
    "StoreError",
    "TokenGrant",
]
