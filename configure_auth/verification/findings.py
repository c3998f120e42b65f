"""Several findings of one check as one."""

from __future__ import annotations

from collections.abc import Sequence

from .check import End, Finding

__all__ = ["worst"]

_ORDER = (End.FAILED, End.UNKNOWN, End.WARNED, End.SKIPPED, End.PASSED)


def worst(findings: Sequence[Finding]) -> Finding:
    """All that is wrong, in one finding that ends as the worst of them; what is good goes unsaid beside it."""
    end = next(end for end in _ORDER if any(one.end is end for one in findings))
    told = [one for one in findings if one.remedy is not None] or [one for one in findings if one.end is end]
    remedies = list(dict.fromkeys(one.remedy for one in told if one.remedy is not None))
    return Finding(end, "; ".join(dict.fromkeys(one.found for one in told)), "; ".join(remedies) or None)
