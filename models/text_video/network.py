"""The dual encoder: a tower for clips over the trunk's regions, a tower for captions.

Both end in unit vectors of one space, and give tokens in it for methods that compare words with
parts of pictures. Each tower adds two things up: what its transformer says, and a plain path past
it, the words of a caption or the mean pictures of a clip, that can be given its weights before
training (`models.text_video.start`). A second plain path says what comes later less what comes
earlier, of words and of frames, so that the order of two events isn't lost in their sum.
"""

from math import log

import torch
from torch import Tensor, nn

from models.text_video.caption_tower import SentenceTower, TextTower
from models.text_video.shape import TextVideoConfig
from models.text_video.video_tower import JoinedVideoTower, VideoTower

HEAD_GAIN = 0.1  # of the transformers beside the plain paths, before training


class TextVideoNetwork(nn.Module):
    """Both towers and the temperature between them; the trunk stands outside, it doesn't learn."""

    def __init__(self, config: TextVideoConfig, channels: int, temperature: float = 0.07) -> None:
        super().__init__()
        self.config = config
        joined = config.video_towers > 1
        self.video = (JoinedVideoTower if joined else VideoTower)(config, channels)
        self.text = SentenceTower(config) if config.read_sentences else TextTower(config)
        self.log_temperature = nn.Parameter(torch.tensor(log(temperature)))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for tower in self.modules():
            # Plain paths reach the space as they are, so that `start` is what training begins at.
            if isinstance(tower, VideoTower | TextTower):
                nn.init.eye_(tower.past.weight)
                _begin_later(tower.later.weight)
                for head in (tower.head, tower.token_head):
                    nn.init.xavier_uniform_(head.weight, HEAD_GAIN)
            elif isinstance(tower, SentenceTower):
                nn.init.xavier_uniform_(tower.head.weight, HEAD_GAIN)

    @property
    def temperature(self) -> Tensor:
        """What divides similarities: a scalar from 0.01 to 0.5."""
        return self.log_temperature.clamp(log(0.01), log(0.5)).exp()


@torch.no_grad()
def _begin_later(weight: Tensor) -> None:
    """Give what is told of order the dimensions that the plain path leaves free, from (D, d)."""
    dimension, width = weight.shape
    weight.zero_()
    for place in range(min(dimension - width, width)):
        weight[width + place, place] = 1
