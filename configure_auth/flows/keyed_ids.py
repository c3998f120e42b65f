"""Ids of the app's users as Configure gets them: keyed hashes, which can't be guessed or reversed."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from ..values import Secret
from .effects import UseStore
from .site import Site

_KEY = "id key"


async def external_id(site: Site, user_id: str) -> str:
    """Return the id at Configure of a user of the app, the same for server-side users and the hosted element.

    It must not be guessable: a third party who gives Configure another user's id takes over that profile for good.
    """
    if site.allow_guessable_external_id:
        return user_id
    return await salted_id(site, "user", user_id)


async def salted_id(site: Site, namespace: str, value: str) -> str:
    """Return the id at Configure of what the app calls `value`; a new one after `forget_id`.

    It is not in the store, so that a copy of the store does not lead to a user's profile.
    """
    name = await _salt_name(site, namespace, value)
    salt = await UseStore(lambda stores: stores.parameters.read(name))
    if salt is None:
        made = secrets.token_hex(16)
        salt = await UseStore(lambda stores: stores.parameters.keep(name, made))
    return await keyed_id(site, namespace, f"{salt}:{value}")


async def known_id(site: Site, namespace: str, value: str) -> str | None:
    """`salted_id` where there is one already; None where there is none, or none any more after `forget_id`."""
    name = await _salt_name(site, namespace, value)
    salt = await UseStore(lambda stores: stores.parameters.read(name))
    return None if salt is None else await keyed_id(site, namespace, f"{salt}:{value}")


async def forget_id(site: Site, namespace: str, value: str) -> None:
    """Delete the salt, so that the next user called `value` gets a new id and a profile of their own."""
    name = await _salt_name(site, namespace, value)
    await UseStore(lambda stores: stores.parameters.remove(name))


async def _salt_name(site: Site, namespace: str, value: str) -> str:
    return f"salt {site.agent} {await keyed_id(site, f'salt {namespace}', value)}"


FORGOTTEN = 60.0
"""Seconds after `forget_user` during which a login that began before it still notices it."""


async def forgotten_lease(site: Site, user_id: str) -> str:
    """The name of a lease that `forget_user` leaves: a login that found the user before must not bring them back."""
    return await keyed_id(site, "forgotten", user_id)


async def keyed_id(site: Site, namespace: str, value: str) -> str:
    """Return a keyed hash of what the app calls `value`. It never changes: its key is created once and stored.

    The key is not one of CONFIGURE_TOKEN_KEYS, because profiles at Configure can't follow when those are changed.
    """
    key = site.read_once.get(_KEY)
    if key is None:
        key = site.read_once[_KEY] = await _id_key(site)
    mac = hmac.new(key.reveal().encode(), f"{namespace}:{value}".encode(), hashlib.sha256)
    return f"{namespace}_{mac.hexdigest()}"


def id_key_name(site: Site) -> str:
    """The name of the key among the parameters of the store."""
    return f"id {site.agent}"


def id_key_seal_context(site: Site) -> tuple[str, str]:
    """The context that the key is sealed to."""
    return _KEY, site.agent


async def _id_key(site: Site) -> Secret:
    made = site.sealer.seal(secrets.token_urlsafe(32), *id_key_seal_context(site))
    kept = await UseStore(lambda stores: stores.parameters.keep(id_key_name(site), made))
    return Secret(site.sealer.open(kept, *id_key_seal_context(site)))
