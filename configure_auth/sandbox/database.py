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


@dataclass(slots=True)
class People:
    """People by phone and by id."""

    _by_id: dict[str, Person] = field(default_factory=dict)
    _by_phone: dict[str, Person] = field(default_factory=dict)

    def put(self, person: Person) -> Person:
        self._by_id[person.user_id] = person
        self._by_phone[person.phone] = person
        return person

    def with_phone(self, phone: str) -> Person | None:
        return self._by_phone.get(phone)

    def get(self, user_id: str) -> Person | None:
        return self._by_id.get(user_id)

    def sign_up(self, phone: str) -> Person:
        """Return the person with this phone; add them if there is none."""
        return self._by_phone.get(phone) or self.put(Person(phone=phone))

    def all(self) -> tuple[Person, ...]:
        return tuple(self._by_id.values())


@dataclass(slots=True)
class RegisteredClient:
    """An agent's OAuth client. It may ask for `scopes`."""

    credentials: Credentials
    name: str
    redirect_uris: list[str] = field(default_factory=list)
    scopes: tuple[str, ...] = SCOPES


@dataclass(slots=True)
class Agent:
    """A developer's agent: its keys, OAuth client, return destinations and message lines."""

    credentials: Credentials
    client: RegisteredClient
    return_destinations: dict[str, float] = field(default_factory=dict)
    message_lines: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    @property
    def handle(self) -> str:
        return self.credentials.agent


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
        credentials = Credentials.of(handle, test_mode=test_mode)
        name = handle.replace("-", " ").title()
        self.agents[handle] = Agent(credentials, RegisteredClient(credentials, name))
        return self.agents[handle]

    def rotate(self, agent: Agent, credentials: Credentials) -> None:
        """Replace an agent's credentials; the old ones are unknown from now on."""
        agent.credentials = agent.client.credentials = credentials

    def client(self, client_id: str) -> RegisteredClient | None:
        clients = (agent.client for agent in self.agents.values() if agent.credentials.client_id)
        return next((c for c in clients if c.credentials.client_id == client_id), None)

    def agent_with_key(self, api_key: str) -> Agent | None:
        return next((a for a in self.agents.values() if a.credentials.api_key == api_key), None)

    def connect(self, agent: str, external_id: str, user_id: str) -> None:
        """Merge the profile of a server-side user into that of a person: one way, once."""
        linked = ProfileOwner(agent, user_id, None)
        self.profiles.merge(ProfileOwner(agent, None, external_id), linked)
        self.connected_ids[agent, external_id] = user_id

    def subject(self, user_id: str) -> str:
        """Return OAuth's `sub` of a person."""
        return f"sub_{user_id}" if self.variants.sub_differs else user_id
