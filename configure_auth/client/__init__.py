"""What Configure says on the wire, as calls, and the two clients that send them."""

from .client import AsyncConfigure, Configure

__all__ = ["AsyncConfigure", "Configure"]
