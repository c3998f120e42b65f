"""The tables of the SQL store, how they are made and changed, and what is checked before they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..errors import SettingsError
from ..runtime.frozen import dataclass
from .statements import ANYTHING_SEALED, KEEP_PARAMETER, PARAMETERS_WITH_PREFIX, REMOVE_PARAMETER

# `owners` has one row for a Configure user: the constraint that gives it one local user, whatever the kind of token.
_FIRST = """
CREATE TABLE configure_parameters (name VARCHAR(255) NOT NULL, value VARCHAR(255) NOT NULL, PRIMARY KEY (name));
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
    agent VARCHAR(63) NOT NULL, user_id VARCHAR(255) NOT NULL, version BIGINT NOT NULL, PRIMARY KEY (agent, user_id));
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
    name VARCHAR(400) NOT NULL, owner VARCHAR(64) NOT NULL, until FLOAT(53) NOT NULL, PRIMARY KEY (name));
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

READABLE_SINCE = SCHEMA
"""The oldest schema number whose version of this package can work on the tables above.

A change that only adds nullable columns, tables or indexes leaves it as it is, so that the version before can be
deployed again. The tables have it from then on, as the parameter `readable since`.
"""

TABLES = frozenset(word for change in CHANGES for word in change.split() if f"CREATE TABLE {word} (" in change)


@dataclass(frozen=True)
class Dialect:
    """What the two databases are told in different words.

    Attributes:
        text: translates a statement for the driver.
        begin: begins a transaction that writes; {milliseconds} is how long it waits for locks.
        has_parameters: gives one row if that table exists.
        lock_schema: makes a second upgrade at the same time wait. None: SQLite, whose tables the store makes itself.
    """

    text: Callable[[str], str]
    begin: str
    has_parameters: str
    lock_schema: str | None


class Run(Protocol):
    """Runs one statement in a transaction and returns its rows."""

    async def __call__(self, statement: str, /, **values: Any) -> list[tuple[Any, ...]]: ...


def statements(since: int = 0) -> list[str]:
    """Return the statements that lead from a schema number (0: an empty database) to the present one."""
    if since >= SCHEMA:
        return []
    numbers = {"schema": SCHEMA} | ({"readable since": READABLE_SINCE} if READABLE_SINCE < SCHEMA else {})
    notes = [
        f"INSERT INTO configure_parameters (name, value) VALUES ('{name}', '{number}')\n"
        "    ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        for name, number in numbers.items()
    ]
    return [*(one.strip() for change in CHANGES[since:] for one in change.split(";") if one.strip()), *notes]


class Preparation:
    """Makes tables or checks their number, and checks the keys, once before the first operation.

    Args:
        before: called with the number of older tables that are about to be changed.
        then: called after the checks.
    """

    def __init__(
        self,
        dialect: Dialect,
        agent: str = "",
        fingerprints: tuple[str, ...] = (),
        before: Callable[[int], None] | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        self.dialect = dialect
        self.agent = agent
        self.fingerprints = fingerprints
        self.before = before
        self.then = then
        self.done = False

    async def __call__(self, run: Run) -> None:
        if self.dialect.lock_schema is None:
            await self.upgrade(run)
        elif (found := await self._number(run)) is None or found < SCHEMA:
            state = "no tables yet" if found is None else f"tables of schema {found}, and {SCHEMA} is needed"
            raise SettingsError(f"the store has {state}: run `configure_auth tables`, or your migration")
        await self._check_keys(run)
        if self.then is not None:
            self.then()

    async def upgrade(self, run: Run) -> int:
        """Create the tables or change older ones, in the caller's transaction; return the number found, 0 for none.

        Raises:
            SettingsError: the tables are newer than this version of the package, and it can't work on them.
        """
        if self.dialect.lock_schema is not None:
            await run(self.dialect.lock_schema)
        found = await self._number(run) or 0
        if 0 < found < SCHEMA and self.before is not None:
            self.before(found)
        for statement in statements(found):
            await run(statement)
        return found

    async def _number(self, run: Run) -> int | None:
        if not await run(self.dialect.has_parameters):
            return None
        noted = dict(
            await run("SELECT name, value FROM configure_parameters WHERE name IN ('schema', 'readable since')")
        )
        found, since = noted.get("schema", "0"), noted.get("readable since")
        if not (found.isascii() and found.isdecimal()):
            raise SettingsError(f"the store's tables are of schema {found[:8]!a}, which is not configure_auth's")
        if int(found) > SCHEMA and (since is None or int(since) > SCHEMA):
            raise SettingsError(
                f"the store's tables are of schema {found}, made by a newer configure_auth; this version knows "
                f"{SCHEMA}. Deploy the newer version again, or restore the copy of the store made before the upgrade "
                f"(of an SQLite file: the one beside it that ends in .schema-{SCHEMA})"
            )
        return int(found) if "schema" in noted else None

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
