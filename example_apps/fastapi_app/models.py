"""The app's people."""

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

__all__ = ["Base", "SessionDep", "User", "database", "open_database"]


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


def open_database(path: Path) -> tuple[Engine, sessionmaker[Session]]:
    engine = create_engine(f"sqlite:///{path}")
    return engine, sessionmaker(engine, expire_on_commit=False)


def database(request: Request) -> Session:
    """A session with the app's database: `with database(request) as db`."""
    session: Session = request.app.state.sessions()
    return session


def open_session(request: Request) -> Iterator[Session]:
    """The dependency: what was changed is committed when the endpoint, or the hook, has returned."""
    with request.app.state.sessions.begin() as session:
        yield session


SessionDep = Annotated[Session, Depends(open_session)]
