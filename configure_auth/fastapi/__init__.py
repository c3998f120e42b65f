"""Configure in a FastAPI app."""

try:
    import fastapi as _fastapi  # noqa: F401
except ImportError as _error:  # the one place that says what to install
    raise ImportError(
        "configure_auth.fastapi needs FastAPI: pip install 'configure_auth[starlette]' fastapi"
    ) from _error

from .bearer import BearerUser

__all__ = ["BearerUser"]
