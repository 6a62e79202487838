"""`samesource remove`: takes videos out of the library and of search."""

from typing import Annotated

import typer

from stream.cli.output import stderr, stdout


def remove(
    context: typer.Context,
    video_ids: Annotated[list[str], typer.Argument(metavar="VIDEO_ID…")],
    wait: Annotated[
        bool, typer.Option("--wait", help="Until every shard of the settings has taken it in.")
    ] = False,
    timeout_seconds: Annotated[
        float, typer.Option(help="With --wait: give up after so long.")
    ] = 60.0,
) -> None:
    """Take videos down. No later upload is told to copy them, and search forgets them."""
    from stream.admin.takedown import take_down, undecided, wait_for_shards
    from stream.broker.library_log import LibraryLog

    settings = context.obj
    with LibraryLog(settings.kafka) as log:
        take_down(settings.kafka, video_ids)
        stdout.print(f"{len(video_ids)} taken down", markup=False)
        if wait:
            shards = settings.library.shards
            # The end is asked for behind the takedowns, which therefore lie before it.
            wait_for_shards(log, shards, log.ends()[1], timeout_seconds)
            stdout.print(f"all {shards} shards have taken it in", markup=False)
    # Last: a takedown doesn't wait until a long topic has been read.
    for video_id in undecided(settings.kafka, video_ids):
        stderr.print(
            f"note: no decision was ever made about {video_id}: is the id right? The takedown "
            "stands, also for an upload of it that is still on its way",
            soft_wrap=True,
            markup=False,
        )
