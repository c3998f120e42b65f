"""The tables of the SQL store, and how they come to be.

`metadata` can stand in an app's own Alembic environment; `upgrade` is the operation for its migrations, and what
`configure_auth tables` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_mock_engine,
    insert,
    inspect,
    select,
    update,
)

from ..errors import SettingsError

__all__ = [
    "SCHEMA",
    "accounts",
    "agents",
    "journeys",
    "leases",
    "metadata",
    "number",
    "owners",
    "parameters",
    "statements",
    "states",
    "subjects",
    "upgrade",
    "users",
]

metadata = MetaData()

_id = String(255)

parameters = Table(
    "configure_parameters",
    metadata,
    Column("name", _id, primary_key=True),
    Column("value", _id, nullable=False),
)

states = Table(
    "configure_states",
    metadata,
    Column("state_hash", String(64), primary_key=True),
    Column("browser_hash", String(64), nullable=False),
    Column("intent", String(8), nullable=False),
    Column("agent", String(63), nullable=False),
    Column("user_id", _id),
    Column("next", Text),
    Column("verifier", Text),
    Column("code", Text),
    Column("redirect_uri", Text, nullable=False),
    Column("version", BigInteger),
    Column("replace", Boolean, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("claimed_at", Float(53)),
    Column("finished_at", Float(53)),
    Column("outcome", Text),
    Column("replay", Text),
    Column("replay_until", Float(53)),
    Index("configure_states_browser", "browser_hash", "agent", "created_at"),
    Index("configure_states_user", "agent", "user_id"),
    Index("configure_states_end", "expires_at"),
    Index("configure_states_replay", "replay_until"),
)

users = Table(
    "configure_users",
    metadata,
    Column("agent", String(63), primary_key=True),
    Column("user_id", _id, primary_key=True),
    Column("version", BigInteger, nullable=False),
)

# One row a Configure user: the constraint that gives it one local user, whatever the kind of token.
owners = Table(
    "configure_owners",
    metadata,
    Column("agent", String(63), primary_key=True),
    Column("configure_user_id", _id, primary_key=True),
    Column("user_id", _id, nullable=False),
)

accounts = Table(
    "configure_accounts",
    metadata,
    Column("agent", String(63), primary_key=True),
    # In this order: most look-ups are of a user, whatever the kind.
    Column("user_id", _id, primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("configure_user_id", _id, nullable=False),
    Column("token", Text, nullable=False),
    Column("expires_at", Float(53)),
    Column("scopes", Text, nullable=False),
    Column("linked_at", Float(53), nullable=False),
    Column("needs_reconnect", Boolean, nullable=False),
    Column("refresh_sent_at", Float(53)),
    Column("refresh_sends", Integer, nullable=False),
    Column("serial", String(32), nullable=False),
    UniqueConstraint("agent", "configure_user_id", "kind", name="configure_accounts_identity"),
)

leases = Table(
    "configure_leases",
    metadata,
    Column("name", String(400), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("until", Float(53), nullable=False),
)

journeys = Table(
    "configure_journeys",
    metadata,
    Column("journey_hash", String(64), primary_key=True),
    Column("agent", String(63), nullable=False),
    Column("subject", _id, nullable=False),
    Column("sender", Text),
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("token_hash", String(64)),
    Index("configure_journeys_subject", "agent", "subject", "created_at"),
    Index("configure_journeys_end", "expires_at"),
)

# Nothing keeps a Configure user from being several senders: one person has a phone and a Slack account.
subjects = Table(
    "configure_subjects",
    metadata,
    Column("agent", String(63), primary_key=True),
    Column("subject", _id, primary_key=True),
    Column("configure_user_id", _id, nullable=False),
    Column("token", Text, nullable=False),
    Column("linked_at", Float(53), nullable=False),
    Column("proven", Boolean, nullable=False),
    Column("serial", String(32), nullable=False),
)


# What an app's users claim. `app` is the agent at Configure, as `agent` is elsewhere.
agents = Table(
    "configure_agents",
    metadata,
    Column("app", String(63), primary_key=True),
    Column("agent_id", _id, primary_key=True),
    Column("claim_hash", String(64), nullable=False, unique=True),
    Column("claim_until", Float(53), nullable=False),
    Column("owner_user_id", _id),
    Index("configure_agents_owner", "app", "owner_user_id"),
)


def _add_messages_and_claims(connection: Connection) -> None:
    metadata.create_all(connection, tables=[journeys, subjects, agents])


CHANGES: tuple[Callable[[Connection], None], ...] = (_add_messages_and_claims,)
"""What leads from each schema number to the next; the first from 1 to 2."""

SCHEMA = 1 + len(CHANGES)
"""The number of the tables above. It counts up with every change to them."""


def number(connection: Connection) -> int | None:
    """The schema number of the tables that are there; None where there are none.

    Raises:
        SettingsError: the tables say something else than a number.
    """
    if not inspect(connection).has_table(parameters.name):
        return None
    found = connection.execute(select(parameters.c.value).where(parameters.c.name == "schema")).scalar_one_or_none()
    if found is not None and not (found.isascii() and found.isdecimal()):
        raise SettingsError(f"the store's tables are of schema {found[:8]!a}, which is none of configure_auth's")
    return None if found is None else int(found)


def upgrade(connection: Connection) -> int:
    """Make the tables, or change older ones, in the caller's transaction; nothing where they are up to date.

    Args:
        connection: one that may define tables; in an Alembic migration `op.get_bind()`.

    Returns:
        the schema number that was found; 0 where there were no tables.

    Raises:
        SettingsError: the tables are newer than this version of the package.
    """
    if connection.dialect.name == "postgresql":
        # Two deployments at once: the second one waits, and finds the tables. The number is only ours.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7235427114909)")
    found = number(connection)
    if found is None:
        metadata.create_all(connection)
        connection.execute(insert(parameters).values(name="schema", value=str(SCHEMA)))
        return 0
    if found > SCHEMA:
        raise SettingsError(
            f"the store's tables are of schema {found}, made by a newer configure_auth; this knows {SCHEMA}"
        )
    if found == SCHEMA:
        return found
    for change in CHANGES[found - 1 :]:
        change(connection)
    connection.execute(update(parameters).where(parameters.c.name == "schema").values(value=str(SCHEMA)))
    return found


def statements(driver: str) -> list[str]:
    """The statements that `upgrade` makes in an empty database, for whoever may define tables where we may not."""
    said: list[str] = []

    def collect(statement: Any, *_: object) -> None:
        compiled = statement.compile(dialect=engine.dialect, compile_kwargs={"literal_binds": True})
        said.append(f"{str(compiled).strip()};")

    engine = create_mock_engine(f"{driver}://", collect)
    metadata.create_all(engine, checkfirst=False)
    collect(insert(parameters).values(name="schema", value=str(SCHEMA)))
    return said
