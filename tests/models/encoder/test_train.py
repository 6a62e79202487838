"""The training loop: repeatable, resumable, and its validation measures what it says."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from models.encoder.network import EncoderConfig
from models.encoder.pairs import PairBatches, PairConfig
from models.encoder.recipe import EncoderRecipe, read_recipe
from models.encoder.train import EncoderTrainer, is_held_out
from models.encoder.validate import RetrievalTask, make_task, retrieval
from models.errors import RecipeError
from models.training.source import Source

RECIPE = EncoderRecipe(
    steps=10,
    warm_up=2,
    frozen_stages=1,
    validate_every=5,
    imagenet=False,
    network=EncoderConfig(input_size=32, dimension=8, stages=3, local_stage=1),
    pairs=PairConfig(pairs=8, frames_per_clip=2, apart=2),
)


def picture(seed: int) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((40, 32), Image.Resampling.BICUBIC))


def made_clips(count: int = 24) -> list[Source]:
    return [Source(f"clip{n}", [picture(100 * n + i) for i in range(8)]) for n in range(count)]


def made_photos(count: int = 12) -> list[Source]:
    return [Source(f"photo{n}", [picture(10_000 + n)]) for n in range(count)]


def trained(folder: Path, recipe: EncoderRecipe = RECIPE) -> EncoderTrainer:
    trainer = EncoderTrainer(recipe, folder)
    trainer.run(made_clips(), made_photos(), None)
    return trainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> EncoderTrainer:
    """A run from the first step to the last, without a stop."""
    return trained(tmp_path_factory.mktemp("whole"))


def state(trainer: EncoderTrainer) -> NDArray[np.float32]:
    weights = trainer.network.state_dict().values()
    return np.concatenate([w.to(torch.float32).flatten().numpy() for w in weights])


def test_a_run_that_is_stopped_and_resumed_reaches_the_same_numbers(
    whole: EncoderTrainer, tmp_path: Path
) -> None:
    first = EncoderTrainer(RECIPE, tmp_path / "parts")
    batches = PairBatches(
        [clip for clip in made_clips() if not is_held_out(clip.name)],
        made_photos()[800:],
        RECIPE.pairs,
        size=32,
        seed=RECIPE.seed,
        batches=RECIPE.steps,
    )
    for index in range(4):
        first.update(*batches[index])
    first.save()
    second = EncoderTrainer(replace(RECIPE, seed=99), tmp_path / "parts")
    second.recipe = RECIPE
    second.resume()
    assert second.step == 4
    second.run(made_clips(), made_photos(), None)
    assert second.step == whole.step == 10
    assert np.allclose(state(second), state(whole), atol=1e-6)


def test_the_curve_is_kept_as_numbers_and_as_a_picture(whole: EncoderTrainer) -> None:
    curve = json.loads((whole.folder / "curve.json").read_text())
    assert [row["step"] for row in curve if "loss" in row] == list(range(1, 11))
    assert [row["step"] for row in curve if "recall_at_1" in row] == [5, 10]
    with Image.open(whole.folder / "curve.png") as drawn:
        assert min(drawn.size) > 300


def test_a_run_stops_when_its_minutes_are_over(tmp_path: Path) -> None:
    trainer = EncoderTrainer(RECIPE, tmp_path)
    trainer.run(made_clips(), made_photos(), minutes=0.0)
    assert trainer.step == 1
    assert (tmp_path / "checkpoint.pt").exists()


def test_frozen_stages_stay_and_the_others_learn(whole: EncoderTrainer, tmp_path: Path) -> None:
    before = EncoderTrainer(RECIPE, tmp_path / "before").network.state_dict()
    after = whole.network.state_dict()
    frozen = [name for name in before if name.startswith(("stem", "stages.0."))]
    assert frozen
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before["stages.2.0.expand.weight"], after["stages.2.0.expand.weight"])
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_resuming_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        EncoderTrainer(RECIPE, tmp_path).resume()


def test_a_batch_is_a_function_of_the_seed_and_its_number() -> None:
    def batches(seed: int) -> PairBatches:
        return PairBatches(made_clips(), made_photos(), RECIPE.pairs, size=32, seed=seed, batches=5)

    for ours, again in zip(batches(1)[3], batches(1)[3], strict=True):
        assert torch.equal(ours, again)
    assert not torch.equal(batches(1)[3][0], batches(1)[4][0])
    assert not torch.equal(batches(1)[3][0], batches(2)[3][0])


def test_a_batch_holds_several_moments_of_one_clip_and_photos() -> None:
    batches = PairBatches(made_clips(), made_photos(), RECIPE.pairs, size=32, seed=1, batches=1)
    first, second, groups = batches[0]
    assert first.shape == second.shape == (8, 32, 32, 3)
    assert first.dtype == torch.uint8
    assert groups.shape == (8,)


def test_a_still_shot_is_no_negative_of_itself() -> None:
    still = [Source(f"still{n}", [picture(n)] * 8) for n in range(4)]
    config = replace(RECIPE.pairs, clip_share=1.0)
    _, _, groups = PairBatches(still, [], config, size=32, seed=1, batches=1)[0]
    assert len(set(groups.tolist())) == 4


@pytest.mark.parametrize(
    ("name", "trunk", "size"),
    [
        ("encoder-lite0", "lite0", 128),
        ("encoder-lite0-shallow", "lite0", 144),
        ("encoder-lite1", "lite1", 104),
        ("encoder-lite2", "lite2", 96),
    ],
)
def test_the_compared_encoders_have_recipes(name: str, trunk: str, size: int) -> None:
    network = read_recipe(Path(f"configs/training/{name}.toml")).network
    assert (network.trunk, network.input_size, network.dimension) == (trunk, size, 128)


def test_the_recipe_file_is_read_and_unknown_keys_are_refused(tmp_path: Path) -> None:
    assert read_recipe(Path("configs/training/encoder.toml")).network.input_size == 128
    path = tmp_path / "recipe.toml"
    path.write_text("stepps = 3\n")
    with pytest.raises(RecipeError, match="stepps"):
        read_recipe(path)


def test_a_recipe_that_freezes_the_detail_map_away_is_refused() -> None:
    with pytest.raises(ValueError, match="frozen_stages"):
        replace(RECIPE, frozen_stages=3)


def test_about_one_clip_in_ten_is_held_out() -> None:
    held = sum(is_held_out(f"clip {n}") for n in range(2000))
    assert 150 < held < 260


def marked_task(wrong: int) -> RetrievalTask:
    """Frame values are their identity; so many queries look like another clip."""
    library = np.arange(10, dtype=np.uint8)
    queries = library.copy()
    queries[:wrong] = (queries[:wrong] + 1) % 10
    place = np.zeros(10, np.int64)

    def frames(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.broadcast_to(values[:, None, None, None], (10, 1, 1, 3)).copy()

    clips = np.arange(10)
    return RetrievalTask(frames(library), frames(queries), clips, place, clips, place)


def by_value(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.eye(10, dtype=np.float32)[frames[:, 0, 0, 0]]


@pytest.mark.parametrize("wrong", [0, 3, 10])
def test_retrieval_counts_the_queries_that_find_their_clip(wrong: int) -> None:
    found = retrieval(marked_task(wrong), by_value)
    assert found.recall_at_1 == pytest.approx(1 - wrong / 10)
    assert found.recall_at_p90 == (1.0 if wrong == 0 else 0.0)


def test_the_task_knows_where_its_frames_come_from() -> None:
    task = make_task(made_clips(3), made_photos(4), size=32)
    assert task.library.shape == (3 * 4 + 4, 32, 32, 3)
    assert (task.library_clip == -1).sum() == 4
    assert len(task.queries) == len(task.query_clip) == 9
