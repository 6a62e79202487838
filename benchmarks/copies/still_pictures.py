"""How many still pictures find the video that they are of, and how many find a stranger.

    python -m benchmarks.copies.still_pictures FOLDER… [--one-scene FILE] [--frames 2]

All videos of the folders are the library. Frames of each at random are asked about as a probe is:
as they are, saved poorly, cut down, and inside a screenshot. A stranger is another video that isn't
of the same scene by FILE, as `clip_scenes` writes it.
"""

import io
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import av
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stream.contract.events import VideoUploaded
from stream.contract.fingerprint import Fingerprint
from stream.errors import NoVideoError
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.library.matches import MatchFinder, open_aligner
from stream.library.shard import LibraryShard
from stream.settings import load_settings

OTHERS = {"found": "find theirs", "first": "first of all", "strangers": "find a stranger"}


def frames(path: Path, number: int, chance: random.Random) -> list[Image.Image]:
    """Some of a video's frames."""
    with av.open(str(path)) as container:
        found = [
            Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]
    return chance.sample(found, min(number, len(found)))


def pictures(frame: Image.Image) -> Iterator[tuple[str, bytes]]:
    """Files that people make of a frame, by what was done to it."""
    width, height = frame.size
    yield "as it is, PNG", _file(frame, "PNG")
    yield "as it is, WebP", _file(frame, "WEBP")
    half = frame.resize((max(32, width // 2), max(32, height // 2)))
    yield "half as large, JPEG of quality 30", _file(half, "JPEG", quality=30)
    left, top = round(0.15 * width), round(0.15 * height)
    yield "cut down to 70 %", _file(frame.crop((left, top, width - left, height - top)), "PNG")
    screen = Image.new("RGB", (round(1.2 * width), round(1.35 * height)), (20, 20, 24))
    screen.paste(frame, (width // 10, top))
    yield "inside a screenshot", _file(screen, "PNG")


def _file(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def main(
    folders: list[Path],
    one_scene: Annotated[Path | None, typer.Option(help="A line is one scene.")] = None,
    number: Annotated[int, typer.Option("--frames", min=1, help="Of each video.")] = 2,
) -> None:
    """Ask and print a table."""
    settings = load_settings(fetch={"roots": ["/"]})
    lines = [] if one_scene is None else one_scene.read_text().splitlines()
    scenes = {name: place for place, line in enumerate(lines) for name in line.split()}
    paths = sorted(path for folder in folders for path in folder.resolve().glob("*.mp4"))
    shard = LibraryShard(settings.library, 0, open_aligner(settings.library))
    finder = MatchFinder(settings.library, open_aligner(settings.library))
    asked, counts, chance = Counter[str](), Counter[tuple[str, str]](), random.Random(1)
    progress = {"console": Console(stderr=True), "transient": True}
    with Fingerprinter(settings, embed=False) as made_by, tempfile.TemporaryDirectory() as folder:

        def made(path: Path) -> Fingerprint:
            upload = VideoUploaded(video_id=path.stem, uri=path.as_uri(), owner_id=path.stem)
            return made_by.fingerprint(upload, path.stem).fingerprint

        for offset, path in enumerate(track(paths, "library", **progress)):  # type: ignore[arg-type]
            shard.absorb(made(path), offset)
        for path in track(paths, "pictures", **progress):  # type: ignore[arg-type]
            for frame in frames(path, number, chance):
                for kind, data in pictures(frame):
                    file = Path(folder, "picture")
                    file.write_bytes(data)
                    try:
                        picture = made(file)
                    except NoVideoError:  # blank
                        continue
                    found = finder.matches(
                        shard.state.store, picture, len(paths), {}, pictures=True
                    )
                    names = [match.reference_id for match in found]
                    own = scenes.get(path.stem, path.stem)
                    asked[kind] += 1
                    counts[kind, "found"] += path.stem in names
                    counts[kind, "first"] += names[:1] == [path.stem]
                    counts[kind, "strangers"] += any(
                        name != path.stem and scenes.get(name, name) != own for name in names
                    )
    table = Table("pictures", "asked", *OTHERS.values(), title=f"{len(paths)} videos")
    for kind, many in asked.items():
        shares = (f"{100 * counts[kind, name] / many:.1f} %" for name in OTHERS)
        table.add_row(kind, str(many), *shares)
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
