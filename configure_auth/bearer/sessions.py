"""Whether the session behind a valid token still exists at its issuer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeVar

from ..client.call import HttpCall, HttpResponse
from ..client.transport import AsyncTransport, Transport
from ..client.wire import read_response
from ..errors import BearerError, ConfigureError, SettingsError
from ..values import Secret

T = TypeVar("T")

_TIMEOUT: Final = 5.0
_RETRY_AFTER: Final = 30.0
_BEARER = re.compile(r"bearer +([!-~]+)", re.ASCII | re.IGNORECASE)


class SupabaseSession:
    """Asks Supabase for the user of a token, as `auth.getUser` of its own client does.

    A signature check alone accepts a token of a revoked session until its `exp`. Threads and event loops may share one.

    Args:
        url: the project's `/auth/v1/user`.
        anon_key: the project's public API key, which Supabase requires beside the token.

    Raises:
        SettingsError: there is no such key.
    """

    def __init__(self, url: str, anon_key: Secret | None) -> None:
        if not anon_key:
            raise SettingsError("check_session=True needs anon_key=, the project's public API key (SUPABASE_ANON_KEY)")
        self._url = url
        self._anon_key = anon_key
        self._transport = Transport(_TIMEOUT)
        self._awaited = AsyncTransport(_TIMEOUT)

    def call(self, authorization: Sequence[str]) -> HttpCall[str | None] | None:
        """Return the request for the user of a token; None where there is no bearer token."""
        found = _BEARER.fullmatch(", ".join(authorization))
        if found is None:
            return None
        return HttpCall(
            method="GET",
            url=self._url,
            headers={"Authorization": f"Bearer {found[1]}", "apikey": self._anon_key.reveal()},
            parse=_user_id,
        )

    def send(self, call: HttpCall[T]) -> T:
        """Send the request and return its value."""
        return call.parse(self._transport.send(call))

    async def asend(self, call: HttpCall[T]) -> T:
        """`send`, awaited."""
        return call.parse(await self._awaited.send(call))

    async def refusal(self, call: HttpCall[str | None], user_id: str) -> BearerError | None:
        """Ask for the session; return why its user is refused: it has ended, or Supabase can't be asked now."""
        try:
            found = await call
        except ConfigureError as error:
            return BearerError(f"Supabase can't be asked for the session ({error.code})", retry_after=_RETRY_AFTER)
        return None if found == user_id else BearerError("the bearer token was refused: its session has ended")


def _user_id(response: HttpResponse) -> str | None:
    """The id of the user; None where Supabase says that the session has ended."""
    if response.status in (401, 403, 404):
        return None
    return read_response(response, "the session check").required_text("id")
