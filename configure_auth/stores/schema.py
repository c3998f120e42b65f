"""The tables of the SQL store, how they are made and changed, and what is checked before they are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import SettingsError
from .statements import (
    ANYTHING_SEALED,
    KEEP_PARAMETER,
    PARAMETERS_WITH_PREFIX,
    READ_PARAMETER,
    REMOVE_PARAMETER,
    Dialect,
)

# `owners` has one row for a Configure user: the constraint that gives it one local user, whatever the kind of token.
_FIRST = """
CREATE TABLE configure_parameters (
    name VARCHAR(255) NOT NULL, value VARCHAR(255) NOT NULL,
    PRIMARY KEY (name));
CREATE TABLE configure_states (
    state_hash VARCHAR(64) NOT NULL, browser_hash VARCHAR(64) NOT NULL, intent VARCHAR(8) NOT NULL,
    agent VARCHAR(63) NOT NULL, user_id VARCHAR(255), next TEXT, verifier TEXT, code TEXT, redirect_uri TEXT NOT NULL,
    version BIGINT, replace BOOLEAN NOT NULL, created_at FLOAT(53) NOT NULL, expires_at FLOAT(53) NOT NULL,
    claimed_at FLOAT(53), finished_at FLOAT(53), outcome TEXT, replay TEXT, replay_until FLOAT(53),
    PRIMARY KEY (state_hash));
CREATE INDEX configure_states_browser ON configure_states (browser_hash, agent, created_at);
CREATE INDEX configure_states_user ON configure_states (agent, user_id);
CREATE INDEX configure_states_end ON configure_states (expires_at);
CREATE INDEX configure_states_replay ON configure_states (replay_until);
CREATE TABLE configure_users (
    agent VARCHAR(63) NOT NULL, user_id VARCHAR(255) NOT NULL, version BIGINT NOT NULL,
    PRIMARY KEY (agent, user_id));
CREATE TABLE configure_owners (
    agent VARCHAR(63) NOT NULL, configure_user_id VARCHAR(255) NOT NULL, user_id VARCHAR(255) NOT NULL,
    PRIMARY KEY (agent, configure_user_id));
CREATE TABLE configure_accounts (
    agent VARCHAR(63) NOT NULL, user_id VARCHAR(255) NOT NULL, kind VARCHAR(8) NOT NULL,
    configure_user_id VARCHAR(255) NOT NULL, token TEXT NOT NULL, expires_at FLOAT(53), scopes TEXT NOT NULL,
    linked_at FLOAT(53) NOT NULL, needs_reconnect BOOLEAN NOT NULL, refresh_sent_at FLOAT(53),
    refresh_sends INTEGER NOT NULL, serial VARCHAR(32) NOT NULL,
    PRIMARY KEY (agent, user_id, kind),
    CONSTRAINT configure_accounts_identity UNIQUE (agent, configure_user_id, kind));
CREATE TABLE configure_leases (
    name VARCHAR(400) NOT NULL, owner VARCHAR(64) NOT NULL, until FLOAT(53) NOT NULL,
    PRIMARY KEY (name));
"""

# Several senders may be one Configure user: one person has a phone and a Slack account. `app` is the agent at
# Configure, as `agent` is elsewhere.
_MESSAGES_AND_CLAIMS = """
CREATE TABLE configure_journeys (
    journey_hash VARCHAR(64) NOT NULL, agent VARCHAR(63) NOT NULL, subject VARCHAR(255) NOT NULL, sender TEXT,
    created_at FLOAT(53) NOT NULL, expires_at FLOAT(53) NOT NULL, tries INTEGER NOT NULL, token_hash VARCHAR(64),
    PRIMARY KEY (journey_hash));
CREATE INDEX configure_journeys_subject ON configure_journeys (agent, subject, created_at);
CREATE INDEX configure_journeys_end ON configure_journeys (expires_at);
CREATE TABLE configure_subjects (
    agent VARCHAR(63) NOT NULL, subject VARCHAR(255) NOT NULL, configure_user_id VARCHAR(255) NOT NULL,
    token TEXT NOT NULL, linked_at FLOAT(53) NOT NULL, proven BOOLEAN NOT NULL, serial VARCHAR(32) NOT NULL,
    PRIMARY KEY (agent, subject));
CREATE TABLE configure_agents (
    app VARCHAR(63) NOT NULL, agent_id VARCHAR(255) NOT NULL, claim_hash VARCHAR(64) NOT NULL,
    claim_until FLOAT(53) NOT NULL, owner_user_id VARCHAR(255),
    PRIMARY KEY (app, agent_id), UNIQUE (claim_hash));
CREATE INDEX configure_agents_owner ON configure_agents (app, owner_user_id);
"""

CHANGES: tuple[str, ...] = (_FIRST, _MESSAGES_AND_CLAIMS)
"""The statements that lead from each schema number to the next; the first ones from an empty database to 1.

Both databases understand the types; SQLite ignores lengths and precision.
"""

SCHEMA = len(CHANGES)
"""The number of the tables above. It counts up with every change to them."""

READABLE_SINCE = SCHEMA
"""The oldest schema number whose version of this package can work on the tables above.

A change that only adds nullable columns, tables or indexes leaves it as it is, so that the version before can be
deployed again. The tables have it from then on, as the parameter `readable since`.
"""

TABLES = frozenset(word for change in CHANGES for word in change.split() if f"CREATE TABLE {word} (" in change)


class Run(Protocol):
    """Runs one statement in a transaction and returns its rows."""

    async def __call__(self, statement: str, /, **values: Any) -> list[tuple[Any, ...]]: ...


async def number(run: Run, dialect: Dialect) -> int | None:
    """Return the schema number of the tables that exist; None where there are none.

    Raises:
        SettingsError: what the tables have for a number is not one.
    """
    if not await run(dialect.has_parameters):
        return None
    found = await run(READ_PARAMETER.replace(":name", "'schema'"))
    if found and not (found[0][0].isascii() and found[0][0].isdecimal()):
        raise SettingsError(f"the store's tables are of schema {found[0][0][:8]!a}, which is not configure_auth's")
    return int(found[0][0]) if found else None


async def upgrade(run: Run, dialect: Dialect, before: Callable[[int], None] | None = None) -> int:
    """Create the tables or change older ones, in the caller's transaction; return the number that was found, or 0.

    Args:
        before: called with the number of older tables that are about to be changed.

    Raises:
        SettingsError: the tables are newer than this version of the package, and it can't work on them.
    """
    if dialect.lock_schema is not None:
        await run(dialect.lock_schema)
    found = await number(run, dialect) or 0
    if found > SCHEMA:
        await _check_readable(run, found)
        return found
    if 0 < found < SCHEMA and before is not None:
        before(found)
    for statement in statements(found):
        await run(statement)
    return found


async def _check_readable(run: Run, found: int) -> None:
    since = await run(READ_PARAMETER.replace(":name", "'readable since'"))
    if not since or int(since[0][0]) > SCHEMA:
        raise SettingsError(
            f"the store's tables are of schema {found}, made by a newer configure_auth; this version knows {SCHEMA}. "
            "Deploy the newer version again, or restore the copy of the store made before the upgrade (of an SQLite "
            f"file: the one beside it that ends in .schema-{SCHEMA})"
        )


def statements(since: int = 0) -> list[str]:
    """Return the statements that lead from a schema number (0: an empty database) to the present one."""
    if since == SCHEMA:
        return []
    note = f"UPDATE configure_parameters SET value = '{SCHEMA}' WHERE name = 'schema'"
    if since == 0:
        note = f"INSERT INTO configure_parameters (name, value) VALUES ('schema', '{SCHEMA}')"
    notes = [note]
    if READABLE_SINCE < SCHEMA:
        value = f"VALUES ('readable since', '{READABLE_SINCE}') ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        notes.append(f"INSERT INTO configure_parameters (name, value) {value}")
    return [*(one.strip() for change in CHANGES[since:] for one in change.split(";") if one.strip()), *notes]


@dataclass
class Preparation:
    """Checks tables, schema number and keys once, before the first operation.

    Args:
        makes_tables: whether they are created or changed here, as an SQLite file's are.
        then: called after it.
        before: called with the number of older tables that are about to be changed.
    """

    dialect: Dialect
    agent: str
    fingerprints: tuple[str, ...]
    makes_tables: bool
    then: Callable[[], None] | None = None
    before: Callable[[int], None] | None = None
    done: bool = False

    async def __call__(self, run: Run) -> None:
        if self.makes_tables:
            await self.upgrade(run)
        found = await number(run, self.dialect)
        if found is not None and found > SCHEMA:
            await _check_readable(run, found)
        elif found != SCHEMA:
            state = "no tables yet" if found is None else f"tables of schema {found}, and {SCHEMA} is needed"
            raise SettingsError(f"the store has {state}: run `configure_auth tables`, or your migration")
        await self._check_keys(run)
        if self.then is not None:
            self.then()

    async def upgrade(self, run: Run) -> int:
        return await upgrade(run, self.dialect, self.before)

    async def _check_keys(self, run: Run) -> None:
        prefix = f"key {self.agent} "
        # One statement: between two of them another process may write these very keys, and encrypt with them.
        others = await run(PARAMETERS_WITH_PREFIX, prefix=prefix, length=len(prefix))
        unknown = [one for one in self.fingerprints if (prefix + one,) not in others]
        if unknown and len(unknown) == len(self.fingerprints):
            if others and await run(ANYTHING_SEALED, agent=self.agent, id_key=f"id {self.agent}"):
                raise SettingsError(
                    "none of CONFIGURE_TOKEN_KEYS (or of the app's secret keys, where they are not set) sealed what is "
                    "in the store; add the key that did to the list"
                )
            # Nothing is lost: a first start before the keys were set is no reason to refuse them.
            for (name,) in others:
                await run(REMOVE_PARAMETER, name=name)
        for one in unknown:
            await run(KEEP_PARAMETER, name=prefix + one, value="")
