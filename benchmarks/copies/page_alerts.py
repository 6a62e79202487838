"""How often videos of drawn pages are taken for copies of others with the same template.

    python -m benchmarks.copies.page_alerts [--encoder FILE] [--aligner NAME]
        [--shows still] [--families 4] [--pages 6]
        [--training-set FOLDER]

Every family of pages (of `models.training.edits.drawn_pages`, but none that training saw) gives a
reference and a query whose words differ; the service's own steps compare all with all. Nothing is
a copy, so every alert is false. `--shows moving` has the pages roll by, and matches of games. With
`--training-set` it writes such a set of families that training did see, to tune on, and stops.
"""

import tempfile
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from benchmarks.copies.alike_shows import SHOWS, Shows
from models.encoder.school import HELD_FAMILIES
from models.errors import ModelError
from stream.demo.footage import write_video
from stream.errors import SettingsError
from stream.evaluate.copies import evaluate_copies
from stream.evaluate.report import CopiesReport
from stream.settings import Settings, load_settings


def write_set(
    folder: Path, families: int, pages: int, shows: Shows, first_family: int = HELD_FAMILIES
) -> None:
    """A copy set without copies: a reference and a query of every family.

    Raises:
        SettingsError: there is a copy set already, or a file.
    """
    show, kinds = SHOWS[shows]
    names = [f"{kind}{family}" for kind in kinds for family in range(families)]
    sides = "references", "queries"
    taken = [folder / side for side in sides if (folder / side).exists()]
    if taken or folder.is_file():
        raise SettingsError(f"{[*taken, folder][0]} is there already: name a new folder")
    for number, side in enumerate(sides):
        (folder / side).mkdir(parents=True)
        for kind, family in product(kinds, range(families)):
            file = folder / side / f"{side[0]}{kind}{family}.mp4"
            write_video(file, show(kind, first_family + family, number, pages), quality=26)
    rows = [f"q{query},r{reference}" for query, reference in product(names, names)]
    (folder / "pairs.csv").write_text("\n".join(["query_id,reference_id", *rows]))
    (folder / "labels.json").write_text("{}")


def measured(
    settings: Settings,
    encoder: Path | None,
    aligner: str | None,
    families: int,
    pages: int,
    shows: Shows,
    console: Console,
) -> CopiesReport:
    """All queries of a new set against all references, by the service's own steps.

    Raises:
        ModelError: a network can't run.
        SettingsError: there is no such aligner.
    """
    if encoder is not None:
        named = settings.encoder.model_copy(update={"path": encoder})
        settings = settings.model_copy(update={"encoder": named})
    with tempfile.TemporaryDirectory() as folder:
        write_set(Path(folder), families, pages, shows)
        return evaluate_copies(Path(folder), settings, aligner=aligner, console=console)


def main(
    encoder: Annotated[Path | None, typer.Option(help="The shipped one without.")] = None,
    aligner: Annotated[str | None, typer.Option(help="That of the settings without.")] = None,
    families: Annotated[int, typer.Option(help="Of each kind of page.")] = 4,
    shows: Annotated[Shows, typer.Option(help="Pages that stand, or what moves.")] = Shows.still,
    pages: Annotated[int, typer.Option(help="Of a video.")] = 6,
    training_set: Annotated[Path | None, typer.Option(help="A folder to make.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the counts here.")] = None,
) -> None:
    """Print how many pairs of one family, of one kind and of two kinds raise an alert."""
    console = Console()
    try:
        if training_set is not None:
            write_set(training_set, families, pages, shows, first_family=0)
            return
        report = measured(load_settings(), encoder, aligner, families, pages, shows, console)
    except (ModelError, SettingsError) as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    counts: Counter[str] = Counter()
    for pair, boxes in report.boxes.items():
        query, reference = (name[1:] for name in pair.split("-"))
        one_kind = query.rstrip("0123456789") == reference.rstrip("0123456789")
        near = "one family" if query == reference else "one kind" if one_kind else "two kinds"
        counts[near] += bool(boxes)
    kinds = len(SHOWS[shows][1])
    own = families * kinds
    among = {
        "one family": own,
        "one kind": kinds * families * (families - 1),
        "two kinds": own * own - kinds * families * families,
    }
    shown = ", ".join(f"{near} {counts[near]} of {pairs}" for near, pairs in among.items())
    console.print(f"{report.model_version}, {report.aligner}: alerts of {shown}")
    if json is not None:
        json.write_bytes(orjson.dumps({near: [counts[near], among[near]] for near in among}))


if __name__ == "__main__":
    typer.run(main)
