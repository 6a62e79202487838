"""The demo's live view: each video on its way through the stages, alerts and rejections above.

On a terminal a table that is redrawn; elsewhere (a log, a pipe) one plain line per outcome.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stream.contract.events import AlertRaised, Event, Outcome, VideoRejected
from stream.demo.tally import Story, Tally
from stream.texts import percent

ARROW = " ▸ "
COLOURS: dict[Outcome, str] = {"matched": "bold red", "clear": "green", "rejected": "yellow"}
ROWS_FOR_THE_REST = 8  # of the window: headings, the bar, and a line of the shell below
MAX_ROWS = 24  # of videos; more are not read while they move


class DemoScreen:
    """Shows events as they are read; a context manager.

    Attributes:
        tally: what has been seen so far.
        drawn: how many videos are drawn, and how many will be; None when none is drawn.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is shown before the block begins.

        Args:
            console: where to draw.
            clock: in seconds, for how long a video took.
        """
        self.tally = Tally()
        self.drawn: tuple[int, int] | None = None
        self._console = console
        self._clock = clock
        self._told: set[str] = set()
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(
                console=console,
                get_renderable=self.picture,
                refresh_per_second=6,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Show no table any more; what is said stays."""
        if self._live is not None:
            self._live.stop()

    def show(self, event: Event) -> None:
        """Take an event into the view; one that comes twice is shown once."""
        known = isinstance(event, AlertRaised) and event.alert_id in self.tally.alert_ids
        self.tally.take(event, self._clock())
        if isinstance(event, AlertRaised) and not known:
            for line in alert_lines(event):
                self.say(line)
        elif isinstance(event, VideoRejected):
            self.say(
                f"[yellow]✗[/] [bold]{escape(event.video_id or 'unknown video')}[/] rejected: "
                f"[yellow]{event.error}[/], {escape(event.message)}"
            )
        if self._live is None:
            self._tell(self.tally.stories.get(getattr(event, "video_id", "")))

    def _tell(self, story: Story | None) -> None:
        """Print a video's way once all of it has been read; topics arrive in any order."""
        if story is None or story.video_id in self._told or not self.tally.told(story):
            return
        self._told.add(story.video_id)
        self.say(self._way(story).markup)

    def say(self, line: str) -> None:
        """Print a line of rich markup above the table."""
        self._console.print(line, soft_wrap=True, highlight=False)

    def picture(self) -> RenderableType:
        """The table as it stands: what moves and what was decided last."""
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for story in self._in_view():
            table.add_row(Text(story.video_id, "bold"), self._way(story))
        return Group(Text(""), table, self._counts())

    def _in_view(self) -> list[Story]:
        """What moves now, and what was decided last, as far as the window has room."""
        stories = list(self.tally.stories.values())
        room = max(4, min(MAX_ROWS, self._console.height - ROWS_FOR_THE_REST))
        if len(stories) <= room:
            return stories
        moving = [story for story in stories if story.decision is None]
        moving.sort(key=lambda story: (not story.fingerprinted, -len(story.shards_answered)))
        latest = sorted(
            (story for story in stories if story.decision is not None),
            key=lambda story: -(story.decided_seconds or 0.0),
        )
        return [*latest[: max(room - len(moving), room // 3)], *moving][:room]

    def _counts(self) -> Text:
        stories = self.tally.stories.values()
        outcomes = [story.decision.outcome for story in stories if story.decision is not None]
        counted = ", ".join(f"{outcomes.count(name)} {name}" for name in COLOURS)
        made = f"{self.drawn[0]} of {self.drawn[1]} drawn, " if self.drawn else ""
        return Text(
            f"{made}{len(outcomes)} of {len(stories)} decided ({counted}), "
            f"{len(self.tally.alerts)} alerts",
            "dim",
        )

    def _way(self, story: Story) -> Text:
        """`submitted ▸ fingerprinted ▸ compared 2/2 ▸ clear, 1.2 s`; what lies ahead is dim."""
        way = Text() if self._live else Text(f"{story.video_id}: ", "bold")
        way.append("submitted", "cyan")
        shards = f"{len(story.shards_answered)}/{story.shards}" if story.shards else ""
        if story.rejection is None:
            way.append(ARROW, "dim").append(
                "fingerprinted", _style(story.fingerprinted or story.compared)
            )
            way.append(ARROW, "dim").append(f"compared {shards}".rstrip(), _style(story.compared))
        way.append(ARROW, "dim")
        if story.decision is None:
            return way.append("decided", "dim")
        outcome = story.decision.outcome
        return way.append(outcome, COLOURS[outcome]).append(f", {story.took_seconds or 0:.1f} s")


def alert_lines(alert: AlertRaised) -> list[str]:
    """One line of markup per copied span, with the seconds of both sides."""
    return [
        f"[bold red]![/] [bold]{escape(alert.video_id)}[/] "
        f"{span_text(segment.video_start_seconds, segment.video_end_seconds)} s copies "
        f"[bold]{escape(alert.reference_id)}[/] "
        f"{span_text(segment.reference_start_seconds, segment.reference_end_seconds)} s"
        f"{' backwards' if segment.reversed else ''}, {percent(segment.score)}%"
        for segment in alert.segments
    ]


def span_text(start_seconds: float, end_seconds: float) -> str:
    """A span for people, in seconds: `12.0–20.5`."""
    return f"{start_seconds:.1f}–{end_seconds:.1f}"


def _style(done: bool) -> str:
    return "cyan" if done else "dim"
