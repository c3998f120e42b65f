"""Configure for Starlette: where the session is, who the user is, how to redirect. It decides nothing."""

from __future__ import annotations

import asyncio
import inspect
import logging
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TypeAlias, TypeVar, Unpack, cast
from weakref import WeakSet

import jinja2
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Host, Match, Mount, Router
from starlette.routing import Route as StarletteRoute
from starlette.templating import Jinja2Templates
from starlette.types import Receive, Scope, Send

from .. import flows
from ..client.client import AsyncConfigure, AsyncProfile
from ..errors import SettingsError
from ..events import EVENTS, Event
from ..flows.app import is_async, require_id
from ..flows.registration import Registration, register_at_boot
from ..flows.verbs import AwaitedVerbs
from ..options import FEATURES, ConfigureAuthOptions, RequestMethods, RouteMethods, feature_builder, require_known
from ..runtime.circuit import Circuit
from ..runtime.frozen import dataclass
from ..runtime.loops import is_cancelled
from ..settings import Settings, SettingsSource, read_settings
from ..stores import Stores
from ..stores.opening import StateSource, StoreSource, chosen, make_tables
from ..ui.wording import Words
from ..values import Identity, Kind, LinkedAccount, Secret, TokenGrant, UserId
from .request import StarletteApp, check_sessions, no_templates, read_request, respond_by_app, warn_of_large_session

log: logging.Logger = logging.getLogger(__name__)

E = TypeVar("E")
R = TypeVar("R")
T = TypeVar("T")
EventHandler: TypeAlias = Callable[[E], object]
Method = TypeVar("Method", bound=Callable[..., Any])


def _dependency(method: Method) -> Method:
    """Show FastAPI the request alone, so that no other argument of a verb becomes a query parameter."""
    signature = inspect.signature(method)
    shown = [one for one in signature.parameters.values() if one.name in ("self", "request")]
    # Pydantic knows no Markup: an endpoint of the app may be a verb as it is.
    returned = str if signature.return_annotation == "Markup" else signature.return_annotation

    @wraps(method)
    async def verb(*args: Any, **kwargs: Any) -> Any:
        return await method(*args, **kwargs)

    verb.__signature__ = signature.replace(parameters=shown, return_annotation=returned)  # type: ignore[attr-defined]  # read by inspect.signature
    return cast(Method, verb)


class _Mount(Mount, flows.OfOneFramework):
    """Matches requests to its own routes only, and leaves others below its path to the app's other routes.

    A slash too many leads nowhere here: the app's router would redirect, and carry a code along.
    """

    what = "a route of Starlette, for app.router.routes.append(); FastAPI and Flask have a ConfigureAuth of their own"
    configure_auth: ConfigureAuth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Raises:
            SettingsError: always, because this is called by what took it for an app, such as `app.mount()`.
        """
        raise SettingsError(f"{self.path} is {self.what}, not to app.mount()")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        root, path = scope.get("app_root_path", scope.get("root_path", "")), scope.get("path", "")
        if not path.startswith(f"{root}/"):
            # `FastAPI(root_path=)` behind a proxy that cuts it off. The child's root_path has it, so its path needs it.
            scope = {**scope, "path": root + path}
        match, child = super().matches(scope)
        if match is Match.NONE:
            return match, child
        child = {**child, "path": scope.get("path", "")}
        plain = {**scope, **child, "path": child["path"].rstrip("/")}
        if any(route.matches(plain)[0] is not Match.NONE for route in self.routes):
            return match, child
        return Match.NONE, {}


@dataclass(frozen=True)
class _Opened:
    """Objects made from the settings when these are read."""

    site: flows.Site
    client: AsyncConfigure
    stores: Stores
    make_tables: Callable[[], int]
    features: dict[str, flows.Feature]
    circuit: Circuit


class AsgiConfigureAuth(AwaitedVerbs, RouteMethods[R], RequestMethods):
    """Base of `ConfigureAuth` on Starlette and on FastAPI; the methods that make routes return them as an `R`."""

    def __init__(
        self,
        settings: SettingsSource,
        store: StoreSource | None,
        states: StateSource | None,
        user_id: flows.Hook,
        options: Mapping[str, Any],
    ) -> None:
        require_known("ConfigureAuth", ConfigureAuthOptions, options)
        # A sign-in takes no thread here.
        self._options = flows.AppOptions(**{"max_calls": 100, **options}, user_id=user_id, with_request=True)
        self._sources = store, states
        self._settings = settings
        self._builders: dict[str, Callable[..., flows.Feature]] = {}
        self._handlers: dict[type[Any], list[EventHandler[Any]]] = {event: [] for event in EVENTS}
        self._apps: WeakSet[Starlette] = WeakSet()
        self._opened: _Opened | None = None
        self._templates: Jinja2Templates | None = None
        self._opening = Lock()
        if not callable(settings):
            self._open()

    def _open(self) -> _Opened:
        with self._opening:
            if self._opened is None:
                self._opened = self._open_with(read_settings(self._settings), self._options, *self._sources)
            return self._opened

    def _open_with(
        self, settings: Settings, options: flows.AppOptions, store: StoreSource | None, states: StateSource | None
    ) -> _Opened:
        site = options.site(settings)
        stores = site.open_stores(store, states, Path.cwd(), awaited=True)
        tables = partial(make_tables, chosen(store, None, settings)[0], Path.cwd())
        features = {name: self._build(name, site) for name in self._builders}
        return _Opened(site, AsyncConfigure(settings, on_event=self._emit), stores, tables, features, options.circuit())

    def _build(self, name: str, site: flows.Site, **more: Any) -> flows.Feature:
        return self._builders[name](site=site, **more)

    @contextmanager
    def _opened_for_test(self, settings: Settings, clock: flows.Clock) -> Iterator[None]:
        """Use other settings, and a store in memory unless the app has given its own, for a while."""
        before, (store, states) = self._opened, self._sources
        options = replace(self._options, clock=self._options.clock or clock)
        self._opened = self._open_with(settings, options, "memory://" if store is None else store, states)
        try:
            yield
        finally:
            self._opened = before

    @property
    def _site(self) -> flows.Site:
        return self._open().site

    @_dependency
    async def forget_browser(self, request: Request) -> None:
        await self._run(flows.forget_browser(self._site, read_request(request, has_session=False)))

    # For any user: the verbs in `flows.verbs`.

    @property
    def client(self) -> AsyncConfigure:
        """The API client."""
        return self._open().client

    @_dependency
    async def button(
        self,
        request: Request,
        flow: Literal["link", "login"] | None = None,
        next: str | None = None,
        **look: Any,
    ) -> Markup:
        return await self._run(self._features.button(read_request(request, False), flow, next, look), request)

    async def start(
        self,
        request: Request,
        flow: Literal["link", "login"],
        *,
        next: str | None = None,
        replace: bool = False,
        data: Mapping[str, Any] | None = None,
    ) -> Response:
        seen = read_request(request, self._has_session(request))
        made = self._features.start(flow, seen, next=next, replace=replace, data=data)
        return await respond_by_app(request, await self._run(made, request))

    async def pending_login(self, request: Request) -> tuple[Identity, TokenGrant] | None:
        return await self._run(self._features.login.sign_in.pending(read_request(request, has_session=False)), request)

    async def complete_login(self, request: Request, user_id: UserId) -> str:
        kind = self._features.login.sign_in
        return await self._run(kind.complete(read_request(request, has_session=False), require_id(user_id)), request)

    @_dependency
    async def element(self, request: Request, next: str | None = None) -> Markup:
        return await self._run(self._features.element(read_request(request, False), next), request)

    def disconnect_form(self, fields: Mapping[str, object] | None = None, *, label: str | None = None) -> Markup:
        return self._features.disconnect_form(fields or {}, label, self._site.words(()))

    def install(self, templates: Jinja2Templates) -> None:
        """Put `configure_button(flow=None, next=None)` and `configure_disconnect_form()` into an app's templates.

        A template can't wait: where `user_id` does, give `flow=` there, or make the button with `await button(...)`.
        """

        @jinja2.pass_context
        def configure_button(
            context: jinja2.runtime.Context,
            flow: Literal["link", "login"] | None = None,
            next: str | None = None,
            **look: Any,
        ) -> Markup:
            self._locate_once(context["request"])
            signed_in = flow != "login" and (flow == "link" or self._user_at_once(context["request"]) is not None)
            look = {"label": self._words_at_once(context["request"])["continue"], **look}
            return self._features.plain_button(flow, next, look, signed_in=signed_in)

        @jinja2.pass_context
        def configure_disconnect_form(
            context: jinja2.runtime.Context, fields: Mapping[str, object] | None = None, *, label: str | None = None
        ) -> Markup:
            request = context.get("request")
            self._locate_once(request)
            return self._features.disconnect_form(fields or {}, label, self._words_at_once(request))

        self._templates = templates
        templates.env.globals["configure_button"] = configure_button
        templates.env.globals["configure_disconnect_form"] = configure_disconnect_form

    def on(self, event: type[E]) -> Callable[[EventHandler[E]], EventHandler[E]]:
        """Call a function, plain or async, with every event of a type: `@configure_auth.on(AccountLinked)`."""
        if event not in self._handlers:
            raise SettingsError("that is none of the events of configure_auth.events")

        def listen(handler: EventHandler[E]) -> EventHandler[E]:
            self._handlers[event].append(handler)
            return handler

        return listen

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncGenerator[None]:
        """For the app's `lifespan`: looks at the app's session at start-up, and closes connections at the end.

        Everything works without it too.

        Raises:
            SettingsError: another `ConfigureAuth` of this name has routes in the app, a setting is malformed, or
                `base_template` was given and no templates were installed.
        """
        self._open()
        self._require_own_name(app)
        if self._options.base_template is not None and self._templates is None:
            raise no_templates()
        if self._options.session:
            check_sessions(app.user_middleware, self._options.renew_session)
        try:
            yield
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the running loop's connections to Configure and to the store. A later request opens new ones.

        `lifespan` does this at the app's end.
        """
        if (opened := self._opened) is None:
            return
        try:
            await opened.client.aclose()
        finally:
            await opened.stores.aclose()

    def _locate(self, app: object) -> None:
        """Find the paths of our routes in an app, where its routers may have prefixes."""

    def _locate_once(self, request: Request | None) -> None:
        """Find them for a request to the app's own routes, if neither `lifespan` nor a request to ours has yet."""
        if request is not None and (app := request.scope.get("app")) not in self._apps:
            self._locate(app)

    def _require_own_name(self, app: Starlette) -> None:
        """Find our routes in an app, once.

        Raises:
            SettingsError: another `ConfigureAuth` of this name has routes in the app.
        """
        if app in self._apps:
            return
        if any(one is not self and one._options.name == self._options.name for one in installations(app)):
            raise flows.name_taken(self._options.name)
        names = [name for owner, _around, name in owners_in(app) if owner is self]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise SettingsError(
                f"this app has our routes {twice!a} twice: call account_link(), login() and the like once each, and "
                "add what they return once"
            )
        self._apps.add(app)
        self._locate(app)

    @property
    def _features(self) -> flows.Features:
        opened = self._open()
        return flows.Features(opened.site, opened.features)

    async def _current_user(self, request: Request) -> str | None:
        return await self._run(flows.current_user(self._site), request)

    def _user_at_once(self, request: Request) -> object:
        return _at_once(self._options.user_id(request), "user_id", "say configure_button(flow=...) there")

    def _words_at_once(self, request: Request | None) -> Words:
        if request is None or (hook := self._options.locale) is None:
            return self._site.words(() if request is None else read_request(request, False).languages)
        chosen = _at_once(hook(request), "locale", "give the template what `await button(request)` returns")
        return self._site.words(read_request(request, False).languages, chosen)

    def _performer(self, request: Request | None = None) -> flows.AsyncPerformer:
        self._locate_once(request)
        app, opened = None if request is None else self._app(request), self._open()
        return flows.AsyncPerformer(opened.client, opened.stores, app, self._emit, opened.circuit)

    def _app(self, request: Request) -> StarletteApp:
        return StarletteApp(request, self._has_session(request), self._templates)

    def _has_session(self, request: Request) -> bool:
        session = self._options.session
        return "session" in request.scope if session is None else session

    async def _ensure_callback(self) -> tuple[Registration, ...]:
        return await self._run(register_at_boot(self._features))

    async def _run(self, flow: flows.Flow[T], request: Request | None = None) -> T:
        try:
            return await flows.arun(flow, self._performer(request))
        except flows.AppResponse as made:
            # `user_id` raised outside of our routes: the app's own error, as it raised it.
            raise made.__cause__ or made from None

    async def _emit(self, event: Event) -> None:
        for handler in self._handlers[type(event)]:
            try:
                made = handler(event) if is_async(handler) else await run_in_threadpool(handler, event)
                if inspect.isawaitable(made):
                    await made
            except (Exception, asyncio.CancelledError):  # one handler's failure must not stop the others
                if is_cancelled():
                    raise
                log.exception("a handler of %s failed", type(event).__name__)

    def _add(self, method: str, options: Mapping[str, Any]) -> R:
        made = FEATURES[method]
        name, path = f"{self._options.name}{made.suffix}", options.get("path", made.feature.path)
        flows.require_path(path)
        if method == "messages" and name in self._builders:
            raise SettingsError(flows.TWO_MESSAGE_AGENTS)
        self._builders[name] = feature_builder(made.feature, method, made.options, options, with_request=True)
        if self._opened is not None:
            self._opened.features[name] = self._build(name, self._opened.site)
        return self._make_routes(name, path, made.feature, made.routes)

    @abstractmethod
    def _make_routes(self, name: str, path: str, kind: type[flows.Feature], routes: tuple[flows.Route, ...]) -> R:
        """Return the routes of a feature."""

    async def _respond(self, feature: flows.Feature, route: flows.Route, request: Request) -> flows.Response:
        def require(needed: Iterable[str]) -> None:
            self._require_own_name(request.app)
            self._features.require(needed)

        seen = read_request(request, self._has_session(request))
        response = await self._run(flows.serve(feature, route, seen, require), request)
        if route.endpoint == "callback":
            warn_of_large_session(request)
        return response


class ConfigureAuth(AsgiConfigureAuth[Mount]):
    """Configure for one Starlette app. Nothing of a request is kept on it.

    Example::

        configure_auth = ConfigureAuth(user_id=session_user("user_id"))
        app.router.routes.append(configure_auth.account_link(after_link="/settings"))

    Args:
        settings: the credentials: `Settings`, a mapping, or an object with attributes such as CONFIGURE_API_KEY (a
            pydantic `BaseSettings`); or a function that returns one of these, called when they are first needed. By
            default they are read from the environment, now. A missing setting is reported at its first use.
        store: "sqlite:///configure.db" (in the working directory), "postgresql://..." for several machines, or
            "memory://" for development; also an Engine, an AsyncEngine or a Session factory on PostgreSQL, from which
            connections of our own are made, or a `Stores` of your own, whose methods may be coroutines. SQLite
            works in threads; PostgreSQL on asyncio's loop, and on trio in threads.
            Unless given, it is the setting CONFIGURE_STORE, or the file.
        states: "redis://...", or a redis-py client of either kind, to keep the attempts to sign in there, beside the
            accounts in `store`. Where `store` isn't given it may be the setting CONFIGURE_STATES.
        user_id: `(request) -> str | int | None`, plain or async: the id of the signed-in user, or None. An id
            must never be given out twice; call `forget_user` where the app deletes a user.
        options: `configure_auth.options.ConfigureAuthOptions`.

    Raises:
        SettingsError: something is malformed or contradictory; the message names it.
    """

    def __init__(
        self,
        settings: SettingsSource = None,
        *,
        store: StoreSource | None = None,
        states: StateSource | None = None,
        user_id: Callable[[Request], object],
        **options: Unpack[ConfigureAuthOptions],
    ) -> None:
        super().__init__(settings, store, states, user_id, options)

    def _make_routes(self, name: str, path: str, kind: type[flows.Feature], routes: tuple[flows.Route, ...]) -> Mount:
        # No redirect to another spelling of a path: it would carry the code along, to wherever Host says.
        router = Router(
            redirect_slashes=False,
            routes=[
                StarletteRoute(
                    route.rule,
                    self._endpoint(name, route),
                    name=route.endpoint,
                    methods=list(flows.METHODS),
                    include_in_schema=False,
                )
                for route in routes
            ],
        )
        mount = _Mount(path, app=router, name=name)
        mount.configure_auth = self
        return mount

    # For the signed-in user of a request; each is a FastAPI dependency as it is.

    @_dependency
    async def account(self, request: Request) -> LinkedAccount | None:
        """The signed-in user's connection, the link's before the login's; None without one."""
        return await self.account_for(await self._current_user(request))

    @_dependency
    async def access_token(self, request: Request, kind: Kind | None = None) -> Secret:
        """A token of the signed-in user that is good now, refreshed if need be.

        Raises:
            ConfigureError: AUTH_REQUIRED where nothing is connected, or it needs to be connected again.
        """
        return await self.access_token_for(await self._current_user(request), kind)

    @_dependency
    async def profile(self, request: Request, kind: Kind | None = None) -> AsyncProfile:
        """A client for the signed-in user's profile; errors as for `access_token`."""
        return await self.profile_for(await self._current_user(request), kind)

    @_dependency
    async def unlink(self, request: Request) -> tuple[LinkedAccount, ...]:
        """Delete the signed-in user's connections; what was deleted."""
        user_id = await self._current_user(request)
        return () if user_id is None else await self.unlink_for(user_id)

    @_dependency
    async def external_id(self, request: Request) -> str | None:
        """The signed-in user's id at Configure, for `client.profile(external_id=)`; None if no user is signed in."""
        user_id = await self._current_user(request)
        return None if user_id is None else await self.external_id_for(user_id)

    def _endpoint(self, name: str, route: flows.Route) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            feature = self._features.registered[name]
            response = await self._respond(feature, route, request)
            # Session middleware of others sets its cookie for this path: as it is around us, not below our mount.
            request.scope["root_path"] = request.scope["root_path"].removesuffix(feature.path)
            return await respond_by_app(request, response)

        # Other libraries tell endpoints apart by these, so each has a name of its own.
        endpoint.__name__ = endpoint.__qualname__ = f"{name}_{route.endpoint}"
        endpoint.__doc__ = inspect.getdoc(route.flow)
        return endpoint


def _at_once(value: object, hook: str, instead: str) -> object:
    """Return what a hook gave, also of a coroutine that waits for nothing."""
    if not isinstance(value, Coroutine):
        return value
    waits = SettingsError(f"{hook} waits for something, which a template can't: {instead}")
    try:
        value.send(None)
    except StopIteration as finished:
        return cast(object, finished.value)
    except RuntimeError as error:  # a view in a thread has no event loop to wait on
        raise waits from error
    finally:
        value.close()
    raise waits


def installations(of: object) -> tuple[AsgiConfigureAuth[Any], ...]:
    """Every `ConfigureAuth` with routes in an app: below its mounts and middleware, or in the routers it includes."""
    return tuple({id(owner): owner for owner, _around, _name in owners_in(of)}.values())


def owners_in(of: object) -> Iterator[tuple[AsgiConfigureAuth[Any], tuple[object, ...], str]]:
    """The `ConfigureAuth` of each route of ours in an app, what is around it, from the outside in, and its name."""
    seen: set[tuple[int, ...]] = set()
    waiting: list[tuple[Any, tuple[object, ...]]] = [(of, ())]
    while waiting:
        part, around = waiting.pop(0)
        # What is below a router counts once for each of its includes.
        place = (id(part), *(id(one) for one in around if hasattr(one, "original_router")))
        if place in seen:
            continue
        seen.add(place)
        # A mount of ours has one, and on FastAPI, which copies routes, the endpoint.
        owner = getattr(getattr(part, "endpoint", part), "configure_auth", None)
        if isinstance(owner, AsgiConfigureAuth):
            yield owner, around, part.name
            continue
        # A mount's routes are those of its app, behind the middleware that only its app has.
        routes = None if isinstance(part, Mount | Host) else getattr(part, "routes", None)
        inside = [*routes] if isinstance(routes, list) else []
        # What a middleware is wrapped around has this name everywhere, and an included router FastAPI's own.
        inside += (inner for name in ("app", "original_router") if (inner := getattr(part, name, None)) is not None)
        waiting += ((inner, (*around, part)) for inner in inside)
