"""The proof of an alert as pictures: the similarity matrix with its boxes, film strips and stills.

The matrix is computed from the two fingerprints on the library log, by the formula that the library
compares by. Rows are seconds of the upload, downwards; columns are seconds of the reference.
"""

import asyncio
import io
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.aligners.matrix import SimilarityMatrix
from models.video.similarity import similarities
from stream.console.kafka import ConsoleKafka
from stream.console.store.views import AlertView, Place, VideoView
from stream.console.web.shared_work import SharedWork
from stream.console.web.strips import (
    NO_THUMBNAILS,
    NoEvidenceError,
    strip_jpeg,
    timed_strip_jpeg,
)
from stream.contract.events import MatchedSegment
from stream.contract.fingerprint import CodedFrames, Fingerprint
from stream.contract.packed import CODE_SCALE
from stream.fingerprint.embed import spread
from stream.texts import Text, text_of

MIN_PIXELS, MAX_PIXELS = 480, 720  # of the longer side; set by hand
MAX_FRAMES = 2 * MAX_PIXELS  # of a video that are compared
MIN_SIDE = 120  # of the shorter side, so that a clip in a film is still to be seen
DARK_BELOW, BRIGHT_FROM = 0.1, 0.9  # similarities drawn as the first and last colour; set by hand
BOX: Final = (255, 138, 30)
# Dark violet to pale yellow: ever brighter, so that it can be read without colours too.
RAMP = np.array(
    [(13, 8, 40), (62, 20, 92), (128, 40, 110), (196, 72, 92), (240, 132, 84), (252, 240, 190)],
    np.float32,
)

KEPT = 512  # pictures, some 20 MB together; a page of the queue has up to 200


class Evidence:
    """Pictures of alerts, the newest of which are kept."""

    def __init__(self, kafka: ConsoleKafka) -> None:
        """Nothing is drawn yet; `kafka` is where fingerprints and thumbnails are read."""
        self._kafka = kafka
        self._pictures: OrderedDict[object, bytes] = OrderedDict()
        self._drawing = SharedWork[bytes]("console-picture")

    async def matrix(
        self, alert: AlertView, upload: VideoView | None, reference: VideoView | None
    ) -> bytes:
        """The similarity matrix of an alert, as a PNG.

        Raises:
            NoEvidenceError: a fingerprint isn't on the library log any more, or is of another
                model.
            BrokerError: Kafka doesn't answer.
        """
        one, other = (None if video is None else video.fingerprint for video in (upload, reference))
        key = ("matrix", alert.alert_id, one, other)
        return await self._kept(key, lambda: self._draw_matrix(alert, one, other))

    async def strip(self, video: VideoView | None, seconds: float | None = None) -> bytes:
        """A video's thumbnails in order of time, as a JPEG.

        Args:
            video: whose.
            seconds: that the strip stands for: each picture is at its own one, where that is known.
                Without it, they are side by side.

        Raises:
            NoEvidenceError: there are none.
            BrokerError: Kafka doesn't answer.
        """
        video_id, fingerprint, place = _pictured(video)

        async def draw() -> bytes:
            found = await self._kafka.thumbnails(video_id, place.partition, place.offset)
            if seconds is None or fingerprint is None:
                return await asyncio.to_thread(strip_jpeg, found)
            at = await self._shown_seconds(video_id, fingerprint, place, len(found))
            if at is None:
                return await asyncio.to_thread(strip_jpeg, found)
            return await asyncio.to_thread(timed_strip_jpeg, found, [*at / seconds])

        return await self._kept(("strip", video_id, place, fingerprint, seconds), draw)

    async def still(self, video: VideoView | None, seconds: float) -> bytes:
        """The thumbnail of a video that is nearest to one of its seconds, as a JPEG.

        The first of them where it isn't known which seconds they show.

        Raises:
            NoEvidenceError: there is none.
            BrokerError: Kafka doesn't answer.
        """
        video_id, fingerprint, place = _pictured(video)

        async def draw() -> bytes:
            found = await self._kafka.thumbnails(video_id, place.partition, place.offset)
            at = None
            if fingerprint is not None:
                at = await self._shown_seconds(video_id, fingerprint, place, len(found))
            near = 0 if at is None or not len(at) else int(np.abs(at - seconds).argmin())
            return await asyncio.to_thread(strip_jpeg, found[near : near + 1])

        return await self._kept(("still", video_id, place, fingerprint, seconds), draw)

    async def _shown_seconds(
        self, video_id: str, fingerprint: Place, embedded: Place, count: int
    ) -> NDArray[np.float32] | None:
        """The seconds of a video's thumbnails; None where these aren't of that fingerprint."""
        found = await self._kafka.fingerprint(video_id, fingerprint.partition, fingerprint.offset)
        made = None if found is None else found.embedded_at
        if found is None or made is None:
            return None
        if (made.partition, made.offset) != (embedded.partition, embedded.offset):
            return None
        # The same choice of key frames as when the pictures were made.
        seconds = found.key_frames.seconds
        at: NDArray[np.float32] = seconds[spread(np.arange(len(seconds)), count)]
        return at if len(at) == count else None

    async def _draw_matrix(
        self, alert: AlertView, upload: Place | None, reference: Place | None
    ) -> bytes:
        found = []
        for video_id, place in ((alert.video_id, upload), (alert.reference_id, reference)):
            fingerprint = None
            if place is not None:
                fingerprint = await self._kafka.fingerprint(video_id, place.partition, place.offset)
            if fingerprint is None:
                raise NoEvidenceError(
                    Text("the fingerprint of {id} is on Kafka no more", id=video_id)
                )
            found.append(fingerprint)
        try:
            matrix = await asyncio.to_thread(matrix_of, *found)
        except ValueError as error:
            raise NoEvidenceError(text_of(error)) from error
        return await asyncio.to_thread(matrix_png, matrix, alert.segments)

    async def _kept(self, key: object, draw: Callable[[], Coroutine[Any, Any, bytes]]) -> bytes:
        """A picture; who asks for it again meanwhile, as by a new load, waits for one drawing."""
        if (known := self._pictures.get(key)) is not None:
            self._pictures.move_to_end(key)
            return known

        async def drawn() -> bytes:
            picture = await draw()
            self._pictures[key] = picture
            while len(self._pictures) > KEPT:
                self._pictures.popitem(last=False)
            return picture

        return await self._drawing.once(key, drawn)


def _pictured(video: VideoView | None) -> tuple[str, Place | None, Place]:
    """The id of a video, and where its fingerprint and its thumbnails lie.

    Raises:
        NoEvidenceError: it has no thumbnails.
    """
    if video is None or video.embedded is None:
        raise NoEvidenceError(NO_THUMBNAILS)
    return video.video_id, video.fingerprint, video.embedded


def matrix_of(upload: Fingerprint, reference: Fingerprint) -> SimilarityMatrix:
    """The similarity of the frames that search, of both videos: some one a second of each.

    Of several looks at one moment the best counts. Of long videos only as many frames are compared
    as a picture can show.

    Raises:
        ValueError: they are of two models, whose descriptors can't be compared, or have no frames.
    """
    if upload.model_version != reference.model_version:
        raise ValueError(
            Text(
                "{one} was made by {model}, {other} by {other_model}: their frames can't be "
                "compared",
                one=upload.video_id,
                model=upload.model_version,
                other=reference.video_id,
                other_model=reference.model_version,
            )
        )
    if not len(upload.query_frames) or not len(reference.query_frames):
        raise ValueError(Text("one of the two fingerprints has no frames"))
    query, other = _thinned(upload.query_frames), _thinned(reference.query_frames)
    values = similarities(
        query.whole, other.whole, query.bias_codes, other.bias_codes, scale=CODE_SCALE
    )
    query_seconds, first = np.unique(query.seconds, return_index=True)
    values = np.maximum.reduceat(values, first, axis=0)
    reference_seconds, first = np.unique(other.seconds, return_index=True)
    values = np.maximum.reduceat(values, first, axis=1)
    return SimilarityMatrix(
        values=np.clip(values, -1, 1),
        query_seconds=query_seconds,
        reference_seconds=reference_seconds,
        query_duration_seconds=upload.duration_seconds,
        reference_duration_seconds=reference.duration_seconds,
    )


def _thinned(frames: CodedFrames) -> CodedFrames:
    """Every so many of the moments of a long video."""
    every = -(-len(np.unique(frames.moments)) // MAX_FRAMES)
    if every <= 1:
        return frames
    kept = frames.moments % every == 0
    return CodedFrames(frames.seconds[kept], frames.codes[kept], frames.bias_codes[kept])


def matrix_png(matrix: SimilarityMatrix, segments: Sequence[MatchedSegment]) -> bytes:
    """The matrix as a PNG with a box around each copied span and a line from its start to its end.

    Both axes are linear in time, from 0 to the duration, so that a place in the picture is a moment
    of each video.
    """
    width, height = _size(matrix.reference_duration_seconds, matrix.query_duration_seconds)
    rows = _nearest(matrix.query_seconds, matrix.query_duration_seconds, height)
    columns = _nearest(matrix.reference_seconds, matrix.reference_duration_seconds, width)
    # Of each frame's pixels one is given its colour: pixels are many.
    (shown, row_of), (seen, column_of) = (
        np.unique(each, return_inverse=True) for each in (rows, columns)
    )
    size = len(shown), len(seen)
    values = matrix.values[shown][:, seen] if matrix.values.size else np.zeros(size)
    picture = Image.fromarray(_coloured(values)[row_of][:, column_of])
    draw = ImageDraw.Draw(picture)
    for segment in segments:
        _draw_box(draw, segment, matrix, width, height)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _size(across_seconds: float, down_seconds: float) -> tuple[int, int]:
    """Pixels in the shape of the two durations, within limits."""
    longer = max(across_seconds, down_seconds, 1e-3)
    scale = min(MAX_PIXELS, max(MIN_PIXELS, 4 * longer)) / longer
    return tuple(  # type: ignore[return-value]
        min(MAX_PIXELS, max(MIN_SIDE, round(seconds * scale)))
        for seconds in (across_seconds, down_seconds)
    )


def _nearest(
    seconds: NDArray[np.float32], duration_seconds: float, pixels: int
) -> NDArray[np.intp]:
    """(pixels,) which of the frames is nearest to the time of each pixel."""
    if len(seconds) < 2:
        return np.zeros(pixels, np.intp)
    times = (np.arange(pixels) + 0.5) * (max(duration_seconds, 1e-3) / pixels)
    middles = (seconds[1:] + seconds[:-1]) / 2
    return np.searchsorted(middles, times)


def _coloured(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(H, W) similarities as (H, W, 3) uint8 RGB."""
    share = np.clip((values - DARK_BELOW) / (BRIGHT_FROM - DARK_BELOW), 0, 1)
    place = share * (len(RAMP) - 1)
    low = np.minimum(place.astype(np.intp), len(RAMP) - 2)
    part = (place - low)[..., None]
    return np.asarray(np.rint(RAMP[low] * (1 - part) + RAMP[low + 1] * part), np.uint8)


def _draw_box(
    draw: ImageDraw.ImageDraw,
    segment: MatchedSegment,
    matrix: SimilarityMatrix,
    width: int,
    height: int,
) -> None:
    across = width / max(matrix.reference_duration_seconds, 1e-3)
    down = height / max(matrix.query_duration_seconds, 1e-3)
    left, right = (
        min(width - 1, second * across)
        for second in (segment.reference_start_seconds, segment.reference_end_seconds)
    )
    top, bottom = (
        min(height - 1, second * down)
        for second in (segment.video_start_seconds, segment.video_end_seconds)
    )
    draw.rectangle((left, top, right, bottom), outline=BOX, width=2)
