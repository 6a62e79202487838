"""How many alerts each reference got within an hour, counted in one order that all workers see.

An alert of a reference with a limit is claimed before it is judged: the claims of a reference are
in one order, and how many others came within the hour before a claim is a function of that order
alone. So every worker that asks, at any time, is told the same.
"""

from dataclasses import dataclass, field

# The limit of a policy is stated per hour; a claim leaves the count as it turns this old.
HOUR_MS = 3_600_000


@dataclass
class _Reference:
    """The claims of one reference within the hour before its newest, oldest first."""

    time_ms: int = 0
    claims: dict[str, tuple[int, int]] = field(default_factory=dict)  # time, others before it


@dataclass
class Floods:
    """The claims of the last hour, those of alerts that were held included.

    The clock of a reference is the newest timestamp of its claims, and doesn't go back. An alert
    that is claimed again within the hour counts once, where it was claimed first.
    """

    _by_reference: dict[str, _Reference] = field(default_factory=dict)
    _clock_ms: int = 0
    _swept_ms: int = 0

    def claim(self, reference_id: str, alert_id: str, timestamp_ms: int) -> None:
        """Take the next claim of a reference.

        Args:
            reference_id: whom the alert is about.
            alert_id: that may be raised.
            timestamp_ms: of the claim, since 1970.
        """
        self._sweep(timestamp_ms)
        reference = self._by_reference.setdefault(reference_id, _Reference())
        # A claim that comes late doesn't turn the hour back, or two workers would count
        # differently.
        reference.time_ms = max(reference.time_ms, timestamp_ms)
        claims = reference.claims
        while claims and next(iter(claims.values()))[0] <= reference.time_ms - HOUR_MS:
            del claims[next(iter(claims))]
        # Counted once, at its place on the topic: every worker says the same, whenever it asks.
        if alert_id not in claims:
            claims[alert_id] = (reference.time_ms, len(claims))

    def others(self, reference_id: str, alert_id: str) -> int | None:
        """How many other alerts were claimed within the hour before this one.

        None where it wasn't claimed within the hour before the reference's newest claim.
        """
        reference = self._by_reference.get(reference_id)
        found = None if reference is None else reference.claims.get(alert_id)
        return None if found is None else found[1]

    def _sweep(self, timestamp_ms: int) -> None:
        """Now and then, forget references that nothing was claimed of for two hours."""
        self._clock_ms = max(self._clock_ms, timestamp_ms)
        if self._clock_ms - self._swept_ms > HOUR_MS:
            self._swept_ms = self._clock_ms
            since = self._clock_ms - 2 * HOUR_MS  # an hour counts; the other is for late claims
            for reference_id, reference in [*self._by_reference.items()]:
                if reference.time_ms <= since:
                    del self._by_reference[reference_id]
