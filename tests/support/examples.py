"""How many examples Hypothesis makes up."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

__all__ = ["examples"]


def examples(count: int, **options: Any) -> settings:
    """Settings with so many examples in `make test-extended`, and a fifth of them in `make test`.

    A fixture that lasts for all examples is taken as meant.
    """
    chosen = settings.default
    assert chosen is not None
    share = chosen.max_examples / settings.get_profile("extended").max_examples
    return settings(
        max_examples=round(count * share), suppress_health_check=[HealthCheck.function_scoped_fixture], **options
    )
