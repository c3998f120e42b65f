"""The .env file that the sandbox writes an app's settings into."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dotenv import dotenv_values, set_key

from .errors import OptionError

TOKEN_KEYS: Final = "CONFIGURE_TOKEN_KEYS"
_SECRETS: Final = {"CONFIGURE_API_KEY": ("sk_local_",), "CONFIGURE_OAUTH_CLIENT_SECRET": ("ocs_local_",)}


def check_env_file(path: Path) -> None:
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


def write_env_file(path: Path, settings: Mapping[str, str]) -> None:
    """Set these variables in the file. Other lines stay as they are, and so does CONFIGURE_TOKEN_KEYS: tokens in the
    app's store are encrypted with it."""
    values = dotenv_values(path, interpolate=False)
    for name, value in settings.items():
        if values.get(name) != value and not (name == TOKEN_KEYS and values.get(name)):
            set_key(path, name, value, quote_mode="never")
