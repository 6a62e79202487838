"""What each training method of the text–video encoder gains: equal steps, several seeds, one table.

    python -m benchmarks.text_video DATA [--steps N] [--seeds 1 --seeds 2] [--only NAME …]

One run at a time. A finished run leaves `result.json` in its folder and isn't run again; one that
was stopped goes on from its checkpoint. Checkpoints of finished runs are deleted.
"""

import shutil
import time
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.copies.tables import machine
from benchmarks.text.rows import (
    BASELINE,
    FIRST,
    PRETRAINING_SHARE,
    ROWS,
    Finished,
    Row,
    main_table,
    noisy_recipe,
    stages,
    summary,
    volume_table,
)
from models.text_video.captions import Photo, read_captions
from models.text_video.features import TRAINING_VIEWS, TrunkSession
from models.text_video.methods.weak_pairs import WeakPairs, kept_pairs
from models.text_video.recipe import TextRecipe, read_text_recipe
from models.text_video.run import (
    FEATURES,
    load_split,
    recipe_pairs,
    run_tokenizer,
    train_text_video,
)
from models.text_video.tokenizer import CaptionTokenizer
from models.text_video.train import TextTrainer, trained_network
from models.text_video.trunk import TrunkConfig, load_trunk
from models.text_video.validate import pair_similarities

# Of each run, unless `--steps` says more: enough to see that all rows train. Set by hand.
STEPS = 150
SEEDS = (1, 2, 3)  # three, so that a difference can be held against the spread between runs
SCORES, RESULT, PLAN = "similarities.npy", "result.json", "plan.json"
TURNS, BATCH = 8, 32
TABLE_LETTERS = 220  # a line of the table; terminals wrap it, files keep it whole

Mask = NDArray[np.bool_]


class OtherPlanError(Exception):
    """A folder holds a run of another recipe."""


@dataclass(frozen=True)
class Bench:
    """What all runs share.

    Attributes:
        base: the recipe that rows change.
        data: photos and captions.
        folder: a folder for each run, and the tokenizer of all.
        features: what the trunks see is kept here.
        threads: of torch and of the trunks.
    """

    base: TextRecipe
    steps: int
    data: Path
    folder: Path
    features: Path
    threads: int = 1

    def run(self, name: str, seed: int) -> Finished:
        """Train a row, or read what an earlier time left of it.

        Raises:
            OtherPlanError: the folder's run is of another recipe.
        """
        row, folder = ROWS[name], self._folder(name, seed)
        recipes = stages(row, self.base, self.steps, seed)
        self._same_plan(folder, row, recipes)
        result = folder / RESULT
        if not result.is_file():
            keep, mismatched = self._kept(row, seed)
            trainer, seconds = self._train(folder, row, recipes, keep)
            done = Finished(name, seed, figures_of(trainer), seconds, mismatched)
            if name == FIRST:
                self._score(folder, seed)
            _write(result, asdict(done))
        _clean(folder)
        return Finished(**orjson.loads(result.read_bytes()))

    def _folder(self, name: str, seed: int) -> Path:
        return self.folder / f"{name}-{seed}"

    def _same_plan(self, folder: Path, row: Row, recipes: list[TextRecipe]) -> None:
        """Remember what a folder's run is of."""
        plan = {"row": asdict(row), "recipes": [asdict(recipe) for recipe in recipes]}
        path, wanted = folder / PLAN, orjson.loads(orjson.dumps(plan))
        if path.is_file() and orjson.loads(path.read_bytes()) != wanted:
            raise OtherPlanError(f"{folder} is of another recipe: delete it, or name other --runs")
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, wanted)

    def _train(
        self, folder: Path, row: Row, recipes: list[TextRecipe], keep: Mask | None
    ) -> tuple[TextTrainer, float]:
        """All stages; the first of two, or the only one of a noisy row, sees noisy pairs.

        Returns:
            The trainer in its last state, and the seconds that it took since it began here.
        """
        self._tokenizer()
        start: Path | None = None
        began = time.perf_counter()
        for number, recipe in enumerate(recipes, 1):
            last = number == len(recipes)
            out = folder if last else folder / "first"
            if start is None:
                self._tokenizer().save(out / "tokenizer.json")
            trainer = train_text_video(
                recipe,
                self.data,
                out,
                features_dir=self.features,
                start=start,
                keep=keep if row.noisy is not None or not last else None,
                resume=(out / "checkpoint.pt").is_file(),
                threads=self.threads,
            )
            start = out
        return trainer, time.perf_counter() - began

    def _kept(self, row: Row, seed: int) -> tuple[Mask | None, float | None]:
        """Which noisy pairs a row sees, (M,) bool, and the share of mismatched ones among them."""
        if row.volume is None:
            return None, None
        _, wrong = recipe_pairs(noisy_recipe(self.base, self.steps, seed), self._photos())
        if row.volume == 1:
            return None, float(wrong.mean())
        self.run(FIRST, seed)
        scores = np.load(self._folder(FIRST, seed) / SCORES)
        keep = kept_pairs(scores, WeakPairs(row.volume))
        return keep, float(wrong[keep].mean())

    def _photos(self) -> list[Photo]:
        """Training photos as `train_text_video` has them."""
        trunk = load_trunk(self.base.network.trunk)
        split = load_split(
            self.data, "train", trunk, self.features, views=TRAINING_VIEWS, threads=self.threads
        )
        return split.photos

    def _score(self, folder: Path, seed: int) -> None:
        """How alike the first model finds each noisy pair, for the filter."""
        recipe = noisy_recipe(self.base, self.steps, seed)
        trunk = load_trunk(recipe.network.trunk)
        split = load_split(
            self.data, "train", trunk, self.features, views=TRAINING_VIEWS, threads=self.threads
        )
        pairs, _ = recipe_pairs(recipe, split.photos)
        ids = self._tokenizer().ids(pairs.texts, recipe.network.max_tokens)
        network = trained_network(folder)
        scores = pair_similarities(network, split.features, ids, pairs.photos, "cpu")
        np.save(folder / SCORES, scores)

    def _tokenizer(self) -> CaptionTokenizer:
        """The same for all runs."""
        captions = self.data / "captions" / "flickr8k-train.jsonl"
        photos = [] if (self.folder / "tokenizer.json").is_file() else read_captions(captions)
        return run_tokenizer(self.folder, self.base, photos)


def figures_of(trainer: TextTrainer) -> dict[str, float]:
    """The last validation, by language and direction.

    Raises:
        ValueError: the run wasn't validated.
    """
    checks = [entry for entry in trainer.curve if "en r_sum" in entry]
    if not checks:
        raise ValueError(f"{trainer.folder} has no validation in its curve")
    return {key: value for key, value in checks[-1].items() if key not in ("step", "temperature")}


def trunk_milliseconds(config: TrunkConfig) -> float:
    """What a trunk costs a frame on one thread, the best of some turns."""
    session = TrunkSession(load_trunk(config))
    size = config.input_size
    frames = np.random.default_rng(0).integers(0, 256, (BATCH, size, size, 3), np.uint8)
    spent = []
    for _ in range(TURNS):
        before = time.perf_counter()
        session(frames)
        spent.append(1000 * (time.perf_counter() - before) / BATCH)
    return min(spent)


def chosen_rows(only: list[str] | None) -> list[str]:
    """Names of the rows that some patterns name, the baseline first; all without.

    Raises:
        BadParameter: a pattern names none.
    """
    for pattern in only or []:
        if not any(fnmatch(name, pattern) for name in ROWS):
            raise typer.BadParameter(f"--only {pattern}: expected some of {', '.join(ROWS)}")
    return [
        name
        for name in ROWS
        if not only or name == BASELINE or any(fnmatch(name, pattern) for pattern in only)
    ]


def _report(bench: Bench, runs: list[Finished]) -> dict[str, Any]:
    return {
        "machine": machine() | {"torch": torch.__version__, "threads": bench.threads},
        "steps": bench.steps,
        "pretraining_share": PRETRAINING_SHARE,
        "rows": summary(runs),
        "runs": [asdict(run) for run in runs],
    }


def _trunk_costs(bench: Bench, names: list[str]) -> dict[str, float]:
    """Milliseconds a frame of each trunk that was trained on."""
    if not any(ROWS[name].trunk for name in names):
        return {}
    trunks = [stages(ROWS[name], bench.base, 2, 1)[-1].network.trunk for name in names]
    return {
        f"{trunk.source}, {trunk.input_size} px": trunk_milliseconds(trunk)
        for trunk in dict.fromkeys(trunks)
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    aside = path.with_suffix(".part")
    aside.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    aside.rename(path)


def _clean(folder: Path) -> None:
    """Leave figures and curve of a finished run."""
    shutil.rmtree(folder / "first", ignore_errors=True)
    for path in folder.glob("checkpoint.pt*"):
        path.unlink()


def main(
    data: Annotated[
        Path, typer.Argument(help="Photos and captions, as `train text-video` reads them.")
    ],
    steps: Annotated[
        int, typer.Option(min=10, help="Of every run, pre-training included.")
    ] = STEPS,
    seeds: Annotated[list[int] | None, typer.Option(help="1, 2 and 3 without.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Rows, as patterns: `noisy-*`.")] = None,
    json: Annotated[Path | None, typer.Option(help="Written anew after every run.")] = None,
    runs: Annotated[Path | None, typer.Option(help="A folder for each run goes here.")] = None,
    recipe: Annotated[Path, typer.Option(help="What the rows share.")] = Path(
        "configs/training/text-video-table.toml"
    ),
    features: Annotated[Path, typer.Option(help="What the trunks see is kept here.")] = FEATURES,
    threads: Annotated[int, typer.Option(min=1, help="More only on cores that are idle.")] = 1,
) -> None:
    """Train every row with every seed, and print how well captions and photos find each other."""
    torch.set_num_threads(threads)
    console, names, finished = Console(), chosen_rows(only), list[Finished]()
    folder = runs or Path(f"runs/text-video-{steps}")
    bench = Bench(read_text_recipe(recipe), steps, data, folder, features, threads)
    for seed in seeds or SEEDS:
        for name in names:
            console.rule(f"{name}, seed {seed}")
            finished.append(bench.run(name, seed))
            if json is not None:
                _write(json, _report(bench, finished))
    report = _report(bench, finished)
    Console(width=TABLE_LETTERS).print(main_table(report["rows"], steps))
    if (curve := volume_table(report["rows"])) is not None:
        console.print(curve)
    report["trunk_ms_per_frame"] = _trunk_costs(bench, names)
    for source, spent in report["trunk_ms_per_frame"].items():
        console.print(f"trunk {source}: {spent:.2f} ms a frame, one thread")
    if json is not None:
        _write(json, report)
        console.print(f"wrote {json}")


if __name__ == "__main__":
    typer.run(main)
