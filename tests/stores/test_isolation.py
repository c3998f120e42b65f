"""Whatever a database has for its default, our transactions see what was committed while they waited."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import make_url

from configure_auth.stores.engines import open_blocking

from ..support.servers import PostgreSQL


def test_the_databases_own_isolation_is_not_ours(postgresql: PostgreSQL, tmp_path: Path) -> None:
    with postgresql.schema() as url:
        given = make_url(url)
        stricter = f"{given.query['options']} -cdefault_transaction_isolation=repeatable\\ read"
        chosen = given.update_query_dict({"options": stricter}).render_as_string(hide_password=False)
        with postgresql.engine(chosen) as engine, engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "repeatable read"

        database = open_blocking(chosen, agent="a", fingerprints=(), folder=tmp_path)
        ours = database.perform(
            lambda connection: connection.exec_driver_sql("SHOW transaction_isolation").scalar_one()
        )
        database.close()

    assert ours == "read committed"
