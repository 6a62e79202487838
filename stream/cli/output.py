"""Where commands print: results on stdout, everything else on stderr."""

from rich.console import Console

from stream.contract.events import MatchedSegment

# No pictures for `:…:`, which an id or a title may have.
stdout = Console(emoji=False)
stderr = Console(stderr=True, emoji=False)


def spans(segment: MatchedSegment) -> tuple[str, str]:
    """The spans of both videos, for people: `12.0–20.5 s`, `3.0–11.5 s backwards`."""
    ours = f"{segment.video_start_seconds:.1f}–{segment.video_end_seconds:.1f} s"
    theirs = f"{segment.reference_start_seconds:.1f}–{segment.reference_end_seconds:.1f} s"
    return ours, f"{theirs} backwards" if segment.reversed else theirs


def printable(text: str) -> str:
    """Text that anyone may have written, without what would move a terminal's cursor."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)
