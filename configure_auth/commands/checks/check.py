"""What is checked, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from ...errors import ConfigureAuthError, ConfigureError, SettingsError, StoreError
from ...flows.effects import Flow
from ..targets import place_of

if TYPE_CHECKING:
    from .subject import Subject

__all__ = [
    "Check",
    "End",
    "Finding",
    "Perform",
    "Result",
    "Watch",
    "failed",
    "guarded",
    "lacking",
    "made",
    "passed",
    "run_checks",
    "skipped",
    "unanswered",
    "unknown",
    "warned",
    "worst",
]

T = TypeVar("T")


class End(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    WARNED = "warned"
    """It works, and something about it should be known."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Whoever was asked gave no answer that tells."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came back, and what to do about it. Neither has a secret in it."""

    end: End
    found: str
    remedy: str | None = None


def passed(found: str) -> Finding:
    return Finding(End.PASSED, found)


def warned(found: str, remedy: str) -> Finding:
    return Finding(End.WARNED, found, remedy)


def failed(found: str, remedy: str) -> Finding:
    return Finding(End.FAILED, found, remedy)


def unknown(found: str, remedy: str) -> Finding:
    return Finding(End.UNKNOWN, found, remedy)


def skipped(found: str) -> Finding:
    return Finding(End.SKIPPED, found)


_ORDER = (End.FAILED, End.UNKNOWN, End.WARNED, End.SKIPPED, End.PASSED)


def worst(findings: Sequence[Finding]) -> Finding:
    """All that is wrong, in one finding that ends as the worst of them; what is good goes unsaid beside it."""
    end = next(end for end in _ORDER if any(one.end is end for one in findings))
    told = [one for one in findings if one.remedy is not None] or [one for one in findings if one.end is end]
    remedies = list(dict.fromkeys(one.remedy for one in told if one.remedy is not None))
    return Finding(end, "; ".join(dict.fromkeys(one.found for one in told)), "; ".join(remedies) or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that can be wrong.

    `name` is stable, for scripts. `needs` names the checks without whose success this one can't be made; `after`,
    those whose failure has said already what is wrong.
    """

    name: str
    title: str
    flow: Callable[[Subject], Flow[Finding]]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A check with its finding."""

    name: str
    title: str
    finding: Finding


class Perform(Protocol):
    """Runs a flow in whatever is checked."""

    def __call__(self, flow: Flow[T], /) -> T: ...


class Watch(Protocol):
    """Hears of each check as it begins and as it ends."""

    def begins(self, title: str) -> None: ...

    def ended(self, result: Result) -> None: ...


def run_checks(
    checks: Iterable[Check], subject: Subject, perform: Perform, watch: Watch, earlier: Mapping[str, Result]
) -> dict[str, Result]:
    """Make checks one after the other. `earlier` are the results of others that these may need."""
    results = dict(earlier)
    for check in checks:
        finding = lacking(results, needs=check.needs, after=check.after)
        if finding is None:
            watch.begins(check.title)
            finding = made(partial(perform, guarded(check.flow(subject))))
        results[check.name] = Result(name=check.name, title=check.title, finding=finding)
        watch.ended(results[check.name])
    return results


def lacking(results: Mapping[str, Result], *, needs: Iterable[str], after: Iterable[str] = ()) -> Finding | None:
    """Why there is no sense in going on; None where there is."""
    missing = [name for name in needs if name not in results or results[name].finding.end not in _GOOD]
    missing += [name for name in after if name in results and results[name].finding.end in _BAD]
    if not missing:
        return None
    return skipped(f"needs: {results[missing[0]].title if missing[0] in results else missing[0]}")


_GOOD = (End.PASSED, End.WARNED)
_BAD = (End.FAILED,)


def made(check: Callable[[], T]) -> T | Finding:
    """What a check gives; the last place for what nobody expected, whose words may quote anything."""
    try:
        return check()
    except ConfigureAuthError as error:
        return failed("it broke off", str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # most often the app's own
        return failed(
            f"it broke off with {type(error).__name__}{place_of(error)}",
            "look there, or for what the app does at that point; if it isn't the app's, report it with this line",
        )


async def guarded(flow: Flow[T]) -> T | Finding:
    """A flow whose failures are findings."""
    try:
        return await flow
    except SettingsError as error:
        return failed("it can't work as it is set", str(error))
    except StoreError as error:
        return failed("the store doesn't do its work", str(error))
    except ConfigureError as error:
        return unanswered(error)


def unanswered(error: ConfigureError) -> Finding:
    """Configure was asked, and gave no answer that tells."""
    return unknown(str(error), "ask again later; if it stays so, look at the origins in CONFIGURE_*_URL")
