"""Made footage as the training of detector and key frames takes it, without decoding anything."""

import numpy as np

from models.detector.pair_plans import PairRecipe
from models.training.descriptor_pool import Footage
from models.training.pool_pictures import FRAMES_PER_SECOND


def footage(number: int, seconds: float = 12.0, variants: int = 2) -> Footage:
    """A clip of shots of four seconds, each variant a little off."""
    random = np.random.default_rng(number)
    count = int(seconds * FRAMES_PER_SECOND)
    looks = random.standard_normal((count // 16 + 2, 24))
    at = np.arange(count) / 16
    part = (at % 1)[:, None]
    plain = (1 - part) * looks[at.astype(int)] + part * looks[at.astype(int) + 1]
    rows = np.stack(
        [plain, *(plain + 0.1 * random.standard_normal(plain.shape) for _ in range(variants))]
    )
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    return Footage(
        f"clip{number}",
        rows.astype(np.float32),
        np.zeros(rows.shape[:2], np.float32),
        np.array([4.0, 8.0], np.float32),
        np.cumsum(random.normal(0, 0.4, count)).astype(np.float32) % 3,
    )


POOL = [footage(number) for number in range(14)]
# Pairs of which every one shows one copy, as it is.
CLEAN = PairRecipe(
    longest_seconds=30.0,
    clear_share=0.0,
    several_share=0.0,
    reversed_share=0.0,
    other_speed_share=0.0,
    gaps_seconds=(1.0,),
    query_steps_seconds=(1.0,),
    max_noise=0.0,
    max_mixed=0.0,
    pooled_share=0.0,
)
