"""`samesource show`: one upload's whole story, from its submission to its verdicts."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli.output import printable, stderr, stdout
from stream.errors import SettingsError

if TYPE_CHECKING:
    from stream.admin.upload_story import Story

DAY_SECONDS = 24 * 3600  # `--days` is what a reader thinks in; Kafka is asked by time


def show(
    context: typer.Context,
    video_id: Annotated[str, typer.Argument(metavar="VIDEO_ID")],
    days: Annotated[
        float, typer.Option(min=0, help="How far back to read. Uploads are kept for 21 days.")
    ] = 30.0,
    timeout_seconds: Annotated[
        float, typer.Option(min=1, help="Show what was found by then, with a warning.")
    ] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Tell what happened to a video: requests, fingerprint, answers, alerts, decision, verdicts."""
    from stream.admin.upload_story import as_json as in_json
    from stream.admin.upload_story import story_of

    since_ms = max(0, round(1000 * (time.time() - days * DAY_SECONDS)))
    kafka = context.obj.kafka
    story = story_of(kafka, video_id, since_ms=since_ms, timeout_seconds=timeout_seconds)
    if not story.moments:
        so_far = "" if story.complete else f" that was read within {timeout_seconds:g} s"
        raise SettingsError(
            f"no message of the last {days:g} days{so_far} is about {video_id}: check the id, or "
            "look further back with --days"
        )
    if as_json:
        stdout.print_json(data=in_json(story))
    else:
        _print_table(story)
    for warning in _warnings(story, timeout_seconds):
        stderr.print(warning, soft_wrap=True, markup=False, highlight=False)


def _warnings(story: "Story", timeout_seconds: float) -> list[str]:
    waits_for = story.open_request()
    found = [] if waits_for is None else [printable(waits_for)]
    if not story.complete:
        found.append(
            f"not everything came within {timeout_seconds:g} s, or Kafka fell silent: there may be "
            "more; --timeout-seconds gives it longer, --days reads less"
        )
    return found


def _print_table(story: "Story") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, show_edge=False)
    table.add_column("time (UTC)", no_wrap=True)
    table.add_column("what")
    table.add_column("details", overflow="fold")
    for moment in story.moments:
        told = Text(printable(moment.text))
        table.add_row(f"{moment.at:%Y-%m-%d %H:%M:%S}", moment.what, told)
    stdout.print(table, highlight=False)
