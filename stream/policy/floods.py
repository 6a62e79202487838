"""How many alerts each reference got within the last hour, by Kafka's timestamps."""

from collections import defaultdict
from dataclasses import dataclass, field

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class _Seen:
    timestamp_ms: int
    held: bool


@dataclass
class Floods:
    """Alerts of the last hour by reference, those that were held included.

    The clock is the newest timestamp that was noted: a flood that was held an hour ago is over
    only when time has passed on the topics. An alert that comes again counts once.
    """

    clock_ms: int = 0
    _by_reference: dict[str, dict[str, _Seen]] = field(default_factory=lambda: defaultdict(dict))
    _swept_ms: int = 0

    def note(self, reference_id: str, alert_id: str, timestamp_ms: int, *, held: bool) -> None:
        """An alert that was raised, or held, at this time; milliseconds since 1970."""
        self.advance(timestamp_ms)
        alerts = self._by_reference[reference_id]
        known = alerts.get(alert_id)
        if known is None or timestamp_ms >= known.timestamp_ms:
            alerts[alert_id] = _Seen(timestamp_ms, held)

    def advance(self, timestamp_ms: int) -> None:
        """It is at least this time; milliseconds since 1970."""
        self.clock_ms = max(self.clock_ms, timestamp_ms)
        if self.clock_ms - self._swept_ms > HOUR_MS:
            self._swept_ms = self.clock_ms
            for reference_id in [*self._by_reference]:
                self._sweep(reference_id)

    def others(self, reference_id: str, alert_id: str) -> int:
        """How many other alerts the reference got within the hour."""
        return sum(other != alert_id for other in self._sweep(reference_id))

    def held(self, reference_id: str, alert_id: str) -> bool | None:
        """Whether an alert of the last hour was held; None where there was no such alert."""
        seen = self._sweep(reference_id).get(alert_id)
        return None if seen is None else seen.held

    def _sweep(self, reference_id: str) -> dict[str, _Seen]:
        """The reference's alerts, without those that are older than an hour."""
        since = self.clock_ms - HOUR_MS
        alerts = self._by_reference.get(reference_id, {})
        for alert_id in [other for other, seen in alerts.items() if seen.timestamp_ms <= since]:
            del alerts[alert_id]
        if not alerts:
            self._by_reference.pop(reference_id, None)
        return alerts
