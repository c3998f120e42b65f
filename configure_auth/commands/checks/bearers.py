"""Who is calling, where bearer tokens say so: whether their issuer's keys are there, and good for the algorithms."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...bearer.user import BearerUser
from ...errors import ApiCode, ConfigureError
from ...settings import is_loopback
from .check import Finding, failed, passed, skipped, unknown, warned
from .facts import Application

if TYPE_CHECKING:
    from .subject import Subject

__all__ = ["bearer"]


async def bearer(subject: Subject, application: Application) -> Finding:
    """Fetch the keys of a `BearerUser`, without a change to those that it knows."""
    assert subject.features is not None
    user = subject.features.site.user_id
    if not isinstance(user, BearerUser):
        return skipped("user_id is no BearerUser")
    wanted = " ".join(user.algorithms)
    look = user.key_set()
    if look is None:
        return passed(f"a key of the app's own, for {wanted}")
    try:
        published = await look
    except ConfigureError as error:
        if error.code in (ApiCode.NETWORK_ERROR, ApiCode.TIMEOUT) or error.retryable:
            return unknown(
                f"nothing answers at {_origin(look.url)} ({error.code})", "see that jwks_url and the network are right"
            )
        said = "" if error.status_code is None else f", HTTP {error.status_code}"
        return failed(
            f"what jwks_url leads to is no key set ({error.code}{said})", "mend jwks_url: it is the address of a JWKS"
        )
    if not published.good:
        others = f"it publishes {', '.join(published.others)}" if published.others else "it publishes none at all"
        return failed(f"no key for {wanted}: {others}", "mend algorithms=, or jwks_url=")
    issuer = urlsplit(user.issuer)
    if issuer.scheme == "http" and not is_loopback(issuer.hostname):
        return warned(
            f"keys for {', '.join(published.good)}, but the issuer is {user.issuer}, on http",
            "see that issuer= is what the tokens have in iss, letter by letter",
        )
    return passed(f"keys for {', '.join(published.good)}")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
