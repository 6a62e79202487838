"""In which state an alert is: it follows from what was said of it, and from verdicts.

The newest verdict under its id holds. Without one, or where it was withdrawn, an open or held
alert is dismissed by what covers it, as in `stream/decide/policy.py`: the newest verdict on the
pair, a dismissal of its uploader, or of all seconds of the reference that it names. Nothing is
changed for good: a withdrawn dismissal reopens what it covered.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from stream.console.store.columns import key_of
from stream.console.store.project_alerts import pair_key
from stream.console.store.tables import Alert, Verdict
from stream.console.store.views import State
from stream.contract.events import MatchedSegment
from stream.decide.spans import outside

Speech = tuple[object, ...]


def complete(verdict: Verdict, alert: Alert | None) -> None:
    """Set what a verdict speaks for; the pair is its alert's where it names none."""
    dismissed = verdict.verdict == "dismissed"
    scope = verdict.scope if verdict.scope != "alert" else None
    verdict.reach = scope if dismissed else "pair" if verdict.verdict == "confirmed" else None
    named = (verdict.video_id, verdict.reference_id)
    if None in named and alert is not None:
        named = (alert.video_id, alert.reference_id)
    video_id, reference_id = named
    # The row may have spoken for more before: a newer verdict has a reach of its own.
    verdict.pair_key = verdict.reference_key = verdict.owners_key = None
    if verdict.reach == "pair" and video_id is not None and reference_id is not None:
        verdict.pair_key = pair_key(video_id, reference_id)
    elif verdict.reach == "span":
        verdict.reference_key = key_of(verdict.reference_id or "")
    elif verdict.reach == "uploader":
        verdict.owners_key = key_of(verdict.video_owner_id or "", verdict.reference_owner_id or "")


def speech_of(verdict: Verdict) -> Speech:
    """All of a verdict that other alerts depend on."""
    return (
        verdict.verdict,
        verdict.reach,
        verdict.pair_key,
        verdict.reference_key,
        verdict.owners_key,
        verdict.reference_start_seconds,
        verdict.reference_end_seconds,
        verdict.reviewer,
        verdict.reviewed_at,
    )


@dataclass
class Reach:
    """The keys of what some verdicts speak for."""

    pairs: set[int] = field(default_factory=set)
    references: set[int] = field(default_factory=set)
    owners: set[int] = field(default_factory=set)

    def add(self, verdict: Verdict) -> None:
        """Also what this one speaks for."""
        for keys, key in (
            (self.pairs, verdict.pair_key),
            (self.references, verdict.reference_key),
            (self.owners, verdict.owners_key),
        ):
            if key is not None:
                keys.add(key)

    def add_alert(self, alert: Alert) -> None:
        """Also what speaks for this alert."""
        self.pairs.add(alert.pair_key)
        self.references.add(alert.reference_key)
        self.owners.add(alert.owners_key)


class Verdicts:
    """Verdicts that may speak for some alerts, found by what they speak for."""

    def __init__(self, verdicts: Iterable[Verdict], min_piece_seconds: float) -> None:
        """Sort them.

        Args:
            verdicts: each once.
            min_piece_seconds: what a dismissed span leaves of a segment and is shorter is
                nothing.
        """
        self._min_piece_seconds = min_piece_seconds
        self._under: dict[str, Verdict] = {}
        self._pairs: dict[int, list[Verdict]] = {}
        self._references: dict[int, list[Verdict]] = {}
        self._owners: dict[int, list[Verdict]] = {}
        for verdict in verdicts:
            self._under[verdict.alert_id] = verdict
            for index, key in (
                (self._pairs, verdict.pair_key),
                (self._references, verdict.reference_key),
                (self._owners, verdict.owners_key),
            ):
                if key is not None:
                    index.setdefault(key, []).append(verdict)

    def settle(self, alert: Alert) -> None:
        """Give an alert the state that follows."""
        state, verdict = said_state(alert), self._under.get(alert.alert_id)
        if verdict is not None and verdict.verdict not in ("confirmed", "dismissed"):
            verdict = None
        if verdict is None and state in ("open", "held"):
            verdict = self._covering(alert)
        if verdict is not None:
            state = "confirmed" if verdict.verdict == "confirmed" else "dismissed"
        alert.state = state
        alert.decided_by = None if verdict is None else verdict.alert_id
        alert.reviewer = None if verdict is None else verdict.reviewer
        alert.reviewed_at = None if verdict is None else verdict.reviewed_at

    def _covering(self, alert: Alert) -> Verdict | None:
        """The newest dismissal of its pair, its uploader or its seconds."""
        newest = _newest(self._pairs.get(alert.pair_key, ()))
        found = [] if newest is None or newest.verdict != "dismissed" else [newest]
        found += self._owners.get(alert.owners_key, ())
        spans = self._references.get(alert.reference_key, [])
        # All of them, since no single one need cover the alert.
        if spans and not self._left(alert, spans):
            found += spans
        return _newest(found)

    def _left(self, alert: Alert, spans: Iterable[Verdict]) -> bool:
        """Whether an alert has seconds that were not dismissed."""
        excluded = [
            (span.reference_start_seconds or 0.0, span.reference_end_seconds or 0.0)
            for span in spans
        ]
        segments = (MatchedSegment.model_validate(segment) for segment in alert.segments)
        return any(outside(segment, excluded, self._min_piece_seconds) for segment in segments)


def said_state(alert: Alert) -> State:
    """The state of an alert without any verdict."""
    if alert.said == "raised":
        return "open"
    return "held" if alert.reason == "held" else "suppressed"


def _newest(verdicts: Iterable[Verdict]) -> Verdict | None:
    return max(
        verdicts,
        key=lambda verdict: (
            # None is never compared with a time; the id settles ties in any order of reading.
            verdict.reviewed_at is not None,
            verdict.reviewed_at,
            verdict.alert_id,
        ),
        default=None,
    )
