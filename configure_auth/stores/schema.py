"""The tables of the SQL store. `SCHEMA` counts up with every change to them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = ["SCHEMA", "accounts", "leases", "metadata", "owners", "parameters", "states", "users"]

SCHEMA = 1

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
    Column("kind", String(8), primary_key=True),
    Column("user_id", _id, primary_key=True),
    Column("configure_user_id", _id, nullable=False),
    Column("token", Text, nullable=False),
    Column("expires_at", Float(53)),
    Column("scopes", Text, nullable=False),
    Column("linked_at", Float(53), nullable=False),
    Column("needs_reconnect", Boolean, nullable=False),
    Column("refresh_sent_at", Float(53)),
    Column("refresh_sends", Integer, nullable=False),
    Column("serial", String(32), nullable=False),
    UniqueConstraint("agent", "kind", "configure_user_id", name="configure_accounts_identity"),
)

leases = Table(
    "configure_leases",
    metadata,
    Column("name", String(400), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("until", Float(53), nullable=False),
)
