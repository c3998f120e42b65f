"""Names of a test's cases."""

from __future__ import annotations

__all__ = ["plain_id"]


def plain_id(case: object) -> str:
    """A name without escapes: pytest escapes one again where a process collects twice, as mutmut does."""
    return ascii(str(case))[1:-1].replace("\\", "/")
