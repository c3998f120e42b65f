"""Configure in a FastAPI app: routers for account link and login, dependencies, and an exception handler."""

try:
    import fastapi as _fastapi  # noqa: F401
except ImportError as _error:  # the one place that says what to install
    raise ImportError("configure_auth.fastapi needs FastAPI: pip install 'configure_auth[fastapi]'") from _error

from .bearer import BearerUser
from .errors import configure_error_handler
from .extension import ConfigureAuth

__all__ = ["BearerUser", "ConfigureAuth", "configure_error_handler"]
