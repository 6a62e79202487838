"""The videos of one demo, in the order of submission, and what is known to be copied in them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stream.contract.events import MatchedSegment

Pair = tuple[str, str]


@dataclass(frozen=True)
class DemoSet:
    """What the demo submits, and the truth about it as far as it is known.

    Attributes:
        references: videos to protect; they are submitted first.
        uploads: videos to check, submitted when the references are decided.
        copies: edited copies of uploads, submitted when the uploads are decided.
        truth: (upload id, id of what it copies) → copied spans, each with score 1.
        judged: pairs whose answer is known to be copied or not; None when that is every pair.
        broken: ids of files that must be rejected.
        ids: video ids of files whose stem isn't the id.
        made: whether the demo made everything itself, so that every answer can be held against it.
    """

    references: list[Path]
    uploads: list[Path]
    truth: dict[Pair, list[MatchedSegment]]
    copies: list[Path] = field(default_factory=list)
    judged: frozenset[Pair] | None = frozenset()
    broken: frozenset[str] = frozenset()
    ids: dict[Path, str] = field(default_factory=dict)
    made: bool = False

    def video_id(self, path: Path) -> str:
        """The id that the file is submitted under."""
        return self.ids.get(path, path.stem)

    def judges(self, pair: Pair) -> bool:
        """Whether it is known if this pair is copied or not."""
        return self.judged is None or pair in self.judged

    def waves(self) -> Iterator[list[Path]]:
        """Videos to submit together; each wave after the one before it has been decided."""
        yield from (wave for wave in (self.references, self.uploads, self.copies) if wave)


def span(
    video_start: float, video_end: float, reference_start: float, reference_end: float
) -> MatchedSegment:
    """A truly copied span; all in seconds, half-open."""
    return MatchedSegment(
        video_start_seconds=video_start,
        video_end_seconds=video_end,
        reference_start_seconds=reference_start,
        reference_end_seconds=reference_end,
        score=1.0,
    )
