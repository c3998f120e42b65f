"""The erasure of a user or sender at Configure, which comes before anything is deleted here."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..client.memories import MemoryCalls
from ..client.profile import Subject
from ..client.profile_session import ProfileSession
from ..errors import ApiCode, ConfigureError, SettingsError
from ..values import Secret
from .effects import UseStore
from .keyed_ids import known_id
from .site import Site
from .tokens import open_token

log: logging.Logger = logging.getLogger(__name__)

_OF_THE_KEY = ("api_key_missing", "api_key_invalid")
UNREACHABLE = "a token that Configure no longer accepts can't be used to erase what the agent saved with it"


async def erase_user(site: Site, user_id: str, resource: str) -> None:
    """`erase` a user of the app. Without an API key nothing was saved, and nothing is done."""
    if site.settings.api_key is None:
        return
    found = await UseStore(lambda stores: stores.accounts.find(site.agent, user_id))
    tokens: list[Secret] = []
    for one in found:
        if one.kind == "agent" or "profile.remember" in one.scopes:
            try:
                tokens.append((await open_token(site, user_id, resource, one.kind)).token)
            except SettingsError as error:  # its key is gone, and must not keep the user from being deleted
                log.warning("%s (%s)", UNREACHABLE, error)
            except ConfigureError as error:
                if error.code != ApiCode.AUTH_REQUIRED:
                    raise
                log.warning("%s", UNREACHABLE)
    external_id = user_id if site.allow_guessable_external_id else await known_id(site, "user", user_id)
    await erase(site, external_id, tokens)


async def erase(site: Site, external_id: str | None, tokens: Sequence[Secret]) -> None:
    """Delete at Configure everything that our agent saved of one of the app's users, and keep it from coming back.

    Args:
        external_id: the id whose profile our agent keeps; None where there never was one.
        tokens: of the linked user; one that Configure no longer accepts reaches nothing, and is skipped.

    Raises:
        ConfigureError: a part could not be erased; the message says which. It can be repeated.
    """
    left: list[str] = []
    failure: ConfigureError | None = None
    if external_id is not None:
        try:
            await _forget_all(site, Subject(external_id=external_id))
        except ConfigureError as error:
            left, failure = ["the profile of the external id"], error
    for token in tokens:
        try:
            await _forget_all(site, Subject(token=token))
        except ConfigureError as error:
            if error.code == ApiCode.AUTH_REQUIRED and error.backend_code not in _OF_THE_KEY:
                log.warning("%s", UNREACHABLE)
            else:
                left, failure = [*left, "what the agent saved in the linked profile"], error
    if failure is not None:
        raise ConfigureError(
            ApiCode(failure.code),
            f"the erasure is not complete ({failure}); still to do: {', '.join(left)}, and everything that is stored "
            "here; call it again",
            status_code=failure.status_code,
            retryable=True,
            retry_after=failure.retry_after,
            request_id=failure.request_id,
        )


async def _forget_all(site: Site, subject: Subject) -> None:
    await MemoryCalls(ProfileSession(site.settings, subject)).forget(scope="all", reason="user_request")
