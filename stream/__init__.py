"""What runs: the stages of an upload as pure steps, and the agents that join them through Kafka.

`find_copies` is the whole of it for two files, without Kafka.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream.pair import find_copies

__all__ = ["find_copies"]


def __getattr__(name: str) -> Any:
    """Load what `find_copies` needs when it is asked for: `import stream` alone stays light."""
    if name == "find_copies":
        from stream.pair import find_copies

        return find_copies
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
