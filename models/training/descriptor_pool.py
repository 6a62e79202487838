"""Footage as descriptors: every training clip, plain and edited, four frames a second.

Serves the training of the pattern detector, which pastes spans of it into each other. Pictures
are kept on disk, so that another encoder needs no second decoding.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import av
import numpy as np
import orjson
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from models.encoder.serve import FrameEncoder
from models.errors import MissingDataError
from models.training.edits.pictures import edited
from models.training.page_shows import SHOWS, page_shows
from models.training.pictures import SHORT_SIDE, load_photos
from models.training.source import Source
from models.video.frames import prepare
from models.video.motion import curve_of, motion_codes
from models.video.shots import Changes

# What is built is kept on disk: after a change, delete the folder of pictures. Set by hand.
FRAMES_PER_SECOND = 4.0  # twice the densest query; made videos take their frames from these
VARIANTS = 8  # edited views of a clip: disk and encoding grow with them, copies repeat with fewer
SLIDES = 240  # slide shows: hard cuts between pictures that hardly move, beside clips that do
SLIDE_VARIANTS = 3  # fewer than of clips, as there are more shows
PHOTOS_PER_SLIDE = 3  # two cuts a show
SLIDE_SECONDS = 3.0  # of each photo, over which it is panned or zoomed
MAX_EDITS = 3  # one less than an encoder's look: of a whole clip, more leaves little to align
PAGE_VARIANTS = 2  # of shows of drawn pages, which are many and hardly move
MAX_PAGE_EDITS = 1  # with more, one page's copy is no nearer to it than its family's other pages
BATCH = 64  # frames that are described at once; the encoder cuts it further

Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class Seen:
    """A clip as it was read.

    Attributes:
        frames: at the pool's rate, short side at most `SHORT_SIDE`.
        cut_seconds: inside the clip.
        motion: (M,) uint8, codes of `models.video.motion`.
    """

    frames: list[Rgb]
    cut_seconds: list[float]
    motion: NDArray[np.uint8]


def _no_motion() -> NDArray[np.float32]:
    return np.empty(0, np.float32)


@dataclass(frozen=True)
class Footage:
    """One clip of the pool.

    Attributes:
        name: the clip's id.
        descriptors: (V, N, D) float32, unit rows; variant 0 is not edited.
        score_biases: (V, N) float32.
        cut_seconds: (C,) float32, cuts inside the clip.
        motion: (M,) float32, the plain clip's curve of `models.video.motion`; empty if unknown.
        family: of drawn pages; footage of one family looks alike and shows no page twice.
    """

    name: str
    descriptors: NDArray[np.float32]
    score_biases: NDArray[np.float32]
    cut_seconds: NDArray[np.float32]
    motion: NDArray[np.float32] = field(default_factory=_no_motion)
    family: str | None = None

    @property
    def group(self) -> str:
        """What is held out as one: the family, or the clip alone."""
        return self.family or self.name

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return float(self.descriptors.shape[1] / FRAMES_PER_SECOND)


def build_pictures(data: Path, out: Path, *, size: int, seed: int = 7, pages: bool = False) -> None:
    """Decode clips, make slide shows of photos, edit both, and keep the prepared squares.

    Every variant of a clip is edited in one way throughout, as people do it. Finished clips are
    left alone, so a broken-off build goes on where it was.

    Args:
        data: holds `clips/*.mp4` and `photos/*.tar`.
        out: one `NAME.npy` of (V, N, S, S, 3) uint8 and one `NAME.json`, its cuts and its motion, a
            clip.
        size: S, the encoder's input.
        seed: of the edits.
        pages: make shows of drawn pages too.

    Raises:
        MissingDataError: no clips there.
    """
    paths = sorted((data / "clips").glob("*.mp4"))
    if not paths:
        raise MissingDataError(f"no clips/*.mp4 in {data}: name the data folder")
    out.mkdir(parents=True, exist_ok=True)
    photos = load_photos(data)
    others = [photo.pictures[0] for photo in photos]
    for path in track(paths, "clips"):
        if not (out / f"{path.stem}.json").exists():
            _keep(out, path.stem, read_clip(path), others, size, _Edits(seed, VARIANTS))
    for number in track(range(SLIDES if photos else 0), "slide shows"):
        name = f"slides-{number:03d}"
        if not (out / f"{name}.json").exists():
            seen = _slide_show(photos, Random(f"{seed}-{name}"))
            _keep(out, name, seen, others, size, _Edits(seed, SLIDE_VARIANTS))
    shows = page_shows(FRAMES_PER_SECOND) if pages else ()
    for name, family, frames in track(shows, "drawn pages", total=SHOWS if pages else 0):
        if not (out / f"{name}.json").exists():
            edits = _Edits(seed, PAGE_VARIANTS, MAX_PAGE_EDITS)
            _keep(out, name, _still(frames), others, size, edits, family=family)


def read_clip(path: Path) -> Seen:
    """Frames, cuts and motion of a clip; every frame counts for the latter two."""
    frames: list[Rgb] = []
    changes = Changes()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            seconds = float(frame.time or 0.0)
            rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            changes.add(_luma(rgb), seconds)
            # By count, not by the last frame kept: frames that are late don't shift the rest.
            if seconds >= len(frames) / FRAMES_PER_SECOND:
                frames.append(_shrunk(rgb))
    return _seen(frames, changes)


def _seen(frames: list[Rgb], changes: Changes) -> Seen:
    cuts, seconds = changes.cuts(), changes.seconds
    duration = len(frames) / FRAMES_PER_SECOND
    codes = motion_codes(changes.steps, seconds, cuts, duration)
    return Seen(frames, seconds[cuts].tolist(), codes)


def _still(frames: list[Rgb]) -> Seen:
    """A show of pictures, each of which stays for a while."""
    changes = Changes()
    shown: list[Rgb] = []
    for number, frame in enumerate(frames):
        changes.add(_luma(frame), number / FRAMES_PER_SECOND)
        same = number > 0 and frame is frames[number - 1]
        shown.append(shown[-1] if same else _shrunk(frame))
    return _seen(shown, changes)


def _luma(rgb: Rgb) -> NDArray[np.uint8]:
    """(H, W) uint8, nearly what a codec calls luma."""
    return np.asarray(Image.fromarray(rgb).convert("L"), np.uint8)


def _shrunk(rgb: Rgb) -> Rgb:
    picture = Image.fromarray(rgb)
    factor = SHORT_SIDE / min(picture.size)
    if factor < 1:
        size = (round(picture.width * factor), round(picture.height * factor))
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(picture)


def _slide_show(photos: list[Source], random: Random) -> Seen:
    """Photos one after the other, each with a slow pan or zoom."""
    frames: list[Rgb] = []
    changes = Changes()
    count = round(SLIDE_SECONDS * FRAMES_PER_SECOND)
    for photo in random.sample(photos, PHOTOS_PER_SLIDE):
        picture = Image.fromarray(photo.pictures[0])
        start, end = _window(picture, random), _window(picture, random)
        for step in range(count):
            part = step / count
            a, b, c, d = ((1 - part) * x + part * y for x, y in zip(start, end, strict=True))
            frames.append(np.asarray(picture.resize((200, 150), box=(a, b, c, d))))
            changes.add(_luma(frames[-1]), (len(frames) - 1) / FRAMES_PER_SECOND)
    return _seen(frames, changes)


def _window(picture: Image.Image, random: Random) -> tuple[float, float, float, float]:
    share = random.uniform(0.6, 1.0)
    width, height = share * picture.width, share * picture.height
    left = random.uniform(0, picture.width - width)
    top = random.uniform(0, picture.height - height)
    return (left, top, left + width, top + height)


@dataclass(frozen=True)
class _Edits:
    """How a clip's variants are edited.

    Attributes:
        variants: edited views.
        most: edits of a view.
    """

    seed: int
    variants: int
    most: int = MAX_EDITS


def _keep(
    out: Path,
    name: str,
    seen: Seen,
    others: list[Rgb],
    size: int,
    edits: _Edits,
    family: str | None = None,
) -> None:
    shape = (1 + edits.variants, len(seen.frames), size, size, 3)
    aside = out / f"{name}.part"
    pictures = np.lib.format.open_memmap(aside, mode="w+", dtype=np.uint8, shape=shape)
    for variant in range(1 + edits.variants):
        for at, square in enumerate(_variant(seen.frames, variant, name, others, size, edits)):
            pictures[variant, at] = square
    pictures.flush()
    aside.rename(out / f"{name}.npy")
    # The notes last: a clip counts as built once they are there.
    notes = {"cut_seconds": seen.cut_seconds, "motion": seen.motion.tolist(), "family": family}
    (out / f"{name}.json").write_bytes(orjson.dumps(notes))


def _variant(
    frames: list[Rgb], variant: int, name: str, others: list[Rgb], size: int, edits: _Edits
) -> Iterator[Rgb]:
    key = f"{edits.seed}-{name}-{variant}"
    other = Image.fromarray(Random(key).choice(others or frames))
    square: Rgb | None = None
    for number, frame in enumerate(frames):
        if square is None or frame is not frames[number - 1]:  # a page that stays is edited once
            shown = frame
            if variant:  # the same chance for each frame: one edit lies over the whole clip
                picture = edited(Image.fromarray(frame), Random(key), other, edits.most)
                shown = np.asarray(picture)
            square = prepare(shown, size)
        yield square


def load_pool(pictures: Path, encoder: FrameEncoder) -> list[Footage]:
    """Describe every clip of a built pool, once per encoder: descriptors lie beside the pictures.

    Args:
        pictures: what `build_pictures` made.
        encoder: what describes them.

    Raises:
        MissingDataError: nothing is built there.
    """
    paths = sorted(path for path in pictures.glob("*.npy") if path.with_suffix(".json").exists())
    if not paths:
        raise MissingDataError(f"no footage in {pictures}: build the pictures first")
    kept = pictures / encoder.model_version
    kept.mkdir(exist_ok=True)
    return [_described(path, kept, encoder) for path in track(paths, "descriptors")]


def _described(path: Path, kept: Path, encoder: FrameEncoder) -> Footage:
    place = kept / f"{path.stem}.npz"
    if not place.exists():
        squares = np.load(path, mmap_mode="r")
        flat = squares.reshape(-1, *squares.shape[2:])
        parts = [encoder.describe(flat[at : at + BATCH]) for at in range(0, len(flat), BATCH)]
        rows = np.concatenate([part.descriptors for part in parts])
        biases = np.concatenate([part.score_biases for part in parts])
        aside = kept / f"{path.stem}.part.npz"
        np.savez(
            aside,
            # Half the disk; the noise that training adds is far above what rounding does.
            descriptors=rows.reshape(*squares.shape[:2], -1).astype(np.float16),
            score_offsets=biases.reshape(squares.shape[:2]).astype(np.float16),
        )
        aside.rename(place)
    notes = orjson.loads(path.with_suffix(".json").read_bytes())
    with np.load(place) as arrays:
        return Footage(
            name=path.stem,
            descriptors=arrays["descriptors"].astype(np.float32),
            score_biases=arrays["score_offsets"].astype(np.float32),
            cut_seconds=np.array(notes["cut_seconds"], np.float32),
            motion=curve_of(np.array(notes["motion"], np.uint8)),
            family=notes.get("family"),  # footage of before has none
        )


def part_of(name: str, parts: int) -> int:
    """A stable number below `parts` for a clip's name: which fold it belongs to."""
    # Of the name alone: clips that come or go move no other one between training and validation.
    return hashlib.blake2b(name.encode()).digest()[0] % parts
