"""What the app answers to a visitor: whether a guard of its own stands in front of our routes, and where it lies.

Our routes are asked as a browser asks that fetches a page ahead of a click. That changes nothing, asks neither the
store nor Configure nor a hook, and has an answer of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...client.wire import json_object
from ...flows import AccountLink, Feature, Login, Messages
from ...flows.effects import AskApp
from .check import Finding, failed, passed, skipped, unknown, worst
from .facts import Application, Unvisited, Visited

if TYPE_CHECKING:
    from .subject import Subject

__all__ = ["asked", "knock", "login_guard", "mount"]

_STATE = "0" * 65
"""Of the shape of a state. There is none like it, and nobody looks."""


async def asked(application: Application, method: str, path: str, headers: Mapping[str, str]) -> Visited | Unvisited:
    """Visit a page of the app."""
    answer: Visited | Unvisited = await AskApp(lambda _app: application.visit(method, path, headers))
    return answer


async def knock(application: Application, feature: Feature, route: str = "/callback") -> Visited | Unvisited:
    """Ask a route of a sign-in for an answer that changes nothing."""
    query = f"?state={_STATE}" if route == "/callback" else ""
    headers = {"accept": "text/html", "sec-purpose": "prefetch", "sec-fetch-site": "cross-site"}
    return await asked(application, "GET", f"{feature.path}{route}{query}", headers)


def _is_ours(answer: Visited) -> bool:
    return answer.status == 503 and not answer.body and "no-store" in (answer.first("cache-control") or "")


async def login_guard(subject: Subject, application: Application) -> Finding:
    """Whether people who are signed out get to where they sign in."""
    assert subject.features is not None
    doors = {name: _doors(feature, application) for name, feature in subject.features.registered.items()}
    way_out = _way_out(application, [name for name, routes in doors.items() if routes])
    findings = []
    for name, feature in subject.features.registered.items():
        for route in doors[name]:
            if isinstance(feature, Messages):
                findings += await _completion(subject, application, feature, way_out)
                continue
            answer = await knock(application, feature, route)
            is_ours = isinstance(answer, Visited) and _is_ours(answer)
            findings.append(_let_through(application, answer, f"{feature.path}{route}", way_out, is_ours=is_ours))
    return worst(findings) if findings else skipped("no route of ours is for people who are signed out")


def _doors(feature: Feature, application: Application) -> tuple[str, ...]:
    """The routes of a feature that must be open to people whom the app doesn't know yet."""
    if isinstance(feature, Login):
        return "/sign-in", "/callback"
    if isinstance(feature, Messages):
        return ("/complete",)
    if not isinstance(feature, AccountLink):
        return ()
    session = application.session
    # On Flask we come before the guard there.
    strict = session is not None and (session.same_site or "").lower() == "strict"
    return (
        ("/callback",) if feature.sign_in.defers_exchange() or (strict and application.framework == "Starlette") else ()
    )


def _let_through(
    application: Application, answer: Visited | Unvisited, path: str, way_out: str, *, is_ours: bool
) -> Finding:
    if is_ours:
        return passed(f"{path} is reached")
    if isinstance(answer, Unvisited):
        return _broken(application, f"{path} gave no answer: {answer.why}", path)
    if answer.status >= 500:
        return _broken(application, f"the app failed at {path} (HTTP {answer.status})", path)
    if answer.status == 404:
        return failed(
            f"there is no {path} in the app",
            "where the app is mounted under a path, put it into CONFIGURE_APP_URL; else see what answers in its place",
        )
    where = answer.first("location") if 300 <= answer.status < 400 else None
    turned = f"sent to {_path(where)}" if where else f"answered HTTP {answer.status}"
    return failed(f"{path} is kept from who is signed out ({turned})", way_out)


def _broken(application: Application, found: str, path: str) -> Finding:
    look = f"start the app and open {path}: what it logs then says why"
    if application.framework == "Flask":
        return failed(found, look)
    return unknown(found, f"{look}; its lifespan isn't run here, which alone may be the reason")


def _path(location: str) -> str:
    # Without the query, in which the app may have put anything.
    try:
        parts = urlsplit(location)
    except ValueError:
        return "no address"
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else parts.path


def _way_out(application: Application, names: list[str]) -> str:
    if application.framework == "Flask":
        listed = ", ".join(f'"{name}"' for name in names)
        return f"begin your guard with: if request.blueprint in ({listed},): return None"
    return "let these paths through the middleware that guards the app"


async def _completion(subject: Subject, application: Application, messages: Messages, way_out: str) -> list[Finding]:
    """The report of a journey's end: the browser's question before it, and the report itself, with nothing in it."""
    origin, path = subject.settings.sign_in_url, f"{messages.path}/complete"
    asking = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
        "sec-fetch-site": "cross-site",
    }
    preflight = await asked(application, "OPTIONS", path, asking)
    posted = await asked(application, "POST", path, {"origin": origin, "sec-fetch-site": "cross-site"})
    findings = [_let_through(application, posted, path, way_out, is_ours=_is_refusal(posted))]
    if isinstance(preflight, Visited) and findings[0].remedy is None and not _permits(preflight, origin):
        findings.append(
            failed(
                f"the browser is told that Configure's page may not POST to {path} (HTTP {preflight.status})",
                f'let OPTIONS through your guard; a CORSMiddleware needs "{origin}" among its allow_origins, "POST" '
                'among its allow_methods and "content-type" among its allow_headers',
            )
        )
    return findings


def _is_refusal(answer: Visited | Unvisited) -> bool:
    # What was posted has no type: our route reads no further, and refuses it with this.
    return isinstance(answer, Visited) and json_object(answer.body) == {"ok": False, "linked": False}


def _permits(preflight: Visited, origin: str) -> bool:
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


async def mount(subject: Subject, application: Application) -> Finding:
    """Whether CONFIGURE_APP_URL has the path that the app says it is mounted under."""
    url, said = subject.settings.app_url, application.mount
    if url is None:
        if not said:
            return passed("the app lies at the root, as without CONFIGURE_APP_URL")
        return failed(
            f"{application.mount_by} says that the app lies under {said}, and CONFIGURE_APP_URL isn't set",
            f"set CONFIGURE_APP_URL to the URL at which people reach the app, with {said} at its end",
        )
    parts = urlsplit(url)
    path = parts.path
    if said and not path.endswith(said):
        return failed(
            f"{application.mount_by} says that the app lies under {said}, but CONFIGURE_APP_URL is {url}",
            f"set CONFIGURE_APP_URL={parts.scheme}://{parts.netloc}{said}, or mend the other",
        )
    if path and not said:
        return passed(f"nothing in the app speaks against {path}; the server must say that it is mounted there")
    return passed(path or "the app lies at the root")
