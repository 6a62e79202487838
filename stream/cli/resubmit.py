"""`samesource resubmit`: the videos of an earlier library again, for another encoder."""

from typing import Annotated

import typer

from stream.cli.output import stderr, stdout


def resubmit(
    context: typer.Context,
    from_prefix: Annotated[
        str, typer.Option(help="kafka.topic_prefix of the library whose videos are taken.")
    ],
) -> None:
    """Submit every video of another topic prefix's library, as its platform did."""
    from stream.admin.resubmit import resubmit as send

    kafka = context.obj.kafka
    found = send(kafka, from_prefix)
    stdout.print(f"submitted {len(found.uploads)} to {kafka.topic('video.uploaded')}", markup=False)
    for video_id in found.lost:
        stderr.print(
            f"{video_id}: its upload is no longer on {from_prefix}video.uploaded, and its "
            "fingerprint doesn't say where the video is; submit it again",
            markup=False,
            soft_wrap=True,
        )
    if found.lost:
        raise typer.Exit(1)
