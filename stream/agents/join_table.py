"""The decide workers' table: Faust reads its changelog when partitions move, and keeps nothing.

What is read goes to `stream.decide.joins`; what is written goes through the publisher.
"""

from collections.abc import Callable, Iterable
from typing import Any

import faust


class JoinTable(faust.Table[bytes, bytes]):
    """A Faust table that only recovers."""

    on_recovered: Callable[[int, bytes, bytes | None], None]
    on_all_recovered: Callable[[set[int]], None]

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Tell partition, key and value of what is read from the changelog."""
        for event in batch:
            self.on_recovered(event.message.partition, event.key, event.message.value)

    async def on_recovery_completed(self, active_tps: Any, standby_tps: Any) -> None:
        """Tell which partitions are recovered; no other is this worker's."""
        await super().on_recovery_completed(active_tps, standby_tps)
        self.on_all_recovered({partition for _, partition in active_tps})
