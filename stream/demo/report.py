"""The demo's closing words: a table of every upload beside the truth, totals, and what is wrong."""

from dataclasses import dataclass
from statistics import median

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stream.contract.events import MatchedSegment
from stream.demo.demo_set import DemoSet, Pair
from stream.demo.screen import COLOURS, span_text
from stream.demo.tally import Story, Tally, covered_share
from stream.texts import percent

TITLE = "What was found"
CLOCK = "By the clock:"
NEXT = Text(
    "\nNext: `make demo VIDEOS=folder` takes your own videos, `make demo BROKER=kafka` a real\n"
    "Apache Kafka; `samesource --help` has the commands to run the service on your cluster."
)
MIN_SHARE = 0.5
"""A copied span counts as found when this share of it is in the alert, on both sides."""


@dataclass(frozen=True)
class Verdict:
    """The alerts of a demo held against its truth, as pairs (upload, what it copies).

    Attributes:
        found: copied, with an alert.
        partly: of the found, those with a span that isn't covered by half on both sides.
        rejected: copied, without an alert, where the service refused one of the two videos.
        missed: copied, without an alert, although both videos were taken.
        extra: known not to be copied, but with an alert.
        unjudged: with an alert, and nobody said whether they are copied.
    """

    found: frozenset[Pair]
    partly: frozenset[Pair]
    rejected: frozenset[Pair]
    missed: frozenset[Pair]
    extra: frozenset[Pair]
    unjudged: frozenset[Pair]

    @classmethod
    def of(cls, demo: DemoSet, tally: Tally) -> "Verdict":
        """Compare what was found with what is known."""
        alerted, copied = frozenset(tally.alerts), frozenset(demo.truth)
        found = alerted & copied
        rejected = frozenset(pair for pair in copied - alerted if _refused(tally, pair))
        return cls(
            found=found,
            partly=frozenset(
                pair
                for pair in found
                if not all(covers(tally.alerts[pair].segments, span) for span in demo.truth[pair])
            ),
            rejected=rejected,
            missed=copied - alerted - rejected,
            extra=frozenset(pair for pair in alerted - copied if demo.judges(pair)),
            unjudged=frozenset(pair for pair in alerted - copied if not demo.judges(pair)),
        )


def covers(segments: list[MatchedSegment], truth: MatchedSegment) -> bool:
    """Whether at least half of a true span is in the segments, on both sides."""
    ours = [(segment.video_start_seconds, segment.video_end_seconds) for segment in segments]
    theirs = [
        (segment.reference_start_seconds, segment.reference_end_seconds) for segment in segments
    ]
    return (
        covered_share(truth.video_start_seconds, truth.video_end_seconds, ours) >= MIN_SHARE
        and covered_share(truth.reference_start_seconds, truth.reference_end_seconds, theirs)
        >= MIN_SHARE
    )


def problems_of(demo: DemoSet, tally: Tally) -> list[str]:
    """What went wrong, as sentences; empty for a good demo.

    Every video must have exactly one decision. Of the demo's own clips each copy must be found,
    nothing else, and only the broken ones rejected; on other videos mistakes are figures.
    """
    problems = []
    if unanswered := tally.unanswered():
        problems.append(
            f"no decision for {', '.join(unanswered)}: see what the workers said above, or run "
            "again with SAMESOURCE_WORKER__LOG_LEVEL=DEBUG"
        )
    if twice := tally.told_twice():
        problems.append(f"more than one decision for {', '.join(twice)}: please report this")
    return problems + (_wrong_answers(demo, tally) if demo.made else [])


def _wrong_answers(demo: DemoSet, tally: Tally) -> list[str]:
    verdict = Verdict.of(demo, tally)
    decisions = [story.decision for story in tally.stories.values() if story.decision is not None]
    rejected = {decision.video_id for decision in decisions if decision.outcome == "rejected"}
    named = {
        "not found": verdict.missed,
        "found in part": verdict.partly,
        "found, but not there": verdict.extra,
    }
    problems = [
        f"{what}: {', '.join(f'{video} in {of}' for video, of in sorted(pairs))}"
        for what, pairs in named.items()
        if pairs
    ]
    if taken := sorted(demo.broken - rejected):
        problems.append(f"broken, but not rejected: {', '.join(taken)}")
    if refused := sorted(rejected - demo.broken):
        problems.append(f"whole, but rejected: {', '.join(refused)}")
    return problems


def closing_table(demo: DemoSet, tally: Tally) -> Table:
    """One row per upload and finding, with the found seconds beside the true ones.

    Of a labelled set only the labelled pairs are shown: the totals count the others.
    """
    table = Table(title=TITLE, title_justify="left", title_style="bold")
    for heading in ("upload", "outcome", "copied seconds", "of", "true seconds", ""):
        table.add_column(heading)
    verdict = Verdict.of(demo, tally)
    shown = (tally.alerts.keys() | demo.truth.keys()) - _crowd(demo, verdict)
    for story in tally.stories.values():
        pairs = sorted(pair for pair in shown if pair[0] == story.video_id)
        if story.role == "reference" and not pairs and story.rejection is None:
            continue
        outcome = "[bold red]no answer[/]"
        if story.decision is not None:
            outcome = f"[{COLOURS[story.decision.outcome]}]{story.decision.outcome}[/]"
        # A file may be called `[red].mp4`, which rich would take for a colour.
        head = (escape(story.video_id), outcome)
        for number, pair in enumerate(pairs):
            table.add_row(
                *(head if number == 0 else ("", "")),
                *_finding(demo, tally, pair),
                _refused(tally, pair) if pair in verdict.rejected else _mark(verdict, pair),
            )
        if not pairs:
            table.add_row(*head, _why(story), "", "", _empty_mark(demo, story))
    return table


def _crowd(demo: DemoSet, verdict: Verdict) -> frozenset[Pair]:
    """Findings that would bury those of a labelled set."""
    # With labels for what isn't copied too, a set says all there is to be judged by.
    labelled_set = bool(demo.judged and demo.judged - demo.truth.keys())
    return verdict.unjudged if labelled_set else frozenset()


def totals(demo: DemoSet, tally: Tally) -> Text:
    """How much was submitted and found; a function of the videos, as the table is."""
    verdict = Verdict.of(demo, tally)
    labelled = len(verdict.found) + len(verdict.missed)
    count = len(tally.alerts)
    said = f"{len(tally.stories)} videos, {tally.video_seconds():.0f} s of footage; "
    said += "1 alert" if count == 1 else f"{count} alerts"
    if labelled:
        share = len(verdict.found) / labelled
        said += f"; of {labelled} copied pairs {len(verdict.found)} found ({share:.0%})"
    if verdict.rejected:
        said += f"; {len(verdict.rejected)} copied, but rejected"
    innocent = (
        "" if demo.judged is None else f" of {len(demo.judged - demo.truth.keys())} uncopied pairs"
    )
    if demo.judged is None or demo.judged - demo.truth.keys():
        said += f"; {len(verdict.extra)} false{innocent}"
    if verdict.unjudged:
        said += f"; {len(verdict.unjudged)} that no label speaks of"
    return Text(said)


def times(tally: Tally, began_seconds: float, done_seconds: float) -> Text:
    """What the clock says of this run; both times are of the reader's clock."""
    decided = [story for story in tally.stories.values() if story.decided_seconds is not None]
    if not decided:
        return Text("")
    first = min(story.decided_seconds or 0.0 for story in decided) - began_seconds
    took = sorted(story.took_seconds or 0.0 for story in decided)
    submitted = min(story.submitted_seconds for story in decided)
    speed = tally.video_seconds() / max(done_seconds - submitted, 1e-9)
    return Text(
        f"{CLOCK} first decision after {first:.1f} s, the last after "
        f"{done_seconds - began_seconds:.1f} s; from submission to decision {median(took):.1f} s "
        f"(median), {took[-1]:.1f} s (longest); {speed:.1f}x real time"
    )


def _finding(demo: DemoSet, tally: Tally, pair: Pair) -> tuple[str, str, str]:
    """The cells: found seconds, of what, true seconds (upload ← reference)."""
    alert = tally.alerts.get(pair)
    segments = alert.segments if alert else []
    found = "\n".join(f"{_both(segment)}, {percent(segment.score)}%" for segment in segments) or "–"
    truth = "\n".join(_both(segment) for segment in demo.truth.get(pair, [])) or "–"
    return found, escape(pair[1]), truth


def _both(segment: MatchedSegment) -> str:
    ours = span_text(segment.video_start_seconds, segment.video_end_seconds)
    theirs = span_text(segment.reference_start_seconds, segment.reference_end_seconds)
    return f"{ours} ← {theirs}"


def _refused(tally: Tally, pair: Pair) -> str:
    """Which of a pair's videos was rejected, by its code; empty where none was."""
    for video_id, which in zip(pair, ("", "source "), strict=True):
        story = tally.stories.get(video_id)
        if story is not None and story.rejection is not None:
            return f"[yellow]{which}rejected: {story.rejection.error}[/]"
    return ""


def _mark(verdict: Verdict, pair: Pair) -> str:
    if pair in verdict.partly:
        return "[yellow]in part[/]"
    if pair in verdict.found:
        return "[green]✓ found[/]"
    if pair in verdict.missed:
        return "[red]✗ missed[/]"
    return "[red]✗ extra[/]" if pair in verdict.extra else "[dim]not labelled[/]"


def _empty_mark(demo: DemoSet, story: Story) -> str:
    rejected = story.rejection is not None
    if story.decision is None:
        return "[red]✗[/]"
    return "[green]✓[/]" if demo.made and rejected == (story.video_id in demo.broken) else ""


def _why(story: Story) -> str:
    return "" if story.rejection is None else f"[yellow]{story.rejection.error}[/]"
