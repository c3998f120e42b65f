"""In place of an SMS provider: the threads of two people, in a file that the page and the terminals share."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["PHONES", "Message", "Threads"]

PHONES = {"ada": "+15550100001", "bob": "+15550100002"}
"""The senders, by the id that stands for each of them, and the phone that each one writes from."""


class Message(NamedTuple):
    id: int
    sender: str
    by_agent: bool
    text: str


class Threads:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "threads.db"
        self.execute("CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, sender, by_agent, text)")

    def add(self, sender: str, text: str, *, by_agent: bool = False) -> None:
        self.execute("INSERT INTO message (sender, by_agent, text) VALUES (?, ?, ?)", sender, by_agent, text)

    def after(self, id: int) -> list[Message]:
        rows = self.execute("SELECT id, sender, by_agent, text FROM message WHERE id > ? ORDER BY id", id)
        return [Message(id, sender, bool(by_agent), text) for id, sender, by_agent, text in rows]

    def execute(self, statement: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as database, database:
            return database.execute(statement, values).fetchall()
