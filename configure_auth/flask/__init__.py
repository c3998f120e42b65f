"""Configure in a Flask app: the account-link and login blueprints, the button, and the Authlib provider."""

try:
    import flask as _flask  # noqa: F401
except ImportError as _error:  # the one place that says what to install
    raise ImportError("configure_auth.flask needs Flask: pip install 'configure_auth[flask]'") from _error

from .bearer import BearerUser
from .extension import ConfigureAuth
from .provider import register_oauth

__all__ = ["BearerUser", "ConfigureAuth", "register_oauth"]
