"""How the service does: what waits, what was decided in the last day, and how long that took."""

from collections import Counter
from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import Response

from stream.console.store.views import Overview, Waits
from stream.console.web.console import Here
from stream.console.web.pages.render import render
from stream.console.web.signin.rights import Viewer

router = APIRouter(include_in_schema=False)
HOURS = 24
SHARES = (0.5, 0.9, 0.99)


@router.get("/overview")
async def page(request: Request, console: Here, person: Viewer) -> Response:
    """Numbers of now and of the last day."""
    now = console.clock()
    found = await console.queries.overview(now, HOURS)
    oldest = found.oldest_undecided
    waited = None
    if oldest is not None and oldest.submitted_at is not None:
        waited = (now - oldest.submitted_at).total_seconds()
    busiest = max((sum(hour.outcomes.values()) for hour in found.hours), default=0)
    return render(
        request,
        "overview.html",
        overview=found,
        waited=waited,
        busiest=busiest,
        outcomes=_outcomes(found),
        quantiles=[(share, _within(all_waits(found), share)) for share in SHARES],
        hours=HOURS,
    )


@router.get("/overview/lag")
async def lag(request: Request, console: Here, person: Viewer) -> Response:
    """A part of that page, by itself: nobody waits for Kafka to see the others."""
    return render(request, "lag.html", lags=await console.lags.now())


def all_waits(found: Overview) -> Waits:
    """The waits of all hours together."""
    counts: Counter[float] = Counter()
    for hour in found.hours:
        counts.update(dict(hour.waits.counts))
    return Waits(counts)


def _outcomes(found: Overview) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for hour in found.hours:
        counts.update(dict(hour.outcomes))
    return dict(counts)


def _within(waits: Waits, share: float) -> float | None:
    """Seconds under which that share was decided; None where it isn't known."""
    bound: timedelta | None = waits.quantile(share)
    return None if bound is None else bound.total_seconds()
