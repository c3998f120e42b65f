"""Configure in a Flask app: the account-link and login blueprints, the button, and the Authlib provider."""

from typing import TYPE_CHECKING, Any

try:
    import flask as _flask  # noqa: F401
except ImportError as _error:  # the one place that says what to install
    raise ImportError("configure_auth.flask needs Flask: pip install 'configure_auth[flask]'") from _error

from .bearer import BearerUser
from .extension import ConfigureAuth

if TYPE_CHECKING:
    from .provider import oauth_client, register_oauth
else:
    # On first use: Authlib's OpenID Connect takes its time to import.
    def __getattr__(name: str) -> Any:
        if name not in ("oauth_client", "register_oauth"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import provider

        return getattr(provider, name)


__all__ = ["BearerUser", "ConfigureAuth", "oauth_client", "register_oauth"]
