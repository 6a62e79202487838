"""All scenes by name; a new one is a class and a line here."""

from stream.demo.scene import Scene
from stream.demo.scenes.graphics import Chart, Gears, Match, TitleCard
from stream.demo.scenes.nature import Landscape, Meadow, Reef
from stream.demo.scenes.patterns import Julia, Kaleidoscope, Plasma, StainedGlass, Tiles
from stream.demo.scenes.sky import Fireworks, Galaxy, Planet
from stream.demo.scenes.town import Road, Skyline, StreetMap

SCENES: dict[str, type[Scene]] = {
    "chart": Chart,
    "fireworks": Fireworks,
    "galaxy": Galaxy,
    "gears": Gears,
    "julia": Julia,
    "kaleidoscope": Kaleidoscope,
    "landscape": Landscape,
    "map": StreetMap,
    "match": Match,
    "meadow": Meadow,
    "planet": Planet,
    "plasma": Plasma,
    "reef": Reef,
    "road": Road,
    "skyline": Skyline,
    "stained_glass": StainedGlass,
    "tiles": Tiles,
    "title": TitleCard,
}
