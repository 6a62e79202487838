"""The console's route table, and one thing of each kind for the ids in it.

Serves the tests that go over every route: whoever adds one there has it tried here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote, urlencode

from fastapi.routing import APIRoute

from stream.console.web.app import API, PAGES
from stream.contract.events import PolicyUpdated
from tests.stream.console.store.said import verdict
from tests.stream.console.web.site import Site, embedded
from tests.stream.console.web.test_rejected import rejected
from tests.stream.console.web.test_uploads import decided, submitted
from tests.stream.videos import make_video

NOTHING: Mapping[str, str] = MappingProxyType({})
SAFE = ("GET", "HEAD")
ALERT = "/alerts/{alert_id}"
NO_PAGES = (
    f"{ALERT}/matrix.png", f"{ALERT}/mirrored", f"{ALERT}/{{side}}/strip.jpg",
    f"{ALERT}/{{side}}/still.jpg", f"{ALERT}/{{side}}/play", f"{ALERT}/{{side}}/playable.webm",
    "/library/strip.jpg",
)  # fmt: skip
"""What isn't HTML outside the API."""


def routes() -> list[tuple[str, str]]:
    """Method and path of each route."""
    found = (route for router in (*PAGES, *API) for route in router.routes)
    return [
        (method, route.path)
        for route in found
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]


def pages() -> list[str]:
    """Paths of all pages and of parts of them; those of signing in are left out."""
    return [
        path
        for method, path in routes()
        if method == "GET" and not path.startswith(("/api/", "/signin/")) and path not in NO_PAGES
    ]


@dataclass(frozen=True)
class Known:
    """What there is of one rights holder.

    Attributes:
        ids: for the places in paths, by their names.
        queries: that name the same things where a path doesn't, and one that names nothing.
    """

    ids: Mapping[str, str]
    queries: Sequence[Mapping[str, str]] = ()

    def address(self, path: str, query: Mapping[str, str] = NOTHING, side: str = "video") -> str:
        """Of a route. A place that is unknown here is an error: name it in `everything_of`."""
        ids = {**self.ids, "side": side}
        made = re.sub(r"\{(\w+)(:path)?\}", lambda found: quote(ids[found[1]], safe=""), path)
        return f"{made}?{urlencode(query)}" if query else made


async def everything_of(site: Site, owner: str, word: str, ids: str = "") -> Known:
    """One thing of each kind, with that word in all its texts, and `ids` in those of videos."""
    desk, now = site.console.desk, site.console.clock()
    video = make_video(site.folder / "videos" / "known.mp4", count=20)
    alert = await site.alert(
        video_id=f"upload of {owner}{ids}", reference_id=f"film of {owner}{ids}", title=word,
        uri=video.as_uri(), video_owner_id=f"channel {word}", reference_owner_id=owner,
        reason="held", detail=word,
    )  # fmt: skip
    video_id = alert.video_id
    request_id = await submitted(site, video_id, title=word, owner_id=f"channel {word}")
    await site.say(
        embedded(alert.reference_id),
        PolicyUpdated(owner_id=owner, licensed_owner_ids=[word]),
        rejected(video_id, 0, request_id=request_id, message=word),
        decided(video_id, request_id, outcome="rejected", reason=word, decided_at=now),
        verdict(
            alert.alert_id, "dismissed", video_id=video_id, reference_id=alert.reference_id,
            reviewer=f"anna {word}", note=word,
        ),
    )  # fmt: skip
    await desk.note(f"anna {word}", "dismissed", alert.alert_id, now, word, {"scope": word})
    url = f"https://hooks.example/?{quote(word)}"
    made = await desk.make_webhook(url, ["alert.raised"], [owner], word, "no key", "anna", now)
    await desk.put_test(made.webhook_id, "anna", now)
    (letter,) = await desk.claim_deliveries(made.webhook_id, now, 1, 60)
    await desk.note_failed(letter, 500, word, None)
    return Known(
        ids={
            "alert_id": alert.alert_id, "request_id": request_id, "owner_id": owner,
            "video_id": alert.reference_id, "webhook_id": made.webhook_id,
            "message_id": letter.message_id, "secret": "guess",
        },
        queries=(
            NOTHING, {"video": alert.reference_id}, {"find": alert.reference_id},
            {"owner": owner, "owner_id": owner, "state": "dismissed"},
        ),
    )  # fmt: skip
