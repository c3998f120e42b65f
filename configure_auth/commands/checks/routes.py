"""The app around our routes: whether it lets signed-out users reach them, and where it is mounted.

Our routes are requested as a browser prefetches them. Such a request changes nothing, uses neither the store nor
Configure nor a hook, and has a response of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from ...client.wire import json_object
from ...flows import AccountLink, Feature, Login, Messages
from ...flows.effects import AskApp
from .application import Application, NoResponse, PageResponse
from .check import app_check
from .deployment import Deployment
from .findings import Finding, failed, passed, skipped, unknown, worst

_STATE = "0" * 65
"""A well-formed state that no attempt has."""


async def request(
    application: Application, method: str, path: str, headers: Mapping[str, str]
) -> PageResponse | NoResponse:
    """Request a page of the app."""
    response: PageResponse | NoResponse = await AskApp(lambda _app: application.request(method, path, headers))
    return response


async def prefetch(application: Application, feature: Feature, route: str = "/callback") -> PageResponse | NoResponse:
    """Request a route of a sign-in without an effect."""
    query = f"?state={_STATE}" if route == "/callback" else ""
    headers = {"accept": "text/html", "sec-purpose": "prefetch", "sec-fetch-site": "cross-site"}
    return await request(application, "GET", f"{feature.path}{route}{query}", headers)


def is_ours(response: PageResponse) -> bool:
    """Whether our route responded to `prefetch`."""
    return response.status == 503 and not response.body and "no-store" in (response.first("cache-control") or "")


@app_check("access to our routes", needs=("app", "mount"), after=())
async def login_guard(deployment: Deployment, application: Application) -> Finding:
    """Whether signed-out users can reach the routes that sign them in."""
    open_routes = {name: _open_routes(feature, application) for name, feature in deployment.registered.items()}
    remedy = application.framework.exempt(name for name, routes in open_routes.items() if routes)
    findings = []
    for name, feature in deployment.registered.items():
        for route in open_routes[name]:
            if isinstance(feature, Messages):
                findings += await _completion(deployment, application, feature, remedy)
                continue
            response = await prefetch(application, feature, route)
            reached = isinstance(response, PageResponse) and is_ours(response)
            findings.append(_judge(application, response, f"{feature.path}{route}", remedy, is_ours=reached))
    return worst(findings) if findings else skipped("no route of ours is for signed-out users")


def _open_routes(feature: Feature, application: Application) -> tuple[str, ...]:
    """Return the routes of a feature that signed-out users must reach."""
    if isinstance(feature, Login):
        return "/sign-in", "/callback"
    if isinstance(feature, Messages):
        return ("/complete",)
    if not isinstance(feature, AccountLink):
        return ()
    session = application.session
    strict = session is not None and (session.same_site or "").lower() == "strict"
    is_open = feature.sign_in.defers_exchange(by_bearer=False) or (strict and application.framework.is_guarded)
    return ("/callback",) if is_open else ()


def _judge(
    application: Application, response: PageResponse | NoResponse, path: str, remedy: str, *, is_ours: bool
) -> Finding:
    if is_ours:
        return passed(f"{path} is reachable")
    if (handler := application.taken_by(path)) is not None:
        return failed(
            f"{path} never reaches our routes: {handler} comes before them",
            "register our routes first, above whatever takes every path",
        )
    if isinstance(response, NoResponse):
        return _failing(application, f"no response from {path}: {response.why}", path)
    if response.status >= 500:
        return _failing(application, f"the app fails at {path} (HTTP {response.status})", path)
    if response.status == 404:
        return failed(
            f"the app has no route {path}",
            "if the app is mounted at a path, add it to CONFIGURE_APP_URL; else check which handler answers instead",
        )
    where = response.first("location") if 300 <= response.status < 400 else None
    how = f"redirected to {_path(where)}" if where else f"HTTP {response.status}"
    return failed(f"{path} is blocked for signed-out users ({how})", remedy)


def _failing(application: Application, found: str, path: str) -> Finding:
    look = f"start the app, open {path} and read its log"
    if application.framework.has_lifespan:
        return unknown(found, f"{look}; the cause may be that its lifespan wasn't run here")
    return failed(found, look)


def _path(location: str) -> str:
    # Without the query, which may contain anything.
    try:
        parts = urlsplit(location)
    except ValueError:
        return "an invalid URL"
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else parts.path


async def _completion(
    deployment: Deployment, application: Application, messages: Messages, remedy: str
) -> list[Finding]:
    """Judge the route that Configure's page reports to: its preflight, and an empty report."""
    origin, path = deployment.settings.sign_in_url, f"{messages.path}/complete"
    preflight_headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
        "sec-fetch-site": "cross-site",
    }
    preflight = await request(application, "OPTIONS", path, preflight_headers)
    posted = await request(application, "POST", path, {"origin": origin, "sec-fetch-site": "cross-site"})
    # Our route refuses a report without a content type with this body.
    refused = isinstance(posted, PageResponse) and json_object(posted.body) == {"ok": False, "linked": False}
    findings = [_judge(application, posted, path, remedy, is_ours=refused)]
    if isinstance(preflight, PageResponse) and findings[0].remedy is None and not _permits(preflight, origin):
        findings.append(
            failed(
                f"the preflight forbids Configure's page to POST to {path} (HTTP {preflight.status})",
                f'exempt OPTIONS in your guard; a CORSMiddleware needs "{origin}" in allow_origins, "POST" in '
                'allow_methods and "content-type" in allow_headers',
            )
        )
    return findings


def _permits(preflight: PageResponse, origin: str) -> bool:
    methods = {one.strip() for value in preflight.all("access-control-allow-methods") for one in value.split(",")}
    headers = {
        one.strip().lower() for value in preflight.all("access-control-allow-headers") for one in value.split(",")
    }
    return (
        200 <= preflight.status < 300
        and preflight.first("access-control-allow-origin") in (origin, "*")
        and not methods.isdisjoint(("POST", "*"))
        and not headers.isdisjoint(("content-type", "*"))
    )


@app_check("the app's path")
async def mount(deployment: Deployment, application: Application) -> Finding:
    """Whether CONFIGURE_APP_URL ends with the path that the app says it is mounted at."""
    url, said = deployment.settings.app_url, application.mount
    if url is None:
        if not said:
            return passed("the app is at the root, which fits an unset CONFIGURE_APP_URL")
        return failed(
            f"{application.mount_by} mounts the app at {said}, but CONFIGURE_APP_URL isn't set",
            f"set CONFIGURE_APP_URL to the app's public URL, ending with {said}",
        )
    parts = urlsplit(url)
    path = parts.path
    if said and not path.endswith(said):
        return failed(
            f"{application.mount_by} mounts the app at {said}, but CONFIGURE_APP_URL is {url}",
            f"set CONFIGURE_APP_URL={parts.scheme}://{parts.netloc}{said}, or correct {application.mount_by}",
        )
    if path and not said:
        return passed(f"{path}; the app doesn't contradict it, and its server must mount it there")
    return passed(path or "the app is at the root")
