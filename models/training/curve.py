"""The loss curve of a training run as a picture, with its validation figures."""

from pathlib import Path

SMOOTH_OVER = 20  # losses: single batches differ more than the curve falls; of the picture alone


def draw_curve(curve: list[dict[str, float]], path: Path) -> None:
    """Write a PNG: the loss with its running mean, and the validation figures below.

    Args:
        curve: rows with `step` and either `loss` or validation figures.
        path: the picture to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # here: it takes long to load, and few processes draw

    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    losses = [row for row in curve if "loss" in row]
    checks = [row for row in curve if "loss" not in row]
    values = [row["loss"] for row in losses]
    above.plot([row["step"] for row in losses], values, linewidth=0.5, alpha=0.5)
    above.plot([row["step"] for row in losses], _running_mean(values), linewidth=1.5)
    above.set_ylabel("loss")
    for name in [name for name in checks[0] if name != "step"] if checks else []:
        below.plot([row["step"] for row in checks], [row[name] for row in checks], label=name)
    if checks:
        below.legend(fontsize="small")
    below.set_xlabel("step")
    below.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


def _running_mean(values: list[float]) -> list[float]:
    windows = [values[max(0, end - SMOOTH_OVER) : end] for end in range(1, len(values) + 1)]
    return [sum(window) / len(window) for window in windows]
