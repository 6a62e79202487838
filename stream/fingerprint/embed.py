"""The embed step: a video's key frames to the vectors that text finds, and small pictures of it.

Serves the fingerprint step. The pair of networks is the project's own, or one from outside.
"""

import base64
import io
import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.text_video.serve import (
    TextEncoder,
    VideoEncoder,
    default_pair_files,
    open_text,
    open_video,
)
from models.video.frames import difference
from stream.contract.embedded import Moments, packed_moments
from stream.contract.events import VideoEmbedded, VideoUploaded
from stream.fingerprint.settings import TextVideoSettings

if TYPE_CHECKING:  # a search by text opens its tower here, and needs no codec
    from stream.decode.decoded_video import DecodedVideo

log = logging.getLogger(__name__)

THUMBNAIL_PIXELS = 128 * 128  # in any shape: some 7 KB as a JPEG
THUMBNAIL_QUALITY = 80  # of 100
MAX_ASPECT_RATIO = 4.0  # in either direction: a thinner picture would show nothing
ALIKE = 0.4  # cosine of two descriptors from which their frames show much the same; set by hand
SAME_COLOUR = 0.2  # of mean colours in [0, 1], by their distance; set by hand
MAX_COMPARED = 256  # key frames, evenly spread: of ten hours there are thousands
DECIMALS = 7  # of a number of a vector; float32 holds no more


def no_pair(settings: TextVideoSettings) -> bool:
    """Whether no pair is named and none is shipped."""
    named = settings.path is not None or settings.outside is not None
    return not named and not default_pair_files().video.is_file()


def open_text_encoder(settings: TextVideoSettings) -> TextEncoder:
    """The text tower of the pair.

    Raises:
        ModelError: as `models.text_video.serve.open_text`.
    """
    return open_text(**_named(settings))


def open_video_encoder(settings: TextVideoSettings) -> VideoEncoder:
    """The video tower of the pair.

    Raises:
        ModelError: as `models.text_video.serve.open_video`.
    """
    return open_video(**_named(settings), precision=settings.precision)


def _named(settings: TextVideoSettings) -> dict[str, Any]:
    return {
        "files": settings.path,
        "outside": settings.outside,
        "provider": settings.provider,
        "threads": settings.threads,
        "engine_cache": settings.engine_cache,
    }


def open_embedder(settings: TextVideoSettings) -> "Embedder | None":
    """The embed step; None, with a warning, where no pair is named and none is shipped.

    Raises:
        ModelError: as `models.text_video.serve.open_video`.
    """
    if no_pair(settings):
        log.warning(
            "no text–video pair is shipped in %s and text_video names none: nothing is written to "
            "video.embedded",
            default_pair_files().video.parent,
        )
        return None
    encoder = open_video_encoder(settings)
    return Embedder(encoder, frames=settings.frames, thumbnails=settings.thumbnails)


class Embedder:
    """Makes a video's vector. Thread-safe."""

    def __init__(self, encoder: VideoEncoder, *, frames: int, thumbnails: int) -> None:
        """Wrap an encoder; the rest as in `TextVideoSettings`."""
        self._encoder, self._frames, self._thumbnails = encoder, frames, thumbnails

    @property
    def model_version(self) -> str:
        """Of the pair: vectors of another one can't be compared with these."""
        return self._encoder.model_version

    @property
    def input_size(self) -> int:
        """Side in pixels of the frames that it takes."""
        return self._encoder.input_size

    def embed(
        self,
        upload: VideoUploaded,
        video: "DecodedVideo",
        key: NDArray[np.intp],
        descriptors: NDArray[np.float32],
    ) -> VideoEmbedded:
        """The vector of a decoded video, and those of its moments.

        Args:
            upload: what it is.
            video: its frames, at `input_size` or with `preview_frames` that are.
            key: (K,) ascending indices of its key frames, K ≥ 1.
            descriptors: (K, D) float32, unit rows: which of them show the same.
        """
        among = spread(np.arange(len(key)), MAX_COMPARED)
        colours = mean_colours(video.frames, key[among])
        chosen = among[distinct(descriptors[among], colours, self._frames)]
        frames, looked_at = video.frames, key[chosen]
        places = looked_at  # in `frames`
        if self.input_size != frames.shape[1] and video.preview_frames is not None:
            places = most_alike(video.frames, video.preview_places, looked_at)
            frames, looked_at = video.preview_frames, video.preview_places[places]
        vector, each = self._encoder.embed_frames(np.ascontiguousarray(frames[places]))
        # One frame's vector is the video's, and an older file of a pair gives none of frames.
        count = len(each) if len(each) > 1 else 0
        seconds, vectors = packed_moments(Moments(video.seconds[looked_at[:count]], each[:count]))
        shown = spread(key, self._thumbnails)
        return VideoEmbedded(
            video_id=upload.video_id,
            content_version=upload.content_version,
            model_version=self.model_version,
            dimension=len(vector),
            # In float64: a rounded float32 would be written with its seventeen digits all the same.
            vector=vector.astype(np.float64).round(DECIMALS).tolist(),
            duration_seconds=video.duration_seconds,
            thumbnails=[
                thumbnail(video.frames[place], float(video.aspect_ratios[place])) for place in shown
            ],
            moment_seconds=seconds,
            moment_vectors=vectors,
        )


def spread(chosen: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most so many of the chosen, each from the middle of an equal part of them."""
    if len(chosen) <= most:
        return chosen
    return chosen[((np.arange(most) + 0.5) * len(chosen) / max(most, 1)).astype(np.intp)]


def mean_colours(frames: NDArray[np.uint8], chosen: NDArray[np.intp]) -> NDArray[np.float32]:
    """(K, 3) float32 in [0, 1]: the mean red, green and blue of some of the frames."""
    each = [frames[place].mean(axis=(0, 1)) / 255 for place in chosen]
    return np.array(each, np.float32)


def distinct(
    descriptors: NDArray[np.float32], colours: NDArray[np.float32], most: int
) -> NDArray[np.intp]:
    """Few frames that all others are like: each shows what those before it don't.

    One after the other, the frame that most of those are like that are like no chosen one yet.

    Args:
        descriptors: (K, D) float32, unit rows, K ≥ 1. They don't see colours.
        colours: (K, 3) float32 in [0, 1], mean ones.
        most: of them.

    Returns:
        (J,) ascending places, 1 ≤ J ≤ most.
    """
    cosines = descriptors @ descriptors.T  # (K, K)
    apart = np.linalg.norm(colours[:, None] - colours, axis=2)
    alike, open_ = (cosines >= ALIKE) & (apart <= SAME_COLOUR), np.ones(len(cosines), bool)
    chosen: list[int] = []
    while open_.any() and len(chosen) < most:
        # Of those that stand for as many, the one that is most like all of them.
        stands_for = alike[:, open_].sum(axis=1) + cosines[:, open_].mean(axis=1) / 2
        best = int(stands_for.argmax())
        chosen.append(best)
        open_ &= ~alike[best]
        open_[best] = False
    return np.sort(np.array(chosen, np.intp))


def most_alike(
    frames: NDArray[np.uint8], there: NDArray[np.intp], wanted: NDArray[np.intp]
) -> NDArray[np.intp]:
    """The frames there that stand for the wanted ones: the last or the next, if more alike.

    Args:
        frames: (N, S, S, 3) uint8.
        there: (M,) ascending indices, M ≥ 1.
        wanted: (K,) ascending indices.

    Returns:
        (J,) ascending places in `there`, each once, J ≤ K.
    """
    after = np.searchsorted(there, wanted).clip(max=len(there) - 1)
    before = (after - 1).clip(min=0)
    chosen = [
        min(places, key=lambda place: difference(frames[there[place]], frames[index]))
        for places, index in zip(zip(after, before, strict=True), wanted, strict=True)
    ]
    return np.unique(np.array(chosen, np.intp))


def thumbnail(square: NDArray[np.uint8], aspect_ratio: float) -> str:
    """A square frame in the shape that it was shown in, as base64 of a JPEG of a few KB.

    Args:
        square: (S, S, 3) uint8 RGB.
        aspect_ratio: width by height; beyond 4 in either direction it is taken for 4.
    """
    root = math.sqrt(min(max(aspect_ratio, 1 / MAX_ASPECT_RATIO), MAX_ASPECT_RATIO))
    side = min(math.sqrt(THUMBNAIL_PIXELS), square.shape[0])
    size = (round(side * root), round(side / root))
    file = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(square))
    picture.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=THUMBNAIL_QUALITY)
    return base64.b64encode(file.getvalue()).decode()
