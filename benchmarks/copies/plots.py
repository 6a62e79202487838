"""The curves of `same_source`: F1 against what it costs, uniform sampling beside key frames."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.copies.figures import Figures

COSTS: dict[str, tuple[str, Callable[[Figures], float]]] = {
    "stored_frames": ("stored frames per video-hour", lambda one: one.stored_frames_per_hour),
    "library_bytes": ("library bytes per video-hour", lambda one: one.library_bytes_per_hour),
    "cpu_seconds": (
        "CPU seconds per video-hour, decode to match",
        lambda one: one.cpu_seconds_per_hour["total"],
    ),
}
COLOURS = {
    "uniform": "tab:gray",
    "uniform, pooled": "tab:olive",
    "key frames": "tab:blue",
    "PDQ": "tab:red",
}


def write_plots(figures: Sequence[Figures], folder: Path) -> list[Path]:
    """A PNG for each cost: curves as lines, all other rows as points.

    Args:
        figures: of all rows.
        folder: made if need be.

    Returns:
        The files.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (label, cost) in COSTS.items():
        figure, axes = pyplot.subplots(figsize=(8, 5.5), layout="constrained")
        for group, colour in COLOURS.items():
            line = sorted((one for one in figures if one.curve and one.group == group), key=cost)
            if line:
                axes.plot(
                    [cost(one) for one in line], [100 * one.f1 for one in line],
                    "o-", color=colour, label=f"{group}, {line[0].aligner}",
                )  # fmt: skip
            points = [one for one in figures if not one.curve and one.group == group]
            for one in points:
                axes.plot(cost(one), 100 * one.f1, "x", color=colour)
                axes.annotate(
                    one.aligner, (cost(one), 100 * one.f1), xytext=(4, 3),
                    textcoords="offset points", fontsize=7, color=colour,
                )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.set_ylabel("F1, VCSL protocol (%)")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
        written.append(folder / f"f1_by_{name}.png")
        figure.savefig(written[-1], dpi=120)
        pyplot.close(figure)
    return written
