"""What the rows of `text_video` train with, and the figures of finished runs as one table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.table import Table

from models.text_video.recipe import TextRecipe
from models.text_video.trunk import TrunkConfig

LANGUAGES = {"en": "English", "zh": "Chinese"}
WAYS = {"t2v": "text to video", "v2t": "video to text"}
NOISY_SOURCES = ("en", "zh_mt_a", "zh_mt_b")
# Of the noisy pairs, whose text is another video's. Set by hand.
MISMATCHED_SHARE = 0.3
PRETRAINING_SHARE = 0.4  # of all steps; the rest is on clean pairs, so that each row trains as long
VOLUME = 0.7  # of the noisy pairs that the filter keeps: what is mismatched is what should go
BASELINE = "baseline"
MARKS = {
    "curriculum": 8.1,
    "negative_nce": 5.0,
    "partial_margin": 2.8,
    "filtered-pretraining": 24.5,
}
"""The article's relative gains in R@sum, percent; on other data, of other networks."""


@dataclass(frozen=True)
class Row:
    """A way to train.

    Attributes:
        methods: that are on, with the settings in `METHODS`.
        trunk: another one than the recipe's.
        random_start: begin with random weights instead of words by pictures.
        noisy: learns from the noisy pairs alone, from this share of them that a first model finds
            most alike.
        pretraining: begins with a part of the steps on this share of the noisy pairs.
    """

    methods: tuple[str, ...] = ()
    trunk: TrunkConfig | None = None
    random_start: bool = False
    noisy: float | None = None
    pretraining: float | None = None

    @property
    def volume(self) -> float | None:
        """Share of the noisy pairs that it sees; None if it sees none."""
        return self.noisy if self.noisy is not None else self.pretraining


METHODS: dict[str, dict[str, Any]] = {
    "curriculum": {},
    "dual_attention": {},
    "negative_nce": {},
    "partial_margin": {},
    "masked_words": {},
    "local_matching": {},
}
"""What differs from the published settings was chosen with a seed that isn't in the table."""
VOLUMES = (1.0, 0.7, 0.5)  # all of them, what should be left of them, and less than that
# Each method alone against one baseline, then what the article joins.
ROWS: dict[str, Row] = {
    BASELINE: Row(),
    **{name: Row((name,)) for name in METHODS},
    "all": Row(tuple(METHODS)),
    "filtered-pretraining": Row(pretraining=VOLUME),
    **{f"noisy-{100 * volume:.0f}": Row(noisy=volume) for volume in VOLUMES},
    "random-start": Row(random_start=True),
    "copies-trunk": Row(trunk=TrunkConfig("copies")),
    "larger-pictures": Row(trunk=TrunkConfig(input_size=192)),
}
FIRST = "noisy-100"
"""Learns from all noisy pairs; the filter's first model."""


def noisy_recipe(base: TextRecipe, steps: int, seed: int) -> TextRecipe:
    """Plain InfoNCE on machine translations, and on pairs that don't belong together."""
    draw = replace(base.draw, sources=NOISY_SOURCES, mismatched_share=MISMATCHED_SHARE)
    return _sized(replace(base, draw=draw, methods={}), steps, seed)


def stages(row: Row, base: TextRecipe, steps: int, seed: int) -> list[TextRecipe]:
    """One or two trainings of a row, one after the other, `steps` steps together.

    Args:
        row: how to train.
        base: what all rows share.
        steps: the same for all rows.
        seed: of every draw.
    """
    if row.noisy is not None:
        return [noisy_recipe(base, steps, seed)]
    before = 0 if row.pretraining is None else round(PRETRAINING_SHARE * steps)
    network = base.network
    if row.trunk is not None:
        network = replace(network, trunk=row.trunk)
    changed = replace(
        base,
        network=network,
        methods={name: METHODS[name] for name in row.methods},
        words_by_pictures=not row.random_start,
    )
    main = _sized(changed, steps - before, seed)
    return [noisy_recipe(base, before, seed), main] if before else [main]


def _sized(recipe: TextRecipe, steps: int, seed: int) -> TextRecipe:
    """Of so many steps, validated after the last."""
    return replace(recipe, steps=steps, seed=seed, validate_every=steps)


@dataclass(frozen=True)
class Finished:
    """A run that is over.

    Attributes:
        name: of its row.
        figures: of the last validation, `en r_sum`, `zh t2v r1` and so on; R@sum up to 600.
        seconds: of training, validation included.
        mismatched: share of mismatched pairs among the noisy pairs it saw; None if it saw none.
    """

    name: str
    seed: int
    figures: dict[str, float]
    seconds: float
    mismatched: float | None = None


def summary(runs: Sequence[Finished]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the seeds of every figure, a dictionary for each row.

    The gain is relative to the baseline of the same seed, in percent; a standard deviation of one
    seed is None.
    """
    baselines = {run.seed: run for run in runs if run.name == BASELINE}
    found = []
    for name in dict.fromkeys(run.name for run in runs):
        own = [run for run in runs if run.name == name]
        paired = [(run, baselines[run.seed]) for run in own if run.seed in baselines]
        mismatched = [run.mismatched for run in own if run.mismatched is not None]
        found.append(
            {
                "name": name,
                "seeds": [run.seed for run in own],
                "figures": {key: _spread([run.figures[key] for run in own])
                            for key in own[0].figures},
                "gain": {key: _spread([gain(run, base, key) for run, base in paired])
                         for key in (*LANGUAGES, "both")},
                "mark": MARKS.get(name),
                "seconds": _spread([run.seconds for run in own]),
                "mismatched": statistics.fmean(mismatched) if mismatched else None,
            }
        )  # fmt: skip
    return found


def gain(run: Finished, baseline: Finished, language: str) -> float:
    """How much higher the R@sum is, in percent of the baseline's; `both` adds the languages."""
    keys = [f"{each} r_sum" for each in (LANGUAGES if language == "both" else (language,))]
    before = sum(baseline.figures[key] for key in keys)
    return 100 * (sum(run.figures[key] for key in keys) / before - 1)


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    return {
        "mean": statistics.fmean(values) if values else None,
        "deviation": statistics.stdev(values) if len(values) > 1 else None,
    }


def main_table(rows: Sequence[dict[str, Any]], steps: int) -> Table:
    """All rows, a line for each language."""
    title = f"photos that training didn't see, {steps} steps each: mean and standard deviation"
    table = Table("row", "seeds", "language", title=title)
    for way in ("t▸v", "v▸t"):
        for heading in ("R@1", "R@5", "R@10", "median"):
            table.add_column(f"{way} {heading}", justify="right")
    for heading in ("R@sum", "gain %", "gain, both %", "article %", "s a run"):
        table.add_column(heading, justify="right")
    for row in rows:
        for language, shown in LANGUAGES.items():
            first = language == next(iter(LANGUAGES))
            ways = [
                _shown(row["figures"][f"{language} {way} {key}"])
                for way in WAYS
                for key in ("r1", "r5", "r10", "median_rank")
            ]
            table.add_row(
                row["name"] if first else "", str(len(row["seeds"])) if first else "", shown, *ways,
                _shown(row["figures"][f"{language} r_sum"]), _shown(row["gain"][language]),
                _shown(row["gain"]["both"]) if first else "",
                f"{row['mark']:.1f}" if first and row["mark"] else "",
                _shown(row["seconds"], 0) if first else "", end_section=not first,
            )  # fmt: skip
    return table


def volume_table(rows: Sequence[dict[str, Any]]) -> Table | None:
    """The filter: R@sum against the volume kept; None without such rows."""
    noisy = [row for row in rows if ROWS[row["name"]].noisy is not None]
    if not noisy:
        return None
    table = Table("volume kept", title="trained on noisy pairs alone, the weakest left out")
    for heading in ("mismatched among them", "R@sum, English", "R@sum, Chinese"):
        table.add_column(heading, justify="right")
    for row in noisy:
        sums = [_shown(row["figures"][f"{language} r_sum"]) for language in LANGUAGES]
        share = f"{100 * row['mismatched']:.1f} %"
        table.add_row(f"{100 * (ROWS[row['name']].noisy or 0):.0f} %", share, *sums)
    return table


def _shown(spread: dict[str, float | None], decimals: int = 1) -> str:
    mean, deviation = spread["mean"], spread["deviation"]
    if mean is None:
        return ""
    return f"{mean:.{decimals}f}" + ("" if deviation is None else f" ± {deviation:.{decimals}f}")
