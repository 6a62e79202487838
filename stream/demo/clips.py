"""Makes the demo's own videos: references drawn by code, and uploads that copy spans of them."""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from signal import SIG_IGN, SIGINT, signal
from threading import Thread
from typing import Any
from zlib import crc32

from pebble import ProcessExpired, ProcessPool
from PIL import Image

from stream.contract.events import MatchedSegment
from stream.demo.camera import Camera
from stream.demo.demo_set import DemoSet, Pair, span
from stream.demo.edits import EDITS, Edit, picture_in_picture
from stream.demo.footage import FRAMES_PER_SECOND, FootageError, read_frames, write_video
from stream.demo.plan import BACKGROUND, PICTURE_IN_PICTURE, PLAN, Clip, Copied, Drawn, Plan
from stream.demo.scenes import SCENES
from stream.errors import SettingsError

Progress = Callable[[int, int], None]
"""Told how many videos are made, and how many there will be."""

LOOK_AGAIN_SECONDS = 0.05  # at the end, whether the last one has noticed
MAX_PROCESSES = 8  # that draw: each is an interpreter of its own, and the set is small


@dataclass(frozen=True)
class Drawing:
    """Clips on their way.

    Attributes:
        demo: what they will be.
        drawn: of each file, done when it is whole; holds the error of one that can't be made.
    """

    demo: DemoSet
    drawn: dict[Path, Future[None]]

    def done(self) -> int:
        """How many videos are drawn by now."""
        return sum(future.done() for future in self.drawn.values())


def make_demo_videos(folder: Path, progress: Progress, plan: Plan = PLAN) -> DemoSet:
    """Draw and edit all clips of a plan, on all cores; the same plan gives the same files.

    Args:
        folder: gets `references/` and `uploads/`, made when absent.
        progress: called after each video.
        plan: what to make.

    Raises:
        FootageError: a file can't be written.
    """
    with drawing(folder, plan) as clips:
        progress(0, len(clips.drawn))
        for done, future in enumerate(as_completed(clips.drawn.values()), start=1):
            future.result()
            progress(done, len(clips.drawn))
    return clips.demo


@contextmanager
def drawing(folder: Path, plan: Plan = PLAN) -> Iterator[Drawing]:
    """Draw clips while the block runs, in the order in which the demo submits them.

    What isn't begun at the end of the block is left.

    Raises:
        SettingsError: the folder can't be made.
    """
    try:
        for kind in ("references", "uploads"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"no videos can be put in {folder}: {error}") from error
    demo = _demo_set(folder, plan)
    drawn: dict[Path, Future[None]] = {path: Future() for path in (*demo.references, *demo.uploads)}
    for future in drawn.values():
        future.set_running_or_notify_cancel()  # nobody who waits for one can cancel it
    tasks: list[Future[Path]] = []
    with _processes() as pool:
        thread = Thread(target=_draw, args=(pool, tasks, folder, plan, drawn), daemon=True)
        thread.start()
        try:
            yield Drawing(demo, drawn)
        finally:
            # Whoever stops the demo isn't to wait for clips that nobody will see, a minute of a
            # busy machine; and a second Ctrl-C in that time would end the wait halfway, for ever.
            pool.stop()
            while thread.is_alive():
                for task in [*tasks]:  # a stopped pool leaves them as they are
                    task.cancel()
                thread.join(LOOK_AGAIN_SECONDS)


def _demo_set(folder: Path, plan: Plan) -> DemoSet:
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
            # By the frames that are drawn: a shot's own seconds needn't be a whole number of them.
            end = start + _frames(shot) / FRAMES_PER_SECOND
            if isinstance(shot, Copied):
                copied = span(start, end, shot.start_seconds, shot.end_seconds)
                truth.setdefault((clip.name, shot.reference), []).append(copied)
            start = end
    return truth


def make_clip(clip: Clip, folder: Path, kind: str, *, cut_off: bool = False) -> Path:
    """Draw one clip; what it copies lies in `references/` beside it.

    Args:
        clip: its shots.
        folder: the demo's folder.
        kind: "references" or "uploads".
        cut_off: leave half of the file.

    Returns:
        The file made.
    """
    path = _file(folder, kind, clip.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = (picture for shot in clip.shots for picture in _pictures(shot, folder))
    write_video(path, pictures, quality=clip.quality)
    if cut_off:
        _cut_off(path)
    return path


@contextmanager
def _processes() -> Iterator[Any]:
    """One process per core, that let the caller alone decide about Ctrl-C; gone after the block."""
    pool: Any = ProcessPool(
        min(_cores(), MAX_PROCESSES),
        initializer=signal,
        initargs=(SIGINT, SIG_IGN),
        context=get_context("spawn"),  # no copies of the caller's threads and sockets
    )
    try:
        yield pool
    finally:
        pool.stop()
        pool.join()


def _draw(
    pool: Any,
    tasks: list[Future[Path]],
    folder: Path,
    plan: Plan,
    drawn: dict[Path, Future[None]],
) -> None:
    """Uploads after all references, which they copy."""
    try:
        for kind, clips in (("references", plan.references), ("uploads", plan.uploads)):
            first = len(tasks)
            for clip in clips:
                whole = {"cut_off": clip.name == plan.broken}
                tasks.append(pool.schedule(make_clip, (clip, folder, kind), whole))
            for task, clip in zip(tasks[first:], clips, strict=True):
                task.result()
                drawn[_file(folder, kind, clip.name)].set_result(None)
    except ProcessExpired:
        _fail(drawn, FootageError("a process that draws videos was killed: is memory short?"))
    except BaseException as error:  # the one who waits raises it
        _fail(drawn, error)


def _fail(drawn: dict[Path, Future[None]], error: BaseException) -> None:
    for future in drawn.values():
        if not future.done():
            future.set_exception(error)


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
    # Not `hash`, whose value for a text is another in each process.
    return crc32(f"{shot.scene} {shot.seed}".encode())


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _frames(shot: Drawn | Copied) -> int:
    return round(shot.seconds * FRAMES_PER_SECOND)


def _cut_off(path: Path) -> None:
    """Drop the second half of the file, and with it the index that MP4 keeps at its end."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _file(folder: Path, kind: str, name: str) -> Path:
    return folder / kind / f"{name}.mp4"
