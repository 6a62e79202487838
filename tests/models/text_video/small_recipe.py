"""A recipe that teaches a small pair colours within seconds; serves the tests of training."""

from models.text_video.recipe import DrawConfig, TextRecipe
from models.text_video.shape import TextVideoConfig
from models.text_video.trunk import TrunkConfig

RECIPE = TextRecipe(
    steps=30,
    rate=5e-3,
    warm_up=3,
    averaging=0.8,
    validate_every=15,
    network=TextVideoConfig(
        dimension=32,
        width=16,
        heads=2,
        text_layers=1,
        trunk=TrunkConfig("imagenet", input_size=64),
    ),
    draw=DrawConfig(pairs=24, clip_pairs=12, clip_every=3),
)
