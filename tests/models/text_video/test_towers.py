"""The dual encoder: tokenizer, towers, trunk and exported files keep what they promise."""

import shutil
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.errors import ModelError, ModelFileError
from models.metrics.recall import retrieval, retrieval_of
from models.text_video.blocks import leaning
from models.text_video.caption_tower import TextTower
from models.text_video.captions import Photo
from models.text_video.export import Exported, check_like, export_pair, made_clip
from models.text_video.network import TextVideoNetwork
from models.text_video.pairs import learn_tokenizer
from models.text_video.score_biases import NUMBERS
from models.text_video.serve import PairFiles, open_pair
from models.text_video.shape import TextVideoConfig
from models.text_video.tokenizer import CLS, MASK, PAD, SPECIAL, UNKNOWN, CaptionTokenizer
from models.text_video.trunk import RegionTrunk, TrunkConfig, TrunkSource, load_trunk
from models.text_video.video_tower import VideoTower
from tests.models.text_video.exported_numbers import name_of_weights, numbers

ENGLISH = ["Two dogs run on the grass .", "A man runs with two dogs", "The dogs, on grass!"] * 3
CHINESE = ["两只狗在草地上奔跑。", "一个男人和两只狗奔跑", "草地上的狗"] * 3
SMALL = TextVideoConfig(
    dimension=16, width=8, heads=2, entries=50, trunk=TrunkConfig(input_size=64)
)
CHANNELS = 12


@pytest.fixture(scope="module")
def tokenizer() -> CaptionTokenizer:
    return learn_tokenizer([Photo("p", {"en": ENGLISH, "zh": CHINESE}, 1)], 200)


@pytest.fixture
def network() -> TextVideoNetwork:
    torch.manual_seed(0)
    return TextVideoNetwork(SMALL, CHANNELS).eval()


def test_special_ids_stand_in_their_places(tokenizer: CaptionTokenizer) -> None:
    assert [tokenizer.text_of(number) for number in (PAD, UNKNOWN, MASK, CLS)] == list(SPECIAL)


def test_ids_begin_with_cls_and_end_with_padding(tokenizer: CaptionTokenizer) -> None:
    ids = tokenizer.ids(["two dogs run", "", "两只狗"])
    assert ids.dtype == np.int64
    assert (ids[:, 0] == CLS).all()
    assert (ids[1, 1:] == PAD).all()
    assert (ids[0] != PAD).all()


def test_case_and_width_of_characters_say_nothing(tokenizer: CaptionTokenizer) -> None:
    ids = tokenizer.ids(["two dogs", "TWO DOGS", "ｔｗｏ　dogs"])  # noqa: RUF001
    assert (ids == ids[0]).all()


def test_what_was_never_seen_is_unknown(tokenizer: CaptionTokenizer) -> None:
    assert tokenizer.ids(["猫"])[0].tolist() == [CLS, UNKNOWN]


def test_no_token_spans_two_chinese_words(tokenizer: CaptionTokenizer) -> None:
    tokens = tokenizer.encodings(["两只狗在草地上奔跑"])[0].tokens
    assert {"奔跑"} <= set(tokens)
    assert max(len(token) for token in tokens if token not in SPECIAL) <= 2


def test_offsets_are_places_in_the_text(tokenizer: CaptionTokenizer) -> None:
    text = "Two dogs, 两只狗"
    encoding = tokenizer.encodings([text])[0]
    found = "".join(text[start:end] for start, end in encoding.offsets)
    assert found == text.replace(" ", "")


def test_long_texts_are_cut(tokenizer: CaptionTokenizer) -> None:
    assert tokenizer.ids(["dogs " * 2000], max_tokens=9).shape == (1, 9)


def test_the_same_captions_give_the_same_tokenizer(tokenizer: CaptionTokenizer) -> None:
    again = learn_tokenizer([Photo("p", {"en": ENGLISH, "zh": CHINESE}, 1)], 200)
    assert again.sha256 == tokenizer.sha256


def test_a_saved_tokenizer_comes_back(tokenizer: CaptionTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    again = CaptionTokenizer.load(tmp_path / "tokenizer.json")
    assert again.sha256 == tokenizer.sha256
    assert (again.ids(CHINESE) == tokenizer.ids(CHINESE)).all()


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no tokenizer at"):
        CaptionTokenizer.load(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelFileError, match="is no tokenizer"):
        CaptionTokenizer.load(tmp_path / "tokenizer.json")


def test_both_towers_give_unit_vectors_and_tokens(network: TextVideoNetwork) -> None:
    present = torch.tensor([[True, True, True], [True, False, False]])
    video = network.video(torch.randn(4, 4, CHANNELS), present)
    text = network.text(torch.tensor([[CLS, 7, 8, MASK], [CLS, 9, PAD, PAD]]))
    assert video.tokens.shape == (2, 3 + 3 * 4, 16)
    assert text.present.tolist() == [[False, True, True, True], [False, True, False, False]]
    for side in (video, text):
        assert torch.allclose(side.vectors.norm(dim=-1), torch.ones(2))
        norms = side.tokens[side.present].norm(dim=-1)
        assert torch.allclose(norms, torch.ones_like(norms))


def test_padding_changes_nothing(network: TextVideoNetwork) -> None:
    regions = torch.randn(2, 4, CHANNELS)
    alone = network.video(regions, torch.ones(1, 2, dtype=torch.bool)).vectors
    padded = network.video(regions, torch.tensor([[True, True, False, False]])).vectors
    assert torch.allclose(alone, padded, atol=1e-6)
    ids = torch.tensor([[CLS, 7, 8]])
    long = torch.nn.functional.pad(ids, (0, 5))
    assert torch.allclose(network.text(ids).vectors, network.text(long).vectors, atol=1e-6)


def test_serving_sees_a_clip_as_training_does(network: TextVideoNetwork) -> None:
    regions = torch.randn(3, 4, CHANNELS)
    side = network.video(regions, torch.ones(1, 3, dtype=torch.bool))
    assert torch.allclose(network.video.vectors(regions)[0], side.vectors, atol=1e-6)


def test_the_order_of_frames_matters(network: TextVideoNetwork) -> None:
    regions = torch.randn(3, 4, CHANNELS)
    assert not torch.allclose(
        network.video.vectors(regions)[0], network.video.vectors(regions.flip(0))[0], atol=1e-4
    )


def test_places_lean_from_the_first_to_the_last() -> None:
    present = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]).bool()
    wanted = [[-1, 1, 0, 0], [0, 0, 0, 0], [-1.5, -0.5, 0.5, 1.5], [0, 0, 0, 0]]
    assert leaning(present).tolist() == wanted
    apart = torch.tensor([[False, True, False, True]])  # a caption's words, with what is none
    assert leaning(apart).tolist() == [[0, -1, 0, 1]]


def test_order_is_told_before_any_training() -> None:
    """Words that mean what their frames show: the sentence in order is nearer to its clip."""
    torch.manual_seed(0)
    free = replace(SMALL, dimension=16, width=8, entries=50)
    network = TextVideoNetwork(free, CHANNELS).eval()
    assert isinstance(network.video, VideoTower) and isinstance(network.text, TextTower)
    with torch.no_grad():
        for head in (network.video.head, network.text.head):
            head.weight.zero_()
        network.video.picture_in.weight.copy_(torch.eye(8, CHANNELS))
        network.text.embedding.weight[10:18] = torch.eye(8)
        regions = torch.eye(8, CHANNELS)[:2, None].expand(2, 4, CHANNELS)  # two plain frames
        clip = network.video.vectors(regions)[0][0]
        ids = torch.tensor([[CLS, 10, 11], [CLS, 11, 10]])
        forth, back = network.text(ids).vectors @ clip
    assert forth > back + 0.5


def test_captions_by_length_are_what_they_are_together() -> None:
    torch.manual_seed(0)
    still = TextVideoConfig(dimension=16, width=8, heads=2, entries=50, dropout=0.0)
    tower = TextVideoNetwork(still, CHANNELS).text
    ids = torch.randint(4, 50, (24, 12))
    ids[:, 0] = CLS
    ids[torch.arange(12) > torch.randint(0, 12, (24, 1))] = PAD
    grouped = tower.train()(ids)
    together = tower.eval()(ids)
    assert torch.allclose(grouped.vectors, together.vectors, atol=1e-5)
    assert torch.allclose(
        grouped.tokens[grouped.present], together.tokens[together.present], atol=1e-5
    )


def test_a_caption_without_words_has_one_token(network: TextVideoNetwork) -> None:
    side = network.text(torch.tensor([[CLS, PAD], [CLS, 5]]))
    assert side.present.tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("source", ["imagenet", "imagenet-head", "copies"])
def test_every_trunk_gives_regions_and_never_learns(source: TrunkSource) -> None:
    trunk = load_trunk(TrunkConfig(source=source, input_size=64)).train()
    frames = torch.from_numpy(made_clip(2, 64))
    regions = trunk(frames)
    assert regions.shape == (2, 4, trunk.channels)
    assert torch.isfinite(regions).all()
    assert not any(module.training for module in trunk.modules())
    assert not regions.requires_grad
    assert trunk.name == load_trunk(trunk.config).name


def test_two_trunks_have_two_names() -> None:
    one, other = (load_trunk(TrunkConfig(s, input_size=64)) for s in ("imagenet", "copies"))
    assert one.name != other.name


def test_an_input_that_leaves_part_of_a_region_over_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        TrunkConfig(input_size=100)


def without_stages(trunk: RegionTrunk) -> RegionTrunk:
    """A trunk of its first layer alone, which is traced in a third of the time."""
    trunk.stages = torch.nn.ModuleList()
    trunk.mix = torch.nn.Sequential(torch.nn.AvgPool2d(16))
    trunk.channels = trunk.stem.out_channels
    return trunk


@dataclass(frozen=True)
class Written:
    """A pair of towers, and what its export gave."""

    network: TextVideoNetwork
    trunk: RegionTrunk
    folder: Path
    exported: Exported


def written(
    network: TextVideoNetwork, trunk: RegionTrunk, out: Path, words: CaptionTokenizer
) -> Written:
    """A pair in a folder."""
    clips = [made_clip(length, 64) for length in (1, 2, 8)]
    texts = ["two dogs", "草地上的狗在奔跑。", "dogs " * 50]
    return Written(
        network, trunk, out, export_pair(network, trunk, words, out, clips=clips, texts=texts)
    )


@pytest.fixture(scope="module")
def first(tokenizer: CaptionTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A pair with a trunk of one layer; the export of a run, in `test_train`, has a whole one."""
    torch.manual_seed(0)
    trunk = without_stages(load_trunk(TrunkConfig("imagenet", input_size=64)))
    config = replace(SMALL, text_layers=1, entries=len(tokenizer), trunk=trunk.config)
    network = TextVideoNetwork(config, trunk.channels).eval()
    return written(network, trunk, tmp_path_factory.mktemp("first"), tokenizer)


def test_exported_files_say_what_torch_says_and_name_their_weights(
    first: Written, tokenizer: CaptionTokenizer
) -> None:
    assert first.exported.text_cosine > 0.9999
    assert first.exported.video_cosine > 0.99
    pair = open_pair(first.folder)
    assert pair.model_version == first.exported.model_version
    assert first.exported.model_version == name_of_weights(first.folder, tokenizer)
    clip = made_clip(20, 64)
    vector, frames = pair.video.embed_frames(clip)
    np.testing.assert_array_equal(vector, pair.video.embed(clip))
    alone = np.stack([pair.video.embed(frame[None]) for frame in clip])
    assert (frames * alone).sum(axis=1).min() > 0.9999, "a frame by itself is a video of one frame"


def test_the_version_of_an_earlier_export_is_kept(
    first: Written, tokenizer: CaptionTokenizer, tmp_path: Path
) -> None:
    renamed = Path(shutil.copytree(first.folder, tmp_path / "renamed"))
    for path in (PairFiles.of(renamed).video, PairFiles.of(renamed).text):
        model = onnx.load(path)
        told = {each.key: each.value for each in model.metadata_props}
        onnx.helper.set_model_props(model, told | {"model_version": "of-before"})
        onnx.save(model, path)
    again = PairFiles.of(tmp_path / "again")
    again.video.parent.mkdir()
    for path in (again.video_int8, again.weights):  # of what was exported there before
        path.write_bytes(b"other weights")
    made = export_pair(
        first.network, first.trunk, tokenizer, again.video.parent,
        clips=[made_clip(2, 64)], texts=["dogs"], like=renamed,
    )  # fmt: skip
    assert made.model_version == open_pair(again).model_version == "of-before"
    assert not again.video_int8.exists() and not again.weights.exists()


def test_the_same_weights_have_the_same_numbers_and_others_another_name(
    first: Written, tokenizer: CaptionTokenizer, tmp_path: Path
) -> None:
    """The name is a function of the numbers: seen above, and again here."""
    network = deepcopy(first.network)
    assert isinstance(network.video, VideoTower)
    with torch.no_grad():
        network.video.head.weight.mul_(-1)
    other = written(network, first.trunk, tmp_path, tokenizer)
    ours, theirs = PairFiles.of(first.folder), PairFiles.of(tmp_path)
    assert numbers(theirs.text) == numbers(ours.text)
    assert numbers(theirs.video) != numbers(ours.video)
    assert other.exported.model_version == name_of_weights(tmp_path, tokenizer)
    assert other.exported.model_version != first.exported.model_version
    with pytest.raises(ModelError, match="says something else"):
        check_like(open_pair(tmp_path), open_pair(first.folder), [made_clip(2, 64)], ["dogs"])


def test_the_version_of_a_pair_with_other_numbers_isnt_kept(first: Written) -> None:
    earlier = open_pair(first.folder)
    earlier.video.dimension += NUMBERS
    with pytest.raises(ModelError, match="score biases are in both or in neither"):
        check_like(open_pair(first.folder), earlier, [made_clip(2, 64)], ["dogs"])


def test_recall_is_that_of_a_slow_count() -> None:
    random = np.random.default_rng(0)
    owners = np.repeat(np.arange(20), 3)
    similarities = random.random((60, 20)).astype(np.float32)
    found = retrieval_of(similarities, owners)
    ranks = [sorted(row, reverse=True).index(row[own]) for row, own in zip(similarities, owners)]  # noqa: B905
    back = [
        min(sorted(c, reverse=True).index(c[row]) for row in range(60) if owners[row] == at)
        for at, c in enumerate(similarities.T)
    ]
    for recall, wanted in ((found.text_to_video, ranks), (found.video_to_text, back)):
        assert recall.r1 == pytest.approx(100 * np.mean([rank < 1 for rank in wanted]))
        assert recall.r10 == pytest.approx(100 * np.mean([rank < 10 for rank in wanted]))
        assert recall.median_rank == np.median(wanted) + 1


def test_perfect_vectors_find_everything_and_equal_ones_nothing() -> None:
    owners = np.repeat(np.arange(30), 2)
    perfect = np.eye(30, dtype=np.float32)
    assert retrieval(perfect, perfect[owners], owners).r_sum == 600
    assert retrieval(perfect * 0 + 1, perfect[owners] * 0 + 1, owners).r_sum == 0


def test_a_video_without_captions_is_refused() -> None:
    vectors = np.eye(3, dtype=np.float32)
    with pytest.raises(ValueError, match="3 videos"):
        retrieval(vectors, vectors[:2], np.array([0, 1]))
