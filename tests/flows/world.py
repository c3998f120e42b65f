"""A world for bare flows: a Configure of a few lines, memory stores, an app of one session, and a log of every effect.

No framework, no HTTP and no time pass here: a `Pause` moves the clock.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import anyio
import anyio.lowlevel

from configure_auth import Settings
from configure_auth.client.call import HttpCall, HttpResponse
from configure_auth.events import Event
from configure_auth.flows import (
    CLAIM_ROUTES,
    LINK_ROUTES,
    MESSAGE_ROUTES,
    AccountLink,
    AgentClaims,
    AppOptions,
    AsyncPerformer,
    Features,
    Login,
    Messages,
    Performer,
    Request,
    Response,
    Site,
    arun,
    run,
    serve,
)
from configure_auth.flows.effects import Flow, Limited, Pause, Shielded
from configure_auth.flows.messages.senders import SubjectVerbs
from configure_auth.flows.routing import Feature, Route
from configure_auth.runtime.effects import Effect
from configure_auth.runtime.verbs import Verbs
from configure_auth.stores import Stores
from configure_auth.stores.memory import memory_stores
from configure_auth.values import MessageIdentity, Secret

from ..support.wrapping import wrapped

APP = "http://localhost:3000"


class _Senders(SubjectVerbs, Verbs):
    """Its verbs return their flow."""

    def __init__(self, messages: Messages) -> None:
        self.messages = messages

    @property
    def _features(self) -> Features:
        return Features(self.messages.site, {"messages": self.messages})


def message_identity(messages: Messages, sender: str, **given: Any) -> Flow[MessageIdentity]:
    return _Senders(messages).message_identity(sender, **given)


ROUTES = {route.endpoint: route for route in LINK_ROUTES}
SETTINGS = Settings(
    api_key=Secret("sk_test"),
    publishable_key="pk_test",
    agent="test-agent",
    oauth_client_id="oc_test",
    oauth_client_secret=Secret("ocs_test"),
    app_url=APP,
    token_keys=(Secret("a key of the app to seal its tokens with"),),
)
OTHER_SETTINGS = replace(
    SETTINGS,
    publishable_key="pk_other",
    agent="other-agent",
    oauth_client_id="oc_other",
    app_url="http://localhost:3001",
)
"""Another app of the same company, with the same store and keys."""
AGENTS = {one.publishable_key: one.agent for one in (SETTINGS, OTHER_SETTINGS)}


class Wire:
    """Configure: gives a code to who approves, and takes each once. `phones` are of those who let our agent in.

    `changes` make another response of the good one, by path; they may raise.
    """

    def __init__(self) -> None:
        self.changes: dict[str, Callable[[HttpResponse], HttpResponse]] = {}
        self._codes: dict[str, dict[str, str]] = {}
        self._tokens: dict[str, str] = {}
        self._agents: dict[str, str | None] = {}
        self.phones: dict[str, str] = {}
        self._number = itertools.count(1)
        self.used: list[str] = []
        self.refreshed: list[str] = []
        self.failure: Exception | None = None

    def approve(self, start: str, configure_user_id: str) -> str:
        """The query with which a person comes back who approved."""
        asked = dict(parse_qsl(urlsplit(start).query))
        code = f"code-{next(self._number)}"
        self._codes[code] = asked | {"user": configure_user_id}
        return urlencode({"code": code, "state": asked["state"]})

    def response(self, call: HttpCall[Any]) -> Any:
        path = urlsplit(call.url).path
        body = {
            "/v1/auth/sign-in/exchange": self._exchange,
            "/oauth/token": self._token,
            "/oauth/introspect": self._introspect,
            "/v1/profile": self._profile,
            "/v1/auth/sign-in/validate": self._validate,
            "/v1/auth/sign-in/recognize-phone": self._recognize,
        }[path](call)
        status = 400 if "error" in body else 200
        good = HttpResponse(status=status, headers={"content-type": "application/json"}, content=_json(body))
        return call.parse(self.changes[path](good) if path in self.changes else good)

    def _use(self, code: str) -> dict[str, str] | None:
        if code in self.used:
            self.failure = AssertionError("a code was sent twice")
            raise self.failure
        self.used.append(code)
        return self._codes.get(code)

    def _exchange(self, call: HttpCall[Any]) -> Mapping[str, Any]:
        grant = self._use(json.loads(call.content or b"")["code"])
        if grant is None or "return_to" not in grant:
            return {"error": {"type": "invalid_request_error", "code": "invalid_code", "message": "no such code"}}
        agent = AGENTS[grant["pk"]]
        return {"token": self.issue(grant["user"], agent), "user_id": grant["user"], "agent": agent, "approved": True}

    def _token(self, call: HttpCall[Any]) -> Mapping[str, Any]:
        sent = {name: values[0] for name, values in parse_qs((call.content or b"").decode()).items()}
        if sent["grant_type"] == "refresh_token":
            self.refreshed.append(sent["refresh_token"])
            return self._pair(self._tokens[sent["refresh_token"].removeprefix("r-")])
        grant = self._use(sent["code"])
        if grant is None or grant.get("redirect_uri") != sent["redirect_uri"]:
            return {"error": "invalid_grant"}
        digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
        if grant["code_challenge"] != base64.urlsafe_b64encode(digest).decode().rstrip("="):
            return {"error": "invalid_grant"}
        return self._pair(grant["user"])

    def _pair(self, user: str) -> Mapping[str, Any]:
        token = self.issue(user)
        return {"access_token": token, "refresh_token": f"r-{token}", "token_type": "Bearer", "expires_in": 3600}

    def _introspect(self, call: HttpCall[Any]) -> Mapping[str, Any]:
        return {"active": True, "sub": self._tokens[json.loads(call.content or b"")["token"]]}

    def _profile(self, call: HttpCall[Any]) -> Mapping[str, Any]:
        user = self._tokens[call.headers["Authorization"].removeprefix("Bearer ")]
        return {"user_id": user, "identity": {"name": f"Person {user}"}}

    def _validate(self, call: HttpCall[Any]) -> Mapping[str, Any]:
        token = json.loads(call.content or b"")["token"]
        user, agent = self._tokens.get(token), self._agents.get(token)
        known = {"userId": user, "tokenUse": "agent", "approved": True, "agent": agent}
        return {"valid": False} if user is None else {"valid": True, **known}

    def _recognize(self, call: HttpCall[Any]) -> Mapping[str, Any]:
        phones = json.loads(call.content or b"")["candidates"]
        user = next((self.phones[phone] for phone in phones if phone in self.phones), None)
        if user is None:
            return {"recognized": False, "approved": False}
        return {"recognized": True, "approved": True, "userId": user, "token": self.issue(user)}

    def revoke(self, token: str) -> None:
        del self._tokens[token]

    def issue(self, user: str, agent: str | None = SETTINGS.agent) -> str:
        """A token of any kind."""
        token = f"token-{next(self._number)}"
        self._tokens[token], self._agents[token] = user, agent
        return token

    def user_of(self, token: str) -> str:
        return self._tokens[token]

    @property
    def secrets(self) -> Iterator[str]:
        """Every code and token."""
        return itertools.chain(self._codes, self._tokens)


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode()


@dataclass
class Browser:
    """A cookie, and the app's session: who is signed in."""

    user: str | None = None
    cookie: str | None = None
    renewed: int = 0
    """How often its session was renewed."""


@dataclass
class App:
    """The duties of an adapter, for the browser whose request this is."""

    browser: Browser
    posted: bytes = b""
    remembered: dict[Any, Any] = field(default_factory=dict)

    def body(self, limit: int) -> bytes:
        return self.posted[: limit + 1]

    def call(self, hook: Callable[..., Any], *args: object) -> Any:
        return hook(*args)

    def call_for_response(self, hook: Callable[..., Any], *args: object) -> Any:
        return hook(*args)

    def to_response(self, value: object) -> Any:
        return value

    def path_of(self, endpoint: str) -> str:
        return {"settings": "/settings", "mounted": "/app/page"}[endpoint]

    def memory(self) -> dict[Any, Any]:
        return self.remembered

    def renew_session(self, keep: tuple[str, ...], hook: Callable[..., Any] | None) -> None:
        self.browser.user = None
        self.browser.renewed += 1


class Logged:
    """An object whose method calls are named in a log. `lose` is asked after each whether its response gets lost."""

    def __init__(
        self,
        target: Any,
        log: Callable[[str], None],
        name: str,
        lose: Callable[[str], Exception | None],
        has_one_database: bool = False,
    ) -> None:
        self._target, self._log, self._name, self._lose = target, log, name, lose
        self._has_one_database = has_one_database

    def __getattr__(self, method: str) -> Any:
        if method == "database":
            if not self._has_one_database:
                # As if attempts and accounts had one each, so that the log shows where an attempt is finished.
                raise AttributeError(method)
            return self._target.database
        found = getattr(self._target, method)
        entry = f"{self._name}.{method}"
        self._log(entry)

        def done(*given: Any, **named: Any) -> Any:
            response = found(*given, **named)
            lost = self._lose(entry)
            if lost is not None:
                raise lost
            return response

        return done


@dataclass
class World:
    """Everything around a flow.

    `fails` maps an entry of the log to what is raised in its place; `loses` to what is raised after it was done, for
    one time after the other (None: nothing). `options` are of `ConfigureAuth`.
    """

    settings: Settings = SETTINGS
    wire: Wire = field(default_factory=Wire)
    stores: Stores = field(default_factory=memory_stores)
    has_one_database: bool = False
    """Whether attempts and accounts are in one, as without `states=`."""
    now: float = 1_800_000_000.0
    log: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)
    loses: dict[str, list[Exception | None]] = field(default_factory=dict)
    linked: list[tuple[str, Any]] = field(default_factory=list)
    posted: bytes = b""
    on_login: Callable[[Any, Any], Any] | None = None
    current: Browser = field(default_factory=Browser)
    made: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    link: AccountLink = field(init=False)
    login: Login = field(init=False)
    messages: Messages = field(init=False)
    claims: AgentClaims = field(init=False)
    failure: Exception | None = None
    calls: int = 0
    """How many calls Configure responded to."""
    _meanwhile: dict[str, Callable[[], object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given: dict[str, Any] = {"show_outcome": False, **self.options}
        options = AppOptions(user_id=lambda: self.current.user, clock=lambda: self.now, **given)
        site: Site = options.site(self.settings, self.settings.required_token_keys)
        self.link = AccountLink(site=site, path="/configure", after="/settings")
        self.login = Login(site=site, path="/auth/configure", on_login=self._on_login)
        self.messages = Messages(
            site=site,
            path="/configure/messages",
            on_unproven="accept",
            on_linked=lambda key, account: self.linked.append((key, account)),
        )
        self.claims = AgentClaims(site=site)

    def _on_login(self, identity: Any, grant: Any) -> Any:
        if self.on_login is not None:
            return self.on_login(identity, grant)
        if identity.local_user_id is None:
            self.made += 1
        self.current.user = identity.local_user_id or f"new-{self.made}"
        return self.current.user

    # Performing effects

    def _note(self, entry: str) -> None:
        self.log.append(entry)
        if entry in self.fails:
            raise self.fails[entry]

    @cached_property
    def _stores(self) -> Stores:
        one = self.has_one_database
        return wrapped(self.stores, lambda store, name: Logged(store, self._note, name, self._lost, one))

    @property
    def _app(self) -> Logged:
        return Logged(App(self.current, self.posted), self._note, "app", self._lost)

    def _lost(self, entry: str) -> Exception | None:
        waiting = self.loses.get(entry)
        return waiting.pop(0) if waiting else None

    def perform(self, effect: Effect[Any]) -> Any:
        """As the package does it, but for what it would wait for."""
        if isinstance(effect, Pause):
            return self.wait(effect)
        if isinstance(effect, Limited):
            return run(effect.flow, self.perform)
        client: Any = _Client(self)
        with self.shielded(effect):
            return Performer(client, self._stores, self._app, self._hear)(effect)

    def wait(self, effect: Pause) -> None:
        self.log.append("pause")
        self.now += effect.seconds

    @contextmanager
    def shielded(self, effect: Effect[Any]) -> Iterator[None]:
        if isinstance(effect, Shielded):
            self.log.append("shielded begins")
        yield
        if isinstance(effect, Shielded):
            self.log.append("shielded ends")

    def send(self, call: HttpCall[Any]) -> Any:
        entry = f"{call.method} {urlsplit(call.url).path}"
        self._note(entry)
        self.calls += 1
        response = self.wire.response(call)
        if entry in self._meanwhile:
            current = self.current
            try:
                self._meanwhile.pop(entry)()
            except Exception as error:
                self.failure = error
                raise
            self.current = current
        return response

    def meanwhile(self, entry: str, action: Callable[[], object]) -> None:
        """Let something happen once, while Configure responds to this call."""
        self._meanwhile[entry] = action

    def drop_meanwhile(self) -> None:
        self._meanwhile.clear()

    def raise_failure(self) -> None:
        """Raise what a test found wrong within a flow, which makes a page of it."""
        for failure in (self.failure, self.wire.failure):
            if failure is not None:
                raise failure

    def _hear(self, event: Event) -> None:
        self._note(f"tell {type(event).__name__}")
        self.events.append(event)

    @property
    def sent(self) -> list[str]:
        """What went to Configure."""
        return [entry for entry in self.log if entry.startswith(("GET ", "POST "))]

    @property
    def rows(self) -> dict[str, list[Any]]:
        """Every row of the stores, by table."""
        states: Any = self.stores.states

        async def read(run: Any) -> dict[str, list[Any]]:
            tables = await run("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'configure_%'")
            return {name: await run(f"SELECT * FROM {name}") for (name,) in tables}

        rows: dict[str, list[Any]] = states.database.perform(read, "read")
        return rows

    # Requests

    def feature(self, intent: str) -> Feature:
        return self.link if intent == "link" else self.login

    def build_request(self, intent: str, route: str, query: str, browser: Browser, **headers: str) -> Request:
        sent = {"sec-fetch-site": "cross-site" if route == "callback" else "same-origin", "accept": "text/html"}
        if browser.cookie is not None:
            sent["cookie"] = browser.cookie
        return Request(
            method="POST" if route in ("disconnect", "finish", "session") else "GET",
            host=urlsplit(self.settings.app_url or "").netloc,
            path=f"{self.feature(intent).path}{ROUTES[route].rule}",
            query=query,
            headers=sent | headers,
        )

    def flow(self, intent: str, route: str, query: str, browser: Browser, **headers: str) -> Flow[Response]:
        self.current = browser
        request = self.build_request(intent, route, query, browser, **headers)
        return serve(self.feature(intent), ROUTES[route], request)

    def request(self, intent: str, route: str, query: str, browser: Browser, **headers: str) -> Response:
        response = run(self.flow(intent, route, query, browser, **headers), self.perform)
        if response.cookie is not None:
            browser.cookie = f"{response.cookie.name}={response.cookie.value}"
        return response

    def start(self, intent: str, browser: Browser) -> str:
        """Where at Configure a start leads."""
        response = self.request(intent, "sign_in", "", browser)
        assert response.location is not None, response
        return response.location

    def complete(self, body: bytes, **headers: str) -> Response:
        """Post the end of a journey."""
        return self.post(self.messages, MESSAGE_ROUTES[0], body, **headers)

    def claim(self, body: bytes, browser: Browser) -> Response:
        self.current = browser
        return self.post(self.claims, CLAIM_ROUTES[0], body, **{"sec-fetch-site": "same-origin"})

    def post(self, feature: Feature, route: Route, body: bytes, **headers: str) -> Response:
        """Post JSON, by the current browser."""
        self.posted = body
        sent = {"content-type": "application/json", "content-length": str(len(body))} | headers
        path, host = f"{feature.path}{route.rule}", urlsplit(self.settings.app_url or "").netloc
        request = Request(method="POST", host=host, path=path, query="", headers=sent)
        return run(serve(feature, route, request), self.perform)

    def came_back(self, intent: str, browser: Browser, configure_user_id: str = "usr_1") -> str:
        """The query of a callback after a start; what led to it is not in the log."""
        query = self.wire.approve(self.start(intent, browser), configure_user_id)
        self.log.clear()
        self.events.clear()
        return query


@dataclass
class _Client:
    world: World

    def send(self, call: HttpCall[Any]) -> Any:
        return self.world.send(call)

    def send_both(self, first: HttpCall[Any], second: HttpCall[Any]) -> Any:
        self.world.log.append("both")
        return self.send(first), self.send(second)

    def open_ahead(self, count: int) -> None:
        assert count in (1, 2)


@dataclass
class _AwaitedClient:
    """Every call is a chance to be cancelled."""

    world: World

    async def send(self, call: HttpCall[Any]) -> Any:
        response = self.world.send(call)
        await anyio.lowlevel.checkpoint()
        return response

    async def send_both(self, first: HttpCall[Any], second: HttpCall[Any]) -> Any:
        self.world.log.append("both")
        return await self.send(first), await self.send(second)

    async def open_ahead(self, count: int) -> None:
        assert count in (1, 2)


@dataclass
class Awaited:
    """A world on an event loop."""

    world: World

    async def perform(self, effect: Effect[Any]) -> Any:
        await anyio.lowlevel.checkpoint()
        world = self.world
        if isinstance(effect, Pause):
            return world.wait(effect)
        if isinstance(effect, Limited):
            return await arun(effect.flow, self.perform)
        client: Any = _AwaitedClient(world)
        with world.shielded(effect):
            return await AsyncPerformer(client, world._stores, world._app, world._hear)(effect)


def signed_in(intent: str) -> Browser:
    """A browser as the flow wants it: a link is for who is signed in, a login for who isn't."""
    return Browser(user="u1" if intent == "link" else None)


def a_token() -> str:
    return secrets.token_urlsafe(32)
