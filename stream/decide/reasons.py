"""Why an upload was decided as it was, in a sentence; serves `decide.py`, and who shows it."""

from collections import Counter
from collections.abc import Sequence

from stream.contract.alerts import Alert, AlertRaised, AlertSuppressed
from stream.texts import read_text

NOTHING = "nothing in the library is copied"
RAISED = "shares footage with {others}"
RAISED_MORE = "shares footage with {others} and {more} more"
HELD = "held for review: footage of {others}"
HELD_MORE = "held for review: footage of {others} and {more} more"
SUPPRESSED_ONE = "1 match suppressed ({why})"
SUPPRESSED = "{number} matches suppressed ({why})"
REASONS = (NOTHING, RAISED_MORE, RAISED, HELD_MORE, HELD, SUPPRESSED_ONE, SUPPRESSED)
"""Parts of a reason, the longer of two that begin alike first."""
BETWEEN = "; "
SHOWN = 10  # videos of a part, as many as somebody reads in one line; set by hand


def reason_of(
    video_id: str, raised: Sequence[AlertRaised], suppressed: Sequence[AlertSuppressed]
) -> str:
    """The reason of a decision.

    Args:
        video_id: that was decided.
        raised: the alerts of it.
        suppressed: matches that aren't alerts, with those that are held.
    """
    held = [alert for alert in suppressed if alert.reason == "held"]
    why = Counter(alert.reason for alert in suppressed if alert.reason != "held")
    parts = []
    if raised:
        parts.append(_naming(video_id, raised, RAISED, RAISED_MORE))
    if held:
        parts.append(_naming(video_id, held, HELD, HELD_MORE))
    if why:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(why.items()))
        text = SUPPRESSED_ONE if why.total() == 1 else SUPPRESSED
        parts.append(text.format(number=why.total(), why=reasons))
    return BETWEEN.join(parts) or NOTHING


def parts_of(reason: str) -> list[str]:
    """Its parts as texts that can be said in another language; what isn't ours as it is."""
    return [read_text(part, REASONS) for part in reason.split(BETWEEN)]


def _naming(video_id: str, alerts: Sequence[Alert], few: str, many: str) -> str:
    """A part that names the videos at the other side of alerts."""
    found = sorted(
        {alert.reference_id if alert.video_id == video_id else alert.video_id for alert in alerts}
    )
    text = few if len(found) <= SHOWN else many
    return text.format(others=", ".join(found[:SHOWN]), more=len(found) - SHOWN)
