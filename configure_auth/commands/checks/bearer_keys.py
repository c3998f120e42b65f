"""The keys of a `BearerUser`: whether the issuer publishes one for an accepted algorithm."""

from __future__ import annotations

from urllib.parse import urlsplit

from ...bearer.user import BearerUser
from ...errors import ApiCode, ConfigureError
from ...settings import is_loopback
from .application import Application
from .check import app_check
from .deployment import Deployment
from .findings import Finding, failed, passed, skipped, unknown, warned


@app_check("the keys of bearer tokens")
async def bearer(deployment: Deployment, application: Application) -> Finding:
    """Fetch the key set (RFC 7517, section 5) without storing it in the app's `BearerUser`."""
    user = deployment.site.user_id
    if not isinstance(user, BearerUser):
        return skipped("user_id is no BearerUser")
    algorithms = " ".join(user.algorithms)
    fetch = user.key_set()
    if fetch is None:
        return passed(f"a key of the app's own, for {algorithms}")
    try:
        published = await fetch
    except ConfigureError as error:
        if error.code in (ApiCode.NETWORK_ERROR, ApiCode.TIMEOUT) or error.retryable:
            parts = urlsplit(fetch.url)
            return unknown(
                f"no response from {parts.scheme}://{parts.netloc} ({error.code})", "check jwks_url= and the network"
            )
        status = "" if error.status_code is None else f", HTTP {error.status_code}"
        return failed(
            f"failed to load a JWKS from jwks_url ({error.code}{status})", "set jwks_url= to the address of a JWKS"
        )
    if not published.good:
        others = f"the issuer publishes {', '.join(published.others) or 'none'}"
        return failed(f"no key for {algorithms}: {others}", "correct algorithms= or jwks_url=")
    issuer = urlsplit(user.issuer)
    if issuer.scheme == "http" and not is_loopback(issuer.hostname):
        return warned(
            f"keys for {', '.join(published.good)}, but the issuer is {user.issuer}, on http",
            "check that issuer= equals the tokens' iss claim exactly",
        )
    return passed(f"keys for {', '.join(published.good)}")
