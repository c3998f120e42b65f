"""The app's people."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.authentication import BaseUser
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request

__all__ = ["Base", "User", "database", "open_database"]


class Base(DeclarativeBase):
    pass


class User(BaseUser, Base):
    """A person: somebody who came by Configure has no username and no password."""

    __tablename__ = "user"
    __table_args__ = {"sqlite_autoincrement": True}  # an id is never given to a second person

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str | None] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    name: Mapped[str | None]
    email: Mapped[str | None] = mapped_column(unique=True)
    configure_id: Mapped[str | None] = mapped_column(unique=True)  # of the profile that made this account

    @staticmethod
    async def by_id(db: AsyncSession, user_id: str) -> User | None:
        return await db.get(User, int(user_id))

    @staticmethod
    async def by(db: AsyncSession, **values: str) -> User | None:
        found: User | None = await db.scalar(select(User).filter_by(**values))
        return found

    is_authenticated = True

    @property
    def identity(self) -> str:
        return str(self.id)

    @property
    def display_name(self) -> str:
        return self.name or self.username or ""

    def sign_in(self, request: Request) -> None:
        request.session["user_id"] = self.identity

    async def set_password(self, password: str) -> None:
        salt = secrets.token_hex(16)
        self.password_hash = f"{salt}${await run_in_threadpool(scrypt, password, salt)}"

    def has_password(self) -> bool:
        return self.password_hash is not None

    async def check_password(self, password: str) -> bool:
        if self.password_hash is None:
            return False
        salt, _, known = self.password_hash.partition("$")
        return secrets.compare_digest(known, await run_in_threadpool(scrypt, password, salt))


def scrypt(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=salt.encode(), n=2**14, r=8, p=1).hex()


def open_database(path: Path) -> tuple[AsyncEngine, async_sessionmaker[AsyncSession]]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    return engine, async_sessionmaker(engine, expire_on_commit=False)


def database(connection: HTTPConnection) -> AsyncSession:
    """A session with the app's database: `async with database(request) as db`."""
    session: AsyncSession = connection.app.state.sessions()
    return session
