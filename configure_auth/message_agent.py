"""A message agent in its own process: a bot that shares its store with the app that has the web routes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, Unpack

from . import flows
from .client.client import AsyncConfigure, Configure
from .events import Event
from .flows import AppOptions, AsyncPerformer, Features, Messages, Performer
from .flows.verbs import AwaitedVerbs, BlockingVerbs, UserVerbs
from .options import SenderOptions, feature_builder
from .settings import Settings
from .stores import Stores
from .stores.opening import StoreSource

log: logging.Logger = logging.getLogger(__name__)


class _Agent(UserVerbs):
    """Base of both agents: settings, store and options."""

    _awaited: bool
    _client: Any
    _performs: Any

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: StoreSource | None = None,
        on_event: Callable[[Event], object] | None = None,
        allow_guessable_external_id: bool = False,
        clock: flows.Clock | None = None,
        **options: Unpack[SenderOptions],
    ) -> None:
        settings = settings or Settings.from_env()
        site = AppOptions(
            user_id=_nothing,
            clock=clock,
            session=False,
            allow_guessable_external_id=allow_guessable_external_id,
        ).site(settings)
        messages = feature_builder(Messages, type(self).__name__, SenderOptions, options)(site=site)
        self._registered = Features(site, {"messages": messages})
        self._stores: Stores = site.open_stores(store, None, Path.cwd(), awaited=self._awaited)
        if store is None and settings.store is None:
            log.warning(
                "%s keeps its links in %s, because neither store= nor CONFIGURE_STORE is set; give it the store of the "
                "app with the messages() route",
                type(self).__name__,
                self._stores.path,
            )
        emit = on_event or _nothing
        self.client: Any = self._client(settings, on_event=emit)
        self._perform = self._performs(self.client, self._stores, None, emit)

    @property
    def _features(self) -> Features:
        return self._registered

    def _performer(self) -> Any:
        return self._perform


class MessageAgent(_Agent, BlockingVerbs):
    """The verbs of a message agent without a web framework, for a bot, a script or a worker. Threads may share one.

    It has those of the app's users too: `external_id_for`, `account_for`, `profile_for`, `forget_user` and others.

    The app with the route that Configure's page reports to (`configure_auth.messages()`) has the same settings and the
    same store. Nothing is opened before the first verb.

    Example::

        with MessageAgent(store="sqlite:////srv/bot/configure.db") as agent:
            identity = agent.message_identity("chat:ada")

    Args:
        settings: the credentials; by default read from the environment, now.
        store: as for `ConfigureAuth`; a file's relative path is of the working directory, so give both the same URL.
            Without it, and without CONFIGURE_STORE, it is a file in the working directory, and a warning names it.
        on_event: called with each of `configure_auth.events`.
        allow_guessable_external_id: as the app has it.
        clock: Unix seconds, for tests.
        options: `configure_auth.options.SenderOptions`; `path` must be the one of the app's `messages()`.

    Raises:
        SettingsError: something is malformed or contradictory; the message names it. What is missing is said by the
            first verb.
    """

    _awaited, _client, _performs = False, Configure, Performer

    client: Configure
    """The API client; `client.profile(identity)` is a sender's profile."""

    def close(self) -> None:
        """Close the connections to Configure and to the store. A later verb opens new ones."""
        try:
            self.client.close()
        finally:
            self._stores.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncMessageAgent(_Agent, AwaitedVerbs):
    """`MessageAgent`, awaited. The arguments and errors are the same."""

    _awaited, _client, _performs = True, AsyncConfigure, AsyncPerformer

    client: AsyncConfigure
    """The API client; `client.profile(identity)` is a sender's profile."""

    async def aclose(self) -> None:
        """Close the running loop's connections to Configure and to the store. A later verb opens new ones."""
        try:
            await self.client.aclose()
        finally:
            await self._stores.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _nothing(*_: object) -> None:
    return None
