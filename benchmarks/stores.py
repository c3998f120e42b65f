"""What a sign-in costs at the store with a thousand and with a million attempts and connections in it.

    python benchmarks/stores.py sqlite:////tmp/bench.db
    python benchmarks/stores.py postgresql://localhost/bench
    python benchmarks/stores.py sqlite:////tmp/bench.db --states redis://localhost:6379/9
    python benchmarks/stores.py sqlite:////tmp/bench.db --ended 200000

The database must be empty. Each figure is the median of `--samples` calls; the last column is a million against a
thousand, and may be 1.5 at most. With `--ended` it measures what a start costs beside so many ended attempts, at most 3
ms, and while a purge deletes them, at most twice what it costs before. The exit code is 1 if a limit is exceeded.
`--large 10000 --samples 100` takes seconds and shows that it works; limits are for a quiet machine and a million.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

import click
import psycopg

from configure_auth import Settings, flows
from configure_auth.client.client import Configure
from configure_auth.flows import Performer
from configure_auth.stores import StoredAccount, Stores
from configure_auth.stores.databases import POSTGRESQL, SQLITE
from configure_auth.stores.opening import make_tables, open_stores
from configure_auth.stores.statements import KEEP_VERSION, PUT_ATTEMPT, SAVE_ACCOUNT, TAKE_OWNERSHIP
from configure_auth.values import PendingSignIn

NOW = time.time()
LIMIT = 1.5
START_LIMIT, PURGE_LIMIT = 3, 2
BATCH = 10_000


def pending(number: int, *, ended: bool = False) -> PendingSignIn:
    created = NOW - 100_000 if ended else NOW
    return PendingSignIn(
        state_hash=f"{number:064x}",
        browser_hash=f"{number + 2**60:064x}",
        intent="link",
        agent="bench",
        user_id=f"user-{number}",
        next="/settings",
        verifier="x" * 120,
        redirect_uri="https://app.example.com/configure/callback",
        version=number,
        replace=False,
        created_at=created,
        expires_at=created + 900,
    )


def connection_of(number: int) -> StoredAccount:
    return StoredAccount(
        agent="bench",
        kind="agent",
        user_id=f"user-{number}",
        configure_user_id=f"configure-{number}",
        token="x" * 400,
        expires_at=None,
        scopes=("profile.read",),
        linked_at=NOW,
        serial=f"{number:032x}",
    )


def fill(stores: Stores, url: str, numbers: range, *, redis: bool, ended: bool) -> None:
    """Straight into the tables; into Redis by the store itself."""
    for start in range(numbers.start, numbers.stop, BATCH):
        some = range(start, min(start + BATCH, numbers.stop))
        attempts = [] if redis else [pending(n, ended=ended) for n in some]
        kept = [] if ended else [connection_of(n) for n in some]
        rows: list[tuple[str, list[dict[str, Any]]]] = [
            (PUT_ATTEMPT, [asdict(one) for one in attempts]),
            (KEEP_VERSION, [{"agent": "bench", "user_id": one.user_id, "version": 1} for one in kept]),
            (TAKE_OWNERSHIP, [asdict(one) for one in kept]),
            (SAVE_ACCOUNT, [asdict(one) | {"scopes": "profile.read"} for one in kept]),
        ]
        write(url, rows)
        if redis and not ended:
            for n in some:
                stores.states.put(pending(n), limit=10, now=NOW)
    if url.startswith("postgresql"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


def write(url: str, rows: list[tuple[str, list[dict[str, Any]]]]) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
            for statement, values in rows:
                for row in values:
                    file.execute(SQLITE.text(statement), row)
    else:
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            for statement, values in rows:
                if values:
                    cursor.executemany(POSTGRESQL.text(statement), values)


fresh = count(10**9)


def measured(stores: Stores, size: int, samples: int, first: int) -> dict[str, float]:
    """Median milliseconds of each step of a sign-in, over records that lie all through the tables."""
    spread: Iterator[int] = iter(range(first, size, max(1, (size - 1000) // samples)))

    def claim() -> None:
        number = next(spread)
        one = pending(number)
        claimed = stores.states.claim(
            one.state_hash, browser_hash=one.browser_hash, intent="link", agent="bench", now=NOW
        )
        assert claimed is not None

    steps: dict[str, Callable[[int], object]] = {
        "put": lambda n: stores.states.put(pending(next(fresh)), limit=10, now=NOW),
        "claim": lambda n: claim(),
        "owner": lambda n: stores.accounts.owner("bench", f"configure-{n}"),
        "find": lambda n: stores.accounts.find("bench", f"user-{n}"),
    }
    medians = {}
    for name, step in steps.items():
        took = []
        for sample in range(samples):
            number = sample * 7919 % size
            began = time.perf_counter()
            step(number)
            took.append(time.perf_counter() - began)
        medians[name] = 1000 * statistics.median(took[samples // 10 :])
    return medians


def starts(stores: Stores, seconds: float) -> float:
    """Median milliseconds of a start, repeated for so long."""
    took, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        stores.states.put(pending(next(fresh)), limit=10, now=NOW)
        took.append(1000 * (time.perf_counter() - began))
        time.sleep(0.005)
    return statistics.median(took)


def sweeping(stores: Stores, url: str, ended: int) -> bool:
    """Print what a start costs beside ended attempts, and while a purge deletes them; whether the limits are met."""
    idle = starts(stores, 3)
    fill(stores, url, range(10**8, 10**8 + ended), redis=False, ended=True)
    beside = starts(stores, 5)
    with Configure(Settings()) as client, ThreadPoolExecutor(1) as threads:
        performer = Performer(client, stores, None, lambda event: None)
        purged = threads.submit(flows.run, flows.purge(lambda: NOW), performer)
        meanwhile = starts(stores, 3)
        assert not purged.done(), "the purge ended before its effect was measured: give a larger --ended"
        purged.result()
    print(f"p50 of a start, nothing ended: {idle:.2f} ms")
    print(f"beside {ended} ended attempts: {beside:.2f} ms; at most {START_LIMIT} ms")
    print(
        f"while a purge deletes them: {meanwhile:.2f} ms, {meanwhile / beside:.2f} times; at most {PURGE_LIMIT} times"
    )
    return beside <= START_LIMIT and meanwhile <= PURGE_LIMIT * beside


@click.command()
@click.argument("url")
@click.option("--states", "states_url", help="The URL of a Redis for the attempts.")
@click.option("--large", default=1_000_000, show_default=True, type=click.IntRange(min=10_000))
@click.option("--ended", type=int, help="Measure only starts beside so many ended attempts.")
@click.option("--samples", default=700, show_default=True, type=click.IntRange(50, 1000))
def main(url: str, states_url: str | None, large: int, ended: int | None, samples: int) -> None:
    make_tables(url, Path.cwd())
    stores = open_stores(
        url,
        states_url,
        agent="bench",
        fingerprints=(),
        folder=Path.cwd(),
        awaited=False,
        local=True,
    )
    if ended is not None:
        is_met = sweeping(stores, url, ended)
        stores.close()
        sys.exit(not is_met)
    redis = states_url is not None
    fill(stores, url, range(1000), redis=redis, ended=False)
    small = measured(stores, 1000, samples, 0)
    fill(stores, url, range(1000, large), redis=redis, ended=False)
    big = measured(stores, large, samples, 1000)
    columns = {"1 000": small, f"{large:_}".replace("_", " "): big}
    if not redis:
        fill(stores, url, range(10 * large, 11 * large), redis=False, ended=True)
        columns["and as many ended"] = measured(stores, large, samples, 1001)
    stores.close()
    worst = 0.0
    print(f"{'':8}" + "".join(f"{name:>20}" for name in columns) + f"{'ratio':>10}")
    for step in small:
        ratio = big[step] / small[step]
        worst = max(worst, ratio)
        print(f"{step:8}" + "".join(f"{values[step]:17.3f} ms" for values in columns.values()) + f"{ratio:10.2f}")
    sys.exit(worst > LIMIT)


if __name__ == "__main__":
    main()
