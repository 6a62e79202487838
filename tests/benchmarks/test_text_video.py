"""The rows of `text_video`: every row has the same steps, and gains are of the same seed."""

from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks.text.rows import (
    BASELINE,
    FIRST,
    LANGUAGES,
    MARKS,
    NOISY_SOURCES,
    ROWS,
    Finished,
    gain,
    main_table,
    stages,
    summary,
    volume_table,
)
from models.text_video.methods.combined import SETTINGS
from models.text_video.recipe import TextRecipe

BASE = TextRecipe(steps=7, seed=9, validate_every=3)
WAYS = [
    f"{language} {way} {key}"
    for language in LANGUAGES
    for way in ("t2v", "v2t")
    for key in ("r1", "r5", "r10", "median_rank")
]


def finished(name: str, seed: int, english: float, chinese: float = 100.0, **more: Any) -> Finished:
    figures = dict.fromkeys(WAYS, 10.0) | {"en r_sum": english, "zh r_sum": chinese}
    return Finished(name=name, seed=seed, figures=figures, seconds=60.0, **more)


def printed(table: Table) -> str:
    console = Console(width=250)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("steps", [10, 2401])
def test_every_row_has_the_same_steps_and_is_validated_at_its_end(name: str, steps: int) -> None:
    made = stages(ROWS[name], BASE, steps, 3)
    assert sum(recipe.steps for recipe in made) == steps
    assert {recipe.seed for recipe in made} == {3}
    assert all(recipe.validate_every == recipe.steps for recipe in made)
    assert len(made) == (1 if ROWS[name].pretraining is None else 2)
    assert set(made[-1].methods) == set(ROWS[name].methods) <= set(SETTINGS)


def test_pretraining_sees_noisy_pairs_and_then_clean_ones_alone() -> None:
    first, main = stages(ROWS["filtered-pretraining"], BASE, 100, 1)
    assert first.draw.sources == NOISY_SOURCES and first.draw.mismatched_share > 0
    assert main.draw == BASE.draw
    assert first.network == main.network  # or the second couldn't start from the first


def test_the_baseline_is_the_recipe_and_methods_change_nothing_else() -> None:
    [baseline] = stages(ROWS[BASELINE], BASE, 100, 1)
    [curriculum] = stages(ROWS["curriculum"], BASE, 100, 1)
    assert (baseline.network, baseline.draw, baseline.methods) == (BASE.network, BASE.draw, {})
    assert (curriculum.network, curriculum.draw) == (BASE.network, BASE.draw)


def test_a_noisy_row_learns_plainly_from_noisy_pairs_alone() -> None:
    [noisy] = stages(ROWS[FIRST], BASE, 100, 1)
    assert noisy.draw.sources == NOISY_SOURCES and not noisy.methods
    assert ROWS[FIRST].volume == 1.0
    assert ROWS["filtered-pretraining"].volume == ROWS["filtered-pretraining"].pretraining
    assert ROWS[BASELINE].volume is None


def test_marks_are_of_rows() -> None:
    assert set(MARKS) <= set(ROWS)


def test_a_gain_is_percent_of_the_baseline() -> None:
    run, baseline = finished("curriculum", 1, 220.0, 110.0), finished(BASELINE, 1, 200.0, 100.0)
    assert gain(run, baseline, "en") == pytest.approx(10.0)
    assert gain(run, finished(BASELINE, 1, 200.0, 130.0), "both") == pytest.approx(0.0)


def test_a_summary_has_mean_deviation_and_the_gain_over_the_same_seed() -> None:
    runs = [
        finished(BASELINE, 1, 100.0),
        finished("curriculum", 1, 110.0),
        finished(BASELINE, 2, 200.0),
        finished("curriculum", 2, 260.0),
    ]
    baseline, curriculum = summary(runs)
    assert (baseline["name"], curriculum["name"]) == (BASELINE, "curriculum")
    assert curriculum["seeds"] == [1, 2]
    assert curriculum["mark"] == MARKS["curriculum"]
    assert curriculum["figures"]["en r_sum"]["mean"] == 185.0
    assert curriculum["figures"]["en r_sum"]["deviation"] == pytest.approx(106.066, abs=0.001)
    assert curriculum["gain"]["en"]["mean"] == pytest.approx(20.0)  # of 10 and 30, not of the means
    assert curriculum["gain"]["en"]["deviation"] == pytest.approx(14.142, abs=0.001)
    assert curriculum["gain"]["zh"]["mean"] == pytest.approx(0.0)
    assert baseline["gain"]["en"]["mean"] == 0.0


def test_one_seed_has_no_deviation_and_a_seed_without_baseline_no_gain() -> None:
    [alone] = summary([finished("curriculum", 1, 110.0)])
    assert alone["figures"]["en r_sum"]["mean"] == 110.0
    assert alone["figures"]["en r_sum"]["deviation"] is None
    assert alone["gain"]["en"]["mean"] is None
    _, partly = summary(
        [finished(BASELINE, 1, 100.0), *(finished("curriculum", s, 120.0) for s in (1, 2))]
    )
    assert partly["gain"]["en"]["mean"] == pytest.approx(20.0)
    assert partly["gain"]["en"]["deviation"] is None


def test_the_share_of_mismatched_pairs_is_of_the_runs_that_saw_some() -> None:
    plain, noisy = summary(
        [
            finished(BASELINE, 1, 100.0),
            finished("noisy-100", 1, 90.0, mismatched=0.2),
            finished("noisy-100", 2, 90.0, mismatched=0.3),
        ]
    )
    assert plain["mismatched"] is None
    assert noisy["mismatched"] == pytest.approx(0.25)


def test_the_tables_show_every_row_in_both_languages() -> None:
    rows = summary(
        [
            finished(name, seed, 100.0 + seed, mismatched=0.3 if name == "noisy-100" else None)
            for name in (BASELINE, "curriculum", "noisy-100")
            for seed in (1, 2)
        ]
    )
    shown = printed(main_table(rows, 2400))
    assert all(shown.count(language) == 3 for language in LANGUAGES.values())
    assert "101.5 ± 0.7" in shown and "8.1" in shown and "2400 steps" in shown
    curve = volume_table(rows)
    assert curve is not None and "30.0 %" in printed(curve)
    assert volume_table(rows[:2]) is None
