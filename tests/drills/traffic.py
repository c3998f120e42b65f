"""Sign-ins by several browsers while something fails, and what a drill reports: what users saw, and the log."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections import Counter
from collections.abc import Callable

import psycopg

from ..support.processes import AppProcess, Machine
from ..support.visitor import Got
from ..support.web import start_path

BROWSERS, EACH = 4, 6

_RANDOM = re.compile(r"[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{2}|\b\d+(?= ms)|(?<=user )\S+(?=,)|req_\w+|\d+\.\d+ s")


def until(works: Callable[[], bool], seconds: float = 60) -> float:
    """Try until it works; how long that took."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        try:
            if works():
                return time.monotonic() - began
        except (OSError, psycopg.Error, http.client.HTTPException):
            pass
        time.sleep(0.05)
    raise AssertionError(f"it doesn't work after {seconds} seconds")


def seen_in(got: Got) -> str:
    """The status of a response, with the code on its page or else its title."""
    found = re.search(r"<code>(\w+)</code>", got.text) or re.search(r"<title>(.*?)</title>", got.text)
    return f"{got.status} {found[1]}" if found and got.status != 303 else str(got.status)


def link(machine: Machine, process: AppProcess, number: int) -> str:
    """What a person saw at the end of a link; "0" for a connection that was cut off."""
    try:
        visitor = machine.visitor(process)
        visitor.sign_in_locally(f"u{number}")
        started = visitor.get(start_path("link"))
        if started.location is None:
            return seen_in(started)
        return seen_in(visitor.come_back(machine.sandbox.sign_in(started.location, f"+1555010{number:04}")))
    except (OSError, http.client.HTTPException):
        return "0"


def under_sign_ins(machine: Machine, process: AppProcess, fault: Callable[[], object]) -> Counter[str]:
    """Let browsers sign in while something fails; what they saw. Then everybody signs in for good."""
    seen: list[str] = []

    def browse(first: int) -> None:
        for number in range(first, first + EACH):
            seen.append(link(machine, process, number))

    browsers = [threading.Thread(target=browse, args=(number * EACH,)) for number in range(BROWSERS)]
    for browser in browsers:
        browser.start()
    until(lambda: len(seen) > BROWSERS)
    fault()
    back = until(lambda: link(machine, process, 999) == "303")
    for browser in browsers:
        browser.join()
    for number in range(BROWSERS * EACH):
        until(lambda number=number: link(machine, process, number) == "303")  # type: ignore[misc]
    report(machine, Counter(seen), back)
    return Counter(seen)


def statuses(seen: Counter[str]) -> set[str]:
    return {one.partition(" ")[0] for one in seen}


def logged(machine: Machine) -> Counter[str]:
    """The lines of `configure_auth` in the app's log, without what differs between two sign-ins."""
    lines = re.findall(r"^[A-Z]+ configure_auth.*$", machine.log.read_text(), re.MULTILINE)
    return Counter(_RANDOM.sub("*", line) for line in lines)


def report(machine: Machine, seen: Counter[str], back: float | None = None) -> None:
    """Print what people saw, how long until a sign-in worked again, and the log."""
    print(f"\nseen: {dict(seen)}")
    if back is not None:
        print(f"the next sign-in worked after {back:.1f} s, without a restart")
    for line, count in logged(machine).most_common(12):
        print(f"  {count} x {line}")
