"""The Content-Security-Policy of an app's page: whether it allows our button, our forms and Configure's element.

CSP Level 3, as browsers apply it: every policy must allow a request, a missing directive falls back to another one,
and of a repeated directive the first counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from ...flows import AccountLink, Login
from ...ui.pages import CONTENT_SECURITY_POLICY
from .application import Application, NoResponse, PageResponse
from .check import app_check
from .deployment import Deployment
from .findings import Finding, passed, skipped, warned, worst
from .routes import is_ours, prefetch, request

Policy: TypeAlias = Mapping[str, tuple[str, ...]]
"""Sources by directive."""

_FALLBACKS = {
    "script-src": ("script-src-elem", "script-src", "default-src"),
    "connect-src": ("connect-src", "default-src"),
    "style-src": ("style-src-elem", "style-src", "default-src"),
    "form-action": ("form-action",),
}
_HOST_SOURCE = re.compile(r"(?:([a-z][a-z0-9+.-]*)://)?([^/:']+)(?::([0-9]{1,5}|\*))?(/.*)?", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}


@app_check("the Content-Security-Policy")
async def csp(deployment: Deployment, application: Application) -> Finding:
    """Judge the policies of the app's home page and of our pages, which are requested for it."""
    return worst([await _home(deployment, application), *await _ours(deployment, application)])


async def _ours(deployment: Deployment, application: Application) -> list[Finding]:
    """Judge whether a middleware of the app replaces the policy of our pages, or adds to it."""
    pages = [one for one in deployment.registered.values() if isinstance(one, AccountLink | Login)]
    responses = [await prefetch(application, one) for one in pages]
    ours = (one for one in responses if isinstance(one, PageResponse) and is_ours(one))
    policies = [one.all("content-security-policy") for one in ours]
    if all(one == [CONTENT_SECURITY_POLICY] for one in policies):
        return []
    return [
        warned(
            "the app changes the policy of our pages, which lose their style and scripts",
            'set the header only where a response has none: headers.setdefault("Content-Security-Policy", ...)',
        )
    ]


async def _home(deployment: Deployment, application: Application) -> Finding:
    response = await request(application, "GET", "/", {"accept": "text/html", "sec-fetch-site": "none"})
    if isinstance(response, NoResponse):
        return skipped(f"no response from /: {response.why}")
    if response.status != 200:
        return skipped(f"/ has no page for signed-out users (HTTP {response.status})")
    policies = policies_of(response.all("content-security-policy"))
    if not policies:
        return passed("/ has no policy")
    home = deployment.settings.app_url or "http://localhost"
    found = []
    if not all(allows(policy, "form-action", f"{home}/", home) for policy in policies):
        found.append(warned("form-action of / blocks our forms, such as Disconnect", "add to form-action: 'self'"))
    if _blocks_button(deployment, policies, home):
        remedy = "add to style-src: 'self', or give the button the nonce: configure_button(nonce=...)"
        found.append(warned("style-src of / blocks the stylesheet of configure_button()", remedy))
    changes = dict.fromkeys(_for_element(deployment, policies, home))
    if changes:
        found.append(
            warned(
                "the policy of / blocks Configure's element",
                f"for pages with configure_auth_element(), {'; '.join(changes)}",
            )
        )
    return worst(found) if found else passed("the policy of / allows our forms and Configure's element")


def _blocks_button(deployment: Deployment, policies: list[Policy], home: str) -> bool:
    """Whether a policy blocks the button's stylesheet; a nonce may allow it."""
    shown = deployment.feature(Login) or deployment.feature(AccountLink)
    if shown is None:
        return False
    url = f"{home}{shown.path}/button.css"
    return not all(
        allows(policy, "style-src", url, home)
        or any(one.lower().startswith("'nonce-") for one in _directive(policy, "style-src")[1])
        for policy in policies
    )


def _for_element(deployment: Deployment, policies: list[Policy], home: str) -> Iterator[str]:
    """Yield the changes that Configure's element needs, if the app can show it."""
    link, settings = deployment.feature(AccountLink), deployment.settings
    if link is None or settings.publishable_key is None:
        return
    wanted = {
        "script-src": (f"{home}{link.path}/element.js", f"{settings.script_url}/js/configure.js"),
        "connect-src": (f"{home}{link.path}/session", f"{settings.base_url}/"),
    }
    for name, urls in wanted.items():
        for policy in policies:
            blocked = [_source(url, home) for url in urls if not allows(policy, name, url, home)]
            if blocked:
                yield _to_add(policy, name, blocked)


def _to_add(policy: Policy, name: str, sources: list[str]) -> str:
    """Describe the change of a directive. One that replaces default-src must repeat its sources."""
    if _strict(policy, name):
        return f"remove 'strict-dynamic', which disables origins, from {name} and add: {' '.join(sources)}"
    key, now = _directive(policy, name)
    if key != "default-src":
        return f"add to {key}: {' '.join(sources)}"
    kept = ["'nonce-...'" if one.lower().startswith("'nonce-") else one for one in now if one.lower() != "'none'"]
    return f"add: {name} {' '.join(dict.fromkeys([*kept, *sources]))}"


def _source(url: str, home: str) -> str:
    parts = urlsplit(url)
    return "'self'" if _is_same_origin(parts, urlsplit(home)) else f"{parts.scheme}://{parts.netloc}"


def policies_of(headers: list[str]) -> list[Policy]:
    """Parse the policies of a page; one header may have several, separated by commas."""
    return [policy for header in headers for text in header.split(",") if (policy := dict(_directives(text)))]


def _directives(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    seen = set()
    for part in text.split(";"):
        name, *sources = part.split() or [""]
        if name and name.lower() not in seen:
            seen.add(name.lower())
            yield name.lower(), tuple(sources)


def _directive(policy: Policy, name: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the directive that applies and its sources; None if the policy has none."""
    key = next((one for one in _FALLBACKS[name] if one in policy), None)
    return key, () if key is None else policy[key]


def _strict(policy: Policy, name: str) -> bool:
    return name == "script-src" and "'strict-dynamic'" in (one.lower() for one in _directive(policy, name)[1])


def allows(policy: Policy, name: str, url: str, home: str) -> bool:
    """Whether a policy lets a page at `home` load, fetch or submit to a URL."""
    key, sources = _directive(policy, name)
    if key is None:
        return True
    # It disables hosts and schemes, and our script tags have no nonce.
    if _strict(policy, name):
        return False
    parts, own = urlsplit(url), urlsplit(home)
    return any(_matches(source, parts, own) for source in sources)


def _matches(source: str, url: SplitResult, own: SplitResult) -> bool:
    if source.lower() == "'self'":
        return _is_same_origin(url, own)
    if source == "*":
        return url.scheme in ("http", "https")
    if source.endswith(":") and "/" not in source:
        return _scheme_fits(source[:-1].lower(), url.scheme)
    found = _HOST_SOURCE.fullmatch(source)
    if found is None:
        return False
    scheme, host, port, path = found[1] or own.scheme, found[2].lower(), found[3], found[4] or "/"
    allowed = _PORTS.get(scheme.lower()) if port is None or port == "*" else int(port)
    asked = url.port or _PORTS.get(url.scheme)
    name = url.hostname or ""
    return (
        _scheme_fits(scheme.lower(), url.scheme)
        and (name.endswith(host[1:]) if host.startswith("*.") else name == host)
        and (port == "*" or allowed == asked or (allowed, asked) == (80, 443))
        and (path == url.path or (path.endswith("/") and url.path.startswith(path)))
    )


def _is_same_origin(one: SplitResult, other: SplitResult) -> bool:
    return (one.scheme, one.netloc.lower()) == (other.scheme, other.netloc.lower())


def _scheme_fits(allowed: str, scheme: str) -> bool:
    return allowed == scheme or (allowed, scheme) == ("http", "https")
