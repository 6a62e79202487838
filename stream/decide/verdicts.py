"""What moderators said of alerts, and so of the videos, seconds and uploaders that they name."""

import sys
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from stream.contract.events import AlertReviewed, Scope, VerdictWord
from stream.decide.spans import Span

Pair = tuple[str, str]
Owners = tuple[str, str]
Key = TypeVar("Key", bound=Hashable)


def pair_of(video_id: str, reference_id: str) -> Pair:
    """The two videos, the same in either order."""
    return min(video_id, reference_id), max(video_id, reference_id)


@dataclass(slots=True)
class Verdict:
    """What is kept of a verdict; there may be millions.

    Attributes:
        pair: the videos that were named; None where none were.
        scope: how far a dismissal goes.
        reference_id: of `span`, in seconds; None of another scope.
        owners: uploader and rights holder, of `uploader`; None of another scope.
    """

    alert_id: str
    verdict: VerdictWord
    reviewer: str
    reviewed_at: datetime
    pair: Pair | None
    scope: Scope = "pair"
    reference_id: str | None = None
    span: Span = (0.0, 0.0)
    owners: Owners | None = None

    @property
    def speaks_for_its_pair(self) -> bool:
        """Whether other alerts on the same two videos are judged by it."""
        return self.verdict == "confirmed" or (self.verdict, self.scope) == ("dismissed", "pair")

    @property
    def order(self) -> tuple[datetime, str]:
        """Which of two on different alerts is newer, the same whoever read them in which order."""
        return self.reviewed_at, self.alert_id


@dataclass
class Verdicts:
    """The newest verdict on each alert, found by the alert and by what it speaks for.

    Newest by `reviewed_at`; of two on one alert with the same time, the one that is read later.
    Verdicts may come again. A verdict that names no pair speaks for the pair that another one on
    the same alert names. As many are kept as there are alerts that were judged, however often.
    """

    _newest: dict[str, Verdict] = field(default_factory=dict)
    # Tuples: of most pairs one alert was judged, and there may be millions of them.
    _of_pair: dict[Pair, tuple[str, ...]] = field(default_factory=dict)
    _of_reference: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    _of_owners: dict[Owners, dict[str, Verdict]] = field(default_factory=dict)

    def take(self, event: AlertReviewed) -> None:
        """Note a verdict; an older one on the same alert gives way, and may still name the pair."""
        said, known = _kept(event), self._newest.get(event.alert_id)
        self.remove(event.alert_id)
        if known is not None:
            older, newer = sorted((known, said), key=lambda verdict: verdict.reviewed_at)
            newer.pair = newer.pair or older.pair
            said = newer
        self._newest[said.alert_id] = said
        if said.pair is not None and said.speaks_for_its_pair:
            self._of_pair[said.pair] = (*self._of_pair.get(said.pair, ()), said.alert_id)
        if said.reference_id is not None:
            self._of_reference.setdefault(said.reference_id, {})[said.alert_id] = said
        if said.owners is not None:
            self._of_owners.setdefault(said.owners, {})[said.alert_id] = said

    def remove(self, alert_id: str) -> None:
        """Take back what was said of an alert."""
        known = self._newest.pop(alert_id, None)
        if known is None:
            return
        if known.pair is not None and known.speaks_for_its_pair:
            others = tuple(other for other in self._of_pair.pop(known.pair) if other != alert_id)
            if others:
                self._of_pair[known.pair] = others
        _drop(self._of_reference, known.reference_id, alert_id)
        _drop(self._of_owners, known.owners, alert_id)

    def about(self, alert_ids: Iterable[str], pair: Pair) -> Verdict | None:
        """The newest verdict on any of the alerts or on the pair.

        A dismissal of one of these very alerts holds against what is said of others of the pair;
        one of seconds or of an uploader is asked for by `spans` and `uploader`.
        """
        ids = {*alert_ids}
        own = [
            verdict
            for alert_id in ids
            if (verdict := self._newest.get(alert_id)) is not None
            and (verdict.speaks_for_its_pair or _is_of_the_alert_alone(verdict))
        ]
        newest = max(own, key=lambda verdict: verdict.order, default=None)
        if newest is not None and _is_of_the_alert_alone(newest):
            return newest
        others = (self._newest[other] for other in self._of_pair.get(pair, ()))
        speaking = (verdict for verdict in own if verdict.speaks_for_its_pair)
        return max((*speaking, *others), key=lambda verdict: verdict.order, default=None)

    def spans(self, reference_id: str) -> list[Verdict]:
        """The dismissals of seconds of a reference, whatever upload plays them."""
        return [*self._of_reference.get(reference_id, {}).values()]

    def uploader(self, video_owner_id: str, reference_owner_id: str) -> Verdict | None:
        """The newest dismissal of an uploader's videos against a rights holder's references."""
        found = self._of_owners.get((video_owner_id, reference_owner_id), {}).values()
        return max(found, key=lambda verdict: verdict.order, default=None)


def _is_of_the_alert_alone(verdict: Verdict) -> bool:
    return (verdict.verdict, verdict.scope) == ("dismissed", "alert")


def _drop(index: dict[Key, dict[str, Verdict]], key: Key | None, alert_id: str) -> None:
    if key is None:
        return
    del index[key][alert_id]
    if not index[key]:
        del index[key]


def _kept(event: AlertReviewed) -> Verdict:
    named = event.video_id is not None and event.reference_id is not None
    kept = Verdict(
        alert_id=event.alert_id,
        verdict=event.verdict,
        # Millions of verdicts, a few reviewers.
        reviewer=sys.intern(event.reviewer),
        reviewed_at=event.reviewed_at,
        pair=pair_of(event.video_id or "", event.reference_id or "") if named else None,
        scope=event.scope or "pair",
    )
    if event.scope == "span":
        kept.reference_id = event.reference_id
        kept.span = (event.reference_start_seconds or 0.0, event.reference_end_seconds or 0.0)
    elif event.scope == "uploader":
        kept.owners = (event.video_owner_id or "", event.reference_owner_id or "")
    return kept
