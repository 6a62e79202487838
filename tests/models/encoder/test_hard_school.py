"""The harder school: packs, pages, batches, masked losses, and a run that goes on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from models.encoder.folded import fold_norms, unfolded_state
from models.encoder.hard_pairs import HardPairConfig, HardPairs, Looks
from models.encoder.network import EncoderConfig, FrameNetwork
from models.encoder.recipe import HardRecipe, read_hard_recipe
from models.encoder.school import school
from models.encoder.train_hard import HardTrainer, alike_looks
from models.encoder.validate_hard import hard_task
from models.errors import ModelFileError
from models.losses.info_nce import info_nce
from models.losses.masked_entropy import masked_entropy
from models.losses.masked_nce import masked_nce
from models.training.edits.batch_edits import EDITS
from models.training.edits.drawn_pages import KINDS, drawn_page, page_families
from models.training.edits.overlay_bank import overlay_bank
from models.training.picture_pack import PicturePack, alike, packed, shot_bounds
from models.training.source import Source

SIDE = 32
RECIPE = HardRecipe(
    steps=6,
    warm_up=2,
    validate_every=3,
    sizes=(32, 24),
    side=SIDE,
    overlays=2,
    network=EncoderConfig(input_size=32, dimension=8, stages=3, local_stage=1),
    pairs=HardPairConfig(pairs=16, frames_per_clip=2, pages_per_family=2),
)


def picture(seed: int) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((40, 32), Image.Resampling.BICUBIC))


def made_pack(clips: int = 8, photos: int = 12, families: int = 1, first: int = 0) -> PicturePack:
    return packed(
        [
            Source(f"clip{n}", [picture(first + 100 * n + i) for i in range(6)])
            for n in range(clips)
        ],
        [Source(f"photo{n}", [picture(first + 10_000 + n)]) for n in range(photos)],
        page_families(range(families), 3, SIDE),
        side=SIDE,
        scenes=[{"clip0", "clip1"}],
    )


@pytest.fixture(scope="module")
def pack() -> PicturePack:
    return made_pack()


@pytest.fixture(scope="module")
def overlays() -> dict[str, Tensor]:
    return overlay_bank(SIDE, each=2)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run begins with random weights: ImageNet's are of another shape."""
    monkeypatch.setattr("models.encoder.warm_start.load_imagenet_trunk", lambda network: None)


@pytest.mark.parametrize("kind", list(KINDS))
def test_pages_of_a_family_share_their_template_and_not_their_words(kind: str) -> None:
    one, same, other, stranger = (
        drawn_page(kind, family, number).astype(np.int16)
        for family, number in ((1, 1), (1, 1), (1, 2), (2, 1))
    )
    assert np.array_equal(one, same)
    assert (one != other).any(axis=2).mean() > 0.01
    corner = one[-1, -1], other[-1, -1], stranger[-1, -1]
    assert np.array_equal(corner[0], corner[1])
    assert np.abs(one - other).mean() < np.abs(one - stranger).mean()


def test_a_pack_knows_clips_photos_and_pages(pack: PicturePack) -> None:
    assert [len(at) for at in pack.members(pages=False)] == [6] * 8
    assert [len(at) for at in pack.members(pages=True)] == [3] * len(KINDS)
    assert len(pack.photos()) == 12
    assert pack.pictures.shape == (48 + 12 + 3 * len(KINDS), 3, SIDE, SIDE)


def test_a_pack_of_different_lengths_is_refused(pack: PicturePack) -> None:
    with pytest.raises(ValueError, match="group is"):
        PicturePack(pack.pictures[:-1], pack.group, pack.scene, pack.is_page)


def test_a_scene_in_two_clips_is_alike_and_pages_never_are(pack: PicturePack) -> None:
    near = alike(pack)
    assert bool(near.diagonal().all())
    assert bool(near[:6, 6:12].all())
    assert not bool(near[0, 12:].any())
    pages = torch.from_numpy(np.flatnonzero(pack.is_page))
    assert torch.equal(near[pages][:, pages], torch.eye(len(pages), dtype=torch.bool))


def test_a_still_shot_is_alike() -> None:
    still = packed([Source("still", [picture(1)] * 3)], [], [], side=SIDE)
    assert bool(alike(still).all())


def test_neighbours_stay_in_their_shot() -> None:
    shots = [picture(1)] * 3 + [picture(2)] * 4
    bounds = shot_bounds(packed([Source("cut", shots)], [], [], side=SIDE), most=2)
    assert bounds.tolist() == [[0, 2], [0, 2], [0, 2], [3, 5], [3, 6], [3, 6], [4, 6]]


def test_a_batch_is_a_function_of_the_seed_and_its_number(
    pack: PicturePack, overlays: dict[str, Tensor]
) -> None:
    def looks(seed: int, number: int) -> Looks:
        return HardPairs(pack, overlays, RECIPE.pairs, seed).batch(number, 24)

    first, again = looks(1, 3), looks(1, 3)
    assert torch.equal(first.frames, again.frames)
    assert first.frames.shape == (32, 24, 24, 3)
    assert not torch.equal(first.frames, looks(1, 4).frames)
    assert not torch.equal(first.frames, looks(2, 3).frames)


def test_a_batch_has_all_kinds_and_only_first_looks_are_plain(
    pack: PicturePack, overlays: dict[str, Tensor]
) -> None:
    config = replace(RECIPE.pairs, plain_share=1.0, neighbour_share=0.0, page_share=0.25)
    pairs = HardPairs(pack, overlays, config, 1)
    looks = pairs.batch(0, SIDE)
    first, second = looks.picture.chunk(2)
    assert torch.equal(first, second)
    assert len(set(first.tolist())) == 16
    assert int(pack.is_page[first.numpy()].sum()) == 4
    assert looks.plain.tolist() == [True] * 16 + [False] * 16
    assert torch.equal(looks.other[:16], looks.picture[:16])


def test_what_is_mixed_in_is_no_negative() -> None:
    near = torch.eye(6, dtype=torch.bool)
    looks = Looks(
        torch.zeros(4, 8, 8, 3, dtype=torch.uint8),
        picture=torch.tensor([0, 1, 0, 2]),
        other=torch.tensor([0, 1, 5, 0]),
        plain=torch.tensor([True, True, False, False]),
    )
    assert alike_looks(looks, near).int().tolist() == [
        [1, 0, 1, 1], [0, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1],
    ]  # fmt: skip


def test_what_is_hard_to_tell_apart_is_mined_into_the_batch(
    pack: PicturePack, overlays: dict[str, Tensor]
) -> None:
    config = replace(RECIPE.pairs, clip_share=0.0, page_share=0.0, hard_share=0.5)
    pairs = HardPairs(pack, overlays, config, 1)
    bank = functional.normalize(torch.randn(len(pack), 4), dim=1)
    pairs.mine(bank)
    assert pairs.nearest is not None
    wanted = (bank @ bank.T).masked_fill(pairs.alike, -2.0).topk(8, dim=1).indices
    assert np.array_equal(pairs.nearest, wanted.numpy())
    first = pairs.batch(0, 24).picture[:16].numpy()
    assert len(set(first.tolist())) == 16
    hard = np.setdiff1d(first, pack.photos())  # photos alone are drawn by chance
    assert len(hard) > 0
    assert set(hard) <= set(pairs.nearest[first].ravel())


def unit(rows: int, seed: int) -> Tensor:
    drawn = torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(drawn, dim=1)


def test_the_masked_loss_is_the_mean_of_every_rows_own() -> None:
    rows, wanted = unit(8, 1), 0.0
    alike_rows = torch.from_numpy(np.random.default_rng(3).random((8, 8)) < 0.2)
    for i in range(8):
        partner = (i + 4) % 8
        allowed = [j for j in range(8) if j != i and (j == partner or not alike_rows[i, j])]
        terms = [float(rows[i] @ rows[j]) / 0.1 for j in allowed]
        wanted += np.log(np.exp(terms).sum()) - float(rows[i] @ rows[partner]) / 0.1
    assert float(masked_nce(rows, 0.1, alike_rows)) == pytest.approx(wanted / 8, rel=1e-5)


def test_the_masked_loss_of_groups_is_info_nce() -> None:
    rows, groups = unit(8, 1), torch.tensor([0, 1, 1, 2])
    both = groups.repeat(2)
    found = masked_nce(rows, 0.1, both[:, None] == both)
    assert float(found) == pytest.approx(float(info_nce(rows[:4], rows[4:], 0.1, groups)))


def test_the_masked_loss_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="rows.shape"):
        masked_nce(unit(4, 1), 0.1, torch.zeros(4, 6, dtype=torch.bool))


def test_the_entropy_looks_for_the_nearest_that_is_not_alike() -> None:
    rows = unit(6, 1)
    near = torch.eye(6, dtype=torch.bool)
    near[0, int((rows[0] @ rows[1:].T).argmax()) + 1] = True
    wanted = [
        min(float((row - other).norm()) for j, other in enumerate(rows) if not near[i, j])
        for i, row in enumerate(rows)
    ]
    assert float(masked_entropy(rows, near)) == pytest.approx(-np.log(wanted).mean(), rel=1e-5)


def test_folded_norms_say_the_same_and_unfold() -> None:
    torch.manual_seed(1)
    network = FrameNetwork(RECIPE.network)
    for part in network.modules():  # norms that do something
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 2.0)
            torch.nn.init.normal_(part.bias)
            part.running_mean = torch.randn_like(part.weight)
            part.running_var = torch.rand_like(part.weight) + 0.5
    frames = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    with torch.inference_mode():
        wanted = network.eval()(frames)
    fold_norms(network)
    again = FrameNetwork(RECIPE.network)
    again.load_state_dict(unfolded_state(network))
    with torch.inference_mode():
        assert torch.allclose(network(frames), wanted, atol=1e-5)
        assert torch.allclose(again.eval()(frames), wanted, atol=1e-5)


def trained(folder: Path, pack: PicturePack, steps: int) -> HardTrainer:
    trainer = HardTrainer(RECIPE, folder)
    held = made_pack(clips=2, photos=4, first=50_000)
    pairs, tasks = school(RECIPE, pack, held, "cpu")
    trainer.fill_bank(pairs)
    for number in range(steps):
        trainer.update(pairs.batch(number, 32), pairs.alike)
    trainer.save()
    again = HardTrainer(replace(RECIPE, seed=9), folder)
    again.recipe = RECIPE
    again.resume()
    assert again.step == steps
    again.run(pairs, tasks)
    return again


def test_a_run_learns_measures_and_goes_on_after_a_stop(
    start: None, pack: PicturePack, tmp_path: Path
) -> None:
    whole, parts = (trained(tmp_path / str(steps), pack, steps) for steps in (0, 4))
    assert whole.step == parts.step == 6
    curve = json.loads((tmp_path / "0" / "curve.json").read_text())
    assert [row["step"] for row in curve if "pages recall_at_1" in row] == [3, 6]
    before = HardTrainer(RECIPE, tmp_path / "before").network.state_dict()
    after = whole.network.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in ("stem.weight", "head.bias"))


def test_a_run_is_over_when_its_minutes_are(start: None, pack: PicturePack, tmp_path: Path) -> None:
    trainer = HardTrainer(RECIPE, tmp_path)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    pairs, _ = school(RECIPE, pack, made_pack(clips=2, photos=4), "cpu")
    trainer.run(pairs, {}, minutes=0.0)
    assert (trainer.step, [row["step"] for row in trainer.curve]) == (1, [1])
    assert (tmp_path / "checkpoint.pt").exists()
    after = trainer.network.state_dict()  # the step past the end has a rate of nothing
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_run_of_another_shape_is_not_gone_on_from(start: None, tmp_path: Path) -> None:
    HardTrainer(RECIPE, tmp_path).save()
    other = replace(RECIPE, network=replace(RECIPE.network, dimension=16))
    with pytest.raises(ModelFileError, match="of another FrameNetwork"):
        HardTrainer(other, tmp_path).resume()


def test_the_recipe_file_is_read() -> None:
    recipe = read_hard_recipe(Path("configs/training/encoder-hard.toml"))
    assert recipe.network.input_size == 160
    assert recipe.network.input_size in recipe.sizes


def test_exams_of_other_edits_share_their_library(
    pack: PicturePack, overlays: dict[str, Tensor]
) -> None:
    whole = hard_task(pack, overlays, size=24)
    mirrored = hard_task(pack, overlays, size=24, edits={"flip": EDITS["flip"]}, like=whole)
    assert mirrored.library is whole.library
    assert np.array_equal(mirrored.query_index, whole.query_index)
    assert not np.array_equal(mirrored.queries, whole.queries)
    assert len(whole.library) == 8 * 3 + 12


def test_shares_beyond_the_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="are more than 1"):
        HardPairConfig(clip_share=0.6, page_share=0.5)
