"""The tables of `same_source` for a terminal, and the machine that its figures come from."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.copies.figures import Figures
from benchmarks.copies.targets import Target
from models.metrics import interval

STAGES = ("decode", "select", "encode", "search", "align", "total")
OUTCOMES = ("clear", "matched")


def main_table(figures: Sequence[Figures], title: str) -> Table:
    """All rows: how well, how much is stored."""
    headings = ("least score", "precision", "recall", "F1", "95 %", "missed", "alarms", "µAP",
                "segment AP")  # fmt: skip
    table = Table("row", title=title)
    for heading in (*headings, "frames/h", "bytes/h"):
        table.add_column(heading, justify="right")
    for one in figures:
        found = (one.precision, one.recall, one.f1)
        ranked = (one.missed_rate, one.false_alarm_rate, one.micro_ap, one.segment_ap)
        table.add_row(
            one.row, f"{one.min_score:.2f}", *(f"{100 * rate:.1f}" for rate in found),
            _between(interval(100 * one.f1_draws)), *(f"{100 * rate:.1f}" for rate in ranked),
            f"{one.stored_frames_per_hour:,.0f}", f"{one.library_bytes_per_hour:,.0f}",
            end_section=one is _last_plain(figures),
        )  # fmt: skip
    return table


def cost_table(figures: Sequence[Figures]) -> Table:
    """All rows: CPU seconds per video-hour by stage, and the aligner's pace."""
    table = Table("row", title="CPU seconds per video-hour")
    for heading in (*STAGES, *OUTCOMES, "pairs", "pairs/s", "ms to match an upload"):
        table.add_column(heading, justify="right")
    for one in figures:
        table.add_row(
            one.row, *(f"{one.cpu_seconds_per_hour[stage]:.2f}" for stage in STAGES),
            *(f"{one.cpu_seconds_per_hour_by_outcome[name]['total']:.2f}" for name in OUTCOMES),
            str(one.pairs), f"{one.pairs_per_second:,.0f}",
            f"{1000 * one.match_seconds_per_upload:.1f}",
            end_section=one is _last_plain(figures),
        )  # fmt: skip
    return table


def edit_table(figures: Sequence[Figures]) -> Table | None:
    """Recall by kind of edit, a column for each row outside of the curves; None without labels."""
    shown = [one for one in figures if not one.curve and one.recall_by_edit]
    if not shown:
        return None
    table = Table("edit", title="recall of labelled spans by kind of edit (%)")
    for one in shown:
        table.add_column(one.row, justify="right")
    for edit in shown[0].recall_by_edit:
        table.add_row(edit, *(f"{100 * one.recall_by_edit[edit]:.0f}" for one in shown))
    return table


def target_table(targets: Sequence[Target]) -> Table:
    """Each promise: reached or not."""
    table = Table("target", title="targets")
    for heading in ("measured", "95 %", "target", "further", ""):
        table.add_column(heading, justify="right")
    for one in targets:
        value = "not run" if one.value is None else f"{one.value:.2f} {one.unit}"
        beyond = one.value is not None and one.value >= one.further
        between = "" if one.between is None else _between(one.between)
        verdict = {None: "", True: "reached", False: "not reached"}[one.reached]
        table.add_row(
            one.name, value, between, f"{one.target:.3g} {one.unit}",
            f"{one.further:.3g} {one.unit}",
            "further reached" if beyond else verdict,
        )  # fmt: skip
    return table


def _between(found: tuple[float, float]) -> str:
    return f"{found[0]:.1f} to {found[1]:.1f}"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "onnxruntime", "faiss-cpu", "av")},
    }


def _last_plain(figures: Sequence[Figures]) -> Figures | None:
    plain = [one for one in figures if not one.curve]
    return plain[-1] if plain else None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
