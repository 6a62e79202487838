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

PLAN = Plan(
    references=(
        Clip("r01", (Drawn("landscape", 1, 6), Drawn("reef", 1, 6), Drawn("julia", 1, 5),
                     Drawn("skyline", 1, 6), Drawn("gears", 1, 6))),
        Clip("r02", (Drawn("planet", 1, 6), Drawn("meadow", 1, 6), Drawn("road", 1, 7),
                     Drawn("kaleidoscope", 1, 5))),
        Clip("r03", (Drawn("fireworks", 1, 6), Drawn("map", 1, 6), Drawn("stained_glass", 1, 5),
                     Drawn("landscape", 2, 7), Drawn("galaxy", 1, 5))),
        Clip("r04", (Drawn("reef", 2, 6), Drawn("skyline", 2, 6), Drawn("gears", 2, 5),
                     Drawn("planet", 2, 6))),
        Clip("r05", (Drawn("road", 2, 7), Drawn("julia", 2, 6), Drawn("meadow", 2, 6),
                     Drawn("map", 2, 5), Drawn("fireworks", 2, 5))),
        Clip("r06", (Drawn("kaleidoscope", 2, 6), Drawn("galaxy", 2, 6), Drawn("skyline", 3, 5),
                     Drawn("landscape", 3, 7), Drawn("stained_glass", 2, 5))),
        Clip("r07", (Drawn("map", 3, 6), Drawn("planet", 3, 5), Drawn("reef", 3, 6),
                     Drawn("road", 3, 6))),
    ),
    uploads=(
        Clip("u01-own-work", (Drawn("title", 1, 5), Drawn("match", 1, 7), Drawn("chart", 1, 6))),
        Clip("u02-crop", (Drawn("chart", 2, 5), Copied("r01", 3, 15, "crop"),
                          Drawn("plasma", 1, 5))),
        Clip("u03-subtitles", (Copied("r02", 1, 14, "subtitle"), Drawn("tiles", 1, 6))),
        Clip("u04-two-sources", (Drawn("plasma", 2, 4), Copied("r03", 2, 14, "grey"),
                                 Drawn("match", 2, 5), Copied("r04", 8, 20, "border"))),
        Clip("u05-mirrored", (Drawn("tiles", 2, 5), Copied("r05", 4, 18, "flip"),
                              Drawn("title", 2, 4))),
        Clip("u06-own-work", (Drawn("match", 3, 6), Drawn("tiles", 3, 6), Drawn("plasma", 3, 5),
                              Drawn("chart", 3, 5))),
        Clip("u07-window", (Drawn("title", 3, 4), Copied("r06", 7, 20, PICTURE_IN_PICTURE))),
        Clip("u08-faster", (Drawn("match", 4, 4), Copied("r01", 16, 28.5, "logo", speed=1.25),
                            Drawn("chart", 4, 4))),
        Clip("u09-whole-video", (Copied("r07", 0, 23, "dim"),), quality=38),
        Clip("u10-blurred", (Copied("r03", 15, 27, "blur"), Drawn("plasma", 4, 6))),
        Clip("u11-own-work", (Drawn("plasma", 5, 5), Drawn("title", 4, 5),
                              Drawn("tiles", 4, 6))),
        Clip("u12-cut-off", (Drawn("chart", 5, 5),)),
    ),
    broken="u12-cut-off",
)  # fmt: skip
