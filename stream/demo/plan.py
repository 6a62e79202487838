"""The script of the demo's own clips: which scenes a reference shows, what an upload copies."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Drawn:
    """A shot drawn by code: a scene of `scenes.SCENES`, its seed and length."""

    scene: str
    seed: int
    seconds: float


@dataclass(frozen=True)
class Copied:
    """A span of a reference, half-open, edited and played at a speed."""

    reference: str
    start_seconds: float
    end_seconds: float
    edit: str = "untouched"
    speed: float = 1.0

    @property
    def seconds(self) -> float:
        """How long it lasts in the upload."""
        return (self.end_seconds - self.start_seconds) / self.speed


@dataclass(frozen=True)
class Clip:
    """One video: its shots in order, and how well it is encoded (x264's rate factor)."""

    name: str
    shots: tuple[Drawn | Copied, ...]
    quality: int = 25


@dataclass(frozen=True)
class Plan:
    """All clips of a demo. `broken` is the name of an upload that is cut off in its middle."""

    references: tuple[Clip, ...]
    uploads: tuple[Clip, ...]
    broken: str | None = None


PICTURE_IN_PICTURE = "picture_in_picture"
BACKGROUND = Drawn("plasma", 3, 4)
"""What runs behind the window of `PICTURE_IN_PICTURE`."""

PLAN = Plan(  # a kind of scene is in one video only: its seeds resemble each other
    references=(
        Clip("r01", (Drawn("skyline", 5, 18),)),
        Clip("r02", (Drawn("road", 2, 18),)),
        Clip("r03", (Drawn("reef", 1, 18),)),
        Clip("r04", (Drawn("wheel", 3, 18),)),
        Clip("r05", (Drawn("landscape", 2, 18),)),
    ),
    uploads=(
        Clip("u01-own-work", (Drawn("chart", 1, 6), Drawn("chart", 2, 6), Drawn("chart", 3, 6))),
        Clip("u02-crop", (Copied("r01", 3, 15, "crop"),), quality=38),
        Clip("u03-two-sources", (Copied("r02", 1, 9, "subtitle"),
                                 Copied("r03", 2, 14, "logo", speed=1.25))),
        Clip("u04-mirrored", (Drawn("fireworks", 1, 5), Copied("r04", 3, 16, "flip"),
                              Drawn("fireworks", 2, 4))),
        Clip("u05-window", (BACKGROUND, Copied("r05", 2, 16, PICTURE_IN_PICTURE))),
        Clip("u06-cut-off", (Drawn("chart", 4, 5),)),
    ),
    broken="u06-cut-off",
)  # fmt: skip
