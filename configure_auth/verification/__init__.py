"""`verify`: what of an app's set-up can't work, before a person finds it. Nothing secret is ever told.

settings -> what Configure says of them -> the app around them -> a real sign-in
"""

from .check import Check, End, Finding, Result
from .credentials import configuration_of, read_settings
from .program import verify
from .report import exit_code, report_for
from .subject import LINK_PATH, LOGIN_PATH, Subject

__all__ = [
    "LINK_PATH",
    "LOGIN_PATH",
    "Check",
    "End",
    "Finding",
    "Result",
    "Subject",
    "configuration_of",
    "exit_code",
    "read_settings",
    "report_for",
    "verify",
]
