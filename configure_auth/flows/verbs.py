"""The public methods of `ConfigureAuth` and `MessageAgent` that every framework shares, each written once as a flow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..client.client import AsyncProfile, Profile
from ..client.profile import Subject
from ..runtime.drivers import arun, run
from ..runtime.verbs import Awaited, Blocking, verb
from ..stores import UserExport
from ..values import Kind, LinkedAccount, Secret, UserId
from . import erasure, keyed_ids, tokens, upkeep
from .app import normalize_id, require_id
from .effects import UseStore
from .messages.senders import SubjectVerbs
from .sign_in import link as account_link


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
        site, known = self._ready.site, require_id(user_id)
        accounts = await UseStore(lambda stores: stores.accounts.find(site.agent, known))
        attempts = await UseStore(lambda stores: stores.states.of_user(site.agent, known))
        return UserExport(
            accounts=tuple(replace(one, token="") for one in accounts),
            agents=await UseStore(lambda stores: stores.agents.owned_by(known, app=site.agent)),
            sign_ins=tuple(replace(one, verifier=None, code=None, outcome=None, replay=None) for one in attempts),
        )

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
