"""What the web app and the terminals have in common: credentials, keys, store, and the agent's name."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from configure_auth import Settings

__all__ = ["INSTANCE", "NAME", "open_settings"]

INSTANCE = Path(__file__).parent / "instance"  # the databases and the key, kept between runs

NAME = "Echo"


def open_settings(config: Mapping[str, str] | None = None, folder: Path = INSTANCE) -> Settings:
    config = {**demo_settings(folder), **os.environ, **(config or {})}
    keys = config.get("CONFIGURE_TOKEN_KEYS") or kept_key(folder, "token_key")
    store = config.get("CONFIGURE_STORE") or f"sqlite:///{folder.resolve() / 'configure.db'}"
    return Settings.from_mapping({**config, "CONFIGURE_TOKEN_KEYS": keys, "CONFIGURE_STORE": store})


def demo_settings(folder: Path) -> dict[str, str]:
    """What `make demo` leaves for the terminals."""
    path = folder / "demo.env"
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def kept_key(folder: Path, name: str) -> str:
    """A key that is made once and kept beside the database."""
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()
