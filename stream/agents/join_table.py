"""The decide workers' table, kept in a changelog topic whose writes can be waited for."""

from typing import Any

import faust


class JoinTable(faust.Table[bytes, bytes]):
    """A Faust table whose last write can be waited for."""

    last_write: Any = None

    def on_key_set(self, key: Any, value: Any) -> None:
        """Write to the changelog and keep the future of its acknowledgement."""
        self.last_write = self.send_changelog(self.partition_for_key(key), key, value)
