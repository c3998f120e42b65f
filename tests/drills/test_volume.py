"""Thousands of sign-ins at real servers, and a store full of ended ones: nothing grows or slows. `make drills`."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from configure_auth.sandbox import Sandbox

from ..support.processes import ROOT
from ..support.servers import private_postgresql
from ..support.visitor import Visitor
from .slow_configure import served

pytestmark = pytest.mark.drill

SIGN_INS = int(os.environ.get("DRILL_SIGN_INS", "5000"))
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024

MORE_KIB, MORE_DESCRIPTORS, MORE_THREADS = 4 * 1024, 8, 8
"""What a process may have more at the end than after three fifths. Before, a server starts its threads as they are
needed, and each of its connections fills a page cache of SQLite's with 2 MB."""


@dataclass(frozen=True)
class Size:
    rss_kib: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Size:
        process = Path(f"/proc/{pid}")
        rss = int((process / "statm").read_text().split()[1]) * PAGE_KIB
        return cls(rss, len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())))


def family(pid: int) -> list[int]:
    """A process and the processes that it started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
    return [pid, *(child for child, parent in parents.items() if parent == pid)]


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_nothing_grows(server: str) -> None:
    with Sandbox() as sandbox, served(server, sandbox) as (url, process):
        place = urlsplit(url)
        assert place.port is not None
        port: int = place.port

        def sign_in(number: int) -> int:
            return Visitor(port, place.netloc, sandbox).run("login", f"+1555{3_000_000 + number}").status

        sizes: list[dict[int, Size]] = []
        # No more at once than one process lets call Configure: none has to wait.
        with ThreadPoolExecutor(4) as threads:
            for first in range(0, SIGN_INS, SIGN_INS // 5):
                assert set(threads.map(sign_in, range(first, first + SIGN_INS // 5))) == {303}
                sizes.append({pid: Size.of(pid) for pid in family(process.pid)})
                print(f"\n{server} after {first + SIGN_INS // 5} sign-ins: {list(sizes[-1].values())}")

    assert all(step.keys() == sizes[0].keys() for step in sizes), "a worker was replaced"
    for pid, end in sizes[-1].items():
        begin = sizes[2][pid]
        assert end.rss_kib - begin.rss_kib <= MORE_KIB
        assert end.descriptors - begin.descriptors <= MORE_DESCRIPTORS
        assert end.threads - begin.threads <= MORE_THREADS


def measure_starts(url: str) -> None:
    """Beside 200,000 ended attempts, and while they are purged; the benchmark knows the limits."""
    command = [sys.executable, "benchmarks/stores.py", url, "--ended", "200000"]
    print(f"\n{url.partition(':')[0]}", flush=True)
    assert subprocess.run(command, cwd=ROOT).returncode == 0, "a limit is exceeded"


def test_starts_beside_ended_attempts_on_sqlite(tmp_path: Path) -> None:
    measure_starts(f"sqlite:///{tmp_path / 'x.db'}")


def test_starts_beside_ended_attempts_on_postgresql() -> None:
    with private_postgresql() as (url, _):
        measure_starts(url)
