"""The pictures of a descriptor pool: training clips, slide shows and drawn pages, plain and edited.

They are kept on disk, so that another encoder of the same input size needs no second decoding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import av
import numpy as np
import orjson
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

from models.errors import MissingDataError
from models.training.edits.pictures import edited
from models.training.page_shows import SHOWS, page_shows
from models.training.pictures import SHORT_SIDE, load_photos
from models.training.source import Source
from models.training.workers import spread
from models.video.frames import prepare
from models.video.motion import motion_codes
from models.video.shots import Changes

# What is built is kept on disk: after a change, delete the folder of pictures. Set by hand.
FRAMES_PER_SECOND = 4.0  # twice the densest query; made videos take their frames from these
VARIANTS = 8  # edited views of a clip: disk and encoding grow with them, copies repeat with fewer
SLIDES = 240  # slide shows: hard cuts between pictures that hardly move, beside clips that do
SLIDE_VARIANTS = 3  # fewer than of clips, as there are more shows
PHOTOS_PER_SLIDE = 3  # two cuts a show
SLIDE_SECONDS = 3.0  # of each photo, over which it is panned or zoomed
MAX_EDITS = 3  # one less than an encoder's look: of a whole clip, more leaves little to align
HARD_VARIANTS = 4  # besides: of the harder school's kinds, screens beside others and small insets
MAX_HARD_EDITS = 2  # three of these leave nothing to align in half of the clips
PAGE_VARIANTS = 2  # of shows of drawn pages, which are many and hardly move
MAX_PAGE_EDITS = 1  # with more, one page's copy is no nearer to it than its family's other pages

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


def build_pictures(
    data: Path, out: Path, *, size: int, seed: int = 7, pages: bool = False, workers: int = 1
) -> None:
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
        workers: processes that read and edit clips, which is most of the work.

    Raises:
        MissingDataError: no clips there.
    """
    paths = sorted((data / "clips").glob("*.mp4"))
    if not paths:
        raise MissingDataError(f"no clips/*.mp4 in {data}: name the data folder")
    out.mkdir(parents=True, exist_ok=True)
    photos = load_photos(data)
    others = [photo.pictures[0] for photo in photos]
    missing = [path for path in paths if not (out / f"{path.stem}.json").exists()]
    with Console().status(f"{len(missing)} of {len(paths)} clips"):
        edits = _Edits(seed, VARIANTS, hard=HARD_VARIANTS)
        beside = [edits.beside(path.stem, others) for path in missing]
        keep = partial(_keep_clip, out, size, edits)
        spread(keep, list(zip(missing, beside, strict=True)), workers)
    for number in track(range(SLIDES if photos else 0), "slide shows"):
        name = f"slides-{number:03d}"
        if not (out / f"{name}.json").exists():
            seen = _slide_show(photos, Random(f"{seed}-{name}"))
            edits = _Edits(seed, SLIDE_VARIANTS)
            _keep(out, name, seen, edits.beside(name, others), size, edits)
    shows = page_shows(FRAMES_PER_SECOND) if pages else ()
    for name, family, frames in track(shows, "drawn pages", total=SHOWS if pages else 0):
        if not (out / f"{name}.json").exists():
            edits = _Edits(seed, PAGE_VARIANTS, MAX_PAGE_EDITS)
            other = edits.beside(name, others)
            _keep(out, name, _still(frames), other, size, edits, family=family)


def _keep_clip(out: Path, size: int, edits: "_Edits", clip: tuple[Path, list[Rgb]]) -> None:
    path, beside = clip
    _keep(out, path.stem, read_clip(path), beside, size, edits)


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
        variants: views with the edits of `models.training.edits.pictures`.
        most: edits of such a view.
        hard: further views, with the harder edits of `models.training.edits.batch_edits`.
    """

    seed: int
    variants: int
    most: int = MAX_EDITS
    hard: int = 0

    @property
    def views(self) -> int:
        """With the plain one."""
        return 1 + self.variants + self.hard

    def chance(self, name: str, view: int) -> Random:
        """The same for every frame of a view."""
        return Random(f"{self.seed}-{name}-{view}")

    def beside(self, name: str, others: list[Rgb]) -> list[Rgb]:
        """An unrelated picture for each view; none if there are none."""
        return [
            self.chance(name, view).choice(others) for view in range(self.views if others else 0)
        ]


def _keep(
    out: Path,
    name: str,
    seen: Seen,
    beside: list[Rgb],
    size: int,
    edits: _Edits,
    family: str | None = None,
) -> None:
    shape = (edits.views, len(seen.frames), size, size, 3)
    aside = out / f"{name}.part"
    pictures = np.lib.format.open_memmap(aside, mode="w+", dtype=np.uint8, shape=shape)
    for view in range(edits.views):
        chance = partial(edits.chance, name, view)
        other = beside[view] if beside else chance().choice(seen.frames)
        edit = _edit_of(view, chance, Image.fromarray(other), edits)
        square = prepare(edit(seen.frames[0]), size)
        for at, frame in enumerate(seen.frames):
            if at and frame is not seen.frames[at - 1]:  # a page that stays is edited once
                square = prepare(edit(frame), size)
            pictures[view, at] = square
    pictures.flush()
    aside.rename(out / f"{name}.npy")
    # The notes last: a clip counts as built once they are there.
    notes = {"cut_seconds": seen.cut_seconds, "motion": seen.motion.tolist(), "family": family}
    (out / f"{name}.json").write_bytes(orjson.dumps(notes))


def _edit_of(
    view: int, chance: Callable[[], Random], other: Image.Image, edits: _Edits
) -> Callable[[Rgb], Rgb]:
    """One edit for a whole clip."""
    if view == 0:
        return lambda frame: frame
    if view <= edits.variants:
        return lambda frame: np.asarray(edited(Image.fromarray(frame), chance(), other, edits.most))
    from models.training.edits.one_picture import hard_edited, hard_names  # torch, for these alone

    random = chance()
    names, seed = hard_names(random, MAX_HARD_EDITS), random.getrandbits(30)
    return lambda frame: np.asarray(hard_edited(Image.fromarray(frame), names, seed, other))
