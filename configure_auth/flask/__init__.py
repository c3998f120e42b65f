"""Configure in a Flask app: the account-link and login blueprints, the button, and the Authlib provider."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import flask as _flask  # noqa: F401
except ImportError as _error:  # the one place that says what to install
    raise ImportError("configure_auth.flask needs Flask: pip install 'configure_auth[flask]'") from _error

from .extension import ConfigureAuth

if TYPE_CHECKING:
    from .bearer import BearerUser
    from .provider import oauth_client, register_oauth
else:
    # On first use: Authlib's OpenID Connect takes its time to import.
    _HOMES = {"BearerUser": "bearer", "oauth_client": "provider", "register_oauth": "provider"}

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)


__all__ = ["BearerUser", "ConfigureAuth", "oauth_client", "register_oauth"]
