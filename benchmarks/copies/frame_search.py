"""The encoder frame by frame: is the reference frame most like a query frame the copied one?

    python -m benchmarks.copies.frame_search SET

One frame a second of every query against one a second of every reference, blank frames left out.
A right answer is within two seconds of the labelled place; frames of the same reference further
off are left out, for a still shot looks the same there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.copies.frame_choices import even
from benchmarks.copies.set_frames import SetFrames, VideoFrames, read_set_frames
from models.video.similarity import similarities
from stream.errors import SettingsError
from stream.settings import load_settings

NEAR_SECONDS = 2.0  # of the labelled place: frames are a second apart here; set by hand
LEFT_OUT = -9.0  # below every cosine less its bias: never the best
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Answers:
    """What the query frames found.

    Attributes:
        best: (Q,) highest similarity of each query frame.
        right: (Q,) bool, whether it is the copied frame's.
        copied: (Q,) bool, frames inside a labelled span.
        foreign: (Q,) bool, frames of queries that copy nothing.
        own: of the copied frames, the similarity of the copied place.
    """

    best: Array
    right: NDArray[np.bool_]
    copied: NDArray[np.bool_]
    foreign: NDArray[np.bool_]
    own: list[float]

    def average_precision(self) -> float:
        """Of one ranking of all query frames; those that should find something are the recall."""
        ranked = self.right[np.argsort(-self.best, kind="stable")]
        precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
        return float((precision * ranked).sum() / self.copied.sum())


def search(frames: SetFrames, *, biases: bool) -> Answers:
    """Search every query frame.

    Args:
        frames: of the set.
        biases: whether score biases count.
    """
    references = [video for video in frames.videos if video.role == "reference"]
    known = [_described(video, biases) for video in references]
    rows, lifts, times = (np.concatenate(part) for part in zip(*known, strict=True))
    names = np.repeat([video.video_id for video in references], [len(one[0]) for one in known])
    best, right, copied, foreign, own = [], [], [], [], []
    for video in frames.videos:
        if video.role == "reference":
            continue
        ours, lift, seconds = _described(video, biases)
        values = similarities(ours, rows, lift, lifts)  # (n, R)
        spans = _spans_of(video.video_id, frames)
        for value, second in zip(values, seconds.tolist(), strict=True):
            near, mine = _labelled(second, spans, names, times)
            value[mine & ~near] = LEFT_OUT
            best.append(value.max())
            right.append(bool(near[value.argmax()]))
            copied.append(bool(mine.any()))
            foreign.append(not spans)
            own += [float(value[near].max())] if near.any() else []
    return Answers(
        np.array(best, np.float32), np.array(right), np.array(copied), np.array(foreign), own
    )


def _described(video: VideoFrames, biases: bool) -> tuple[Array, Array, Array]:
    chosen = even(video, 1.0)
    chosen = chosen[~video.blank[chosen]]
    lift = video.score_biases[chosen]
    return video.descriptors[chosen], lift if biases else 0 * lift, video.seconds[chosen]


def _spans_of(video_id: str, frames: SetFrames) -> list[tuple[str, list[float]]]:
    """Labelled spans of a query: the reference and the box."""
    found = []
    for pair, boxes in frames.copies.labels.items():
        query, reference = pair.split("-")
        if query == video_id:
            found += [(reference, box) for box in np.asarray(boxes, np.float64).tolist()]
    return found


def _labelled(
    second: float, spans: list[tuple[str, list[float]]], names: NDArray[np.str_], times: Array
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Reference frames near the labelled place, and all frames of the references copied there."""
    near, mine = np.zeros(len(times), bool), np.zeros(len(times), bool)
    for reference, (q0, r0, q1, r1) in spans:
        if q0 <= second < q1:
            place = r0 + (second - q0) * (r1 - r0) / (q1 - q0)
            mine |= names == reference
            near |= (names == reference) & (np.abs(times - place) <= NEAR_SECONDS)
    return near, mine


def main(
    dataset: Annotated[Path, typer.Argument(help="references/, queries/, labels.json")],
    kept: Annotated[Path, typer.Option(help="Frames of earlier runs.")] = Path("runs/frames"),
) -> None:
    """Print recall, average precision and similarities, without score biases and with them."""
    console = Console()
    try:
        frames = read_set_frames(dataset, load_settings(), kept, console)
    except SettingsError as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error
    for biases in (False, True):
        found = search(frames, biases=biases)
        wrong = np.percentile(found.best[found.foreign], [50, 95, 99]).round(3).tolist()
        own = np.percentile(found.own, [10, 50]).round(3).tolist()
        console.print(
            f"{frames.model_version}, {'with' if biases else 'without'} score biases: "
            f"{found.copied.sum()} copied frames, {found.foreign.sum()} foreign; "
            f"recall@1 {found.right[found.copied].mean():.4f}, "
            f"µAP {found.average_precision():.4f}, "
            f"best similarity of foreign frames {wrong}, of the copied place {own}"
        )


if __name__ == "__main__":
    typer.run(main)
