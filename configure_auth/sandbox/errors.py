"""Errors of the program that runs a sandbox (those sent over HTTP are in `http_messages`)."""


class SandboxError(Exception):
    """Base class of the sandbox's own errors."""


class PortInUse(SandboxError):
    """One of the three ports is in use, on the given address or on ::1."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} on this machine is already in use; choose another one with --port")
        self.port = port


class OptionError(SandboxError):
    """An option of the sandbox can't be used. Arguments: its name, and what to change."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{option}: {reason}")


class NotRunning(SandboxError):
    """The sandbox was asked for an address before `start()`."""


class SeedError(SandboxError):
    """A seed can't be used.

    Arguments: what the seed is called, the place in it (empty for the whole), and what to change there.
    """

    def __init__(self, source: str, place: str, reason: str) -> None:
        super().__init__(": ".join(filter(None, [source, place, reason])))
        self.place = place


class FaultError(SandboxError):
    """The line of a fault can't be used. Arguments: the line, and what to change in it."""

    def __init__(self, line: str, reason: str) -> None:
        super().__init__(f"the fault {line!r}: {reason}")


class SignInFailed(SandboxError):
    """The sandbox showed an error page, or a page that could not be submitted.

    Arguments: the page's text, and its HTTP status.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.text = text
        self.status = status
