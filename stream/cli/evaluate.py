"""`samesource evaluate`: measures the service's own code on labelled sets, without a broker."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from stream.cli.evaluate_text_video import text_video
from stream.cli.output import stdout

evaluate_app = typer.Typer(help="Measure on labelled videos and photos.", no_args_is_help=True)
evaluate_app.command("text-video")(text_video)
evaluate_app.command("text", hidden=True)(text_video)  # its name of before


@evaluate_app.callback()
def _group() -> None:
    """Keeps each measurement a subcommand."""


@evaluate_app.command("copies")
def copies(
    context: typer.Context,
    dataset: Annotated[Path, typer.Argument(help="references/, queries/, pairs.csv, labels.json")],
    aligner: Annotated[str | None, typer.Option(help="Instead of the one in the settings.")] = None,
    selector: Annotated[
        str | None, typer.Option(help="Of the key frames, instead of the one in the settings.")
    ] = None,
    sampling: Annotated[
        Literal["keyframes", "uniform"],
        typer.Option(help="Chosen key frames, or one frame a second without any choice."),
    ] = "keyframes",
    json: Annotated[Path | None, typer.Option(help="Write figures and boxes here.")] = None,
) -> None:
    """Segment-level precision, recall and F1 by the VCSL protocol, with what it costs."""
    import orjson

    from stream.evaluate.copies import evaluate_copies

    report = evaluate_copies(
        dataset,
        context.obj,
        aligner=aligner,
        selector=selector,
        sampling=sampling,
        console=stdout,
    )
    if json is not None:
        json.write_bytes(orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2))
        stdout.print(f"wrote {json}")
