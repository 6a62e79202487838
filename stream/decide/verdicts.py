"""What moderators said of alerts, and so of the pair of videos that an alert is about."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from stream.contract.events import AlertReviewed

Pair = tuple[str, str]


def pair_of(video_id: str, reference_id: str) -> Pair:
    """The two videos, the same in either order."""
    return min(video_id, reference_id), max(video_id, reference_id)


@dataclass(slots=True)
class Verdict:
    """What is kept of a verdict; there may be millions."""

    alert_id: str
    verdict: Literal["confirmed", "dismissed"]
    reviewer: str
    reviewed_at: datetime
    pair: Pair | None


@dataclass
class Verdicts:
    """The newest verdict on each alert, and on each pair of videos that a verdict names.

    Newest by `reviewed_at`; of two on one alert with the same time, the one that is read later.
    Verdicts may come again. A verdict that names no pair speaks for the pair that another one on
    the same alert names.
    """

    _newest: dict[str, Verdict] = field(default_factory=dict)
    _alerts_of: dict[Pair, tuple[str, ...]] = field(default_factory=dict)

    def take(self, event: AlertReviewed) -> None:
        """Note a verdict; an older one on the same alert gives way, and may still name the pair."""
        said, known = _kept(event), self._newest.get(event.alert_id)
        if known is not None:
            older, newer = sorted((known, said), key=lambda verdict: verdict.reviewed_at)
            newer.pair = newer.pair or older.pair
            said = newer
        self.remove(said.alert_id)
        self._newest[said.alert_id] = said
        if said.pair is not None:
            self._alerts_of[said.pair] = (*self._alerts_of.get(said.pair, ()), said.alert_id)

    def remove(self, alert_id: str) -> None:
        """Take back what was said of an alert."""
        known = self._newest.pop(alert_id, None)
        if known is None or known.pair is None:
            return
        others = tuple(other for other in self._alerts_of.pop(known.pair) if other != alert_id)
        if others:
            self._alerts_of[known.pair] = others

    def about(self, alert_ids: Iterable[str], pair: Pair) -> Verdict | None:
        """The newest verdict on any of the alerts or on the pair."""
        ids = {*alert_ids, *self._alerts_of.get(pair, ())}
        verdicts = (self._newest[alert_id] for alert_id in ids if alert_id in self._newest)
        return max(
            verdicts, key=lambda verdict: (verdict.reviewed_at, verdict.alert_id), default=None
        )


def _kept(event: AlertReviewed) -> Verdict:
    named = event.video_id is not None and event.reference_id is not None
    return Verdict(
        alert_id=event.alert_id,
        verdict=event.verdict,
        # Millions of verdicts, a few reviewers.
        reviewer=sys.intern(event.reviewer),
        reviewed_at=event.reviewed_at,
        pair=pair_of(event.video_id or "", event.reference_id or "") if named else None,
    )
