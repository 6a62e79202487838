"""A tokenizer.json in use: texts to ids, cut and padded; serves the text towers, without torch."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelFileError

if TYPE_CHECKING:  # loaded with the first file: whoever reads settings comes by here
    from tokenizers import Encoding, Tokenizer

SHOWN = 40  # characters of a text that is refused: a message stays a line
CHINESE = re.compile("[\u4e00-\u9fff]")


class TokenIds(NamedTuple):
    """Texts as a text tower reads them.

    Attributes:
        ids: (N, L) int64, filled up with the padding's id at the end.
        attended: (N, L) int64, 1 where there is a token, 0 where there is padding.
    """

    ids: NDArray[np.int64]
    attended: NDArray[np.int64]


class TokenizerFile:
    """A tokenizer from a file. Thread-safe: nothing changes after it was opened.

    Attributes:
        path: the file.
        max_tokens: where texts are cut, the tokenizer's own special tokens included.
        pad_id: what fills short rows.
    """

    def __init__(self, path: Path, max_tokens: int, pad_id: int | None = None) -> None:
        """Open the file.

        Args:
            path: a tokenizer.json of the library `tokenizers`.
            max_tokens: where texts are cut.
            pad_id: what fills short rows; the file's own, or 0, when left out.

        Raises:
            ModelFileError: missing, no tokenizer, or room for no token.
        """
        if not path.is_file():
            raise ModelFileError(f"no tokenizer at {path}: name a tokenizer.json")
        from tokenizers import Tokenizer

        try:
            text = path.read_text(encoding="utf-8")
            self._tokenizer = Tokenizer.from_str(text)
            content = json.loads(text)
        except Exception as error:  # tokenizers raises plain Exception
            raise ModelFileError(
                f"{path} is no tokenizer.json: {error}: save it with `Tokenizer.save` of the "
                "library tokenizers"
            ) from error
        self.path, self.max_tokens = path, max_tokens
        own = (content.get("padding") or {}).get("pad_id", 0)
        self.pad_id = int(own if pad_id is None else pad_id)
        self._unknown = _unknown_id(self._tokenizer, content["model"])
        self._special = self._tokenizer.num_special_tokens_to_add(False)
        if max_tokens <= self._special:
            raise ModelFileError(
                f"{path} adds {self._special} tokens to every text, but {max_tokens = }: no room "
                "for the text"
            )
        # Whatever the file says: rows are padded in `encode`, and cutting is the settings'.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def encode(self, texts: Sequence[str], length: int | None = None) -> TokenIds:
        """Ids of texts.

        Args:
            texts: N texts, none without a token.
            length: L; that of the longest when left out.

        Raises:
            ValueError: a text without a token.
        """
        rows = [self._encoded(text).ids for text in texts]
        length = length or max(map(len, rows), default=0)
        ids = np.full((len(rows), length), self.pad_id, np.int64)
        attended = np.zeros_like(ids)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = row
            attended[at, : len(row)] = 1
        return TokenIds(ids, attended)

    def tokens(self, text: str) -> int:
        """How many tokens the whole text has; beyond `max_tokens` they are cut off.

        Raises:
            ValueError: a text without a token.
        """
        return len(_content(self._encoded(text))) + int(self._special)

    def known_share(self, text: str) -> float:
        """Share in [0, 1] of the whole text's tokens that the vocabulary has.

        Raises:
            ValueError: a text without a token.
        """
        content = _content(self._encoded(text))
        return sum(token != self._unknown for token in content) / len(content)

    def whole_share(self, text: str) -> float:
        """Share in [0, 1] of the text's words that have an entry of their own.

        A word of another language in known letters falls into pieces that are all in the
        vocabulary. Chinese isn't written in words: there each token counts as one.

        Raises:
            ValueError: a text without a token.
        """
        words: dict[tuple[int, int], list[int]] = {}
        encoded = self._encoded(text)
        for part in [encoded, *encoded.overflowing]:
            for place, (begin, end) in enumerate(part.offsets):
                said, word = text[begin:end].strip(), part.word_ids[place]
                if word is not None and said[:1].isalnum():
                    key = (begin, 0) if CHINESE.match(said) else (word, 1)
                    words.setdefault(key, []).append(part.ids[place])
        known = sum(len(word) == 1 and word[0] != self._unknown for word in words.values())
        return known / len(words) if words else self.known_share(text)

    def _encoded(self, text: str) -> "Encoding":
        encoding = self._tokenizer.encode(text) if text.strip() else None
        if encoding is None or not _content(encoding):
            raise ValueError(f"a text without a word: {text[:SHOWN]!r}")
        return encoding


def _content(encoding: "Encoding") -> list[int]:
    """The ids of a text, those that were cut off included, special ones not."""
    return [
        token
        for part in [encoding, *encoding.overflowing]
        for token, special in zip(part.ids, part.special_tokens_mask, strict=True)
        if not special
    ]


def _unknown_id(tokenizer: "Tokenizer", model: dict[str, Any]) -> int | None:
    """The id of what the vocabulary lacks; None where it lacks nothing, byte by byte."""
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    token = model.get("unk_token")
    found = None if token is None else tokenizer.token_to_id(token)
    return None if found is None else int(found)
