"""All scenes by name; a new one is a class and a line here."""

from stream.demo.scene import Scene
from stream.demo.scenes.fair import Balloons, BigWheel, Boat, Flags
from stream.demo.scenes.graphics import Chart, Gears, Match, TitleCard
from stream.demo.scenes.nature import Landscape, Meadow, Reef
from stream.demo.scenes.patterns import Julia, Kaleidoscope, Plasma, StainedGlass, Tiles
from stream.demo.scenes.sky import Fireworks, Galaxy, Planet
from stream.demo.scenes.town import Road, Skyline, StreetMap
from stream.demo.scenes.workshop import (
    Bokeh,
    BouncingBall,
    Circuit,
    Newspaper,
    Spirograph,
    Tunnel,
)

SCENES: dict[str, type[Scene]] = {
    "ball": BouncingBall,
    "balloons": Balloons,
    "boat": Boat,
    "bokeh": Bokeh,
    "chart": Chart,
    "circuit": Circuit,
    "fireworks": Fireworks,
    "flags": Flags,
    "galaxy": Galaxy,
    "gears": Gears,
    "julia": Julia,
    "kaleidoscope": Kaleidoscope,
    "landscape": Landscape,
    "map": StreetMap,
    "match": Match,
    "meadow": Meadow,
    "newspaper": Newspaper,
    "planet": Planet,
    "plasma": Plasma,
    "reef": Reef,
    "road": Road,
    "skyline": Skyline,
    "spirograph": Spirograph,
    "stained_glass": StainedGlass,
    "tiles": Tiles,
    "title": TitleCard,
    "tunnel": Tunnel,
    "wheel": BigWheel,
}
