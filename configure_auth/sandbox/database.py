"""The state of one sandbox, in memory, under one lock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .interactions import Interaction
from .issuer import TokenIssuer
from .profiles import ProfileOwner, Profiles
from .uris import is_loopback
from .values import SCOPES, Completion, Credentials, Person
from .variants import Variants


class People(dict[str, Person]):
    """People by their ids."""

    def put(self, person: Person) -> Person:
        self[person.user_id] = person
        return person

    def with_phone(self, phone: str) -> Person | None:
        return next((person for person in reversed(self.values()) if person.phone == phone), None)

    def sign_up(self, phone: str) -> Person:
        """Return the person with this phone; add them if there is none."""
        return self.with_phone(phone) or self.put(Person(phone=phone))


@dataclass(slots=True)
class Agent:
    """A developer's agent. `redirect_uris`, and the `scopes` to choose from, are those of its OAuth client."""

    credentials: Credentials
    redirect_uris: list[str] = field(default_factory=list)
    scopes: tuple[str, ...] = SCOPES
    return_destinations: dict[str, float] = field(default_factory=dict)
    message_lines: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    @property
    def handle(self) -> str:
        return self.credentials.agent

    @property
    def name(self) -> str:
        return self.handle.replace("-", " ").title()


@dataclass(frozen=True, slots=True)
class MintedLink:
    """A sign-in link of `message-url` in its minted mode, or of `connect`.

    A link of `connect` has the id of a server-side user in `external_id`, or an address to return to afterwards.
    """

    agent: str
    query: tuple[tuple[str, str], ...]
    reason: str
    expires_at: float
    external_id: str | None = None
    return_url: str | None = None


@dataclass(frozen=True, slots=True)
class Urls:
    """The origins as apps know them, and the API's origin as browsers reach it."""

    api: str
    accounts: str
    sign_in: str
    api_in_browsers: str

    @property
    def hosts_to_allow(self) -> list[str]:
        """The hosts that an app must allow http for (CONFIGURE_ALLOW_HTTP)."""
        urls = [urlsplit(url) for url in (self.api, self.accounts, self.sign_in)]
        return sorted({url.hostname or "" for url in urls if url.scheme == "http" and not is_loopback(url.hostname)})


class Database:
    """The state of the three origins.

    An endpoint runs as one step under `lock`, so that concurrent requests are serialized, as by a database.
    """

    def __init__(self, agent: str, clock: Callable[[], float]) -> None:
        self.lock: AbstractContextManager[object] = threading.RLock()
        self.urls: Urls = Urls("", "", "", "")
        self._primary = agent
        self._clock = clock
        self._forget()

    def reset(self) -> None:
        with self.lock:
            self._forget()

    def _forget(self) -> None:
        self.offset: float = 0.0
        self.variants: Variants = Variants()
        self.people: People = People()
        self.issuer: TokenIssuer = TokenIssuer(self.now)
        self.profiles: Profiles = Profiles(self.now)
        self.interactions: dict[str, Interaction] = {}
        self.browsers: dict[str, str] = {}
        """User ids by the cookie of the signed-in browser."""
        self.minted: dict[str, MintedLink] = {}
        self.minted_for: dict[tuple[str, str], str] = {}
        self.connected_ids: dict[tuple[str, str], str] = {}
        """The user id of each (agent, external id) that was connected through a link of `connect`."""
        self.outbox: list[Completion] = []
        self.completions: list[Completion] = []
        self.agents: dict[str, Agent] = {}
        self.add_agent(self._primary)

    def now(self) -> float:
        return self._clock() + self.offset

    @property
    def primary(self) -> Agent:
        return self.agents[self._primary]

    def add_agent(self, handle: str, *, test_mode: bool = False) -> Agent:
        self.agents[handle] = Agent(Credentials.of(handle, test_mode=test_mode))
        return self.agents[handle]

    def agent_of_client(self, client_id: str) -> Agent | None:
        return next((a for a in self.agents.values() if client_id and a.credentials.client_id == client_id), None)

    def connect(self, agent: str, external_id: str, user_id: str) -> None:
        """Merge the profile of a server-side user into that of a person: one way, once."""
        linked = ProfileOwner(agent, user_id, None)
        self.profiles.merge(ProfileOwner(agent, None, external_id), linked)
        self.connected_ids[agent, external_id] = user_id

    def subject(self, user_id: str) -> str:
        """Return OAuth's `sub` of a person."""
        return f"sub_{user_id}" if self.variants.sub_differs else user_id
