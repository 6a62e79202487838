"""`samesource evaluate text-video`: how well captions and photos find each other."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from stream.cli.output import stdout


def text_video(
    context: typer.Context,
    photos: Annotated[Path, typer.Argument(help="A tar of pictures.")],
    captions: Annotated[
        Path, typer.Argument(help='A JSON line a photo: {"image": NAME, "en": [...], "zh": [...]}.')
    ],
    language: Annotated[
        Literal["en", "zh"] | None, typer.Option(help="One language alone; both without.")
    ] = None,
    pair: Annotated[
        Path | None, typer.Option(help="Folder of an exported pair; the settings' own without.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
) -> None:
    """Recall at 1, 5 and 10 in both directions, median rank and R@sum; every caption counts."""
    import orjson

    from models.text_video.serve import open_pair
    from stream.evaluate.text_video import evaluate_text_video

    settings = context.obj.text_video
    opened = open_pair(
        pair or settings.path,
        None if pair else settings.outside,
        provider=settings.provider,
        precision=settings.precision,
        threads=settings.threads,
        engine_cache=settings.engine_cache,
    )
    report = evaluate_text_video(photos, captions, opened, language=language, console=stdout)
    stdout.print(report.table())
    if json is not None:
        json.write_bytes(orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2))
        stdout.print(f"wrote {json}")
