"""Configure in a Starlette or FastAPI app: the account-link and login routes, the button, and the Authlib provider."""

try:
    import starlette as _starlette  # noqa: F401
except ImportError as _error:  # the one place that says what to install
    raise ImportError("configure_auth.starlette needs Starlette: pip install 'configure_auth[starlette]'") from _error

from .bearer import BearerUser
from .extension import ConfigureAuth
from .provider import register_oauth
from .users import authenticated_user, session_user

__all__ = ["BearerUser", "ConfigureAuth", "authenticated_user", "register_oauth", "session_user"]
