"""Everything that this package adds: who is calling, agents that people claim, and what they see of each other."""

from __future__ import annotations

from starlette.requests import Request
from starlette.routing import Mount

from configure_auth import Settings
from configure_auth.starlette import BearerUser, ConfigureAuth

from .models import Person, database

__all__ = ["claim_routes", "make_bearer_user", "make_configure_auth", "profile_routes"]


# [users]
def make_bearer_user(supabase_url: str) -> BearerUser:
    return BearerUser.supabase(supabase_url)


def make_configure_auth(settings: Settings, bearer_user: BearerUser) -> ConfigureAuth:
    return ConfigureAuth(settings, session=False, user_id=bearer_user)


# [claims]
def claim_routes(configure_auth: ConfigureAuth) -> Mount:
    return configure_auth.agent_claims()  # POST /api/v1/agents/claim


# [profiles]
def find_person(request: Request, user_id: str) -> Person | None:
    with database(request) as db:
        return db.get(Person, user_id)


def profile_routes(configure_auth: ConfigureAuth) -> Mount:  # GET /api/v1/users/<user id>
    return configure_auth.user_profiles(resolve=find_person, fields=("display_name", "avatar_url"))
