"""Whatever a database has for its default, our transactions see what was committed while they waited."""

from __future__ import annotations

from pathlib import Path

import psycopg
from sqlalchemy import make_url

from ..support.servers import PostgreSQL
from ..support.statements import each_statement
from .opened import opened


def test_the_databases_own_isolation_is_not_ours(postgresql: PostgreSQL, tmp_path: Path) -> None:
    began: list[str] = []
    with postgresql.schema() as url:
        given = make_url(url)
        stricter = f"{given.query['options']} -cdefault_transaction_isolation=repeatable\\ read"
        chosen = (
            given.update_query_dict({"options": stricter}).render_as_string(hide_password=False).replace("+", "%20")
        )
        with psycopg.connect(chosen) as connection:
            assert connection.execute("SHOW transaction_isolation").fetchone() == ("repeatable read",)

        stores = opened(chosen, tmp_path)
        with each_statement(lambda statement: began.append(statement) if "BEGIN" in statement else None):
            stores.accounts.version("a", "u1")
        stores.close()

    # For the tables and the keys, and for the step itself.
    assert len(began) == 2
    assert all("ISOLATION LEVEL READ COMMITTED" in statement for statement in began)
