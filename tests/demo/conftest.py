"""What can't run beside the oldest versions of our libraries."""

from __future__ import annotations

from importlib.metadata import version

# An old OpenTelemetry admits only a pydantic-ai whose agents know no `instructions=`.
collect_ignore = ["test_message_platforms.py"] if version("pydantic-ai-slim").startswith("0.") else []
