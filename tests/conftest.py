"""What every part of the suite may use."""

from __future__ import annotations

from .support.stores import postgresql, redis_server, stores_at

__all__ = ["postgresql", "redis_server", "stores_at"]
