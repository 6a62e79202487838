"""Makes the demo's own videos: references drawn by code, and uploads that copy spans of them."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import chain
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path
from signal import SIG_IGN, SIGINT, signal
from zlib import crc32

from PIL import Image

from stream.demo.camera import Camera
from stream.demo.demo_set import DemoSet, Pair, span
from stream.demo.edits import EDITS, Edit, picture_in_picture
from stream.demo.footage import FRAMES_PER_SECOND, read_frames, write_video
from stream.demo.plan import BACKGROUND, PICTURE_IN_PICTURE, PLAN, Clip, Copied, Drawn, Plan
from stream.demo.scenes import SCENES
from stream.events import MatchedSegment

Progress = Callable[[int, int], None]
"""Told how many videos are made, and how many there will be."""

MOST_PROCESSES = 8


def make_demo_videos(folder: Path, progress: Progress, plan: Plan = PLAN) -> DemoSet:
    """Draw and edit all clips of a plan, on all cores; the same plan gives the same files.

    Args:
        folder: gets `references/` and `uploads/`, made when absent.
        progress: called after each video.
        plan: what to make.
    """
    total = len(plan.references) + len(plan.uploads)
    progress(0, total)
    with _processes() as pool:
        made = chain(
            _make_all(pool, folder, "references", plan.references),
            _make_all(pool, folder, "uploads", plan.uploads),
        )
        for done, _ in enumerate(made, start=1):
            progress(done, total)
    if plan.broken is not None:
        _cut_off(_file(folder, "uploads", plan.broken))
    return DemoSet(
        references=[_file(folder, "references", clip.name) for clip in plan.references],
        uploads=[_file(folder, "uploads", clip.name) for clip in plan.uploads],
        truth=truth_of(plan),
        judged=None,
        broken=frozenset([plan.broken] if plan.broken else []),
        made=True,
    )


def truth_of(plan: Plan) -> dict[Pair, list[MatchedSegment]]:
    """The copied spans that the plan makes, by (upload, reference)."""
    truth: dict[Pair, list[MatchedSegment]] = {}
    for clip in plan.uploads:
        start = 0.0
        for shot in clip.shots:
            end = start + _frames(shot) / FRAMES_PER_SECOND
            if isinstance(shot, Copied):
                copied = span(start, end, shot.start_seconds, shot.end_seconds)
                truth.setdefault((clip.name, shot.reference), []).append(copied)
            start = end
    return truth


def make_clip(clip: Clip, folder: Path, kind: str) -> Path:
    """Draw one clip; what it copies lies in `references/` beside it.

    Args:
        clip: its shots.
        folder: the demo's folder.
        kind: "references" or "uploads".

    Returns:
        The file made.
    """
    path = _file(folder, kind, clip.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = (picture for shot in clip.shots for picture in _pictures(shot, folder))
    write_video(path, pictures, quality=clip.quality)
    return path


@contextmanager
def _processes() -> Iterator[Executor]:
    """One process per core, that let the caller alone decide about Ctrl-C."""
    pool = ProcessPoolExecutor(
        min(cpu_count() or 1, MOST_PROCESSES),
        get_context("spawn"),  # no copies of the caller's threads and sockets
        initializer=signal,
        initargs=(SIGINT, SIG_IGN),
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _make_all(pool: Executor, folder: Path, kind: str, clips: Iterable[Clip]) -> Iterator[Path]:
    longest_first = sorted(clips, key=lambda clip: -sum(shot.seconds for shot in clip.shots))
    tasks = [pool.submit(make_clip, clip, folder, kind) for clip in longest_first]
    for task in as_completed(tasks):
        yield task.result()


def _pictures(shot: Drawn | Copied, folder: Path) -> Iterator[Image.Image]:
    if isinstance(shot, Drawn):
        scene, camera = SCENES[shot.scene](shot.seed), Camera(_camera_seed(shot), shot.seconds)
        for number in range(_frames(shot)):
            seconds = number / FRAMES_PER_SECOND
            yield camera.see(scene.draw(seconds), seconds)
        return
    edit = _edit(shot.edit)
    source = _file(folder, "references", shot.reference)
    frames = read_frames(source, shot.start_seconds, shot.end_seconds, speed=shot.speed)
    for number, picture in enumerate(frames):
        yield edit(picture, number / FRAMES_PER_SECOND)


def _edit(name: str) -> Edit:
    if name == PICTURE_IN_PICTURE:
        return picture_in_picture(SCENES[BACKGROUND.scene](BACKGROUND.seed))
    return EDITS[name]


def _camera_seed(shot: Drawn) -> int:
    return crc32(f"{shot.scene} {shot.seed}".encode())


def _frames(shot: Drawn | Copied) -> int:
    return round(shot.seconds * FRAMES_PER_SECOND)


def _cut_off(path: Path) -> None:
    """Drop the second half of the file, and with it the index that MP4 keeps at its end."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _file(folder: Path, kind: str, name: str) -> Path:
    return folder / kind / f"{name}.mp4"
