"""The app's people."""

from __future__ import annotations

from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.security import check_password_hash, generate_password_hash

__all__ = ["User", "db"]


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class User(UserMixin, Base):  # type: ignore[misc]  # Flask-Login has no types
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
    def by_id(user_id: str) -> User | None:
        return db.session.get(User, int(user_id))

    @staticmethod
    def by(**values: str) -> User | None:
        return db.session.scalar(select(User).filter_by(**values))

    @property
    def display_name(self) -> str | None:
        return self.name or self.username

    def set_password(self, password: str) -> None:
        self.password_hash = generate_password_hash(password)

    def has_password(self) -> bool:
        return self.password_hash is not None

    def check_password(self, password: str) -> bool:
        return self.password_hash is not None and check_password_hash(self.password_hash, password)
