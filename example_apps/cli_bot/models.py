"""The bot's users, who need a password for the page only."""

from __future__ import annotations

import secrets

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.security import check_password_hash, generate_password_hash

__all__ = ["User", "db"]


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class User(Base):
    __tablename__ = "user"
    __table_args__ = {"sqlite_autoincrement": True}  # an id is never given to a second person

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]

    @staticmethod
    def named(name: str) -> User:
        """The user of this name, who is made when first seen."""
        user: User | None = db.session.scalar(db.select(User).filter_by(name=name))
        if user is None:
            user = User(name=name)
            db.session.add(user)
            db.session.commit()
        return user

    def new_password(self) -> str:
        password = secrets.token_urlsafe(9)
        self.password_hash = generate_password_hash(password)
        db.session.commit()
        return password

    def check_password(self, password: str) -> bool:
        return self.password_hash is not None and check_password_hash(self.password_hash, password)
