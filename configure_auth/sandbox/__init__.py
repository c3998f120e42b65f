"""A strict local stand-in for Configure, for development and tests."""

from .errors import FaultError, NotRunning, OptionError, PortInUse, SandboxError, SeedError, SignInFailed
from .faults import Hold
from .issuer import Grant, Token
from .program import serve
from .sandbox import Sandbox
from .seeds import Seed, SeededAgent, SeededPerson, read_seed
from .values import Call, Completion, Credentials, Person
from .variants import OWN, Variants

__all__ = [
    "OWN",
    "Call",
    "Completion",
    "Credentials",
    "FaultError",
    "Grant",
    "Hold",
    "NotRunning",
    "OptionError",
    "Person",
    "PortInUse",
    "Sandbox",
    "SandboxError",
    "Seed",
    "SeedError",
    "SeededAgent",
    "SeededPerson",
    "SignInFailed",
    "Token",
    "Variants",
    "read_seed",
    "serve",
]
