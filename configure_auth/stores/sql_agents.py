"""The agents that an app's users claim, in SQL."""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, insert, select, update

from ..values import ClaimedAgent
from .schema import agents
from .statements import SqlStore, reading, transaction

__all__ = ["SqlAgents"]


class SqlAgents(SqlStore):
    @transaction
    def register(
        self, connection: Connection, agent_id: str, claim_hash: str, *, app: str, until: float, now: float
    ) -> bool:
        mine = and_(agents.c.app == app, agents.c.agent_id == agent_id)
        claim = {"claim_hash": claim_hash, "claim_until": until}
        renewed = connection.execute(update(agents).where(mine, agents.c.owner_user_id.is_(None)).values(**claim))
        if renewed.rowcount == 1:
            return True
        owned = select(agents.c.agent_id).where(mine, agents.c.owner_user_id.is_not(None))
        if connection.execute(owned).first() is not None:
            return False
        # One that was added meanwhile, and still waits, makes this fail, and the transaction be taken again.
        connection.execute(insert(agents).values(app=app, agent_id=agent_id, **claim))
        return True

    @transaction
    def claim(
        self, connection: Connection, claim_hash: str, user_id: str, *, app: str, now: float
    ) -> ClaimedAgent | None:
        mine = and_(agents.c.app == app, agents.c.claim_hash == claim_hash, agents.c.claim_until > now)
        claimed = connection.execute(
            update(agents).where(mine, agents.c.owner_user_id.is_(None)).values(owner_user_id=user_id)
        )
        found = connection.execute(select(agents.c.agent_id, agents.c.owner_user_id).where(mine)).one_or_none()
        if found is None:
            return None
        return ClaimedAgent(agent_id=found.agent_id, owner_user_id=found.owner_user_id, is_new=claimed.rowcount == 1)

    @reading
    def owner(self, connection: Connection, agent_id: str, *, app: str) -> str | None:
        mine = and_(agents.c.app == app, agents.c.agent_id == agent_id)
        return connection.execute(select(agents.c.owner_user_id).where(mine)).scalar_one_or_none()

    @reading
    def owned_by(self, connection: Connection, user_id: str, *, app: str) -> tuple[str, ...]:
        mine = select(agents.c.agent_id).where(agents.c.app == app, agents.c.owner_user_id == user_id)
        # In Python's order: a database has its own idea of the alphabet.
        return tuple(sorted(connection.execute(mine).scalars()))

    @transaction
    def forget(self, connection: Connection, app: str, user_id: str) -> None:
        connection.execute(delete(agents).where(agents.c.app == app, agents.c.owner_user_id == user_id))
