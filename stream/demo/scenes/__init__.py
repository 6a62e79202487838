"""All scenes by name; a new one is a class and a line here."""

from stream.demo.scene import Scene
from stream.demo.scenes.graphics import Chart, Plasma
from stream.demo.scenes.nature import Landscape, Reef
from stream.demo.scenes.town import BigWheel, Fireworks, Road, Skyline

SCENES: dict[str, type[Scene]] = {
    "chart": Chart,
    "fireworks": Fireworks,
    "landscape": Landscape,
    "plasma": Plasma,
    "reef": Reef,
    "road": Road,
    "skyline": Skyline,
    "wheel": BigWheel,
}
