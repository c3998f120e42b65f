"""Many processes with many threads each, which ask one app the same thing in the same moment, round after round."""

from __future__ import annotations

import multiprocessing
import traceback
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

from flask import Flask

from .process_app import AppOptions, make
from .visitor import Visitor

__all__ = ["PROCESSES", "THREADS", "Answer", "Asked", "Throng", "throng"]

PROCESSES, THREADS = 4, 16
WAIT_SECONDS = 60


@dataclass(frozen=True)
class Asked:
    """What one browser asks: `first`, and `again` when a waiting page reloads. `body` is JSON to post."""

    url: str
    first: dict[str, str]
    again: dict[str, str]
    body: str | None = None

    @classmethod
    def by(cls, visitor: Visitor, url: str) -> Asked:
        return cls(url, visitor.headers("cross-site"), visitor.headers("same-origin"))

    @classmethod
    def post(cls, url: str, body: str) -> Asked:
        headers = {"Content-Type": "application/json"}
        return cls(url, headers, headers, body)


@dataclass(frozen=True)
class Answer:
    """Status 0 is an exception, with its traceback."""

    status: int
    location: str | None
    text: str


class Throng:
    """Threads that wait for `begin`, ask, and meet again at `end`. Each round asks the next of the requests."""

    def __init__(self, barrier: Barrier, pipes: Sequence[Connection]) -> None:
        self._barrier = barrier
        self._pipes = pipes

    def begin(self) -> None:
        self._barrier.wait(WAIT_SECONDS)

    def end(self) -> None:
        self._barrier.wait(WAIT_SECONDS)

    def answers(self) -> list[list[Answer]]:
        """After the last round: for each round what every thread got."""
        of_threads: list[list[Answer]] = [answers for pipe in self._pipes for answers in pipe.recv()]
        return [list(of_round) for of_round in zip(*of_threads, strict=True)]


@contextmanager
def throng(options: AppOptions, rounds: Sequence[Asked | Sequence[Asked]]) -> Iterator[Throng]:
    """All of the threads, each process with an app of its own, on the store that they share.

    In a round all ask the same, or each thread one of as many requests.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES * THREADS + 1)
    pipes, processes = [], []
    for number in range(PROCESSES):
        mine, other = context.Pipe(duplex=False)
        threads = slice(number * THREADS, (number + 1) * THREADS)
        of_process = [[asked] * THREADS if isinstance(asked, Asked) else asked[threads] for asked in rounds]
        process = context.Process(target=_take_part, args=(options, of_process, barrier, other), daemon=True)
        process.start()
        other.close()
        pipes.append(mine)
        processes.append(process)
    try:
        yield Throng(barrier, pipes)
    finally:
        # Whoever still waits, after a failure, is let go.
        barrier.abort()
        for process, pipe in zip(processes, pipes, strict=True):
            process.join(WAIT_SECONDS)
            process.kill()
            process.join()
            process.close()
            pipe.close()


def _take_part(options: AppOptions, rounds: Sequence[Sequence[Asked]], barrier: Barrier, pipe: Connection) -> None:
    warnings.simplefilter("error")
    app = make(options)

    def one(number: int) -> list[Answer]:
        answers = []
        for asked in rounds:
            barrier.wait(WAIT_SECONDS)
            answers.append(_ask(app, asked[number]))
            barrier.wait(WAIT_SECONDS)
        return answers

    with ThreadPoolExecutor(THREADS) as pool:
        pipe.send(list(pool.map(one, range(THREADS))))


def _ask(app: Flask, asked: Asked) -> Answer:
    try:
        headers = asked.first
        for _ in range(10):
            method = "GET" if asked.body is None else "POST"
            got = app.test_client(use_cookies=False).open(asked.url, method=method, headers=headers, data=asked.body)
            if got.status_code != 202:
                break
            headers = asked.again
        return Answer(got.status_code, got.location, got.text)
    except Exception:  # noqa: BLE001  # told to the test
        return Answer(0, None, traceback.format_exc())
