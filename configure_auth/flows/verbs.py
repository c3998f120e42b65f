"""What an app asks of its `ConfigureAuth` or `MessageAgent`, written once: each verb is a function that makes a flow.

On an owner that blocks a verb gives its value, on one that waits it is awaited.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from ..runtime.described import Described
from ..values import Kind, LinkedAccount, MessageIdentity, Secret
from . import keyed_ids, registration, tokens, upkeep
from .app import known_id, local_id
from .effects import Flow
from .features import Features
from .messages import journeys as messages
from .messages import senders
from .sign_in import link as account_link

__all__ = ["Awaited", "Blocking", "BlockingInEach", "SubjectVerbs", "UserVerbs"]

P = ParamSpec("P")
T = TypeVar("T")
Registrations = tuple[registration.Registration, ...]


class Blocking(ABC):
    """An owner of verbs that give their value."""

    @abstractmethod
    def _performed(self, make: Callable[[Features], Flow[T]]) -> T: ...


class BlockingInEach(Blocking):
    """An owner that may serve several apps."""

    @abstractmethod
    def _performed_in_each(self, make: Callable[[Features], Flow[T]]) -> tuple[T, ...]:
        """The same in each of them, for what is done before there are requests."""


class Awaited(ABC):
    """An owner of verbs that are awaited."""

    @abstractmethod
    async def _performed(self, make: Callable[[Features], Flow[T]]) -> T: ...


class Verb(Described, Generic[P, T]):
    """A function that makes a flow of an app's features, as a method that performs it."""

    def __init__(self, make: Callable[Concatenate[Features, P], Flow[T]]) -> None:
        super().__init__(make)
        self._make = make

    @overload
    def __get__(self, owner: None, cls: type) -> Self: ...
    @overload
    def __get__(self, owner: Blocking, cls: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, owner: Awaited, cls: type) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, owner: Blocking | Awaited | None, cls: type) -> Any:
        if isinstance(owner, Blocking):

            def verb(*args: P.args, **kwargs: P.kwargs) -> T:
                return owner._performed(lambda features: self._make(features, *args, **kwargs))

            return self._describe(verb)
        if isinstance(owner, Awaited):

            async def awaited(*args: P.args, **kwargs: P.kwargs) -> T:
                return await owner._performed(lambda features: self._make(features, *args, **kwargs))

            return self._describe(awaited)
        return self


class BootVerb(Described):
    """A verb for the boot of an app, where no error gets past it; where it blocks, in each app of its owner."""

    def __init__(self, make: Callable[[Features], Flow[Registrations]]) -> None:
        super().__init__(make)
        self._make = make

    @overload
    def __get__(self, owner: None, cls: type) -> Self: ...
    @overload
    def __get__(self, owner: BlockingInEach, cls: type) -> Callable[[], Registrations]: ...
    @overload
    def __get__(self, owner: Awaited, cls: type) -> Callable[[], Coroutine[Any, Any, Registrations]]: ...

    def __get__(self, owner: BlockingInEach | Awaited | None, cls: type) -> Any:
        if isinstance(owner, BlockingInEach):

            def verb() -> Registrations:
                try:
                    return tuple(one for done in owner._performed_in_each(self._make) for one in done)
                except Exception as error:  # noqa: BLE001  # an app boots whatever happens here
                    return registration.given_up(error)

            return self._describe(verb)
        if isinstance(owner, Awaited):

            async def awaited() -> Registrations:
                try:
                    return await owner._performed(self._make)
                except Exception as error:  # noqa: BLE001  # an app boots whatever happens here
                    return registration.given_up(error)

            return self._describe(awaited)
        return self


# Of any user, by id.


def account_for(features: Features, user_id: str | int | None) -> Flow[LinkedAccount | None]:
    """The user's connection, the link's before the login's; None where there is none."""
    return tokens.account(features.site, local_id(user_id))


def access_token_for(features: Features, user_id: str | int | None, kind: Kind | None = None) -> Flow[Secret]:
    """A token of the user that is good now, refreshed if need be.

    Raises:
        ConfigureError: AUTH_REQUIRED where nothing is connected, or it needs to be connected again.
    """
    return tokens.access_token(features.site, local_id(user_id), features.resource, kind)


def unlink_for(features: Features, user_id: str | int) -> Flow[tuple[LinkedAccount, ...]]:
    """Delete the user's connections; what was deleted."""
    return account_link.unlink(features.site, known_id(user_id))


def external_id_for(features: Features, user_id: str | int) -> Flow[str]:
    """The user's id at Configure, for `client.profile(external_id=)`: a keyed hash, the same for ever."""
    return keyed_ids.external_id(features.site, known_id(user_id))


def forget_user(features: Features, user_id: str | int) -> Flow[bool]:
    """Delete all there is of a user; call it where the app deletes one. Whether anything was connected."""
    return tokens.forget_user(features.site, known_id(user_id))


def export_user(features: Features, user_id: str | int) -> Flow[tuple[LinkedAccount, ...]]:
    """All that is kept of a user, but for the tokens."""
    return tokens.export_user(features.site, known_id(user_id))


# Of the senders of messages. `subject_key` is the platform's lasting id of a sender.


def start_journey(features: Features, subject_key: str | int) -> Flow[str]:
    """The link for a sender who wants to connect; good for 15 minutes and once, and for nobody else's eyes."""
    return messages.start_journey(features.messages, subject_key)


def message_identity(
    features: Features,
    subject_key: str | int,
    *,
    phone_candidates: Iterable[str] = (),
    raise_on_error: bool = False,
) -> Flow[MessageIdentity]:
    """Who sent a message; `client.profile(identity)` is their profile, linked or not.

    Args:
        phone_candidates: what the platform says of the sender's own phone; never the agent's line.
        raise_on_error: raise where Configure fails, instead of going on as with somebody who isn't linked.

    Raises:
        ConfigureError: only with `raise_on_error`.
    """
    return senders.message_identity(
        features.messages, subject_key, phone_candidates=phone_candidates, raise_on_error=raise_on_error
    )


def unlink_subject(features: Features, subject_key: str | int) -> Flow[bool]:
    """Disconnect a sender who asks for it; whether a link was there.

    Until they follow a new link they are nobody, although Configure would recognise their phone.
    """
    return senders.unlink_subject(features.messages, subject_key)


def forget_subject(features: Features, subject_key: str | int) -> Flow[bool]:
    """Delete all there is of a sender, that they disconnected too; whether a link was there."""
    return senders.forget_subject(features.messages, subject_key)


def export_subject(features: Features, subject_key: str | int) -> Flow[LinkedAccount | None]:
    """All that is kept of a sender, but for the token."""
    return senders.export_subject(features.messages, subject_key)


# Of the agents that users claim.


def register_agent(features: Features, agent_id: str | int) -> Flow[Secret]:
    """A claim token, good for 7 days and for one user, for an agent that nobody has claimed.

    Raises:
        AgentOwned: somebody has.
    """
    return features.claims.register(agent_id)


def agents_owned_by(features: Features, user_id: str | int | None) -> Flow[tuple[str, ...]]:
    """The agents that a user has claimed."""
    return features.claims.owned_by(local_id(user_id))


def agent_owner(features: Features, agent_id: str | int) -> Flow[str]:
    """The user who has claimed an agent.

    Raises:
        AgentNoOwner: nobody has.
    """
    return features.claims.owner(agent_id)


# For the app as a whole, now and then.


def purge(features: Features) -> Flow[int]:
    """Delete what has ended of sign-ins and journeys; how many it were. Each start deletes some too."""
    return upkeep.purge(features.site.clock)


def reseal(features: Features) -> Flow[upkeep.Resealed]:
    """Seal everything stored with the first of CONFIGURE_TOKEN_KEYS, so that the others can be given up."""
    return upkeep.reseal(features.site)


class SubjectVerbs:
    """The verbs of a message agent."""

    start_journey = Verb(start_journey)
    message_identity = Verb(message_identity)
    unlink_subject = Verb(unlink_subject)
    forget_subject = Verb(forget_subject)
    export_subject = Verb(export_subject)


class UserVerbs(SubjectVerbs):
    """The verbs of an app, beside those for the user of a request."""

    account_for = Verb(account_for)
    access_token_for = Verb(access_token_for)
    unlink_for = Verb(unlink_for)
    external_id_for = Verb(external_id_for)
    forget_user = Verb(forget_user)
    export_user = Verb(export_user)
    register_agent = Verb(register_agent)
    agents_owned_by = Verb(agents_owned_by)
    agent_owner = Verb(agent_owner)
    purge = Verb(purge)
    reseal = Verb(reseal)
    ensure_callback = BootVerb(registration.ensure_callback)
