"""The sandbox as a program of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from .sandbox import Sandbox

OAUTH_CALLBACK = "/auth/configure/callback"
LINK_CALLBACK = "/configure/callback"


def serve(port: int, *, app_url: str, announce: Callable[[str], None], agent: str = "demo-agent") -> None:
    """Serves until SIGINT or SIGTERM, which it takes itself: a shell starts background jobs with SIGINT ignored.

    Arguments: the API's port (the next two are used as well), the app's own URL, whose two callbacks are registered,
    and what to call with the text that says how to use the sandbox. Raises PortInUse. Main thread only.
    """
    app_url = app_url.rstrip("/")
    reader, writer = os.pipe()

    def ask_to_end(number: int, frame: object) -> None:
        os.write(writer, b"\0")

    previous = {number: signal.signal(number, ask_to_end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Sandbox(port, agent=agent) as sandbox:
            sandbox.register_redirect_uri(app_url + OAUTH_CALLBACK)
            sandbox.register_return_to(app_url + LINK_CALLBACK)
            sandbox.variants.completion_sender = "page"  # the likelier reading, and what an app's CORS is tried by
            announce("\n".join(f"{name}={value}" for name, value in sandbox.environment(app_url).items()))
            os.read(reader, 1)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
