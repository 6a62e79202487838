"""`samesource train text-video` and `export text-video`: bad input is one line with its cure."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.errors import ModelFileError
from models.text_video.captions import read_captions
from models.text_video.features import TRAINING_VIEWS, _Sessions, build_features
from models.text_video.pairs import learn_tokenizer
from models.text_video.recipe import read_text_recipe
from models.text_video.run import HELD_VIEWS
from models.text_video.train import TextTrainer, trained_network
from models.text_video.trunk import TrunkConfig, load_trunk
from tests.models.text_video_data import make_data
from tests.stream.command import Command, Done

RECIPE = """
steps = 1
[network]
dimension = 32
width = 16
heads = 2
[network.trunk]
source = "imagenet"
input_size = 64
[draw]
pairs = 8
clip_every = 0
"""
CHANNELS = 320
CAPTIONS = 192  # of 48 photos, two in each of two languages


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def features(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What torch says of the photos, made beforehand: tracing the trunk takes seconds."""
    folder = tmp_path_factory.mktemp("features")
    trunk = load_trunk(TrunkConfig("imagenet", input_size=64))

    def regions(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(trunk(torch.from_numpy(frames)).numpy(), np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.text_video.features.TrunkSession", lambda *_: regions)
        patch.setattr("models.text_video.features._SESSIONS", _Sessions())
        for name, views in (("train", TRAINING_VIEWS), ("val", HELD_VIEWS)):
            build_features(data / f"photos/flickr8k-{name}.tar", trunk, folder, views=views)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that another can start from."""
    folder = tmp_path_factory.mktemp("run")
    photos = read_captions(data / "captions/flickr8k-train.jsonl")
    tokenizer = learn_tokenizer(photos, 200)
    tokenizer.save(folder / "tokenizer.json")
    (folder / "recipe.toml").write_text(RECIPE)
    recipe = read_text_recipe(folder / "recipe.toml")
    network = replace(recipe.network, entries=len(tokenizer))
    TextTrainer(replace(recipe, network=network), CHANNELS, folder).save()
    return folder


class Training:
    """`samesource train text-video` on made data, with a recipe of one step."""

    def __init__(self, command: Command, folder: Path, data: Path, features: Path) -> None:
        self.recipe, self.out = folder / "recipe.toml", folder / "out"
        self.recipe.write_text(RECIPE)
        self._command, self._always = command, (data, "--features", features)

    def __call__(self, *arguments: str | Path) -> Done:
        """Run it."""
        own = ("--out", self.out, "--recipe", self.recipe)
        return self._command("train", "text-video", *self._always, *own, *arguments)

    def refused(self, *arguments: str | Path) -> str:
        """The one line that it ends with."""
        return one_line(self(*arguments))


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


@pytest.fixture
def train(command: Command, tmp_path: Path, data: Path, features: Path) -> Training:
    return Training(command, tmp_path, data, features)


def one_line(done: Done) -> str:
    """The error that a command ended with; torch may have warned of what it lacks before."""
    assert done.code == 1
    *before, line = done.err.splitlines()
    assert line.startswith("error: ") and not any("error" in other for other in before)
    return line


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps = 1", "stepps = 1", "unknown key stepps"),
        ("width = 16", "widht = 16", "unknown key network.widht"),
        ("steps = 1", "steps = 0", "steps = 0, expected"),
        ("steps = 1", "temperature = 0", "temperature = 0, expected greater than 0"),
        ("pairs = 8", 'pairs = "all"', "draw.pairs = 'all', expected a valid integer"),
        ("pairs = 8", 'sources = ["en", "fr"]', "self.sources = ('en', 'fr'), expected some of en"),
        ("heads = 2", "heads = 3", "self.width = 16, expected a multiple of self.heads = 3"),
        ("heads = 2", "heads = 0", "self.heads = 0, expected at least 1"),
        ("heads = 2", "dropout = 1.0", "self.dropout = 1.0, expected 0 to below 1"),
        ("clip_every = 0", "[methods.magic]", "unknown method methods.magic"),
        ("clip_every = 0", "[methods.curriculum]\nx = 1", "unknown key methods.curriculum.x"),
        ("clip_every = 0", "[methods.masked_words]\nheads = 3", "[methods] embed_dim must be"),
        (
            "clip_every = 0",
            "[methods.curriculum]\nkept_share = 1.5",
            "methods.curriculum.kept_share = 1.5, expected less than or equal to 1",
        ),
        (
            "clip_every = 0",
            "[methods.local_matching]\nwords = 0",
            "methods.local_matching.words = 0, expected greater than or equal to 1",
        ),
        (
            "clip_every = 0",
            "[methods.negative_nce]\nweight = -1.0",
            "methods.negative_nce.weight = -1.0, expected greater than or equal to 0",
        ),
        ("steps = 1", "steps =", "is no TOML"),
    ],
)
def test_a_bad_recipe_is_named_with_its_place(
    old: str, new: str, said: str, train: Training
) -> None:
    train.recipe.write_text(RECIPE.replace(old, new))
    line = train.refused()
    assert said in line and str(train.recipe) in line
    assert not train.out.exists()


def test_pairs_to_keep_that_are_no_mask_are_refused(train: Training, tmp_path: Path) -> None:
    keep = tmp_path / "keep.npy"
    assert f"no {keep}" in train.refused("--keep", keep)
    for content in (b"", b"no array"):
        keep.write_bytes(content)
        assert f"{keep} is no .npy" in train.refused("--keep", keep)
    np.save(keep, np.array([{}]), allow_pickle=True)
    assert f"{keep} is no .npy" in train.refused("--keep", keep)
    np.save(keep, np.ones(CAPTIONS))
    assert "holds float64 (192,), expected a .npy of bool (M,)" in train.refused("--keep", keep)
    with keep.open("wb") as file:
        np.savez(file, keep=np.ones(CAPTIONS, np.bool_))
    assert "holds an archive" in train.refused("--keep", keep)


def test_pairs_to_keep_are_as_many_as_captions(train: Training, tmp_path: Path) -> None:
    keep = tmp_path / "keep.npy"
    np.save(keep, np.ones(CAPTIONS - 1, np.bool_))
    assert "is (191,), expected (192,)" in train.refused("--keep", keep)
    np.save(keep, np.zeros(CAPTIONS, np.bool_))
    assert "keeps none of 192" in train.refused("--keep", keep)
    np.save(keep, np.arange(CAPTIONS) % 2 == 0)
    assert train("--keep", keep).code == 0


def test_a_folder_without_a_run_is_named(train: Training, tmp_path: Path, run: Path) -> None:
    assert f"no checkpoint.pt in {tmp_path}" in train.refused("--start", tmp_path)
    assert f"no checkpoint.pt in {train.out}" in train.refused("--resume")
    (tmp_path / "checkpoint.pt").write_bytes((run / "checkpoint.pt").read_bytes())
    assert f"no tokenizer at {tmp_path}/tokenizer.json" in train.refused("--start", tmp_path)
    for content in (b"", b"no checkpoint", (run / "checkpoint.pt").read_bytes()[:9000]):
        (tmp_path / "checkpoint.pt").write_bytes(content)
        assert "is no checkpoint, or damaged" in train.refused("--start", tmp_path)
    torch.save({"network": {}, "step": 3}, tmp_path / "checkpoint.pt")
    (tmp_path / "tokenizer.json").write_bytes((run / "tokenizer.json").read_bytes())
    assert "has no 'channels': it is of another kind of run" in train.refused("--start", tmp_path)
    assert not train.out.exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("width = 16", "width = 32", "network.width = 16, expected 32"),
        ("input_size = 64", "input_size = 96", "network.trunk.input_size = 64, expected 96"),
        ('"imagenet"', '"copies"', "network.trunk.source = 'imagenet', expected 'copies'"),
    ],
)
def test_a_run_of_another_shape_is_not_started_from(
    old: str, new: str, said: str, train: Training, run: Path
) -> None:
    train.recipe.write_text(RECIPE.replace(old, new))
    line = train.refused("--start", run)
    assert said in line and f"{run}/checkpoint.pt" in line
    assert not train.out.exists()


def test_a_run_of_another_tokenizer_is_not_started_from(
    train: Training, run: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes((run / "checkpoint.pt").read_bytes())
    photos = read_captions(data / "captions/flickr8k-train.jsonl")
    learn_tokenizer(photos, 30).save(tmp_path / "tokenizer.json")
    assert "is of network.entries = " in train.refused("--start", tmp_path)


def test_a_run_of_another_trunk_is_not_started_from(run: Path, tmp_path: Path) -> None:
    config = trained_network(run).config
    recipe = replace(read_text_recipe(run / "recipe.toml"), network=config)
    trainer = TextTrainer(recipe, CHANNELS + 1, tmp_path)
    with pytest.raises(ModelFileError, match="channels of the trunk = 320, expected 321"):
        trainer.start_from(run)


def test_a_run_of_other_code_is_neither_started_from_nor_exported(
    train: Training, command: Command, run: Path, tmp_path: Path
) -> None:
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    state["mean"].pop("video.head.weight")
    torch.save(state, tmp_path / "checkpoint.pt")
    (tmp_path / "tokenizer.json").write_bytes((run / "tokenizer.json").read_bytes())
    exported = command("export", "text-video", tmp_path, "--out", tmp_path / "pair")
    for done in (exported, train("--start", tmp_path)):
        assert "an older version of the code" in one_line(done)


def test_a_run_goes_on_and_only_with_its_own_methods(train: Training, run: Path) -> None:
    assert train("--start", run).code == 0
    assert train("--resume").code == 0
    train.recipe.write_text(f"{RECIPE}[methods.masked_words]\n")
    line = train.refused("--resume")
    assert "is of the methods [], the recipe has ['masked_words']" in line


def test_what_is_no_run_is_not_exported(command: Command, run: Path, tmp_path: Path) -> None:
    def refused() -> str:
        return one_line(command("export", "text-video", tmp_path, "--out", tmp_path / "pair"))

    assert f"no checkpoint.pt in {tmp_path}" in refused()
    (tmp_path / "checkpoint.pt").write_bytes((run / "checkpoint.pt").read_bytes())
    assert f"no tokenizer at {tmp_path}/tokenizer.json" in refused()
    torch.save({"network": {}, "step": 3}, tmp_path / "checkpoint.pt")
    assert "has no 'channels'" in refused()
    assert not (tmp_path / "pair").exists()
