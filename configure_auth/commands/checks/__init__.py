"""`verify`: what of an app's set-up can't work, before a person finds it. Nothing secret is ever told.

settings -> what Configure says of them -> the app around them -> a real sign-in
"""

from .command import verify_app, verify_settings

__all__ = ["verify_app", "verify_settings"]
