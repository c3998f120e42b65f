"""Every statement of the SQL store, written once for SQLite 3.35 or newer and PostgreSQL 13 or newer.

Parameters are written `:name`. `FOR UPDATE` and `SKIP LOCKED` lock rows on PostgreSQL; SQLite has one writer at a time
and no such clause. PostgreSQL reads the rows of `= ANY (ARRAY(SELECT ...))` once, perhaps those of `IN (SELECT ...)`
for each row of a table without statistics. `databases` has what SQLite reads instead.
"""

from __future__ import annotations

from dataclasses import fields

from ..values import Journey, PendingSignIn
from . import OUTCOME_TTL, StoredAccount, StoredSubject


def _columns(record: type, form: str = "{}") -> str:
    return ", ".join(form.format(*[field.name] * 2) for field in fields(record))


def _due(table: str, key: str, time: str) -> str:
    # In the order of an index. Rows that another transaction deletes are left to it: there is nothing to wait for.
    return f"""WHERE {key} = ANY (ARRAY(SELECT {key} FROM {table} WHERE {time} <= :until
    ORDER BY {time} LIMIT :limit FOR UPDATE SKIP LOCKED)) RETURNING 1"""


def _insert(table: str, record: type) -> str:
    return f"INSERT INTO {table} ({_columns(record)}) VALUES ({_columns(record, ':{}')})"


_ATTEMPT, _ACCOUNT, _JOURNEY, _LINK = map(_columns, (PendingSignIn, StoredAccount, Journey, StoredSubject))

_USER, _SENDER = "agent = :agent AND user_id = :user_id", "agent = :agent AND subject = :subject"

# Attempts
_THIS_ATTEMPT = "state_hash = :state_hash AND browser_hash = :browser_hash AND intent = :intent AND agent = :agent"
PUT_ATTEMPT = _insert("configure_states", PendingSignIn)
# The open attempts of a browser beyond the newest ones. One that was claimed meanwhile is kept.
DROP_SURPLUS_ATTEMPTS = """DELETE FROM configure_states WHERE claimed_at IS NULL AND state_hash = ANY (ARRAY(
    SELECT state_hash FROM configure_states WHERE browser_hash = :browser_hash AND agent = :agent AND claimed_at IS NULL
    ORDER BY created_at DESC LIMIT 1000 OFFSET :kept))"""
CLAIM_ATTEMPT = f"""UPDATE configure_states SET claimed_at = :now
    WHERE {_THIS_ATTEMPT} AND claimed_at IS NULL AND expires_at > :now RETURNING {_ATTEMPT}"""
READ_ATTEMPT = f"SELECT {_ATTEMPT} FROM configure_states WHERE {_THIS_ATTEMPT} AND expires_at > :now - {OUTCOME_TTL}"
FINISH_ATTEMPT = """UPDATE configure_states SET outcome = :outcome, finished_at = :now, replay = :replay,
    replay_until = :replay_until, user_id = coalesce(:user_id, user_id)
    WHERE state_hash = :state_hash AND claimed_at IS NOT NULL"""
FORGET_ATTEMPTS = f"DELETE FROM configure_states WHERE {_USER}"
ATTEMPTS_OF_USER = f"SELECT {_ATTEMPT} FROM configure_states WHERE {_USER} ORDER BY created_at"
FORGET_REPLAYS = """UPDATE configure_states SET replay = NULL, replay_until = NULL
    WHERE browser_hash = :browser_hash AND agent = :agent AND replay IS NOT NULL"""
SWEEP_ATTEMPTS = f"DELETE FROM configure_states {_due('configure_states', 'state_hash', 'expires_at')}"
WIPE_REPLAYS = f"""UPDATE configure_states SET replay = NULL, replay_until = NULL
    {_due("configure_states", "state_hash", "replay_until")}"""

# Accounts. A user's version is made where there is none; its row is locked until the commit.
KEEP_VERSION = """INSERT INTO configure_users (agent, user_id, version) VALUES (:agent, :user_id, :version)
    ON CONFLICT (agent, user_id) DO UPDATE SET version = configure_users.version RETURNING version"""
LOCK_VERSION = f"SELECT version FROM configure_users WHERE {_USER} FOR UPDATE"
RAISE_VERSION = f"UPDATE configure_users SET version = :version WHERE {_USER}"
FORGET_VERSION = f"DELETE FROM configure_users WHERE {_USER}"
OWNER_AND_VERSION = """SELECT users.user_id, users.version FROM configure_owners AS owners
    JOIN configure_users AS users ON users.agent = owners.agent AND users.user_id = owners.user_id
    WHERE owners.agent = :agent AND owners.configure_user_id = :configure_user_id"""
# The local user of a Configure user, and the Configure users of a local user.
CONNECTIONS = f"""SELECT user_id, NULL FROM configure_owners
    WHERE agent = :agent AND configure_user_id = :configure_user_id
    UNION SELECT NULL, configure_user_id FROM configure_accounts WHERE {_USER}"""
# Violates the key, and so repeats the transaction, if another transaction made a local user the owner meanwhile.
TAKE_OWNERSHIP = """INSERT INTO configure_owners (agent, configure_user_id, user_id)
    VALUES (:agent, :configure_user_id, :user_id)"""
DROP_OWNERSHIP = f"DELETE FROM configure_owners WHERE {_USER} AND configure_user_id = :configure_user_id"
FIND_ACCOUNTS = f"SELECT {_ACCOUNT} FROM configure_accounts WHERE {_USER} ORDER BY kind"
PAGE_OF_ACCOUNTS = f"""SELECT {_ACCOUNT} FROM configure_accounts
    WHERE agent = :agent AND (user_id, kind) > (:user_id, :kind) ORDER BY user_id, kind LIMIT :limit"""
SAVE_ACCOUNT = f"""{_insert("configure_accounts", StoredAccount)}
    ON CONFLICT (agent, user_id, kind) DO UPDATE SET {_columns(StoredAccount, "{} = excluded.{}")}"""
UPDATE_ACCOUNT = f"""UPDATE configure_accounts SET {_columns(StoredAccount, "{} = :{}")}
    WHERE {_USER} AND kind = :kind AND serial = :old_serial RETURNING 1"""
_DELETE_ACCOUNTS = f"DELETE FROM configure_accounts WHERE {_USER}"
DELETE_ACCOUNTS = f"{_DELETE_ACCOUNTS} RETURNING {_ACCOUNT}"
DELETE_ACCOUNTS_OF_IDENTITY = f"{_DELETE_ACCOUNTS} AND configure_user_id = :configure_user_id RETURNING {_ACCOUNT}"
DELETE_OTHER_ACCOUNTS = f"{_DELETE_ACCOUNTS} AND configure_user_id <> :configure_user_id RETURNING {_ACCOUNT}"

# Leases. Those that are swept are of workers that were killed.
ACQUIRE_LEASE = """INSERT INTO configure_leases (name, owner, until) VALUES (:name, :owner, :until)
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
    WHERE configure_leases.until <= :now RETURNING owner"""
LEASED_BEYOND = "SELECT 1 FROM configure_leases WHERE name = :name AND until > :until"
RELEASE_LEASE = "DELETE FROM configure_leases WHERE name = :name AND owner = :owner"
SWEEP_LEASES = f"DELETE FROM configure_leases {_due('configure_leases', 'name', 'until')}"

# Journeys, and the links that come of them
_OPEN_JOURNEY = "journey_hash = :journey_hash AND agent = :agent AND expires_at > :now"
PUT_JOURNEY = _insert("configure_journeys", Journey)
DROP_SURPLUS_JOURNEYS = f"""DELETE FROM configure_journeys WHERE token_hash IS NULL AND journey_hash = ANY (ARRAY(
    SELECT journey_hash FROM configure_journeys WHERE {_SENDER} AND token_hash IS NULL
    ORDER BY created_at DESC LIMIT 1000 OFFSET :kept))"""
READ_JOURNEY = f"SELECT {_JOURNEY} FROM configure_journeys WHERE {_OPEN_JOURNEY}"
COUNT_TRY = f"""UPDATE configure_journeys SET tries = tries + 1
    WHERE {_OPEN_JOURNEY} AND token_hash IS NULL AND tries < :limit RETURNING 1"""
# Locked until the commit: of many completions one is first, and the others see what it did.
LOCK_JOURNEY = f"SELECT token_hash FROM configure_journeys WHERE {_OPEN_JOURNEY} AND subject = :subject FOR UPDATE"
COMPLETE_JOURNEY = """UPDATE configure_journeys SET token_hash = :token_hash, sender = NULL
    WHERE journey_hash = :journey_hash"""
FORGET_JOURNEYS = f"DELETE FROM configure_journeys WHERE {_SENDER}"
SWEEP_JOURNEYS = f"DELETE FROM configure_journeys {_due('configure_journeys', 'journey_hash', 'expires_at')}"
FIND_LINK = f"SELECT {_LINK} FROM configure_subjects WHERE {_SENDER}"
PAGE_OF_LINKS = f"""SELECT {_LINK} FROM configure_subjects
    WHERE agent = :agent AND subject > coalesce(:after, '') ORDER BY subject LIMIT :limit"""
ADD_LINK = f"{_insert('configure_subjects', StoredSubject)} ON CONFLICT (agent, subject) DO NOTHING RETURNING 1"
REPLACE_LINK = f"""{_insert("configure_subjects", StoredSubject)}
    ON CONFLICT (agent, subject) DO UPDATE SET {_columns(StoredSubject, "{} = excluded.{}")}"""
# Also ends the sender's opt-out. No row where the link is another Configure user's.
RENEW_LINK = f"""{REPLACE_LINK}
    WHERE configure_subjects.configure_user_id IN ('', excluded.configure_user_id) RETURNING 1"""
UPDATE_LINK = f"""UPDATE configure_subjects SET {_columns(StoredSubject, "{} = :{}")}
    WHERE {_SENDER} AND serial = :old_serial RETURNING 1"""
REMOVE_LINK = f"DELETE FROM configure_subjects WHERE {_SENDER} AND serial = :serial RETURNING 1"
FORGET_LINK = f"DELETE FROM configure_subjects WHERE {_SENDER} RETURNING {_LINK}"

# Claims of agents
REGISTER_AGENT = """INSERT INTO configure_agents (app, agent_id, claim_hash, claim_until)
    VALUES (:app, :agent_id, :claim_hash, :until)
    ON CONFLICT (app, agent_id) DO UPDATE SET claim_hash = excluded.claim_hash, claim_until = excluded.claim_until
    WHERE configure_agents.owner_user_id IS NULL RETURNING 1"""
_CLAIM = "app = :app AND claim_hash = :claim_hash AND claim_until > :now"
CLAIM_AGENT = f"""UPDATE configure_agents SET owner_user_id = :user_id
    WHERE {_CLAIM} AND owner_user_id IS NULL RETURNING agent_id, owner_user_id"""
CLAIMED_AGENT = f"""SELECT agent_id, owner_user_id FROM configure_agents
    WHERE {_CLAIM} AND owner_user_id IS NOT NULL"""
OWNER_OF_AGENT = "SELECT owner_user_id FROM configure_agents WHERE app = :app AND agent_id = :agent_id"
AGENTS_OF_OWNER = "SELECT agent_id FROM configure_agents WHERE app = :app AND owner_user_id = :user_id"
FORGET_AGENTS = "DELETE FROM configure_agents WHERE app = :app AND owner_user_id = :user_id"

# Parameters
READ_PARAMETER = "SELECT value FROM configure_parameters WHERE name = :name"
KEEP_PARAMETER = """INSERT INTO configure_parameters (name, value) VALUES (:name, :value)
    ON CONFLICT (name) DO UPDATE SET value = configure_parameters.value RETURNING value"""
REPLACE_PARAMETER = "UPDATE configure_parameters SET value = :new WHERE name = :name AND value = :old RETURNING 1"
REMOVE_PARAMETER = "DELETE FROM configure_parameters WHERE name = :name"
PARAMETERS_WITH_PREFIX = "SELECT name FROM configure_parameters WHERE substr(name, 1, :length) = :prefix"
# Whether there is anything that only its key can open, but for attempts, which end by themselves.
ANYTHING_SEALED = """SELECT 1 FROM configure_accounts WHERE agent = :agent
    UNION ALL SELECT 1 FROM configure_subjects WHERE agent = :agent AND token <> ''
    UNION ALL SELECT 1 FROM configure_parameters WHERE name = :id_key LIMIT 1"""
