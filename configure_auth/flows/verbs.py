"""The public methods of `ConfigureAuth` and `MessageAgent` that every framework shares, each written once as a flow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from ..client.client import AsyncProfile, Profile
from ..client.connect import ConnectResponse
from ..client.profile import Subject
from ..runtime.drivers import arun, run
from ..runtime.verbs import Awaited, Blocking, verb
from ..stores import SenderExport, UserExport
from ..values import Kind, LinkedAccount, MessageIdentity, Secret, UserId
from . import erasure, keyed_ids, tokens, upkeep
from .app import normalize_id, require_id
from .features import Features
from .messages import journeys as messages
from .messages import senders
from .sign_in import link as account_link


class SubjectVerbs(ABC):
    """The verbs of a message agent.

    `sender` is the platform's permanent id of a message's sender. The key that is stored for it is a keyed hash (the
    subject), and the id that Configure gets is another one (the external id).
    """

    @property
    @abstractmethod
    def _features(self) -> Features:
        """The features of the app that a verb is for."""

    @property
    def _ready(self) -> Features:
        """The same, with what every verb needs.

        Raises:
            NotConfigured: a setting is missing.
        """
        features = self._features
        features.require()
        return features

    @verb
    async def start_journey(self, sender: str | int, *, display_name: str | None = None, context: object = None) -> str:
        """Return a sign-in link for one sender, whose sign-in Configure reports to the app.

        It is good once, for `STATE_LIFETIME`. Send it to that sender only.

        Args:
            display_name: the agent's name on Configure's page, for this link alone: such as "Echo for @ada in Acme", so
                that another user who gets the link sees for whom it is.
            context: what `on_linked` gets as its third argument, such as {"channel": "C024"}: at most 1000 characters
                of JSON, stored encrypted.

        Raises:
            SettingsError: CONFIGURE_APP_URL isn't set, or the context can't be carried.
        """
        return await messages.start_journey(self._ready.messages, sender, display_name=display_name, context=context)

    @verb
    async def message_sign_in_url(self) -> str:
        """Return the hosted sign-in link for any sender; nothing is stored, and CONFIGURE_APP_URL isn't needed.

        A user who signs in there is recognized by the phone of a later message, else stays on the external id.
        """
        features = self._ready.messages
        features.unrecognized.clear()
        return features.link()

    @verb
    async def connect(self, sender: str | int) -> ConnectResponse:
        """Have Configure create a sign-in link for one sender; it is in `connect_url`. Send it to that sender only.

        The sign-in belongs to the external id of `message_identity`, so that `client.profile(identity)` is the
        sender's linked profile afterwards; no report is sent to the app.

        Raises:
            ConfigureError: Configure's failure.
        """
        return await senders.connect_sender(self._ready.messages, sender)

    @verb
    async def message_identity(
        self,
        sender: str | int,
        *,
        phone_candidates: Iterable[str | None] | None = (),
        raise_on_error: bool = False,
    ) -> MessageIdentity:
        """Identify the sender of a message; `client.profile(identity)` is their profile, linked or not.

        The rules of what proves a link, for each platform, are in the documentation's page on message agents.

        Args:
            phone_candidates: what the platform says of the sender's own phone; never the agent's line, and never what
                the sender typed. None and blank ones count as not given.
            raise_on_error: raise where Configure fails. Otherwise the identity is `unlinked_because="unavailable"`, and
                every use of its profile is a retryable error.

        Raises:
            SettingsError: a phone candidate isn't a string.
            ConfigureError: only with `raise_on_error`.
        """
        return await senders.message_identity(
            self._ready.messages, sender, phone_candidates=phone_candidates, raise_on_error=raise_on_error
        )

    @verb
    async def identity_before_link(self, sender: str | int) -> MessageIdentity:
        """Return a sender as they are without a link; `client.profile(...)` of it is what the agent kept before one."""
        return await senders.identity_before_link(self._ready.messages, sender)

    @verb
    async def once(self, message_id: str | int) -> bool:
        """Return True for the first of several deliveries of one message, False for the others in 24 hours.

        Of any number of calls at once, in all processes that share the store, one gets True. A message whose handling
        fails afterwards is not delivered as new again.

        Args:
            message_id: the platform's own id of the message.
        """
        return await senders.once(self._ready.messages, message_id)

    @verb
    async def unlink_subject(self, sender: str | int) -> bool:
        """Disconnect a sender who asks for it. Return whether a link existed.

        Until the sender follows a new link, they are unlinked, although Configure would recognize their phone. What the
        agent kept before the link is kept, and used again; `forget_subject` erases that too.
        """
        return await senders.unlink_subject(self._ready.messages, sender)

    @verb
    async def forget_subject(self, sender: str | int) -> bool:
        """Erase a sender: what the agent saved at Configure, then everything here. Return whether a link existed.

        What stays is a keyed hash, with the wish not to be recognized by phone until they follow a new link.

        Raises:
            ConfigureError: Configure could not be asked. The message says what is still to do; nothing was deleted
                here, so that the call can be repeated.
        """
        return await senders.forget_subject(self._ready.messages, sender)

    @verb
    async def export_subject(self, sender: str | int) -> SenderExport | None:
        """Return what is stored of a sender, without the token; None if nothing is. `dataclasses.asdict` makes a
        mapping of it.
        """
        return await senders.export_subject(self._ready.messages, sender)


class UserVerbs(SubjectVerbs):
    """The verbs of an app that need no request."""

    @verb
    async def account_for(self, user_id: UserId | None) -> LinkedAccount | None:
        """Return the user's connection, the link's before the login's; None if there is none."""
        if not self._features.site.settings.has_credentials:
            return None
        return await tokens.account(self._ready.site, normalize_id(user_id))

    @verb
    async def access_token_for(self, user_id: UserId | None, kind: Kind | None = None) -> Secret:
        """Return a valid token of the user, refreshed if necessary.

        Raises:
            ConfigureError: AUTH_REQUIRED if the user is not connected or must reconnect.
        """
        return await tokens.access_token(self._ready.site, normalize_id(user_id), self._ready.resource, kind)

    @verb
    async def unlink_for(self, user_id: UserId) -> tuple[LinkedAccount, ...]:
        """Delete the user's connections and return them."""
        return await account_link.unlink(self._ready.site, require_id(user_id))

    @verb
    async def external_id_for(self, user_id: UserId) -> str:
        """Return the user's id at Configure, for `client.profile(external_id=)`: a keyed hash that never changes."""
        return await keyed_ids.external_id(self._ready.site, require_id(user_id))

    @verb
    async def forget_user(self, user_id: UserId) -> bool:
        """Erase a user: what the agent saved at Configure, then everything here. Return whether it was connected.

        Call it where the app deletes a user.

        Raises:
            ConfigureError: Configure could not be asked. The message says what is still to do; nothing was deleted
                here, so that the call can be repeated.
        """
        features, known = self._ready, require_id(user_id)
        await erasure.erase_user(features.site, known, features.resource)
        return await tokens.forget_user(features.site, known)

    @verb
    async def export_user(self, user_id: UserId) -> UserExport:
        """Return everything stored of a user, without what is sealed: connections, claimed agents, recent sign-ins.

        `external_id` isn't stored, and `dataclasses.asdict` makes a mapping of it.
        """
        return await tokens.export_user(self._ready.site, require_id(user_id))

    @verb
    async def register_agent(self, agent_id: str | int) -> Secret:
        """Return a claim token for an unclaimed agent, valid for 7 days and one user.

        Raises:
            AgentOwned: the agent has been claimed.
        """
        return await self._ready.claims.register(agent_id)

    @verb
    async def agents_owned_by(self, user_id: UserId | None) -> tuple[str, ...]:
        """Return the agents that a user has claimed."""
        return await self._ready.claims.owned_by(normalize_id(user_id))

    @verb
    async def agent_owner(self, agent_id: str | int) -> str:
        """Return the user who has claimed an agent.

        Raises:
            AgentNoOwner: the agent has not been claimed.
        """
        return await self._ready.claims.owner(agent_id)

    @verb
    async def health(self) -> upkeep.Health:
        """Look at the store and at Configure's circuit, for the app's `/healthz`; nothing is sent to Configure."""
        return await upkeep.health()

    @verb
    async def purge(self) -> int:
        """Delete expired sign-ins and journeys and return their number. Each start deletes some too."""
        return await upkeep.purge(self._ready.site.clock)

    @verb
    async def reseal(self) -> upkeep.Resealed:
        """Seal everything stored with the first of CONFIGURE_TOKEN_KEYS, so that the others can be removed."""
        return await upkeep.reseal(self._ready.site)


class BlockingVerbs(UserVerbs, Blocking):
    """The verbs of an app or a bot that block."""

    def profile_for(self, user_id: UserId | None, kind: Kind | None = None) -> Profile:
        """Return a client for the profile of a user by id; errors as for `access_token_for`."""
        features, perform, known = self._features, self._performer(), normalize_id(user_id)
        opened = run(tokens.open_token(features.site, known, features.resource, kind), perform)

        def send(call: Any, /) -> Any:
            return run(tokens.call_with_token(features.site, known, features.resource, kind, call), perform)

        return Profile(send, features.site.settings, Subject(token=opened.token))


class AwaitedVerbs(UserVerbs, Awaited):
    """The verbs of an app or a bot that are awaited."""

    async def profile_for(self, user_id: UserId | None, kind: Kind | None = None) -> AsyncProfile:
        """Return a client for the profile of a user by id; errors as for `access_token_for`."""
        features, perform, known = self._features, self._performer(), normalize_id(user_id)
        opened = await arun(tokens.open_token(features.site, known, features.resource, kind), perform)

        async def send(call: Any, /) -> Any:
            return await arun(tokens.call_with_token(features.site, known, features.resource, kind, call), perform)

        return AsyncProfile(send, features.site.settings, Subject(token=opened.token))
