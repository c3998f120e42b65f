"""What a check found, and how exceptions become findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from ...errors import ConfigureAuthError, ConfigureError, SettingsError, StoreError
from ..apps.loading import source_line

T = TypeVar("T")


class End(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    WARNED = "warned"
    """It works, with a drawback."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """There was no response, or an inconclusive one."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and how to fix it. Neither contains a secret."""

    end: End
    found: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The finding of a check."""

    name: str
    title: str
    finding: Finding


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


def no_answer(error: ConfigureError) -> Finding:
    """Configure was asked, and its response says nothing about the app."""
    return unknown(str(error), "try again later; if it persists, check the origins in CONFIGURE_*_URL")


_ORDER = (End.FAILED, End.UNKNOWN, End.WARNED, End.SKIPPED, End.PASSED)


def worst(findings: Sequence[Finding]) -> Finding:
    """Combine findings: the worst end, with the text of those that have a remedy."""
    end = next(end for end in _ORDER if any(one.end is end for one in findings))
    told = [one for one in findings if one.remedy is not None] or [one for one in findings if one.end is end]
    remedies = list(dict.fromkeys(one.remedy for one in told if one.remedy is not None))
    return Finding(end, "; ".join(dict.fromkeys(one.found for one in told)), "; ".join(remedies) or None)


def catch_errors(check: Callable[[], T]) -> T | Finding:
    """Return a check's value, or a finding for whatever it raised.

    The text of a foreign exception is left out, because it may quote a secret.
    """
    try:
        return check()
    except SettingsError as error:
        return failed("the settings are unusable", str(error))
    except StoreError as error:
        return failed("the store doesn't work", str(error))
    except ConfigureError as error:
        return no_answer(error)
    except ConfigureAuthError as error:
        return failed("check failed", str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # most often raised by the app
        return failed(
            f"check failed with {type(error).__name__}{source_line(error)}",
            "look at that line, or at what the app does there; if it isn't the app's, report it with this line",
        )
