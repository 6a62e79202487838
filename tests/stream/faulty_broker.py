"""An embedded broker that is away, slow or refuses requests, for as long as a test wants."""

import ctypes
from typing import Any

from stream.broker.embedded import EmbeddedBroker
from stream.broker.settings import KafkaSettings

BROKER_ID = 1
PRODUCE, LIST_OFFSETS = 0, 2  # Kafka's numbers of requests


class FaultyBroker(EmbeddedBroker):
    """An embedded broker that can be away, or refuse what is asked of it, for a while."""

    def _call(self, name: str, *arguments: Any) -> None:
        function = getattr(self._library, f"rd_kafka_mock_{name}")
        function(ctypes.c_void_p(self._cluster), *arguments)

    @property
    def kafka(self) -> KafkaSettings:
        """What clients connect with."""
        return KafkaSettings(bootstrap_servers=self.bootstrap_servers)

    def set_down(self) -> None:
        """Close all connections, and refuse new ones."""
        self._call("broker_set_down", ctypes.c_int32(BROKER_ID))

    def set_up(self) -> None:
        """Answer again, with all that was written before."""
        self._call("broker_set_up", ctypes.c_int32(BROKER_ID))

    def slow_down(self, milliseconds: int) -> None:
        """Answer each request so late."""
        self._call("broker_set_rtt", ctypes.c_int32(BROKER_ID), ctypes.c_int(milliseconds))

    def refuse(self, *errors: int, request: int = PRODUCE) -> None:
        """Answer the next requests of a kind with these errors of the Kafka protocol."""
        codes = (ctypes.c_int * len(errors))(*errors)
        self._call(
            "push_request_errors_array",
            ctypes.c_int16(request),
            ctypes.c_size_t(len(errors)),
            codes,
        )
