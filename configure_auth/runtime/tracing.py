"""Spans of OpenTelemetry, where its API is installed (the extra `otel`); nothing without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def _tracer() -> Any:
    # Imported with the first span, which costs nothing at the start of an app.
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace.get_tracer("configure_auth")


@contextmanager
def span(name: str, **attributes: str) -> Iterator[Any]:
    """Record a span, None without OpenTelemetry. Of an exception it has the type only.

    Args:
        attributes: none that is secret; `_` in a name stands for a dot.
    """
    tracer = _tracer()
    if tracer is None:
        yield None
        return
    named = {key.replace("_", "."): value for key, value in attributes.items()}
    with tracer.start_as_current_span(
        name, attributes=named, record_exception=False, set_status_on_exception=False
    ) as recorded:
        try:
            yield recorded
        except Exception as error:
            recorded.set_attribute("error.type", getattr(error, "code", None) or type(error).__name__)
            raise
