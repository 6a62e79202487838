"""Significance of the words of all training captions, kept beside the features."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from models.text_video.tokenizer import CaptionTokenizer


def word_significance(
    texts: list[str], tokenizer: CaptionTokenizer, max_tokens: int, folder: Path
) -> NDArray[np.float32]:
    """What each word says, by its part of speech; tagged once, which takes minutes.

    Args:
        texts: M captions.
        tokenizer: whose tokens the words are.
        max_tokens: of a caption.
        folder: the result is kept here.

    Returns:
        (M, L) float32 in [0, 1], aligned with the tokenizer's ids.
    """
    from models.text_video.words import significance  # here: its dictionaries take long to load

    # Of all that it depends on: other captions or another tokenizer get a file of their own.
    key = sha256(orjson.dumps([texts, tokenizer.sha256, max_tokens])).hexdigest()[:16]
    path = folder / f"significance-{key}.npy"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        found = np.asarray(significance(texts, tokenizer), np.float32)[:, :max_tokens]
        np.save(path, found)
    weights: NDArray[np.float32] = np.load(path)
    return weights
