"""The decide workers' table, kept in a changelog topic whose writes can be waited for."""

from collections.abc import Callable, Iterable
from typing import Any

import faust


class JoinTable(faust.Table[bytes, bytes]):
    """A Faust table whose last write can be waited for, and that tells what it recovers."""

    last_write: Any = None
    on_recovered: Callable[[int, bytes, bytes | None], None] | None = None

    def on_key_set(self, key: Any, value: Any) -> None:
        """Write to the changelog and keep the future of its acknowledgement."""
        self.last_write = self.send_changelog(self.partition_for_key(key), key, value)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Take what is read from the changelog, and tell partition, key and value of each."""
        events = list(batch)
        super().apply_changelog_batch(events)
        if self.on_recovered is not None:
            for event in events:
                self.on_recovered(event.message.partition, event.key, event.message.value)
