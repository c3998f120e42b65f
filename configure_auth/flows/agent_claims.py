"""Agents of the app that its users claim, and the public profiles of those users."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Protocol
from uuid import UUID

from ..errors import AgentNoOwner, AgentOwned, Code, SettingsError, SignInError
from ..events import AgentClaimed
from ..runtime.frozen import dataclass
from ..values import ClaimedAgent, Secret
from .app import Hook, normalize_id
from .effects import AskApp, Emit, UseStore
from .json_body import read_json_body
from .request import Request
from .response import Response
from .routing import Feature, Route, check_fresh, current_user
from .site import Site, digest

CLAIM_LIFETIME = 7 * 24 * 3600.0
"""Seconds that a claim token is valid. Registering an unclaimed agent again makes a new one."""

_CLAIM_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class AgentTable(Protocol):
    """An app's own table of agents. On Starlette both are coroutines.

    How long a hash is good for is the table's to say, and that a deleted user's agents go is the app's to see to.
    """

    def register(self, agent_id: str, claim_hash: str) -> Any:
        """Store an unclaimed agent, or a new hash for one. Return False, and change nothing, if it has an owner.

        In one statement too: it must not change the hash of an agent that is claimed meanwhile.
        """

    def claim(self, claim_hash: str, user_id: str) -> Any:
        """Return a `ClaimedAgent`, or None for an unknown hash.

        The owner is set in one statement that asks for there being none: `UPDATE agents SET owner_user_id = :user_id
        WHERE claim_hash = :claim_hash AND owner_user_id IS NULL`; `is_new` is whether that changed a row.
        """


@dataclass(frozen=True, kw_only=True)
class _JsonFeature(Feature):
    """Routes for programs only, which respond with JSON."""

    async def respond_to_error(self, route: Route, request: Request, error: SignInError) -> Response:
        return Response(
            status=error.status,
            json={"error": Code(error.code).value}
            | ({"message": str(error)} if isinstance(error, _ClaimError) else {}),
            retry_after=error.retry_after,
            allow=route.methods if error.status == 405 else (),
        )


@dataclass(frozen=True, kw_only=True)
class AgentClaims(_JsonFeature):
    """The route at which a user claims an agent. `table` is the app's own, used instead of our store."""

    path: str = "/api/v1/agents"
    table: AgentTable | None = None
    require_fresh: Hook | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.table is not None and not all(
            callable(getattr(self.table, verb, None)) for verb in ("register", "claim")
        ):
            raise SettingsError("agent_claims(table=) needs two methods: register(agent_id, claim_hash) and claim(...)")

    async def register(self, agent_id: str | int) -> Secret:
        """Return a claim token for an unclaimed agent, or raise AgentOwned. It replaces an earlier one."""
        agent, site, table = _agent_id(agent_id), self.site, self.table
        token = Secret(secrets.token_urlsafe(32))
        claim_hash, now = digest("claim", token.reveal()), site.clock()
        kept: object = await (
            UseStore(
                lambda stores: stores.agents.register(
                    agent, claim_hash, app=site.agent, until=now + CLAIM_LIFETIME, now=now
                )
            )
            if table is None
            else UseStore(lambda stores: table.register(agent, claim_hash))
        )
        if not isinstance(kept, bool):
            # A row count, or a coroutine that is never awaited: the token would be worthless.
            raise SettingsError(
                f"register() of agent_claims(table=) returned a {type(kept).__name__}; expected True or False"
            )
        if not kept:
            raise AgentOwned("this agent has been claimed already; it can't be registered again")
        return token

    async def claimed(self, token: Secret, user_id: str) -> ClaimedAgent | None:
        site, table, claim_hash = self.site, self.table, digest("claim", token.reveal())
        found: object = await (
            UseStore(lambda stores: stores.agents.claim(claim_hash, user_id, app=site.agent, now=site.clock()))
            if table is None
            else UseStore(lambda stores: table.claim(claim_hash, user_id))
        )
        if found is None:
            return None
        if not isinstance(found, ClaimedAgent):
            raise SettingsError(
                f"claim() of agent_claims(table=) returned a {type(found).__name__}; expected a ClaimedAgent or None"
            )
        # A table may use integers as ids.
        owner = normalize_id(found.owner_user_id, "ClaimedAgent.owner_user_id")
        if owner is None:
            raise SettingsError(
                "claim() of agent_claims(table=) returned an agent without an owner; set its owner first"
            )
        return replace(found, agent_id=_agent_id(found.agent_id), owner_user_id=owner)

    async def owned_by(self, user_id: str | None) -> tuple[str, ...]:
        """Return the agents of a user."""
        site = self._with_our_store()
        if user_id is None:
            return ()
        return await UseStore(lambda stores: stores.agents.owned_by(user_id, app=site.agent))

    async def owner(self, agent_id: str | int) -> str:
        """Return the owner of an agent, or raise AgentNoOwner."""
        site, agent = self._with_our_store(), _agent_id(agent_id)
        owner = await UseStore(lambda stores: stores.agents.owner(agent, app=site.agent))
        if owner is None:
            raise AgentNoOwner("this agent has not been claimed: its user must claim it with its claim token first")
        return owner

    def _with_our_store(self) -> Site:
        if self.table is not None:
            raise SettingsError("the agents are in the app's own table; look up their owners there")
        return self.site


async def claim(feature: AgentClaims, request: Request) -> Response:
    """Handle `POST /claim`: the signed-in user claims an agent by `{"claimToken": ...}`, which only one user can."""
    site = feature.site
    if request.parameters(claimToken=1, claim_token=1, token=1):
        raise SignInError(Code.INVALID_REQUEST, "send the claim token in the body, not in the URL")
    user_id = await current_user(site)
    if user_id is None:
        raise SignInError(Code.SIGNED_OUT, "no user is signed in")
    # A page of another site can't set this header (CSRF); without it a cookie may authenticate the request.
    if not request.bears_token and not site.is_from_app(request, site.app_url(request)):
        raise SignInError(Code.CROSS_SITE, "a claim that was posted from another origin")
    await check_fresh(feature.require_fresh)
    token = _claim_token(await read_json_body(request))
    found = await feature.claimed(token, user_id)
    if found is None:
        raise _ClaimError(
            Code.EXPIRED,
            "this claim token is unknown, older than 7 days, or replaced by a newer one of the same agent",
            status=404,
        )
    if found.owner_user_id != user_id:
        raise _ClaimError(Code.ALREADY_USED, "another user has claimed this agent", status=409)
    if found.is_new:
        await Emit(AgentClaimed(agent_id=found.agent_id, user_id=user_id))
    return Response(status=200, json={"ok": True, "agentId": found.agent_id})


class _ClaimError(SignInError):
    """A claim that failed. Its message is for the client too."""


def _claim_token(fields: Mapping[str, Any]) -> Secret:
    given = fields.get("claimToken", fields.get("claim_token"))
    if given is None:
        raise _ClaimError(Code.INVALID_REQUEST, 'the claim token is missing: send {"claimToken": "..."}')
    if not isinstance(given, str) or not _CLAIM_TOKEN.fullmatch(given):
        del given, fields
        raise _ClaimError(Code.INVALID_REQUEST, "the claim token is malformed: copy all 43 characters of it")
    return Secret(given)


def _agent_id(agent_id: str | int) -> str:
    try:
        known = normalize_id(agent_id, "agent_id")
    except SettingsError:
        known = None
    if known is None:
        raise SettingsError(
            "agent_id must be the app's own id of an agent: a string of 1 to 255 characters, or a whole number"
        )
    return known


@dataclass(frozen=True, kw_only=True)
class UserProfiles(_JsonFeature):
    """What users of the app may see of each other: only `fields` of what `resolve(user_id)` returns."""

    path: str = "/api/v1/users"
    resolve: Hook
    fields: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.fields, str) or not self.fields:
            raise SettingsError('fields is a tuple of what may be seen of a user, such as ("display_name",)')


async def profile(feature: UserProfiles, request: Request) -> Response:
    """Handle `GET /{user_id}`, for signed-in users."""
    asking = await current_user(feature.site)
    if asking is None:
        raise SignInError(Code.SIGNED_OUT, "no user is signed in")
    wanted = request.path.rpartition("/")[2]
    try:
        user_id = normalize_id(wanted, "user_id")
    except SettingsError:
        user_id = None
    found = None if user_id is None else await AskApp(lambda app: app.call(feature.resolve, user_id))
    if found is None:
        raise SignInError(Code.INVALID_REQUEST, "there is no such user", status=404)
    return Response(status=200, json={name: _plain(_field(found, name)) for name in feature.fields})


def _field(found: object, name: str) -> object:
    if isinstance(found, Mapping):
        return found.get(name)
    try:
        return getattr(found, name)
    except AttributeError:
        # Not null: the value may exist under another access, as in a row of `sqlite3`.
        raise SettingsError(f"a user's profile is a {type(found).__name__} without an attribute {name!a}") from None


def _plain(value: object) -> object:
    """Convert a value to what JSON can represent."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if value is None or isinstance(value, str | int | bool) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    # A row of the app would expose fields that are not listed.
    kind = value if isinstance(value, float) else f"a {type(value).__name__}"
    raise SettingsError(f"a field of a user's profile is {kind}, which JSON can't represent")


CLAIM_ROUTES = (Route("claim", "/claim", ("POST",), claim),)
PROFILE_ROUTES = (Route("profile", "/{user_id}", ("GET",), profile),)
