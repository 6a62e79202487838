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
BACKGROUND = Drawn("plasma", 4, 4)
"""What runs behind the window of `PICTURE_IN_PICTURE`."""

PLAN = Plan(  # a kind of scene is in one video only: its seeds resemble each other
    references=(
        Clip("r01", (Drawn("landscape", 1, 9), Drawn("reef", 1, 9))),
        Clip("r02", (Drawn("planet", 1, 9), Drawn("road", 2, 9))),
        Clip("r03", (Drawn("wheel", 3, 9), Drawn("map", 2, 9))),
        Clip("r04", (Drawn("balloons", 1, 9), Drawn("circuit", 1, 9))),
        Clip("r05", (Drawn("tunnel", 1, 9), Drawn("julia", 1, 9))),
        Clip("r06", (Drawn("skyline", 3, 9), Drawn("kaleidoscope", 1, 9))),
        Clip("r07", (Drawn("galaxy", 1, 9), Drawn("match", 1, 9))),
    ),
    uploads=(
        Clip("u01-own-work", (Drawn("chart", 1, 6), Drawn("chart", 2, 6), Drawn("chart", 3, 6))),
        Clip("u02-crop", (Drawn("title", 1, 6), Copied("r01", 3, 15, "crop"))),
        Clip("u03-subtitles", (Copied("r02", 1, 14, "subtitle"), Drawn("gears", 2, 7))),
        Clip("u04-two-sources", (Copied("r03", 0.5, 9, "border"), Copied("r04", 0.5, 8, "grey"))),
        Clip("u05-mirrored", (Drawn("fireworks", 1, 5), Copied("r05", 3, 16, "flip"),
                              Drawn("fireworks", 2, 4))),
        Clip("u06-window", (BACKGROUND, Copied("r06", 2, 16, PICTURE_IN_PICTURE))),
        Clip("u07-faster", (Copied("r04", 8, 18, "logo", speed=1.25),)),
        Clip("u08-whole-video", (Copied("r07", 0, 18, "dim"),), quality=38),
        Clip("u09-blurred", (Copied("r03", 11, 18, "blur"),)),
        Clip("u10-own-work", (Drawn("stained_glass", 1, 6), Drawn("stained_glass", 2, 6),
                              Drawn("stained_glass", 3, 6))),
        Clip("u11-cut-off", (Drawn("chart", 4, 5),)),
    ),
    broken="u11-cut-off",
)  # fmt: skip
