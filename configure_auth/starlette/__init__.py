"""Configure in a Starlette or FastAPI app: the account-link and login routes, the button, and the Authlib provider."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import starlette as _starlette  # noqa: F401
except ImportError as _error:  # the one place that says what to install
    raise ImportError("configure_auth.starlette needs Starlette: pip install 'configure_auth[starlette]'") from _error

from .extension import ConfigureAuth
from .users import authenticated_user, session_user

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


__all__ = ["BearerUser", "ConfigureAuth", "authenticated_user", "oauth_client", "register_oauth", "session_user"]
