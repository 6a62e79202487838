"""One subword tokenizer for Chinese and English, learned from captions; serves without torch.

Byte-pair merges (Sennrich et al., ACL 2016) inside what blanks and punctuation separate. Chinese
captions are learned from with blanks between their words, so that no merge spans two words; text
that has none is then cut into such words by the merges alone.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import (
    Encoding,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from models.errors import ModelFileError

PAD, UNKNOWN, MASK, CLS = 0, 1, 2, 3
SPECIAL = ("<pad>", "<unk>", "<mask>", "<cls>")
# Set by hand; the first two are in the trained towers too, whose embeddings have as many rows.
ENTRIES = 6000  # each costs a row of the text tower's file; fewer cut words into more tokens
MAX_TOKENS = 32  # one of Flickr8k's captions fits; three that are joined don't
MIN_SEEN = 2  # a merge that one caption alone has is no help with other texts


class CaptionTokenizer:
    """Text to ids: `<cls>` first, then subwords; 0 pads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    @property
    def sha256(self) -> str:
        """Of what `save` writes, in hexadecimal: ties a text tower to its tokenizer."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    @classmethod
    def train(cls, texts: Iterable[str], entries: int = ENTRIES) -> "CaptionTokenizer":
        """Learn from captions; the same captions give the same tokenizer.

        Args:
            texts: captions of all languages, Chinese ones with blanks between words.
            entries: at most so many ids, special ones included.
        """
        tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
        )
        trainer = trainers.BpeTrainer(
            vocab_size=entries,
            min_frequency=MIN_SEEN,
            special_tokens=list(SPECIAL),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{SPECIAL[CLS]} $A", special_tokens=[(SPECIAL[CLS], CLS)]
        )
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> "CaptionTokenizer":
        """Read what `save` wrote.

        Raises:
            ModelFileError: no such file, or not a tokenizer with the special ids in their places.
        """
        if not path.is_file():
            raise ModelFileError(f"no tokenizer at {path}: name the tokenizer.json of a text tower")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the package raises nothing narrower
            raise ModelFileError(f"{path} is no tokenizer: {error}") from error
        found = tuple(tokenizer.id_to_token(number) for number in range(len(SPECIAL)))
        if found != SPECIAL:
            raise ModelFileError(f"{path}: first entries are {found}, expected {SPECIAL}")
        return cls(tokenizer)

    def save(self, path: Path) -> None:
        """Write `tokenizer.json`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._text(), encoding="utf-8")

    def encodings(self, texts: Sequence[str], max_tokens: int = MAX_TOKENS) -> list[Encoding]:
        """Tokens with their places in the text: `.ids`, `.tokens`, `.offsets`.

        `.offsets` are (start, end) characters of the text as given, (0, 0) for `<cls>`, which is
        the first token of each.

        Args:
            texts: N of them.
            max_tokens: longer ones are cut.
        """
        found: list[Encoding] = self._tokenizer.encode_batch(list(texts))
        for encoding in found:
            encoding.truncate(max_tokens)
        return found

    def ids(self, texts: Sequence[str], max_tokens: int = MAX_TOKENS) -> NDArray[np.int64]:
        """Ids for the text tower.

        Args:
            texts: N of them; an empty one is `<cls>` alone.
            max_tokens: longer ones are cut.

        Returns:
            (N, L) int64, padded with 0; L is the longest one's length, 1 to `max_tokens`.
        """
        rows = [encoding.ids for encoding in self.encodings(texts, max_tokens)]
        found = np.full((len(rows), max(map(len, rows), default=1)), PAD, np.int64)
        for row, ids in zip(found, rows, strict=True):
            row[: len(ids)] = ids
        return found

    def text_of(self, token: int) -> str:
        """The subword of an id.

        Raises:
            ValueError: no such id.
        """
        found: str | None = self._tokenizer.id_to_token(token)
        if found is None:
            raise ValueError(f"{token = }, expected 0 to {len(self) - 1}")
        return found

    def _text(self) -> str:
        text: str = self._tokenizer.to_str(pretty=False)
        return text
