"""The sandbox as a program of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from .sandbox import Sandbox

OAUTH_CALLBACK = "/auth/configure/callback"
LINK_CALLBACK = "/configure/callback"
CALLS_KEPT = 2000
"""A program may run for weeks. Its page shows fewer."""


def serve(
    port: int,
    *,
    app_url: str,
    announce: Callable[[str], None],
    agent: str = "demo-agent",
    seed: Path | None = None,
    faults: Sequence[str] = (),
) -> None:
    """Serves until SIGINT or SIGTERM, which it takes itself: a shell starts background jobs with SIGINT ignored.

    Arguments: the API's port (the next two are used as well), the app's own URL, whose two callbacks are registered,
    what to call with the text that says how to use the sandbox, and what `Sandbox.seed` and `Sandbox.script` read
    before anything is served. Raises SeedError, FaultError, PortInUse. Main thread only.
    """
    app_url = app_url.rstrip("/")
    sandbox = Sandbox(port, agent=agent, calls_kept=CALLS_KEPT)
    sandbox.register_redirect_uri(app_url + OAUTH_CALLBACK)
    sandbox.register_return_to(app_url + LINK_CALLBACK)
    sandbox.variants.completion_sender = "page"  # the likelier reading, and what an app's CORS is tried by
    if seed is not None:
        sandbox.seed(seed)
    for line in faults:
        sandbox.script(line)
    reader, writer = os.pipe()

    def ask_to_end(number: int, frame: object) -> None:
        os.write(writer, b"\0")

    previous = {number: signal.signal(number, ask_to_end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with sandbox:
            announce(_settings(sandbox, app_url))
            os.read(reader, 1)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _settings(sandbox: Sandbox, app_url: str) -> str:
    """The variables of an app; of each further agent those that differ."""
    own = sandbox.environment(app_url)
    blocks = ["\n".join(f"{name}={value}" for name, value in own.items())]
    for handle in sandbox.agents[1:]:
        other = sandbox.environment(app_url, agent=handle).items() - own.items()
        blocks.append("\n".join([f"# Instead, for {handle}:", *(f"# {name}={value}" for name, value in sorted(other))]))
    return "\n\n".join(blocks)
