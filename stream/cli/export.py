"""`samesource export`: writes trained networks as the files that the service runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from stream.cli.output import stdout
from stream.errors import SettingsError

export_app = typer.Typer(
    help="Export trained networks as ONNX. Needs the extra `train`.", invoke_without_command=True
)


@export_app.callback()
def _group(
    context: typer.Context,
    runtime: Annotated[
        Literal["tensorrt"] | None,
        typer.Option(help="Build its engines for the encoder that the settings name."),
    ] = None,
) -> None:
    """Export trained networks as ONNX, or build a runtime's engines ahead.

    `--runtime tensorrt` goes without a network's name; engines are kept in `encoder.engine_cache`.
    """
    if runtime is None:
        if context.invoked_subcommand is None:
            stdout.print(context.get_help())
        return
    if context.invoked_subcommand is not None:
        raise SettingsError(
            f"--runtime {runtime} goes without {context.invoked_subcommand}: export first, set "
            "encoder.path to the file, then run samesource export --runtime tensorrt"
        )
    from stream.admin.engines import build_encoder

    built = build_encoder(context.obj.encoder)
    stdout.print(
        f"encoder: engines built in {built.build_seconds:.1f} s, a start takes "
        f"{built.start_seconds:.1f} s, largest difference to the CPU {built.difference:.2g}"
    )


@export_app.command("encoder")
def encoder(
    data: Annotated[
        Path, typer.Option(help="What statistics and figures are of: clips/*.mp4, photos/*.tar.")
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    run: Annotated[Path | None, typer.Option(help="The training folder.")] = None,
    start: Annotated[
        Path | None, typer.Option(help="An exported encoder, instead of a training folder.")
    ] = None,
    recipe: Annotated[Path, typer.Option(help="What the run was trained with.")] = Path(
        "configs/training/encoder.toml"
    ),
    whitening: Annotated[
        float, typer.Option(help="0 leaves the head as it is, 1 whitens fully.")
    ] = 0.5,
    neighbours: Annotated[
        int | None, typer.Option(help="k of the score biases; tried on held-out clips without.")
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Weight of the score biases; tried without; 0 is none.")
    ] = None,
) -> None:
    """Export the frame encoder, with whitening and score biases, and measure it."""
    from models.encoder.export import export_run
    from models.encoder.recipe import read_recipe

    export_run(
        data,
        out,
        recipe=read_recipe(recipe),
        run=run,
        start=start,
        whitening=whitening,
        neighbours=neighbours,
        beta=beta,
        console=stdout,
    )


@export_app.command("encoder-int8")
def encoder_int8(
    data: Annotated[Path, typer.Option(help="Whose frames are looked at: clips/*.mp4.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    encoder: Annotated[
        Path | None, typer.Option(help="An exported encoder; the shipped one without.")
    ] = None,
) -> None:
    """Write an encoder again in numbers of eight bits, which newer processors run in half the time.

    Two of three frames set the ranges that numbers may take, the third tells how near both are.
    """
    import numpy as np

    from models.encoder.quantise import frames_of, quantise
    from models.encoder.serve import FrameEncoder, default_encoder_path

    source = encoder or default_encoder_path()
    frames = frames_of(data, FrameEncoder(source).input_size)
    asked = np.arange(len(frames)) % 3 == 2
    cosines = quantise(source, out, frames[~asked], frames[asked])
    stdout.print(
        f"wrote {out}; cosine of a frame to {source.name}: median {np.median(cosines):.3f}, "
        f"of nineteen in twenty over {np.percentile(cosines, 5):.3f}"
    )


@export_app.command("detector")
@export_app.command("spd", hidden=True)  # its name of before
def detector(
    pictures: Annotated[Path, typer.Option(help="Decoded footage of the training.")],
    run: Annotated[Path, typer.Option(help="The training folder.")] = Path("runs/detector"),
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path(
        "runs/detector/detector.onnx"
    ),
    encoder: Annotated[
        Path | None, typer.Option(help="Makes the descriptors; the shipped one without.")
    ] = None,
) -> None:
    """Export the pattern detector, its scores calibrated on held-out footage, and measure it."""
    from models.detector.export import export_run
    from models.encoder.serve import FrameEncoder, default_encoder_path

    figures = export_run(
        run, out, encoder=FrameEncoder(encoder or default_encoder_path()), pictures=pictures
    )
    for name, value in figures.items():
        stdout.print(f"{name.replace('_', ' ')}: {value:.4g}")
    stdout.print(f"wrote {out}")


@export_app.command("keyframes")
def keyframes(
    pictures: Annotated[Path, typer.Option(help="Decoded footage of the training.")],
    run: Annotated[Path, typer.Option(help="The training folder.")] = Path("runs/keyframes"),
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path(
        "runs/keyframes/keyframes.onnx"
    ),
) -> None:
    """Export the key-frame network and compare the file with torch."""
    from models.keyframes.export import export_run

    difference = export_run(run, out, pictures=pictures)
    stdout.print(f"wrote {out}; it differs from torch by at most {difference:.2g}")


@export_app.command("text-video")
@export_app.command("text", hidden=True)  # its name of before
def text_video(
    run: Annotated[Path, typer.Argument(help="The training folder.")] = Path("runs/text-video"),
    out: Annotated[Path, typer.Option(help="The folder to write the pair to.")] = Path(
        "models/weights/text-video"
    ),
    like: Annotated[
        Path | None,
        typer.Option(help="An earlier export of the same weights, whose version is kept."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Photos and captions of the training: vectors then hold score biases."),
    ] = None,
    features: Annotated[
        Path, typer.Option(help="What the trunk sees of the photos is kept here.")
    ] = Path("runs/text-video-features"),
) -> None:
    """Export both towers of the text-video encoder and compare the files with torch."""
    from models.text_video.export import export_run

    found = export_run(run, out, data=data, features=features, like=like)
    stdout.print(
        f"{out} is {found.model_version}, {found.megabytes:.1f} MB; least cosine to torch: "
        f"videos {found.video_cosine:.5f}, frames {found.frame_cosine:.5f}, "
        f"texts {found.text_cosine:.5f}"
    )


@export_app.command("text-video-int8")
def text_video_int8(
    data: Annotated[Path, typer.Option(help="Whose frames are looked at: clips/*.mp4.")],
    pair: Annotated[Path, typer.Option(help="The folder of an exported pair.")] = Path(
        "models/weights/text-video"
    ),
) -> None:
    """Write a pair's video tower again with its trunk in numbers of eight bits, beside the other.

    Two of three frames set the ranges that numbers may take, the third tells how near both are.
    """
    import numpy as np

    from models.encoder.quantise import frames_of
    from models.text_video.quantise import quantise_pair
    from models.text_video.serve import open_video

    frames = frames_of(data, open_video(pair, precision="float32").input_size)
    asked = np.arange(len(frames)) % 3 == 2
    cosines = quantise_pair(pair, frames[~asked], frames[asked])
    stdout.print(
        f"wrote {pair}; cosine of a frame's vector to the one in floating point: median "
        f"{np.median(cosines):.3f}, of nineteen in twenty over {np.percentile(cosines, 5):.3f}"
    )
