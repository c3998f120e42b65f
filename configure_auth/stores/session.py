"""States in the app's own session, for an OAuth provider without a store: as Authlib does, and as little safe.

A session cookie can be put back by whoever kept a copy, so a state here is not single-use. What is in it is sealed.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from dataclasses import asdict, replace
from typing import Any

from ..errors import SettingsError
from ..values import PendingSignIn
from . import OUTCOME_TTL, Stores
from .sealing import Sealer

_LIMIT = 3  # a cookie holds 4 KiB, and the app wants most of it


class SessionStates:
    """What a provider uses of a `StateStore`, with the attempts under one key of the request's session."""

    def __init__(self, session: MutableMapping[str, Any], key: str, sealer: Sealer) -> None:
        self._session = session
        self._key = key
        self._sealer = sealer

    def put(self, record: PendingSignIn, *, limit: int, now: float) -> None:
        kept = dict(list(self._open().items())[-(min(limit, _LIMIT) - 1) :])
        plain = {name: value for name, value in asdict(record).items() if value is not None}
        kept[record.state_hash] = self._sealer.seal(json.dumps(plain), "session", record.state_hash)
        # Written whole: Starlette's session notices a change of a top-level key only.
        self._session[self._key] = kept

    def claim(self, state_hash: str, *, now: float, **mine: str) -> PendingSignIn | None:
        record = self.read(state_hash, now=now, **mine)
        if record is None or record.expires_at <= now:
            return None
        self._session[self._key] = {name: value for name, value in self._open().items() if name != state_hash}
        return replace(record, claimed_at=now)

    def read(self, state_hash: str, *, now: float, **mine: str) -> PendingSignIn | None:
        sealed = self._open().get(state_hash)
        if not isinstance(sealed, str):
            return None
        try:
            plain = json.loads(self._sealer.open(sealed, "session", state_hash))
        except SettingsError:
            return None  # of another client secret; the person starts again
        record = PendingSignIn(**({"user_id": None, "next": None, "verifier": None, "version": None} | plain))
        is_mine = all(getattr(record, name) == value for name, value in mine.items())
        return record if is_mine and record.expires_at + OUTCOME_TTL > now else None

    def finish(self, *_given: object, **_named: object) -> None:
        """Nothing: of a user, and of what has ended, nothing is kept. A token doesn't belong into a cookie."""

    forget: Any = finish
    forget_replays: Any = finish

    def _open(self) -> dict[str, Any]:
        kept = self._session.get(self._key)
        return kept if isinstance(kept, dict) else {}


def session_stores(session: MutableMapping[str, Any], name: str, sealer: Sealer) -> Stores:
    """For one request: its states in the session, and no accounts."""
    states: Any = SessionStates(session, f"_{name}_sign_ins", sealer)
    return Stores.of_attempts(states)
