"""A data folder of coloured photos with captions, for the tests of the text-video training."""

import io
import tarfile
from pathlib import Path

import numpy as np
import orjson
from PIL import Image

COLOURS = {
    "red": ("红", (200, 30, 30)),
    "green": ("绿", (30, 180, 40)),
    "blue": ("蓝", (40, 50, 200)),
    "white": ("白", (230, 230, 230)),
    "orange": ("橙", (240, 140, 20)),
    "pink": ("粉", (240, 130, 190)),
}
THINGS = {"wall": "墙", "field": "田"}


def make_data(folder: Path, *, train: int = 48, held: int = 12) -> Path:
    """`photos/` and `captions/` in the layout that `samesource train text-video` reads."""
    for name, count in (("train", train), ("val", held)):
        make_split(folder, f"flickr8k-{name}", count, seed=count)
    return folder


def make_split(folder: Path, name: str, count: int, seed: int = 0) -> tuple[Path, Path]:
    """A tar of photos and its captions; photo `i` shows colour `i mod 6`, a wall or a field."""
    random = np.random.default_rng(seed)
    tar, lines = folder / "photos" / f"{name}.tar", []
    captions = folder / "captions" / f"{name}.jsonl"
    for path in (tar, captions):
        path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(tar, "w") as archive:
        for number in range(count):
            colour = list(COLOURS)[number % len(COLOURS)]
            thing = list(THINGS)[number // len(COLOURS) % len(THINGS)]
            add_photo(archive, f"p{number}", _picture(colour, thing, random))
            lines.append(orjson.dumps(_captions(f"p{number}", colour, thing)))
    captions.write_bytes(b"\n".join(lines) + b"\n")
    return tar, captions


def add_photo(archive: tarfile.TarFile, name: str, picture: np.ndarray) -> None:
    """Put a picture, (H, W, 3) uint8, into a tar as WebP."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", quality=90)
    member = tarfile.TarInfo(f"{name}.webp")
    member.size = file.tell()
    file.seek(0)
    archive.addfile(member, file)


def _picture(colour: str, thing: str, random: np.random.Generator) -> np.ndarray:
    picture = random.integers(0, 50, (90, 120, 3)) + np.array(COLOURS[colour][1]) - 25
    if thing == "field":
        picture[45::6] -= 60
    return np.asarray(picture.clip(0, 255), np.uint8)


def _captions(image: str, colour: str, thing: str) -> dict[str, object]:
    chinese = f"{COLOURS[colour][0]}色的{THINGS[thing]}"
    return {
        "image": image,
        "en": [f"A {colour} {thing} .", f"the {thing} is {colour}"],
        "zh": [f"{chinese}。", f"一个{chinese}"],
        "zh_mt_a": [f"有{chinese}"],
        "zh_mt_b": [f"这是{chinese}"],
    }
