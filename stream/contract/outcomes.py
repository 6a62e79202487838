"""How an upload may be decided, and why an alert may be kept back.

Decided in `stream/decide/decide.py`, kept back in `stream/decide/policy.py`. A new one is named
here; metrics, schemas and the checks of both follow.
"""

from typing import Literal

Outcome = Literal["matched", "clear", "rejected"]
SuppressionReason = Literal[
    "same_owner",
    "licensed",
    "dismissed",
    "excluded",
    "low_score",
    "too_short",
    "too_small_share",
    "held",
]
