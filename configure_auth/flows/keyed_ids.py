"""Ids of the app's own people as Configure gets them: keyed hashes, which nobody can guess or turn back."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from ..values import Secret
from .effects import Flow, use
from .site import Site

__all__ = ["external_id", "id_key_name", "id_key_place", "keyed_id"]

_KEY = "id key"


def external_id(site: Site, user_id: str) -> Flow[str]:
    """The id of one of the app's users at Configure, for server-side users and for the hosted element alike.

    In a page it must be nobody's to guess: whoever shows Configure another user's id takes that profile over, for good.
    """
    if site.allow_guessable_external_id:
        return user_id
    return (yield from keyed_id(site, "user", user_id))


def keyed_id(site: Site, namespace: str, value: str) -> Flow[str]:
    """The id for what the app calls `value`. The same for ever: its key is made once and kept in the store.

    It is none of CONFIGURE_TOKEN_KEYS, for a profile at Configure can't follow when those are changed.
    """
    key = site.read_once.get(_KEY)
    if key is None:
        key = site.read_once[_KEY] = yield from _id_key(site)
    mac = hmac.new(key.reveal().encode(), f"{namespace}:{value}".encode(), hashlib.sha256)
    return f"{namespace}_{mac.hexdigest()}"


def id_key_name(site: Site) -> str:
    """The name of the key among the parameters of the store."""
    return f"id {site.agent}"


def id_key_place(site: Site) -> tuple[str, str]:
    """What the key is sealed to."""
    return _KEY, site.agent


def _id_key(site: Site) -> Flow[Secret]:
    made = site.sealer.seal(secrets.token_urlsafe(32), *id_key_place(site))
    kept = yield from use(lambda stores: stores.parameters.keep(id_key_name(site), made))
    return Secret(site.sealer.open(kept, *id_key_place(site)))
