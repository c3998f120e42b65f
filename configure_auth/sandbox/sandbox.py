"""The sandbox as a Python object."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Unpack
from urllib.parse import urlsplit

from msgspec import structs

from . import server
from .activity import ActivityPage
from .database import Database, Urls
from .errors import NotRunning, SeedError
from .faults import FaultOptions, Faults, Hold, check_endpoint, make_fault, read_fault
from .http_browser import HttpBrowser
from .issuer import Grant, Token
from .middleware import RequestLog, SandboxMiddleware
from .phones import read_phone
from .profiles import ProfileOwner
from .routes import application
from .seeds import Seed, read_seed
from .uris import TEST_CLIENT, origin_template, origins_of, read_return_destination, redirect_uri_error
from .values import SCOPES, Call, Completion, Credentials, Origin, Person, PersonFields
from .variants import Variants

ORIGINS: tuple[Origin, ...] = ("api", "accounts", "sign-in")


class Sandbox:
    """A local Configure on three ports.

    Arguments:
        port: the API's port; accounts gets the next, the hosted sign-in the one after. 0 takes three free ones.
        agent: the handle of the one agent that is there from the start.
        clock: returns Unix seconds; `advance()` adds to it.
        calls_kept: how many of the last requests `calls` has; all of them where it's None.
        host: IP address to listen on. Every machine that reaches it can sign in and read what is in the sandbox.
        public_url: URL under which the API is reached, where that isn't `http://127.0.0.1:<port>`. The other two
            origins are on the next two ports; `{port}` stands for each one's port where each has a host of its own.
        browser_url: the same for browsers, where they need another URL than the app.

    Start it once (`with Sandbox() as sandbox:`) and `reset()` between tests. Raises OptionError for URLs that can't be
    used.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        agent: str = "demo-agent",
        clock: Callable[[], float] | None = None,
        calls_kept: int | None = None,
        host: str = server.HOST,
        public_url: str | None = None,
        browser_url: str | None = None,
    ) -> None:
        self._port = port
        self._host = host
        self._public_url = origin_template("--public-url", public_url)
        self._browser_url = origin_template("--browser-url", browser_url) or self._public_url
        self._db = Database(agent, clock or time.time)
        self._log = RequestLog(calls_kept)
        self._faults = Faults(self.now)
        self._servers: server.Servers | None = None

    # Running

    def start(self) -> Sandbox:
        """Serve until `stop()`. Raises PortInUse."""
        if self._servers is not None:
            return self
        sockets = server.bind(self._port, self._host)
        self._faults.begin()
        ports = [sock.getsockname()[1] for sock in sockets]
        api_in_browsers, accounts, sign_in = origins_of(self._browser_url, ports)
        self._db.urls = Urls(origins_of(self._public_url, ports)[0], accounts, sign_in, api_in_browsers)
        origins = [
            SandboxMiddleware(application(self._db, origin), origin, self._log, self._faults, self.now)
            for origin in ORIGINS
        ]
        activity = ActivityPage(origins[0], self._db, self._log, self._faults)
        self._servers = server.Servers(dict(zip(sockets, [activity, *origins[1:]], strict=True)))
        self._servers.start()
        return self

    def stop(self) -> None:
        """Stop the servers; requests that are held or delayed go on first."""
        if self._servers is not None:
            self._faults.end()
            self._servers.stop()
            self._servers = None

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def reset(self) -> None:
        """Remove people, grants, codes, tokens, calls, faults, holds, registered addresses, variants, the offset."""
        self._faults.release_all()
        self._faults.clear()
        self._db.reset()
        self._log.clear()

    # URLs and settings

    @property
    def api_url(self) -> str:
        return self._urls.api

    @property
    def accounts_url(self) -> str:
        return self._urls.accounts

    @property
    def sign_in_url(self) -> str:
        return self._urls.sign_in

    @property
    def script_url(self) -> str:
        """The origin of the hosted script, `/js/configure.js`."""
        return self._urls.sign_in

    @property
    def activity_url(self) -> str:
        """The page that shows what is in the sandbox."""
        return f"{self._urls.api_in_browsers}/"

    @property
    def agent(self) -> str:
        return self._db.primary.handle

    @property
    def credentials(self) -> Credentials:
        return self._db.primary.credentials

    def environment(self, app_url: str = "http://localhost:3000", *, agent: str | None = None) -> dict[str, str]:
        """Return the environment variables of an app that uses this sandbox."""
        with self._db.lock:
            credentials = self._db.agents[agent or self.agent].credentials
        test_client = (TEST_CLIENT,) if urlsplit(app_url).netloc == TEST_CLIENT else ()
        variables = {
            "CONFIGURE_API_KEY": credentials.api_key,
            "CONFIGURE_PUBLISHABLE_KEY": credentials.publishable_key,
            "CONFIGURE_AGENT": credentials.agent,
            "CONFIGURE_OAUTH_CLIENT_ID": credentials.client_id,
            "CONFIGURE_OAUTH_CLIENT_SECRET": credentials.client_secret,
            "CONFIGURE_BASE_URL": self.api_url,
            "CONFIGURE_ACCOUNTS_URL": self.accounts_url,
            "CONFIGURE_SIGN_IN_URL": self.sign_in_url,
            "CONFIGURE_SCRIPT_URL": self.script_url,
            "CONFIGURE_APP_URL": app_url,
            "CONFIGURE_ALLOW_HTTP": ",".join((*self._urls.hosts_to_allow, *test_client)),
        }
        return {name: value for name, value in variables.items() if value}

    # Time

    def now(self) -> float:
        """Return the sandbox's time in Unix seconds."""
        return self._db.now()

    @property
    def clock(self) -> Callable[[], float]:
        """`now`, for the `clock=` of the app under test."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock forward."""
        with self._db.lock:
            self._db.offset += seconds

    # People, agents, what is registered

    def add_person(self, phone: str = "+15550100001", **known: Unpack[PersonFields]) -> Person:
        """Add a person, or change the one with this phone. Raises ValueError for an invalid phone number."""
        with self._db.lock:
            return self._db.people.put(Person(phone=phone, **known))

    def seed(self, seed: Seed | Path | str | Mapping[str, object]) -> None:
        """Take over people, agents, addresses and faults from a .json or .toml file, or from the same as a mapping.

        `reset()` removes them. Raises SeedError; then nothing was taken over.
        """
        if not isinstance(seed, Seed):
            seed = read_seed(seed)
        with self._db.lock:
            for number, fault in enumerate(seed.faults, 1):
                try:
                    check_endpoint(fault, {*self._db.agents, *(agent.handle for agent in seed.agents)})
                except ValueError as error:
                    raise SeedError("the seed", f"faults {number}", str(error)) from None
            for person in seed.people:
                self._db.people.put(person)
                for memory in person.memories:
                    self.remember(person, memory)
            for agent in seed.agents:
                if agent.handle not in self._db.agents:
                    self._db.add_agent(agent.handle)
                self._register(agent.handle, agent.redirect_uris, agent.return_destinations)
            self._register(self.agent, seed.redirect_uris, seed.return_destinations)
            if seed.scopes is not None:
                self.register_scopes(*seed.scopes)
            for fault in seed.faults:
                self._faults.add(fault)

    def _register(self, agent: str, redirect_uris: tuple[str, ...], return_destinations: tuple[str, ...]) -> None:
        for uri in redirect_uris:
            self.register_redirect_uri(uri, agent=agent)
        for uri in return_destinations:
            self.register_return_to(uri, agent=agent)

    @property
    def people(self) -> tuple[Person, ...]:
        with self._db.lock:
            return tuple(self._db.people.values())

    def add_agent(self, handle: str, *, test_mode: bool = False) -> Credentials:
        """Add an agent with keys and an OAuth client of its own; in test mode with `sk_test_` keys and no client."""
        with self._db.lock:
            return self._db.add_agent(handle, test_mode=test_mode).credentials

    def rotate_api_key(self, *, agent: str | None = None) -> Credentials:
        """Replace the secret key of an agent; the old one is unknown at once."""
        return self._rotate(agent, api_key=f"sk_local_{secrets.token_hex(16)}")

    def rotate_client_secret(self, *, agent: str | None = None) -> Credentials:
        """Replace the secret of an agent's OAuth client, as Configure's set-up does each time it runs."""
        return self._rotate(agent, client_secret=f"ocs_local_{secrets.token_hex(16)}")

    def _rotate(self, handle: str | None, **changes: str) -> Credentials:
        with self._db.lock:
            agent = self._db.agents[handle or self.agent]
            agent.credentials = replace(agent.credentials, **changes)
            return agent.credentials

    @property
    def agents(self) -> tuple[str, ...]:
        """The handles of all agents, the first one of `agent=`."""
        with self._db.lock:
            return tuple(self._db.agents)

    def register_redirect_uri(self, uri: str, *, agent: str | None = None) -> None:
        """Register a callback of the OAuth client. Raises ValueError for one that Configure refuses."""
        if fault := redirect_uri_error(uri):
            raise ValueError(fault)
        with self._db.lock:
            uris = self._db.agents[agent or self.agent].redirect_uris
            if uri not in uris:
                uris.append(uri)

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        with self._db.lock:
            return tuple(self._db.primary.redirect_uris)

    def register_return_to(self, uri: str, *, agent: str | None = None) -> None:
        """Allow the hosted sign-in to return there. Raises ValueError for one that Configure refuses."""
        destination = read_return_destination(uri)
        if destination is None:
            raise ValueError(f"{uri!r} can't be a return destination")
        with self._db.lock:
            self._db.agents[agent or self.agent].return_destinations.setdefault(destination, self.now())

    @property
    def return_destinations(self) -> tuple[str, ...]:
        with self._db.lock:
            return tuple(self._db.primary.return_destinations)

    def register_scopes(self, *scopes: str) -> None:
        """Set the scopes that the OAuth client may ask for; all four unless set."""
        with self._db.lock:
            self._db.primary.scopes = scopes

    # Signing in

    def sign_in(
        self,
        url: str,
        phone: str = "+15550100001",
        *,
        cancel: bool = False,
        code: str = "000000",
        **person: Unpack[PersonFields],
    ) -> str:
        """Sign in at an authorization or hosted sign-in URL in a new session, by plain HTTP.

        Returns the redirect to the app without fetching it (or the last page's address when there is none).
        `person`: arguments of `add_person`, such as `name` and `email_verified`, which the person is given first.
        Raises SignInFailed with the text of an error page.
        """
        if person:
            number = read_phone(phone) or phone
            known = next((p for p in self.people if p.phone == number), None) or self.add_person(phone)
            with self._db.lock:
                self._db.people.put(structs.replace(known, **person))
        with HttpBrowser() as browser:
            end = browser.sign_in(url, phone, code=code, cancel=cancel)
        with self._db.lock:
            self._db.completions += browser.completions
        return end

    def issue_agent_token(self, person: Person, *, agent: str | None = None) -> str:
        """Return an agent token as a hosted sign-in does, with its approval, without the pages."""
        handle = agent or self.agent
        with self._db.lock:
            self._db.issuer.grants.append(Grant("agent", person.user_id, handle, SCOPES, (), self.now()))
            return self._db.issuer.issue_agent_token(person.user_id, handle, SCOPES).token

    def issue_return_code(self, person: Person, *, agent: str | None = None) -> str:
        """Return a `cfgsic_` code as a hosted sign-in does, without the pages."""
        with self._db.lock:
            return self._db.issuer.issue_return_code(person.user_id, agent or self.agent)

    def issue_user_token(self, person: Person) -> str:
        """Return the raw token of a one-time password, which is not an agent token."""
        with self._db.lock:
            return self._db.issuer.issue_user_token(person.user_id).token

    @property
    def grants(self) -> tuple[Grant, ...]:
        with self._db.lock:
            return tuple(self._db.issuer.grants)

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Every token issued, including revoked and expired ones."""
        with self._db.lock:
            return tuple(self._db.issuer.tokens.values())

    def token(self, token: str) -> Token | None:
        with self._db.lock:
            return self._db.issuer.tokens.get(token)

    def is_live(self, token: str) -> bool:
        """Whether a token of any kind is neither expired nor revoked."""
        with self._db.lock:
            return self._db.issuer.live(token, "access", "refresh", "agent", "user") is not None

    def revoke_token(self, token: str) -> bool:
        """Revoke one token of any kind; False when it is unknown."""
        with self._db.lock:
            return self._db.issuer.revoke(lambda one: one.token == token)

    def revoke_approval(self, person: Person, *, agent: str | None = None) -> None:
        """Revoke the agent's approval and tokens, as when the person removes it at Configure."""
        with self._db.lock:
            self._db.issuer.revoke_approval(person.user_id, agent or self.agent)

    # Requests and state

    @property
    def calls(self) -> list[Call]:
        """Every request so far, or the last `calls_kept`, in the order of arrival."""
        return self._log.calls()

    def calls_to(self, method: str, path: str, *, origin: Origin | None = None) -> list[Call]:
        return [
            call for call in self.calls if (call.method, call.path) == (method, path) and origin in {None, call.origin}
        ]

    @property
    def completions(self) -> list[Completion]:
        """The completions posted to apps, with their responses; without those that a page in a browser posted."""
        with self._db.lock:
            return list(self._db.completions)

    @property
    def commits_owed(self) -> int:
        """The number of reads that wait for a commit."""
        with self._db.lock:
            return len(self._db.profiles.owed)

    def memories(self, person: Person) -> tuple[str, ...]:
        """Return what is remembered about a person."""
        with self._db.lock:
            return tuple(m.text for m in self._db.profiles.memories.get(f"user:{person.user_id}", []))

    def remember(self, person: Person, fact: str, *, agent: str | None = None) -> None:
        """Remember a fact about a person, as if this agent had saved it."""
        with self._db.lock:
            self._db.profiles.remember(ProfileOwner(agent or self.agent, person.user_id, None), fact)

    @property
    def variants(self) -> Variants:
        """Settings for what is unknown about Configure's API; set their fields."""
        return self._db.variants

    # Faults

    def fault(self, path: str, **options: Unpack[FaultOptions]) -> None:
        """Make an endpoint fail. Of several faults for a request, the oldest that is due is applied.

        Arguments:
            method: any, if None.
            status, body, content_type: the response, instead of the endpoint's own (a status of 400 and more without a
                body gets a structured error). Without a status or a body the endpoint responds, late or slowly.
            headers: added to the response. The structured error repeats a `Retry-After` as its `retry_after`.
            delay: seconds before the response.
            drip: seconds after each single byte of the response's body.
            drop: close the connection without a response.
            cut: close the connection after this many bytes of the response's body.
            handled: let the endpoint do its work first; only its response is lost or replaced.
            times: how often; None until `clear_faults()`.
            after, lasts: seconds of the sandbox's clock, from now until the fault begins and from then until it ends.
            origin: "api" (the default), "accounts" or "sign-in".

        Raises ValueError for values that exclude each other or are out of range.
        """
        self._faults.add(make_fault({"path": path, **options}))

    def script(self, line: str) -> None:
        """Make an endpoint fail, by one line: `POST /oauth/token status=503 times=2`.

        First a method (optional) and a path, then arguments of `fault` as `name=value`, quoted as in a shell; `drop`
        and `handled` stand alone. Raises FaultError, also for a path that the origin doesn't serve.
        """
        self._faults.add(read_fault(line, self.agents))

    def clear_faults(self) -> None:
        self._faults.clear()

    @contextmanager
    def hold(self, path: str, *, method: str | None = None, origin: Origin = "api") -> Iterator[Hold]:
        """Keep requests waiting before the endpoint until `held.release()` or the end of the block.

        `held.arrived.wait(n)` returns when n requests are there.
        """
        held = Hold(origin, path, method)
        self._faults.add_hold(held)
        try:
            yield held
        finally:
            self._faults.remove_hold(held)

    @property
    def _urls(self) -> Urls:
        if self._servers is None:
            raise NotRunning("the sandbox is not running: start() it first")
        return self._db.urls
