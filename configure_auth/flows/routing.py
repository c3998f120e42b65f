"""What is common to all routes: a feature with a path, its routes, and how every failure becomes a response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from ..errors import Code, SettingsError, SignInError
from ..runtime.frozen import dataclass
from ..runtime.tracing import span
from .app import AppResponse, Hook, normalize_id
from .destination import require_path
from .effects import AskApp, Flow
from .failures import as_sign_in_error
from .localization import localized
from .request import Request
from .response import Response
from .site import Site


@dataclass(frozen=True, kw_only=True)
class Feature(ABC):
    """A part of the app with routes of ours, under `path`."""

    needs: ClassVar[tuple[str, ...]] = ("agent", "token_keys")
    """Settings without which its routes respond `not_configured`."""

    site: Site
    path: str = ""
    may_move: bool = False
    """Whether `path` may get a prefix yet, so that no setting can be checked against it."""

    def __post_init__(self) -> None:
        require_path(self.path)

    def url(self, app_url: str, route: str) -> str:
        """Return the absolute URL of one of its routes."""
        return f"{app_url}{self.path}{route}"

    async def located(self) -> Self:
        """Return the feature with what only a request knows."""
        return self

    @abstractmethod
    async def respond_to_error(self, route: Route, request: Request, error: SignInError) -> Response:
        """Return the response to a request that failed."""


@dataclass(frozen=True)
class Route:
    """One of our routes: adapters register it under `endpoint` and hand each request to `serve`.

    The last part of `rule` may be a parameter, such as "/{user_id}".
    """

    endpoint: str
    rule: str
    methods: tuple[str, ...]
    flow: Callable[[Any, Request], Flow[Response]]


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Adapters register every route for all of these, so that a wrong method gets a response with a code as well."""


async def serve(
    feature: Feature,
    route: Route,
    request: Request,
    require: Callable[[Iterable[str]], None] | None = None,
    *,
    in_view: bool = False,
) -> Response:
    """Serve a request to one of the feature's routes. Every failure becomes a response, never a bare 500.

    Args:
        require: raises `NotConfigured` if one of these settings is missing: `Features.require`, which names what the
            other features lack as well.
        in_view: a view of the app serves the request, under a path of its own.

    Raises:
        Exception: what is `misconfigured`, where the app's tests see exceptions.
    """
    return await localized(feature.site, request, await _respond(feature, route, request, require, in_view=in_view))


async def _respond(
    feature: Feature,
    route: Route,
    request: Request,
    require: Callable[[Iterable[str]], None] | None,
    *,
    in_view: bool,
) -> Response:
    try:
        (require or feature.site.require)(feature.needs)
        if in_view:
            return await route.flow(await feature.located(), request)
        if request.method == "OPTIONS" and request.headers.get("origin") in feature.site.trusted_origins:
            # A preflight: what it permits is said by the app's own CORS headers, which need a good status.
            return Response(status=204, allow=route.methods)
        if request.method not in route.methods and not (request.method == "HEAD" and "GET" in route.methods):
            raise SignInError(Code.INVALID_REQUEST, f"this route does not allow {request.method}", status=405)
        _check_path(feature, request, route.rule)
        feature = await feature.located()
        with span(f"configure_auth {route.endpoint}"):
            return await route.flow(feature, request)
    except AppResponse as made:
        return Response(app_response=made.response)
    except Exception as error:  # noqa: BLE001  # the last place where an error can become a page
        failure, cause = as_sign_in_error(error), error
    if failure.code == Code.MISCONFIGURED and request.propagates:
        raise cause.__cause__ if isinstance(cause, SignInError) and cause.__cause__ else cause
    return await feature.respond_to_error(route, request, failure)


def _check_path(feature: Feature, request: Request, rule: str) -> None:
    """Refuse a request under another path than the one that Configure redirects to."""
    expected = urlsplit(feature.url(feature.site.app_url(request), rule)).path
    parent, _, last = expected.rpartition("/")
    if request.path != expected and not (last.startswith("{") and request.path.rpartition("/")[0] == parent):
        prefix = expected.removesuffix(request.path)
        advice = "add the prefix that the app is mounted under to CONFIGURE_APP_URL, or change path="
        if prefix == feature.site.mount:
            advice = (
                f"a proxy strips {prefix!a}, so tell the app: on Flask SCRIPT_NAME, or X-Forwarded-Prefix and "
                "ProxyFix(x_prefix=1); on ASGI the server's --root-path"
            )
        raise SettingsError(
            f"this request came to {request.path[:200]!a}, but CONFIGURE_APP_URL and path= make {expected!a}; {advice}"
        )


async def current_user(site: Site) -> str | None:
    """Return the id of the signed-in user, None if no user is signed in."""
    value = await AskApp(lambda app: app.call(site.user_id))
    return normalize_id(value, "user_id")


async def check_fresh(hook: Hook | None) -> None:
    """
    Raises:
        SignInError: the app's hook says that the user signed in too long ago for this.
    """
    if hook is not None and not await AskApp(lambda app: app.call(hook)):
        raise SignInError(Code.NOT_FRESH, "require_fresh returned False: the user must sign in to the app again first")
