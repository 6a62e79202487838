"""`samesource submit`: publishes uploads as a platform would, and can wait for the decisions."""

import time
from typing import Annotated

import typer
from rich.progress import Progress

from stream.cli.output import stderr, stdout
from stream.errors import BrokerError, SettingsError


def submit(
    context: typer.Context,
    locations: Annotated[list[str], typer.Argument(metavar="FILES-OR-URIS…")],
    reference: Annotated[
        bool, typer.Option("--reference", help="These are to be protected, not checked.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for every decision.")] = False,
    owner: Annotated[
        str | None,
        typer.Option(
            help="Who owns the videos; each has an owner of its own by default. Two videos of one "
            "owner never raise an alert."
        ),
    ] = None,
    timeout_seconds: Annotated[
        float, typer.Option(help="With --wait: give up after so long without a decision.")
    ] = 600.0,
) -> None:
    """Submit videos; each one's id is its file name without the ending."""
    from stream.broker.client import Reader, submit_by, upload_of
    from stream.broker.client import submit as send
    from stream.broker.sender import Sender
    from stream.contract.events import VideoDecided

    kafka = context.obj.kafka
    role = "reference" if reference else "upload"
    uploads = [upload_of(location, owner_id=owner, role=role) for location in locations]
    _check_ids(locations, [upload.video_id for upload in uploads])
    if not wait:
        send(kafka, uploads)
        stdout.print(f"submitted {len(uploads)}; `samesource alerts` shows what is found")
        return
    waiting = {upload.video_id for upload in uploads}
    # Opened before anything is sent: "now" must lie before the first decision.
    with Reader(kafka, VideoDecided.topic, from_beginning=False) as reader, Sender(kafka) as sender:
        submit_by(sender, uploads)
        # Where stdout is a pipe, it has the decisions alone.
        with Progress(console=stdout if stdout.is_terminal else stderr) as progress:
            task = progress.add_task("decided", total=len(waiting))
            deadline = time.monotonic() + timeout_seconds
            while waiting:
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"no decision for {timeout_seconds:.0f} s; waiting for {sorted(waiting)}: "
                        "are workers of all roles running (`samesource worker all`)?"
                    )
                found = reader.poll(0.5)
                if found is None:
                    continue
                decision = VideoDecided.from_bytes(found[1].value())
                if decision.video_id not in waiting:
                    continue
                waiting.discard(decision.video_id)
                deadline = time.monotonic() + timeout_seconds
                progress.advance(task)
                stdout.print(
                    f"{decision.video_id}: {decision.outcome}, {decision.reason}",
                    soft_wrap=True,
                    markup=False,
                )


def _check_ids(locations: list[str], video_ids: list[str]) -> None:
    """Two files of one name would be one video to the service.

    Raises:
        SettingsError: two locations give the same id.
    """
    first: dict[str, str] = {}
    for location, video_id in zip(locations, video_ids, strict=True):
        if video_id in first:
            raise SettingsError(
                f"{first[video_id]} and {location} would share the video id {video_id!r}: "
                "rename one, or submit them as events with ids of their own"
            )
        first[video_id] = location
