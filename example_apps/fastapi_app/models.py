"""The app's people."""

import hashlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["Base", "SessionDep", "User", "open_database"]


class Base(DeclarativeBase):
    pass


class User(Base):
    """A person: somebody who came by Configure has no username and no password."""

    __tablename__ = "user"
    __table_args__ = {"sqlite_autoincrement": True}  # an id is never given to a second person

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str | None] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    name: Mapped[str | None]
    email: Mapped[str | None] = mapped_column(unique=True)
    configure_id: Mapped[str | None] = mapped_column(unique=True)  # of the profile that made this account

    def set_password(self, password: str) -> None:
        salt = secrets.token_hex(16)
        self.password_hash = f"{salt}${scrypt(password, salt)}"

    @property
    def has_password(self) -> bool:
        return self.password_hash is not None

    def check_password(self, password: str) -> bool:
        if self.password_hash is None:
            return False
        salt, _, known = self.password_hash.partition("$")
        return secrets.compare_digest(known, scrypt(password, salt))


def scrypt(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=salt.encode(), n=2**14, r=8, p=1).hex()


def open_database(path: Path) -> tuple[AsyncEngine, async_sessionmaker[AsyncSession]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    return engine, async_sessionmaker(engine, expire_on_commit=False)


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """The dependency; an endpoint or a hook commits what it changes."""
    async with request.app.state.sessions() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]
