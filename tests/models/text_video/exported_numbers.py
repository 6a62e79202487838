"""The numbers that exported towers hold, and the name that these give them."""

import hashlib
from pathlib import Path

import onnx

from models.text_video.serve import PairFiles
from models.text_video.tokenizer import CaptionTokenizer


def numbers(file: Path) -> bytes:
    """All weights of an ONNX file, in its order."""
    return b"".join(tensor.raw_data for tensor in onnx.load(str(file)).graph.initializer)


def name_of_weights(folder: Path, tokenizer: CaptionTokenizer) -> str:
    """What the files of a pair should be called, by the numbers that they hold."""
    files = PairFiles.of(folder)
    held = tokenizer.sha256.encode() + numbers(files.text) + numbers(files.video)
    return f"text-video-{hashlib.sha256(held).hexdigest()[:8]}"
