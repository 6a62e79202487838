"""`samesource rejected`: what could not be processed and why, to be read or submitted again."""

from typing import Annotated

import typer

from stream.cli.output import stderr, stdout
from stream.cli.reading import events_of
from stream.contract.events import VideoRejected, VideoUploaded
from stream.errors import ErrorCode


def rejected(
    context: typer.Context,
    replay: Annotated[
        bool, typer.Option("--replay", help="Submit the originals again, after mending.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="With --replay: also those that were submitted since."),
    ] = False,
    error: Annotated[
        ErrorCode | None, typer.Option(help="Only letters with this error code.")
    ] = None,
) -> None:
    """List what could not be processed and why, or submit it again."""
    from stream.admin.replay import read_replays
    from stream.broker.client import Reader, send

    with Reader(context.obj.kafka, VideoRejected.topic) as reader:
        letters = [
            letter
            for _, message in reader.until_now()
            for letter in events_of(VideoRejected, message)
            if error is None or letter.error == error
        ]
    if not letters:
        stderr.print("nothing was rejected")
    if not replay:
        for letter in letters:
            _print_letter(letter)
        return
    found = read_replays(context.obj.kafka, letters, again=again)
    for one in found:
        told = "submitted again" if one.upload is not None else f"not submitted: {one.reason}"
        _print_letter(one.letter, f": {told}")
    chosen = [(one.upload, one.headers) for one in found if one.upload is not None]
    send(
        context.obj.kafka,
        VideoUploaded.topic,
        ((upload.key(), upload.to_bytes(), headers) for upload, headers in chosen),
    )
    stdout.print(f"submitted {len(chosen)} again")


def _print_letter(letter: VideoRejected, more: str = "") -> None:
    where = f"{letter.source_topic}[{letter.source_partition}]@{letter.source_offset}"
    stdout.print(
        f"{letter.video_id or '?'}: {letter.error}: {letter.message} "
        f"({where}, attempt {letter.attempts}){more}",
        soft_wrap=True,
        markup=False,
    )
