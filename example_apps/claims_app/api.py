"""The app's own endpoints: agents register, and open sessions once somebody has claimed them."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import BaseModel, StringConstraints
from sqlalchemy import select

from configure_auth import AgentNoOwner
from configure_auth.starlette import BearerUser, ConfigureAuth

from .models import Agent, database

__all__ = ["make_api", "no_owner"]


class NewAgent(BaseModel):
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]


class Registered(BaseModel):  # in the spelling of the claim's own answer
    agentId: int
    agentKey: str
    claimToken: str


class AgentSession(BaseModel):
    agentId: int
    ownerUserId: str


def agent_of(
    request: Request, key: Annotated[str | None, Depends(APIKeyHeader(name="X-Agent-Key", auto_error=False))]
) -> Agent:
    with database(request) as db:
        agent = db.scalar(select(Agent).filter_by(key_hash=Agent.hash_of(key or "")))
    if agent is None:
        raise HTTPException(401, "An agent's key is needed.")
    return agent


def save_agent(request: Request, new: NewAgent) -> tuple[int, str]:
    """A new agent's id and its key."""
    key = secrets.token_urlsafe(32)
    agent = Agent(name=new.name, key_hash=Agent.hash_of(key))
    with database(request) as db:
        db.add(agent)
        db.commit()
    return agent.id, key


def make_api(configure_auth: ConfigureAuth, bearer_user: BearerUser) -> APIRouter:
    api = APIRouter()

    @api.post("/agents", status_code=201)
    async def register(saved: Annotated[tuple[int, str], Depends(save_agent)]) -> Registered:
        """Register an agent. Its claim token is for whom it shall belong to; its key is for itself."""
        agent_id, key = saved
        claim_token = await configure_auth.register_agent(agent_id)
        return Registered(agentId=agent_id, agentKey=key, claimToken=claim_token.reveal())

    @api.get("/agents", dependencies=[Depends(HTTPBearer(auto_error=False))])
    async def mine(user_id: Annotated[str | None, Depends(bearer_user)]) -> list[int]:
        """The agents of whoever asks."""
        if user_id is None:
            raise HTTPException(401, "Sign in first.", {"WWW-Authenticate": "Bearer"})
        return [int(agent_id) for agent_id in await configure_auth.agents_owned_by(user_id)]

    @api.post("/sessions", status_code=201)
    async def open_session(agent: Annotated[Agent, Depends(agent_of)]) -> AgentSession:
        """Open a session of an agent, for the user who has claimed it."""
        return AgentSession(agentId=agent.id, ownerUserId=await configure_auth.agent_owner(agent.id))

    return api


async def no_owner(request: Request, error: Any) -> Response:
    assert isinstance(error, AgentNoOwner)
    return JSONResponse({"error": error.code, "message": "Somebody must claim this agent first."}, error.status)
