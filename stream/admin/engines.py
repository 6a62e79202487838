"""TensorRT's engines of the networks that the settings name; serves `samesource export`."""

import numpy as np
from numpy.typing import NDArray

from models.encoder.outside import open_encoder
from models.runtime import Provider
from models.runtime.engines import Arrays, Built, build
from stream.errors import SettingsError
from stream.fingerprint.settings import EncoderSettings


def build_encoder(settings: EncoderSettings) -> Built:
    """Build the encoder's engines, for the batches that the settings ask for.

    Raises:
        SettingsError: no folder is set that keeps them.
        ModelError: its answers differ too much from the CPU's.
        ProviderError: TensorRT can't run here; the text names what is missing.
    """
    if settings.engine_cache is None:
        raise SettingsError(
            "encoder.engine_cache is not set: name the folder that keeps TensorRT's engines"
        )

    def answer(provider: Provider) -> Arrays:
        encoder = open_encoder(
            settings.path,
            settings.outside,
            provider=provider,
            threads=settings.threads,
            batch=settings.batch,
            engine_cache=settings.engine_cache,
        )
        described = encoder.describe(_pictures(settings.batch, encoder.input_size))
        return [described.descriptors, described.score_biases]

    return build(answer)


def _pictures(count: int, size: int) -> NDArray[np.uint8]:
    """(count, size, size, 3) random squares, always the same; pictures are no noise."""
    squares = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    places = np.arange(size) * 8 // size
    return squares[:, places[:, None], places]
