"""Faults to be planted in the flows and the stores, each for the time of a `with`: does a test find them?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from configure_auth.flows import Response, tokens
from configure_auth.flows.destination import Destinations
from configure_auth.flows.effects import AskApp
from configure_auth.flows.messages import journeys
from configure_auth.flows.sign_in import attempts, callback, link, login
from configure_auth.flows.site import Site
from configure_auth.stores import databases, sql, statements

__all__ = ["FAULTS"]

Fault = Callable[[], AbstractContextManager[object]]


def _sql(statement: str, old: str, new: str = "") -> Fault:
    """A statement with one condition changed."""
    text = databases.SQLITE.text(statement)
    assert old in text, old

    def planted() -> AbstractContextManager[object]:
        present = databases.SQLITE
        changed = {statement: text.replace(old, new, 1)}
        altered = replace(present, text=lambda one: changed.get(one) or present.text(one))
        return patch.object(databases, "SQLITE", altered)

    return planted


def _attribute(target: object, name: str, value: object) -> Fault:
    return lambda: patch.object(target, name, value)


def _all(*faults: Fault) -> Fault:
    @contextmanager
    def planted() -> Iterator[None]:
        with ExitStack() as stack:
            for fault in faults:
                stack.enter_context(fault())
            yield

    return planted


def _saved_with(**given: Any) -> Fault:
    """Connections saved under other conditions."""
    save: Any = sql._SqlAccounts.save
    return _attribute(
        sql._SqlAccounts, "save", lambda self, account, **asked: save(self, account, **{**asked, **given})
    )


def _without_renewal(question: Any) -> AskApp[Any]:
    return AskApp((lambda app: None) if "renew_session" in question.__code__.co_names else question)


async def _whoever(self: Any, record: Any, outcome: Any, user_id: str | None) -> Response:
    if outcome.replay is None or user_id is not None:
        return Response.redirect(outcome.location or self.after)
    identity, grant = login.deserialize_login(outcome.replay)
    response: Response = await self._enter_again(record, replace(identity, local_user_id=outcome.user_id), grant)
    return response


async def _without_lease(site: Any, account: Any, change: Any) -> Any:
    return await change()


async def _undone_by_nothing(self: Any, entering: Any) -> Any:
    return await entering


def _with_a_late_version(connect: Any) -> Any:
    async def connecting(self: Any, wanted: Any, ending: Any = None, carried: Any = None) -> Any:
        return await connect(self, replace(wanted, version=None) if ending is None else wanted, ending, carried)

    return connecting


def _with_a_code_in_the_log(exchange: Any) -> Any:
    async def exchanging(self: Any, record: Any, code: Any, *given: Any) -> Any:
        logging.getLogger("configure_auth.flows").debug("exchanging %s", code.reveal())
        return await exchange(self, record, code, *given)

    return exchanging


def _unnamed(read: Any) -> Any:
    async def reading(request: Any) -> Any:
        return replace(await read(request), user_id=None)

    return reading


def _without_error(read: Any) -> Any:
    return lambda site, returned, record: read(site, replace(returned, error=None), record)


async def _nothing(*given: object, **named: object) -> None:
    return None


class _Equal(str):
    """Equal to every string."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


async def _every_id(*given: object) -> str:
    return _Equal("")


FAULTS: dict[str, Fault] = {
    "another browser's attempt is claimed": _sql(statements.CLAIM_ATTEMPT, "browser_hash = :browser_hash AND "),
    "an attempt is claimed after its end": _sql(statements.CLAIM_ATTEMPT, "AND expires_at > :now"),
    "an attempt of the other flow is claimed": _sql(statements.CLAIM_ATTEMPT, "AND intent = :intent "),
    "an attempt of the other app is claimed": _sql(statements.CLAIM_ATTEMPT, "AND agent = :agent"),
    "an attempt is claimed twice": _sql(statements.CLAIM_ATTEMPT, "claimed_at IS NULL AND "),
    "another browser is told the outcome": _sql(statements.READ_ATTEMPT, "browser_hash = :browser_hash AND "),
    "attempts have no limit": _sql(statements.DROP_SURPLUS_ATTEMPTS, "WHERE", "WHERE 1 = 0 AND"),
    "another user than the starter is connected": _all(
        _attribute(link, "check_starter", lambda record, user_id: None),
        _attribute(login, "check_starter", lambda record, user_id: None),
    ),
    "a login goes on where a user is signed in": _attribute(
        login.LoginKind, "check_user", lambda self, record, user_id: None
    ),
    "a disconnect during a sign-in is undone": _saved_with(version=None),
    "a disconnect during an element's validation is undone": _attribute(
        link.LinkKind, "connect", _with_a_late_version(link.LinkKind.connect)
    ),
    "a Configure user passes to another local user": _all(
        _sql(statements.CONNECTIONS, "SELECT user_id, NULL", "SELECT NULL, NULL"),
        _sql(statements.TAKE_OWNERSHIP, "INSERT", "INSERT OR REPLACE"),
    ),
    "a Configure user is replaced unasked": _saved_with(replace=True),
    "a reload signs in after 30 s": _all(
        _attribute(attempts, "REPLAY", 1e9),
        _attribute(sql, "REPLAY", 1e9),
    ),
    "a reload signs in after a sign-out": _sql(statements.FORGET_REPLAYS, "WHERE", "WHERE 1 = 0 AND"),
    "a reload signs in who was disconnected": _attribute(login.LoginKind, "repeat", _whoever),
    "a cancelled sign-in exchanges its code": _attribute(callback, "_read_code", _without_error(callback._read_code)),
    "a failed login leaves its user signed in": _attribute(login.LoginKind, "_undone_on_failure", _undone_by_nothing),
    "the session is not renewed before a login": _attribute(login, "AskApp", _without_renewal),
    "a login finds the other app's user": _sql(statements.OWNER_AND_VERSION, "owners.agent = :agent AND "),
    "another agent's token connects": _attribute(link, "is_agent_token", lambda validation, agent: True),
    "an element of another user's page connects": _attribute(link, "external_id", _every_id),
    "a completion may name another user": _attribute(journeys, "_read", _unnamed(journeys._read)),
    "a completion takes another user's sender": _sql(
        statements.RENEW_LINK, "WHERE configure_subjects", "WHERE 1 OR configure_subjects"
    ),
    "an agent is claimed again": _sql(statements.CLAIM_AGENT, " AND owner_user_id IS NULL"),
    "an agent of the other app is claimed": _sql(statements.CLAIM_AGENT, "app = :app AND "),
    "a claim token lasts": _sql(statements.CLAIM_AGENT, " AND claim_until > :now"),
    "a disconnect leaves the login": _sql(statements.DELETE_ACCOUNTS, "RETURNING", "AND kind = 'agent' RETURNING"),
    "a forgotten user's attempts go on": _all(
        _sql(statements.FORGET_ATTEMPTS, "WHERE", "WHERE 1 = 0 AND"),
        _sql(statements.FORGET_VERSION, "WHERE", "WHERE 1 = 0 AND"),
    ),
    "two workers send a refresh token": _attribute(tokens, "with_lease", _without_lease),
    "a code is logged": _attribute(link.LinkKind, "exchange", _with_a_code_in_the_log(link.LinkKind.exchange)),
    "next may be another site": _attribute(Destinations, "accepted_or_none", lambda self, target: target),
    "another site may start and disconnect": _attribute(Site, "is_from_app", lambda *given, **named: True),
    "a failure is not remembered": _attribute(callback, "save_outcome", _nothing),
}
