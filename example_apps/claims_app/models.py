"""What the app itself keeps: its agents, and the profiles of the identity system's users."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import Request
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from .stand_in import PEOPLE

__all__ = ["Agent", "Person", "database", "open_database"]


class Base(DeclarativeBase):
    pass


class Person(Base):
    """A user of the identity system, whose id is the `sub` of its tokens."""

    __tablename__ = "person"

    id: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    avatar_url: Mapped[str | None]
    email: Mapped[str]  # for the app alone


class Agent(Base):
    """An agent; who owns it is known by `configure_auth`."""

    __tablename__ = "agent"
    __table_args__ = {"sqlite_autoincrement": True}  # an id is never given to a second agent

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    key_hash: Mapped[str] = mapped_column(unique=True)

    @staticmethod
    def hash_of(key: str) -> str:  # of 256 random bits, which nobody guesses
        return hashlib.sha256(key.encode()).hexdigest()


def open_database(path: Path) -> tuple[Engine, sessionmaker[Session]]:
    engine = create_engine(f"sqlite:///{path}")
    sessions = sessionmaker(engine, expire_on_commit=False)
    Base.metadata.create_all(engine)
    with sessions() as db:  # in place of the people who sign up
        for name, user_id in PEOPLE.items():
            email, avatar = f"{name}@example.com", f"https://avatars.example/{name}.png"
            db.merge(Person(id=user_id, display_name=name.title(), avatar_url=avatar, email=email))
        db.commit()
    return engine, sessions


def database(request: Request) -> Session:
    """A session with the app's database: `with database(request) as db`."""
    session: Session = request.app.state.sessions()
    return session
