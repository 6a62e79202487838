"""Key-frame selectors: which candidate frames are stored. One implementation per file.

A new one is a class with `select` and a line in `SELECTORS`.
"""

from collections.abc import Callable

from models.keyframes.base import KeyFrameSelector
from models.keyframes.even import EvenSelector
from models.keyframes.learned import LearnedSelector
from models.keyframes.settings import KeyFrameSettings

SELECTORS: dict[str, Callable[[KeyFrameSettings], KeyFrameSelector]] = {
    "even": EvenSelector,
    "learned": LearnedSelector,
}


def make_selector(settings: KeyFrameSettings) -> KeyFrameSelector:
    """The selector that the settings name.

    Raises:
        ModelFileError: the file of a learned one is missing or unreadable.
    """
    return SELECTORS[settings.selector](settings)
