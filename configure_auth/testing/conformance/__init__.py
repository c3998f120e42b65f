"""What every store must do, as tests: each sentence of the Protocols, asked through their own methods."""

from __future__ import annotations

from .accounts import AccountConformance
from .agents import AgentConformance
from .journeys import JourneyConformance
from .leases import LeaseConformance
from .parameters import ParameterConformance
from .states import StateConformance

__all__ = [
    "AccountConformance",
    "AgentConformance",
    "JourneyConformance",
    "LeaseConformance",
    "ParameterConformance",
    "StateConformance",
    "StoreConformance",
]


class StoreConformance(
    StateConformance, AccountConformance, LeaseConformance, JourneyConformance, AgentConformance, ParameterConformance
):
    """Hold a store of your own to what `configure_auth.stores` says of it. In a test module::

        class TestMyStore(StoreConformance):
            @pytest.fixture
            def stores(self) -> Iterator[Stores]:
                yield my_stores()  # new and empty for each test, which also calls `close`

    Its methods may be plain or awaited; awaited ones all run on the loop of `store_runner`, an `asyncio.Runner`, which
    the fixture can ask for too. Set `own_clock = True` where a database wipes what has ended by a clock of its own.
    """
