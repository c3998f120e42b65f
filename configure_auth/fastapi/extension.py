"""Configure for FastAPI: the app's own dependency says who the user is, and hooks have dependencies of their own."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any, TypeAlias, TypeVar, Unpack

from fastapi import APIRouter, HTTPException
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import NoMatchFound

from .. import flows
from ..client.client import AsyncProfile
from ..errors import SettingsError
from ..flows import Feature, Login, Messages, Route
from ..options import HOOKS, ConfigureAuthOptions
from ..settings import SettingsSource
from ..starlette.extension import AsgiConfigureAuth
from ..starlette.request import StarletteApp, respond_by_app
from ..stores.opening import StateSource, StoreSource
from ..values import LinkedAccount, Secret
from .injection import HEADERS, KEYWORD, Injected, annotation_of, dependency_of, with_parameters
from .schema import describe

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")
S = TypeVar("S")
UserDependency: TypeAlias = Callable[..., Awaitable[T]]
"""For `Depends(...)`: its one parameter is the app's own dependency for the user."""

_USER = "configure_auth.user_id"
"""The key in a request's scope of the user that FastAPI has injected into our endpoint."""

_LATE = {("sign_in", "GET"), ("callback", "GET"), ("element", "GET"), ("popup", "GET"), ("button_style", "GET")}
"""Routes of which a signed-out user gets a page of ours, and no 401 of the app's."""


class _FastAPIApp(StarletteApp):
    """`StarletteApp`, where hooks may have set headers."""

    async def renew_session(self, keep: tuple[str, ...], hook: flows.Hook | None) -> None:
        self.request.scope[HEADERS] = []  # first: renewing may fail
        await super().renew_session(keep, hook)


class ConfigureAuth(AsgiConfigureAuth[APIRouter]):
    """Configure for one FastAPI app. Nothing of a request is kept on it.

    Hooks are functions of the app with dependencies: the arguments that `configure_auth.options` names go in by name,
    and FastAPI fills every other parameter: `on_login(identity, grant, session: SessionDep)`. What a dependency opened
    is closed, and a session that commits after its `yield` has committed, before anything else is done. On the
    `Response` that a hook asks for it may set cookies.

    Args:
        settings: as on Starlette: also a pydantic `BaseSettings`, and a function such as `get_settings`.
        user: the app's dependency for the signed-in user: a function, `Depends(...)`, or an `Annotated` type with it.
            It gives the user, or None or an HTTPException 401 or 403 where no user is signed in.
            `app.dependency_overrides` hold.
        user_id: `(user) -> str | int | UUID`: the user's id, by default `user.id`.
        store, states: as on Starlette.
        options: `configure_auth.options.ConfigureAuthOptions`.

    Raises:
        SettingsError: something is malformed or contradictory; the message names it.
    """

    def __init__(
        self,
        settings: SettingsSource = None,
        *,
        user: Any,
        user_id: Callable[[Any], object] | None = None,
        store: StoreSource | None = None,
        states: StateSource | None = None,
        **options: Unpack[ConfigureAuthOptions],
    ) -> None:
        annotation = annotation_of(user)
        self._parameter = inspect.Parameter("user", KEYWORD, annotation=annotation)
        self._id_of = user_id
        self._routes: dict[str, Route] = {}

        async def identify(user: Any) -> object:
            return self._identify(user)

        self._ask = Injected(with_parameters(identify, (self._parameter,), "user"), (), "user")
        dependency = dependency_of(annotation)
        if inspect.isclass(dependency) and (empty := self._ask.from_query):
            raise SettingsError(
                f"user= got the class {dependency.__name__}, whose {empty[0]!a} FastAPI would read from the query; "
                "give the dependency that returns the user, such as get_current_user"
            )

        async def user_of(request: Request) -> object:
            return await self._late_user_id(request)

        # For the log, which names the hook that failed.
        user_of.__module__ = dependency.__module__
        user_of.__qualname__ = getattr(dependency, "__qualname__", repr(dependency))
        made: dict[str, Any] = {"session": None, **options}
        for name in {"renew_session", "locale"} & options.keys():
            made[name] = made[name] and Injected(made[name], (), name)
        super().__init__(settings, store, states, user_of, made)

    @cached_property
    def account(self) -> UserDependency[LinkedAccount | None]:
        """Dependency: the signed-in user's connection, the link's before the login's; None without one."""
        return self._for_user(self.account_for, "account")

    @cached_property
    def access_token(self) -> UserDependency[Secret]:
        """Dependency: a token of the signed-in user that is good now, refreshed if need be.

        It raises ConfigureError AUTH_REQUIRED where nothing is connected, or it needs to be connected again.
        """
        return self._for_user(self.access_token_for, "access_token")

    @cached_property
    def profile(self) -> UserDependency[AsyncProfile]:
        """Dependency: a client for the signed-in user's profile; errors as for `access_token`."""
        return self._for_user(self.profile_for, "profile")

    @cached_property
    def unlink(self) -> UserDependency[tuple[LinkedAccount, ...]]:
        """Dependency: deletes the signed-in user's connections; what was deleted."""
        return self._for_user(self.unlink_for, "unlink", ())

    @cached_property
    def external_id(self) -> UserDependency[str | None]:
        """Dependency: the signed-in user's id at Configure, for `client.profile(external_id=)`; None for nobody."""
        return self._for_user(self.external_id_for, "external_id", None)

    def _for_user(self, verb: Callable[[Any], Awaitable[T]], name: str, *signed_out: S) -> UserDependency[T | S]:
        """Make a dependency of a verb.

        Args:
            signed_out: the value without a user, of a verb that needs one.
        """

        async def dependency(user: Any) -> T | S:
            user_id = self._identify(user)
            return signed_out[0] if user_id is None and signed_out else await verb(user_id)

        return with_parameters(dependency, (self._parameter,), name)

    def _identify(self, user: Any) -> object:
        if user is None:
            return None
        if self._id_of is not None:
            return self._id_of(user)
        try:
            value: object = user.id
        except AttributeError as error:
            raise SettingsError(
                f"user= gave a {type(user).__name__}, which has no id; name it: user_id=lambda user: user.pk"
            ) from error
        return value

    async def _late_user_id(self, request: Request) -> object:
        if _USER in request.scope:
            return request.scope[_USER]
        try:
            return await self._ask(request)
        except AnyHTTPException as error:
            if error.status_code in (401, 403):
                return None
            raise

    def _app(self, request: Request) -> StarletteApp:
        return _FastAPIApp(request, self._has_session(request), self._templates)

    def _add(self, method: str, options: Mapping[str, Any]) -> APIRouter:
        hooks = {
            option: Injected(hook, HOOKS[option], option)
            for option, hook in options.items()
            if option in HOOKS and callable(hook)
        }
        return super()._add(method, {**options, **hooks})

    def _build(self, name: str, site: flows.Site, **more: Any) -> Feature:
        return super()._build(name, site, **{"may_move": True, **more})

    def _make_routes(self, name: str, path: str, kind: type[Feature], routes: tuple[Route, ...]) -> APIRouter:
        # One of the routers does it for all.
        lifespan = None if self._routes else self.lifespan
        self._routes[name] = routes[0]
        router = _Router(prefix=path, tags=["configure"], lifespan=lifespan)
        asks_late = issubclass(kind, Login | Messages)
        for route in routes:
            for method in route.methods:
                user = () if asks_late or (route.endpoint, method) in _LATE else (self._parameter,)
                # Each has a name of its own, by which a route that is included twice is found.
                own = {("sign_in", "POST"): "start", ("complete", "OPTIONS"): "complete_preflight"}
                operation = own.get((route.endpoint, method), route.endpoint)
                endpoint = self._endpoint(name, route, user, f"{name}_{operation}")
                about = describe(route.endpoint, method)
                router.add_api_route(route.rule, endpoint, methods=[method], name=endpoint.__name__, **about)
            # The methods that it doesn't allow, for a response with a code.
            others = [method for method in flows.METHODS if method not in route.methods]
            endpoint = self._endpoint(name, route, (), f"{name}_{route.endpoint}_other")
            router.add_api_route(route.rule, endpoint, methods=others, include_in_schema=False, response_model=None)
            if "{" not in route.rule:
                # Starlette would redirect a slash too many to the route, and repeat a code and a state in its answer.
                router.add_api_route(
                    f"{route.rule}/{{rest:path}}", _not_found, methods=list(flows.METHODS), include_in_schema=False
                )
        return router

    def _endpoint(
        self, name: str, route: Route, user: tuple[inspect.Parameter, ...], called: str
    ) -> Callable[..., Any]:
        async def endpoint(request: Request, **injected: Any) -> Response:
            if user:
                request.scope[_USER] = self._identify(injected["user"])
            feature = self._located(name, route, request.app)
            response = await respond_by_app(request, await self._respond(feature, route, request))
            response.raw_headers.extend(request.scope.get(HEADERS, ()))
            return response

        endpoint.configure_auth = self  # type: ignore[attr-defined]  # by which commands find it
        asked = inspect.Parameter("request", KEYWORD, annotation=Request)
        return with_parameters(endpoint, (asked, *user), called)

    def _located(self, name: str, route: Route, app: Any) -> Feature:
        """Return the feature at the path that the app has its route under: with the prefix of each `include_router`."""
        opened, parameters = self._open(), {"user_id": "-"} if "{" in route.rule else {}
        try:
            found = str(app.url_path_for(f"{name}_{route.endpoint}", **parameters))
        except NoMatchFound:  # the router is mounted, not included
            return opened.features[name]
        path = found.removesuffix(route.rule.format(**parameters))
        if opened.features[name].path != path:
            opened.features[name] = self._build(name, opened.site, path=path)
        return opened.features[name]

    def _locate(self, app: Any) -> None:
        for name, route in self._routes.items() if hasattr(app, "url_path_for") else ():
            self._located(name, route, app)

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncGenerator[None]:
        """For the app's `lifespan` where FastAPI doesn't run those of routers (before 0.112.2); else it runs by itself.

        It sees at start-up that the app has our routes where CONFIGURE_APP_URL says, and closes connections at the end.

        Raises:
            SettingsError: it hasn't; or CONFIGURE_SSO_REDIRECT_URI is another URL than the login's callback.
        """
        for name, route in self._routes.items():
            path, mount = self._located(name, route, app).path, self._site.mount
            self._build(name, self._site, path=path, may_move=False)
            if self._site.settings.app_url is not None and app.root_path.rstrip("/") not in ("", mount):
                raise SettingsError(
                    f"the app has root_path={app.root_path!a}, but the path of CONFIGURE_APP_URL is {mount!a}; set "
                    "CONFIGURE_APP_URL to the URL of the app with this path"
                )
            if mount and path.startswith(f"{mount}/"):
                log.warning(
                    "the app has our routes under %s, and CONFIGURE_APP_URL has the path %s too: leave the prefix of a "
                    "router out of it, unless a proxy adds it",
                    path,
                    mount,
                )
        async with super().lifespan(app):
            yield


class _Router(APIRouter, flows.OfOneFramework):
    what = "a router of FastAPI, for app.include_router(); Starlette and Flask have a ConfigureAuth of their own"


async def _not_found() -> None:
    raise HTTPException(404)
