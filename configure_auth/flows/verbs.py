"""The public methods of `ConfigureAuth` and `MessageAgent` that every framework shares, each written once as a flow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from ..client.connect import ConnectResponse
from ..runtime.verbs import verb
from ..stores import UserExport
from ..values import Kind, LinkedAccount, MessageIdentity, Secret, UserId
from . import keyed_ids, tokens, upkeep
from .app import normalize_id, require_id
from .features import Features
from .messages import journeys as messages
from .messages import senders
from .sign_in import link as account_link


class SubjectVerbs(ABC):
    """The verbs of a message agent. `subject_key` is the platform's permanent id of a sender."""

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
    async def start_journey(self, subject_key: str | int) -> str:
        """Return a sign-in link for one sender, whose sign-in Configure reports to the app; good for 15 minutes, once.

        Send it to that sender only.

        Raises:
            SettingsError: CONFIGURE_APP_URL isn't set.
        """
        return await messages.start_journey(self._ready.messages, subject_key)

    @verb
    async def message_sign_in_url(self) -> str:
        """Return the hosted sign-in link for any sender; nothing is stored, and CONFIGURE_APP_URL isn't needed.

        A user who signs in there is recognized by the phone of a later message, else stays on the external id.
        """
        return self._ready.messages.link()

    @verb
    async def connect(self, subject_key: str | int) -> ConnectResponse:
        """Have Configure create a sign-in link for one sender; it is in `connect_url`. Send it to that sender only.

        The sign-in belongs to the external id of `message_identity`, so that `client.profile(identity)` is the
        sender's linked profile afterwards; no report is sent to the app.

        Raises:
            ConfigureError: Configure's failure.
        """
        return await senders.connect_sender(self._ready.messages, subject_key)

    @verb
    async def message_identity(
        self,
        subject_key: str | int,
        *,
        phone_candidates: Iterable[str | None] | None = (),
        raise_on_error: bool = False,
    ) -> MessageIdentity:
        """Identify the sender of a message; `client.profile(identity)` is their profile, linked or not.

        Args:
            phone_candidates: what the platform says of the sender's own phone; never the agent's line. None and blank
                ones count as not given.
            raise_on_error: raise where Configure fails, instead of going on as for an unlinked sender.

        Raises:
            ConfigureError: only with `raise_on_error`.
        """
        return await senders.message_identity(
            self._ready.messages, subject_key, phone_candidates=phone_candidates, raise_on_error=raise_on_error
        )

    @verb
    async def unlink_subject(self, subject_key: str | int) -> bool:
        """Disconnect a sender who asks for it. Return whether a link existed.

        Until the sender follows a new link, they are unlinked, although Configure would recognize their phone.
        """
        return await senders.unlink_subject(self._ready.messages, subject_key)

    @verb
    async def forget_subject(self, subject_key: str | int) -> bool:
        """Delete everything stored of a sender, also that they disconnected. Return whether a link existed."""
        return await senders.forget_subject(self._ready.messages, subject_key)

    @verb
    async def export_subject(self, subject_key: str | int) -> LinkedAccount | None:
        """Return what is stored of a sender, without the token.

        None also after a disconnect, of which only a keyed hash and the time are kept.
        """
        return await senders.export_subject(self._ready.messages, subject_key)


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
        """Delete everything stored of a user; call it where the app deletes one. Return if it was connected."""
        return await tokens.forget_user(self._ready.site, require_id(user_id))

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
