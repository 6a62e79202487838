"""Finds which clips of a folder show one scene, for `made_copies --one-scene`.

    python -m benchmarks.copies.clip_scenes CLIPS FILE [--min-similarity 0.75] [--share 0.15]

Two clips of one scene on both sides of a pair are a copy that no label names, so a set that is
made without this file is mislabelled. Look at the groups: this only proposes them.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from stream.contract.events import VideoUploaded
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.index.exact import cosines
from stream.settings import load_settings


def shared_share(first: NDArray[np.int8], second: NDArray[np.int8], min_similarity: float) -> float:
    """The larger share of one clip's frames that have a match in the other.

    Args:
        first: (N, D) int8 codes.
        second: (M, D) int8 codes.
        min_similarity: cosine from which two frames match.
    """
    matches = cosines(first, second) >= min_similarity  # (N, M)
    return float(max(matches.any(axis=1).mean(), matches.any(axis=0).mean()))


def groups_of(names: list[str], alike: NDArray[np.bool_]) -> list[list[str]]:
    """Connected groups of two and more.

    Args:
        names: N.
        alike: (N, N), symmetric.
    """
    group = np.arange(len(names))
    for first, second in np.argwhere(alike).tolist():
        group[group == group[first]] = group[second]
    found = [[names[place] for place in np.flatnonzero(group == number)] for number in set(group)]
    return sorted(members for members in found if len(members) > 1)


def main(
    clips: Annotated[Path, typer.Argument(help="A folder of mp4 files.")],
    file: Annotated[Path, typer.Argument(help="A line names the clips of one scene.")],
    min_similarity: Annotated[
        float,
        typer.Option("--min-similarity", "--similarity", help="From which two frames match."),
    ] = 0.75,
    share: Annotated[float, typer.Option(help="Of the frames of one of both clips.")] = 0.15,
) -> None:
    """Write the groups and print how alike the pairs in them are."""
    settings, console = load_settings(), Console()
    fetch = settings.fetch.model_copy(update={"roots": (clips.resolve(),)})
    codes: dict[str, NDArray[np.int8]] = {}
    with Fingerprinter(settings.model_copy(update={"fetch": fetch})) as fingerprinter:
        for path in track(sorted(clips.glob("*.mp4")), "clips", console=console, transient=True):
            upload = VideoUploaded(
                video_id=path.stem, uri=path.resolve().as_uri(), owner_id="o", role="reference"
            )
            made = fingerprinter.fingerprint(upload, path.stem).fingerprint
            codes[path.stem] = made.key_frames.codes
    names = list(codes)
    shares = np.array(
        [[shared_share(codes[a], codes[b], min_similarity) for b in names] for a in names]
    )
    np.fill_diagonal(shares, 0)
    for first, second in np.argwhere(np.triu(shares) >= share / 2).tolist():
        console.print(f"{names[first]} {names[second]} {shares[first, second]:.2f}")
    groups = groups_of(names, shares >= share)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(" ".join(members) + "\n" for members in groups))
    console.print(f"{len(groups)} groups in {file}")


if __name__ == "__main__":
    typer.run(main)
