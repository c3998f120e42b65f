"""The sandbox as a program of its own, and the .env file that it writes an app's settings into."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from dotenv import dotenv_values, set_key

from .errors import OptionError
from .sandbox import Sandbox
from .server import HOST
from .uris import is_loopback, redirect_uri_error

TOKEN_KEYS: Final = "CONFIGURE_TOKEN_KEYS"
_SECRETS: Final = {"CONFIGURE_API_KEY": ("sk_local_",), "CONFIGURE_OAUTH_CLIENT_SECRET": ("ocs_local_",)}
OAUTH_CALLBACK: Final = "/auth/configure/callback"
LINK_CALLBACK: Final = "/configure/callback"
CALLS_KEPT: Final = 2000
"""How many requests a program remembers, because it may run for weeks. Its page shows fewer."""
PERSON: Final = {"phone": "+15550100001", "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": True}
"""The person in a sandbox without a seed."""


def serve(
    port: int,
    *,
    app_url: str,
    announce: Callable[[str], None],
    agent: str = "demo-agent",
    seed: Path | None = None,
    faults: Sequence[str] = (),
    host: str = HOST,
    public_url: str | None = None,
    browser_url: str | None = None,
    write_env: Path | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. Main thread only.

    Arguments:
        port: the API's port; the next two are used as well.
        app_url: the app's URL, whose two callbacks are registered: localhost and 127.0.0.1 count as one host.
        announce: called with the text that says how to use the sandbox, once it serves.
        seed, faults: what `Sandbox.seed` and `Sandbox.script` read before anything is served.
        host, public_url, browser_url: as for `Sandbox`.
        write_env: a file that gets the app's settings.

    Raises:
        OptionError, SeedError, FaultError: an option can't be used; nothing was served.
        PortInUse: one of the ports is taken.
    """
    app_url = app_url.rstrip("/")
    if reason := redirect_uri_error(app_url):
        raise OptionError("--app-url", f"its callbacks can't be registered: {reason}")
    if write_env is not None:
        _check_env_file(write_env)
    sandbox = Sandbox(
        port, agent=agent, calls_kept=CALLS_KEPT, host=host, public_url=public_url, browser_url=browser_url
    )
    for url in _same_machine(app_url):
        sandbox.register_redirect_uri(url + OAUTH_CALLBACK)
        sandbox.register_return_to(url + LINK_CALLBACK)
    # The likelier of the two readings, and the one that tries out the app's CORS.
    sandbox.variants.completion_sender = "page"
    sandbox.seed({"people": [PERSON]} if seed is None else seed)
    for line in faults:
        sandbox.script(line)
    # A shell starts background jobs with SIGINT ignored, so both signals get handlers of ours.
    reader, writer = os.pipe()

    def end(number: int, frame: object) -> None:
        os.write(writer, b"\0")

    previous = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with sandbox:
            announce(_announcement(sandbox, app_url, write_env, host))
            os.read(reader, 1)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _same_machine(url: str) -> list[str]:
    """Return the URL, and for localhost the same one with 127.0.0.1, or the reverse."""
    parts = urlsplit(url)
    other = {"localhost": "127.0.0.1", "127.0.0.1": "localhost"}.get(parts.hostname or "")
    if parts.scheme != "http" or other is None:
        return [url]
    return [url, parts._replace(netloc=other if parts.port is None else f"{other}:{parts.port}").geturl()]


def _announcement(sandbox: Sandbox, app_url: str, write_env: Path | None, host: str) -> str:
    settings = {**sandbox.environment(app_url), TOKEN_KEYS: secrets.token_urlsafe(32)}
    if write_env is None:
        shown = f"Settings for your app:\n\n{_lines(settings)}\n"
    else:
        _write_env_file(write_env, settings)
        shown = f"The settings for your app are in {write_env}.\n"
    # Of each further agent only the settings that differ.
    for handle in sandbox.agents[1:]:
        other = dict(sorted(sandbox.environment(app_url, agent=handle).items() - settings.items()))
        shown += f"\n# Instead, for {handle}:\n{_lines(other, '# ')}\n"
    people = [person for person in sandbox.people if person.name]
    known = f"{people[0].name} signs in with {people[0].phone}. " if people else ""
    warning = "" if is_loopback(host) else "Other machines may reach it, and its keys are known: no real data.\n"
    return (
        f"A local Configure runs on {sandbox.api_url}. {shown}\n"
        f"{warning}Sandbox activity: {sandbox.activity_url}\n"
        f"{known}Any phone number signs in; the code is 000000. Ctrl-C stops it."
    )


def _lines(settings: dict[str, str], prefix: str = "") -> str:
    return "\n".join(f"{prefix}{name}={value}" for name, value in settings.items())


def _check_env_file(path: Path) -> None:
    """Raise OptionError where the file can't be written, or has a key in it that would be lost."""
    try:
        # Readable by its owner only, as a file with keys has to be.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        values = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError("--write-env", f"{path} can't be read and written: {error}") from None
    for name, prefixes in _SECRETS.items():
        if (value := values.get(name)) and not value.startswith(prefixes):
            raise OptionError(
                "--write-env",
                f"{path} has a {name} that is not a sandbox's and would be lost: name another file, or remove it",
            )


def _write_env_file(path: Path, settings: Mapping[str, str]) -> None:
    """Set these variables in the file. Other lines stay as they are, and so does CONFIGURE_TOKEN_KEYS: tokens in the
    app's store are encrypted with it."""
    values = dotenv_values(path, interpolate=False)
    for name, value in settings.items():
        if values.get(name) != value and not (name == TOKEN_KEYS and values.get(name)):
            set_key(path, name, value, quote_mode="never")
