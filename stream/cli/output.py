"""Where commands print: results on stdout, everything else on stderr."""

from rich.console import Console

# No pictures for `:…:`, which an id or a title may have.
stdout = Console(emoji=False)
stderr = Console(stderr=True, emoji=False)


def seconds(start: float, end: float) -> str:
    """A span for people: `12.0–20.5 s`."""
    return f"{start:.1f}–{end:.1f} s"


def printable(text: str) -> str:
    """Text that anyone may have written, without what would move a terminal's cursor."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)
