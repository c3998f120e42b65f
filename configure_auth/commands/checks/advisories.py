"""Published vulnerabilities of the libraries that an app shares with this package, by installed version.

The package accepts these versions, because apps pin them and none of its own code is affected. Its own use: paths are
read from the ASGI scope or the WSGI environ, bodies are limited by the flows, and states are kept in its own store.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from .application import Application
from .check import app_check
from .deployment import Deployment
from .findings import Finding, passed, warned

__all__ = ["ADVISORIES", "Advisory", "versions"]


class Advisory(NamedTuple):
    """One vulnerability, in versions from `since` to just before `fixed`."""

    library: str
    since: str
    fixed: str
    name: str
    what: str


ADVISORIES = (
    Advisory("starlette", "0", "0.40.0", "CVE-2024-47874", "form fields of any size"),
    Advisory("starlette", "0", "0.47.2", "CVE-2025-54121", "large uploads block the event loop"),
    Advisory("starlette", "0.39.0", "0.49.1", "CVE-2025-62727", "the Range header of FileResponse and StaticFiles"),
    Advisory("starlette", "0", "1.0.1", "CVE-2026-48710", "request.url.path depends on the Host header"),
    Advisory("starlette", "0", "1.1.0", "CVE-2026-48817", "HTTPEndpoint calls methods that are no handlers"),
    Advisory("starlette", "0", "1.1.0", "CVE-2026-48818", "StaticFiles on Windows"),
    Advisory("starlette", "0", "1.3.0", "CVE-2026-54282", "request.url.hostname depends on the path"),
    Advisory("starlette", "0.4.1", "1.3.1", "CVE-2026-54283", "limits of request.form() are ignored"),
    Advisory("werkzeug", "0", "2.3.8", "CVE-2023-46136", "multipart bodies take unlimited time"),
    Advisory("werkzeug", "3.0.0", "3.0.1", "CVE-2023-46136", "multipart bodies take unlimited time"),
    Advisory("werkzeug", "0", "3.0.3", "CVE-2024-34069", "the debugger can be used by a website"),
    Advisory("werkzeug", "0", "3.0.6", "CVE-2024-49767", "multipart bodies take unlimited memory"),
    Advisory("authlib", "0", "1.6.5", "CVE-2025-61920", "JWS headers of any size"),
    Advisory("authlib", "0", "1.6.6", "CVE-2025-68158", "login CSRF where the registry has a cache"),
    Advisory("authlib", "0", "1.6.9", "CVE-2026-27962", "JWS are verified by a key in their own header"),
    Advisory("authlib", "0", "1.6.11", "CVE-2026-41425", "login CSRF on Starlette where the registry has a cache"),
)
"""Those that put an app at risk, not this package. Not all that are known: that is the work of a tool for audits."""


@app_check("the versions of libraries")
async def versions(deployment: Deployment, application: Application) -> Finding:
    """Warn of installed versions with a published vulnerability that can affect the app."""
    found, remedies = [], []
    for library in dict.fromkeys(one.library for one in ADVISORIES):
        try:
            installed = version(library)
        except PackageNotFoundError:
            continue
        known = [
            one
            for one in ADVISORIES
            if one.library == library and _number(one.since) <= _number(installed) < _number(one.fixed)
        ]
        if known:
            found.append(f"{library} {installed} has " + ", ".join(f"{one.name} ({one.what})" for one in known))
            remedies.append(f"install {library} {max(known, key=lambda one: _number(one.fixed)).fixed} or newer")
    if not found:
        return passed("none with a known vulnerability")
    return warned("; ".join(found), "; ".join(remedies))


def _number(release: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", release)[:3]))
