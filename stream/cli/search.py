"""`samesource search`: videos that show what is written, in Chinese or English."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream.cli.output import printable, stderr, stdout

if TYPE_CHECKING:
    from stream.search.query import TextQuery
    from stream.search.view import Hit
    from stream.settings import Settings

MINUTE_SECONDS = 60  # in a minute; and as many minutes in an hour


@dataclass(frozen=True)
class Answer:
    """What a search gave.

    Attributes:
        videos: that could be found.
        left_out: how many are of another model version, by that version.
    """

    hits: "list[Hit]"
    videos: int
    left_out: dict[str, int]


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="What the videos show, in words.")],
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many to list.")] = 10,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Their pictures, as a contact sheet.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Find videos by what they show: `samesource search "two dogs running on grass"`."""
    from stream.admin.machine import require_folder
    from stream.errors import QueryError
    from stream.fingerprint.embed import no_pair, open_text_encoder
    from stream.search.query import text_query

    settings: Settings = context.obj
    require_folder("search.snapshot_folder", settings.search.snapshot_folder)
    if no_pair(settings.text_video):
        raise QueryError(
            "no text–video pair is shipped and text_video names none: set text_video.path"
        )
    encoder = open_text_encoder(settings.text_video)
    asked = text_query(encoder, query)
    answer = asyncio.run(_answer(settings, encoder.model_version, asked, k))
    warnings = [*asked.warnings, *_left_out(answer, encoder.model_version)]
    for warning in warnings:
        stderr.print(f"warning: {warning}", soft_wrap=True, markup=False, highlight=False)
    if not answer.videos:
        raise QueryError(
            f"video.embedded has no vector of {encoder.model_version}: submit videos, or submit "
            "them again if another model embedded them"
        )
    if as_json:
        stdout.print_json(data=_as_json(query, encoder.model_version, answer, warnings))
    else:
        _print_table(answer.hits)
    if sheet is not None:
        _write_sheet(settings, sheet, query, answer.hits)


async def _answer(settings: "Settings", model_version: str, asked: "TextQuery", k: int) -> Answer:
    """Bring the view up to date and ask it; what has come is kept for the next time."""
    from aiokafka.errors import KafkaError

    from stream.agents.search_view import SearchFollower
    from stream.errors import BrokerError

    follower = SearchFollower(settings, model_version, asked.vector.shape[1])
    try:
        await follower.start(follow=False)
        [hits] = follower.view.search(asked.vector, k)
        answer = Answer(hits, len(follower.view), follower.view.left_out)
        await follower.save()
    except KafkaError as error:
        servers = settings.kafka.bootstrap_servers
        raise BrokerError(f"Kafka at {servers}: {error}") from error
    finally:
        await follower.stop()
    return answer


def _left_out(answer: Answer, model_version: str) -> list[str]:
    return [
        f"{count} video{'s' if count > 1 else ''} embedded by {version} left out: only vectors of "
        f"{model_version} can be compared with this query"
        for version, count in answer.left_out.items()
    ]


def _as_json(query: str, model_version: str, answer: Answer, warnings: list[str]) -> dict[str, Any]:
    return {
        "query": query,
        "model_version": model_version,
        "videos": answer.videos,
        "left_out": answer.left_out,
        "warnings": warnings,
        "hits": [
            {
                "rank": rank,
                "video_id": hit.video_id,
                "similarity": round(hit.similarity, 6),
                "duration_seconds": round(hit.duration_seconds, 3),
                "moment_seconds": None if hit.seconds is None else round(hit.seconds, 3),
            }
            for rank, hit in enumerate(answer.hits, 1)
        ],
    }


def _print_table(hits: "list[Hit]") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table("rank", box=box.SIMPLE, show_edge=False)
    table.add_column("video", overflow="fold")
    table.add_column("similarity", justify="right")
    table.add_column("duration", justify="right")
    table.add_column("at", justify="right")
    for rank, hit in enumerate(hits, 1):
        table.add_row(
            str(rank),
            Text(printable(hit.video_id)),
            f"{hit.similarity:.3f}",
            _clock(hit.duration_seconds),
            "" if hit.seconds is None else _clock(hit.seconds),
        )
    stdout.print(table, highlight=False)


def _write_sheet(settings: "Settings", path: Path, query: str, hits: "list[Hit]") -> None:
    from stream.agents.vector_messages import embedded_at
    from stream.search.sheet import Shown, write_sheet

    events = embedded_at(settings.kafka, [hit.place for hit in hits])
    videos = [
        Shown(
            f"{rank}. ({hit.similarity:.3f}) {printable(hit.video_id)}",
            event.thumbnails if event is not None else [],
        )
        for rank, (hit, event) in enumerate(zip(hits, events, strict=True), 1)
    ]
    write_sheet(path, query, videos)
    stderr.print(f"contact sheet: {path}", soft_wrap=True, markup=False, highlight=False)


def _clock(seconds: float) -> str:
    """`0:07` or `1:02:03`."""
    minutes, rest = divmod(round(seconds), MINUTE_SECONDS)
    hours, minutes = divmod(minutes, MINUTE_SECONDS)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
