"""One alert: both videos in step, the matrix, the policy behind it, and what people said of it."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response

from stream.console.store.desk import Person
from stream.console.store.views import AlertView, VideoView
from stream.console.web.bounds import PathId
from stream.console.web.claims import give_back, note_claims, take
from stream.console.web.console import Here, console_of
from stream.console.web.matches import BusyError
from stream.console.web.media import (
    NO_ROOM,
    NO_ROOM_FOR_BOTH,
    NoRoomForBothError,
    entity_tag,
    media_type,
)
from stream.console.web.pages.forms import Form
from stream.console.web.pages.queue import (
    Looked,
    Noticed,
    View,
    back_with,
    give_verdict,
    said_in,
)
from stream.console.web.pages.render import Side, plays_seconds, render
from stream.console.web.playable import TYPE
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import Looker, Reviewer, visible_to
from stream.console.web.strips import NoEvidenceError
from stream.console.web.verdicts import span_of
from stream.decide.policy import DETAILS
from stream.decide.rules import Rules
from stream.decide.spans import covered_seconds
from stream.errors import ForbiddenUriError, RejectedError, TooLargeError
from stream.fetch.fetch import DiskError
from stream.fetch.parts import NoRangesError
from stream.texts import Text, read_text

router = APIRouter(include_in_schema=False)
PRIVATE = {"Cache-Control": "private, no-cache"}  # kept by the browser, asked for each time
MEDIA = PRIVATE | {"Content-Disposition": "inline"}
PICTURE = {"Cache-Control": "private, max-age=600"}  # set by hand


@dataclass(frozen=True)
class Seen:
    """An alert that the person may see, and its two videos."""

    alert: AlertView
    video: VideoView | None
    reference: VideoView | None

    def side(self, side: Side) -> VideoView | None:
        """One of the two."""
        return self.video if side == "video" else self.reference

    def seconds(self, side: Side) -> float:
        """As `plays_seconds`."""
        return plays_seconds(self.alert.segments, side, self.side(side))

    def middle_seconds(self, side: Side) -> float:
        """The middle of the longest copied span, the same moment on either side."""
        longest = max(
            self.alert.segments,
            key=lambda each: each.video_end_seconds - each.video_start_seconds,
        )
        if side == "video":
            return (longest.video_start_seconds + longest.video_end_seconds) / 2
        return (longest.reference_start_seconds + longest.reference_end_seconds) / 2


async def seen(request: Request, alert_id: PathId, person: Looker) -> Seen:
    """The alert of an address.

    Raises:
        Problem: there is none, or none that they may see.
    """
    queries = console_of(request).queries
    alert = await queries.alert(alert_id, visible_to(person))
    if alert is None:
        raise Problem(404, "there is no such alert")
    videos = await queries.videos_by_id([alert.video_id, alert.reference_id])
    return Seen(alert, videos.get(alert.video_id), videos.get(alert.reference_id))


# For pictures and videos too: no address of an alert is a way around who may see it.
Alert = Annotated[Seen, Depends(seen)]


@router.get("/alerts/{alert_id}")
async def page(
    request: Request, console: Here, person: Looker, view: Looked, notice: Noticed, found: Alert
) -> Response:
    """The page of an alert."""
    alert, queries = found.alert, console.queries
    before, after = await queries.neighbours(
        alert.alert_id, view.filter(console, person), view.sort
    )
    policy = await queries.policy(alert.reference_owner_id)
    rules = Rules.of(console.settings.policy, None if policy is None else policy.policy)
    then = alert.policy
    history = await queries.reviews_of_pair(alert.video_id, alert.reference_id)
    own = console.settings.console
    taken = alert.claimed_until is not None and alert.claimed_until > console.clock()
    return render(
        request,
        "alert.html",
        alert=alert,
        seen=found,
        view=view,
        before=before,
        after=after,
        span=span_of(alert),
        copied={
            "video": alert.copied_seconds,
            "reference": covered_seconds(
                (each.reference_start_seconds, each.reference_end_seconds)
                for each in alert.segments
            ),
        },
        policy=None if policy is None else policy.policy,
        rules=rules.applied(
            alert.video_owner_id,
            alert.reference_id,
            0.0 if then is None else then.excluded_seconds,
        ),
        # Of an older alert, which doesn't say what held when it was judged.
        policy_since=None
        if then is not None or policy is None or policy.said_at <= alert.raised_at
        else policy.said_at,
        history=[each for each in history if _may_see(each.alert_id, alert, person)],
        claimed_by=alert.claimed_by if taken else None,
        muted=own.muted,
        notice=notice,
        detail=read_text(alert.detail or "", DETAILS),
    )


def _may_see(alert_id: str, alert: AlertView, person: Person) -> bool:
    """Verdicts on another alert of the pair may be about another rights holder's reference."""
    return visible_to(person) is None or alert_id == alert.alert_id


@router.post("/alerts/{alert_id}/verdict")
async def verdict(
    console: Here, person: Reviewer, view: Looked, found: Alert, form: Form
) -> Response:
    """Confirm, dismiss or withdraw; then take the next alert of the queue, if there is one."""
    alert, said = found.alert, said_in(form)
    given = await give_verdict(console, person, [alert], said)
    taken = len(given.taken)
    if said.verdict == "withdrawn" or not given.alert_ids:
        return _to(alert.alert_id, view, form, given.undo, taken)
    # Taken, so that nobody else is sent there too; and now, as until here somebody else may have
    # begun with it.
    async with console.desk.together():
        after = await console.desk.claim_after(
            alert.alert_id,
            person.name,
            console.clock(),
            view.filter(console, person),
            view.sort,
            console.settings.console.claim_seconds,
        )
        next_id = None if after is None else after.alert_id
        await note_claims(console, person, "take", [] if next_id is None else [next_id])
    return _to(next_id, view, form, given.undo, taken)


def _to(
    alert_id: str | None, view: View, form: Form, undo: str | None, taken: int
) -> RedirectResponse:
    page = "/queue" if alert_id is None else f"/alerts/{alert_id}"
    said = form.get("verdict")
    target = f"{page}?{view.query(said=said if undo else 'taken', undo=undo, taken=taken or None)}"
    return RedirectResponse(target, 303)


@router.post("/alerts/{alert_id}/claim")
async def claim(console: Here, person: Reviewer, found: Alert, form: Form) -> Response:
    """Take the alert, or give it back."""
    ids = [found.alert.alert_id]
    if form.get("claim") == "release":
        await give_back(console, person, ids)
        return back_with(form, said="released")
    mine = await take(console, person, ids)
    return back_with(form, said="claimed" if mine else "taken", taken=1 - len(mine))


async def picture_of(drawing: Awaitable[bytes], kind: str = "image/jpeg") -> Response:
    """A picture of evidence, once it is drawn.

    Raises:
        Problem: there is none.
    """
    try:
        return Response(await drawing, media_type=kind, headers=PICTURE)
    except NoEvidenceError as error:
        raise Problem(404, error) from error


@router.get("/alerts/{alert_id}/matrix.png")
async def matrix(console: Here, found: Alert) -> Response:
    """The similarity matrix with the boxes of the alert."""
    return await picture_of(
        console.evidence.matrix(found.alert, found.video, found.reference), "image/png"
    )


@router.get("/alerts/{alert_id}/mirrored")
async def mirrored(console: Here, found: Alert) -> JSONResponse:
    """Which spans are mirrored, in the order of the alert; the page asks when it is there."""
    spans = await console.mirrors.spans(found.alert, found.video, found.reference)
    return JSONResponse({"mirrored": list(spans)}, headers=PRIVATE)


@router.get("/alerts/{alert_id}/{side}/strip.jpg")
async def strip(console: Here, found: Alert, side: Side) -> Response:
    """A video's film strip, as long as the bar of seconds below it."""
    return await picture_of(console.evidence.strip(found.side(side), found.seconds(side)))


@router.get("/alerts/{alert_id}/{side}/still.jpg")
async def still(console: Here, found: Alert, side: Side) -> Response:
    """A frame from the middle of the longest copied span: both sides' show the same moment."""
    return await picture_of(console.evidence.still(found.side(side), found.middle_seconds(side)))


@router.get("/alerts/{alert_id}/{side}/play")
async def play(request: Request, console: Here, found: Alert, side: Side) -> Response:
    """The video itself, whole or a range of its bytes: from its source, or from a file."""
    uri, beside = _uris(found, side)
    with _fetching():
        if not console.videos.is_here(uri):
            # Of what sends no ranges there is a copy next time.
            with suppress(NoRangesError):
                return await console.ranged_videos.answer(request, uri, MEDIA, media_type(uri))
        path = await console.videos.file(uri, beside)
    console.ranged_videos.copied(uri)
    return _file(path, media_type(uri), console.videos.tag(uri, path))


@router.get("/alerts/{alert_id}/{side}/playable.webm")
async def playable(console: Here, found: Alert, side: Side) -> Response:
    """A small copy without sound, for a browser that doesn't know the video's format."""
    uri, beside = _uris(found, side)
    with _fetching():
        path = await console.videos.file(uri, beside)
    try:
        copy = await console.playables.file(path, entity_tag(path))
    except RejectedError as error:
        raise Problem(
            422,
            Text("the video can't be decoded: {code}", code=Text(error.code)),
        ) from error
    except DiskError as error:
        raise Problem(503, NO_ROOM) from error
    except BusyError as error:
        raise Problem(429, error, {"Retry-After": "10"}) from error
    return _file(copy, TYPE, entity_tag(copy))


def _uris(found: Seen, side: Side) -> tuple[str, str | None]:
    """Where a video lies, and the other one of the alert, where that is another one.

    Raises:
        Problem: nobody knows.
    """
    video = found.side(side)
    if video is None or video.uri is None:
        raise Problem(404, "where this video lies is not known any more")
    other = found.side("reference" if side == "video" else "video")
    return video.uri, None if other is None or other.uri == video.uri else other.uri


@contextmanager
def _fetching() -> Iterator[None]:
    """What keeps a video from being had, as problems."""
    try:
        yield
    except RejectedError as error:
        # The text may name folders and hosts; a reviewer needs to know that it can't be had.
        raise Problem(
            _status(error),
            Text("the video can't be fetched: {code}", code=Text(error.code)),
        ) from error
    except NoRoomForBothError as error:
        raise Problem(503, NO_ROOM_FOR_BOTH) from error
    except DiskError as error:
        raise Problem(503, NO_ROOM) from error


def _file(path: Path, kind: str, tag: str) -> Response:
    return FileResponse(path, media_type=kind, headers=MEDIA | {"ETag": tag})


def _status(error: RejectedError) -> int:
    if isinstance(error, ForbiddenUriError):
        return 403
    return 413 if isinstance(error, TooLargeError) else 404
