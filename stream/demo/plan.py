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

PLAN = Plan(  # a kind of scene is in one video only, unless its seeds have nothing in common
    references=(
        Clip("r01", (Drawn("landscape", 1, 8), Drawn("reef", 1, 8), Drawn("skyline", 2, 7))),
        Clip("r02", (Drawn("planet", 1, 7), Drawn("meadow", 1, 8), Drawn("road", 2, 8))),
        Clip("r03", (Drawn("fireworks", 1, 7), Drawn("map", 2, 8), Drawn("galaxy", 1, 7))),
        Clip("r04", (Drawn("balloons", 1, 7), Drawn("gears", 1, 8), Drawn("circuit", 1, 8))),
        Clip("r05", (Drawn("tunnel", 1, 7), Drawn("wheel", 3, 8), Drawn("julia", 1, 8))),
        Clip("r06", (Drawn("flags", 1, 7), Drawn("kaleidoscope", 1, 7), Drawn("landscape", 2, 8))),
        Clip("r07", (Drawn("boat", 1, 8), Drawn("stained_glass", 3, 7),
                     Drawn("kaleidoscope", 2, 8))),
    ),
    uploads=(
        Clip("u01-own-work", (Drawn("title", 1, 6), Drawn("title", 2, 6), Drawn("title", 3, 6))),
        Clip("u02-crop", (Drawn("newspaper", 1, 6), Copied("r01", 3, 16, "crop"),
                          Drawn("newspaper", 2, 4))),
        Clip("u03-subtitles", (Copied("r02", 1, 14, "subtitle"), Drawn("tiles", 1, 7))),
        Clip("u04-two-sources", (Drawn("plasma", 1, 4), Copied("r03", 2, 13, "grey"),
                                 Drawn("plasma", 3, 5), Copied("r04", 0.5, 8, "border"))),
        Clip("u05-mirrored", (Drawn("ball", 1, 5), Copied("r05", 4, 18, "flip"),
                              Drawn("ball", 2, 4))),
        Clip("u06-own-work", (Drawn("match", 1, 8), Drawn("match", 2, 7), Drawn("match", 3, 7))),
        Clip("u07-window", (BACKGROUND, Copied("r06", 5, 19, PICTURE_IN_PICTURE))),
        Clip("u08-faster", (Drawn("spirograph", 1, 7), Copied("r04", 8, 21, "logo", speed=1.25))),
        Clip("u09-whole-video", (Copied("r07", 0, 23, "dim"),), quality=38),
        Clip("u10-blurred", (Copied("r03", 15, 22, "blur"), Drawn("bokeh", 1, 7))),
        Clip("u11-own-work", (Drawn("chart", 1, 7), Drawn("chart", 2, 7), Drawn("chart", 3, 7))),
        Clip("u12-cut-off", (Drawn("title", 4, 5),)),
    ),
    broken="u12-cut-off",
)  # fmt: skip
