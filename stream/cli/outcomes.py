"""`samesource alerts` and `samesource rejected`: what came out, for people to read."""

from collections.abc import Iterator
from typing import Annotated, TypeVar

import typer
from confluent_kafka import Message

from stream.cli.console import seconds, stderr, stdout
from stream.errors import BadEventError, ErrorCode
from stream.events import (
    Alert,
    AlertRaised,
    AlertSuppressed,
    Event,
    VideoRejected,
    VideoUploaded,
)

E = TypeVar("E", bound=Event)


def alerts(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new ones.")] = False,
    suppressed: Annotated[
        bool, typer.Option("--suppressed", help="Those that were kept back or held, and why.")
    ] = False,
) -> None:
    """List alerts: which seconds of which upload copy which seconds of which video."""
    from stream.client import Reader

    kind: type[Alert] = AlertSuppressed if suppressed else AlertRaised
    shown = 0
    with Reader(context.obj.kafka, kind.topic) as reader:
        for _, message in reader.until_now():
            for alert in _events(kind, message):
                _print_alert(alert)
                shown += 1
        if not shown:
            stderr.print("no suppressed alerts yet" if suppressed else "no alerts yet")
        while follow:
            found = reader.poll(1.0)
            for alert in _events(kind, found[1]) if found else ():
                _print_alert(alert)


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
    from stream.client import Reader, send
    from stream.replay import read_since, replays
    from stream.source import attempts_headers

    with Reader(context.obj.kafka, VideoRejected.topic) as reader:
        letters = [
            letter
            for _, message in reader.until_now()
            for letter in _events(VideoRejected, message)
            if error is None or letter.error == error
        ]
    if not letters:
        stderr.print("nothing was rejected")
    if not replay:
        for letter in letters:
            _print_letter(letter)
        return
    found = replays(letters, read_since(context.obj.kafka, letters), again=again)
    for one in found:
        told = "submitted again" if one.upload is not None else f"not submitted: {one.reason}"
        _print_letter(one.letter, f": {told}")
    chosen = [(one.upload, one.letter) for one in found if one.upload is not None]
    send(
        context.obj.kafka,
        VideoUploaded.topic,
        (
            (upload.key(), upload.to_bytes(), attempts_headers(letter.attempts + 1))
            for upload, letter in chosen
        ),
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


def _events(kind: type[E], message: Message) -> Iterator[E]:
    """The event of a message; none where anyone wrote something else there, which is said."""
    try:
        yield kind.from_bytes(message.value())
    except BadEventError as error:
        where = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        stderr.print(f"passed over {where}: {error}", soft_wrap=True, markup=False)


def _print_alert(alert: Alert) -> None:
    why = f": {alert.reason}: {alert.detail}" if isinstance(alert, AlertSuppressed) else ""
    for segment in alert.segments:
        ours = seconds(segment.video_start_seconds, segment.video_end_seconds)
        theirs = seconds(segment.reference_start_seconds, segment.reference_end_seconds)
        way = " backwards" if segment.reversed else ""
        stdout.print(
            f"{alert.video_id} {ours} copies {alert.reference_id} {theirs}{way}, "
            f"{segment.score:.0%} (alert {alert.alert_id}){why}",
            soft_wrap=True,
            markup=False,
        )
