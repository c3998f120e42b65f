"""A strict local stand-in for Configure, for development and tests."""

from .errors import NotRunning, PortInUse, SandboxError, SignInFailed
from .faults import Hold
from .ledger import Grant, Token
from .sandbox import Sandbox
from .serving import serve
from .values import Call, Completion, Credentials, Person
from .variants import OWN, Variants

__all__ = [
    "OWN",
    "Call",
    "Completion",
    "Credentials",
    "Grant",
    "Hold",
    "NotRunning",
    "Person",
    "PortInUse",
    "Sandbox",
    "SandboxError",
    "SignInFailed",
    "Token",
    "Variants",
    "serve",
]
