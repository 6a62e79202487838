"""The interface of every scene that the demo draws."""

from typing import Protocol

from PIL import Image


class Scene(Protocol):
    """A moving picture, drawn by code.

    A pure function of its seed and the time: the same seed gives the same pixels.
    """

    def __init__(self, seed: int) -> None:
        """Prepare what doesn't move; another seed gives another place in other colours."""
        ...

    def draw(self, seconds: float) -> Image.Image:
        """The picture at a time since the scene began, RGB of `paint.SIZE`."""
        ...
