"""How a step of the Flax GEARS grows with cells, perturbations, genes, width and models: measure, then draw.

    python experiments/benchmarks/gears_flax_growth.py

draws `results/gears_flax_growth.png` again from `results/gears_flax_growth.csv`, which `gears_flax.py` writes.
"""

import csv
from pathlib import Path
from statistics import median
from typing import NamedTuple

import matplotlib
import numpy as np
from gears_flax_steps import BATCH, screen_of
from harness import RESULTS

import perturb_jax as pj
from perturb_jax.predictors.gears_flax.predictor import Task

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PERTURBATIONS, GENES, CELLS, HIDDEN = 80, 1_000, 100, 64
"""Where nothing else is said."""
STRETCH, STRETCHES = 10, 4
"""Steps between two evaluations, and how many such stretches are timed after the first, which compiles."""
SIZES: dict[str, tuple[int, ...]] = {
    "cells per perturbation": (25, 100, 400, 1_600),
    "perturbations": (20, 40, 80, 160, 320, 640, 1_000),
    "genes": (250, 500, 1_000, 2_000, 4_000, 8_000),
    "hidden size": (16, 32, 64, 128, 256),
    "models at once": (1, 2, 4, 8),
}
COLOUR, OTHER = "#1f5a94", "#d1661f"


class Point(NamedTuple):
    """One stretch: what was varied, its size, the stretch's number, and seconds of a step of all models."""

    axis: str
    size: int
    repeat: int
    seconds: float


def measure_growth(quick: bool, file: Path) -> list[Point]:
    """Time every size, one axis after the other, and write the points, a stretch a row."""
    points = []
    for axis, sizes in SIZES.items():
        for size in sizes[:2] if quick else sizes:
            points += [Point(axis, size, repeat, seconds) for repeat, seconds in enumerate(_steps(axis, size))]
    with file.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(Point._fields)
        writer.writerows(point._replace(seconds=f"{point.seconds:.6g}") for point in points)
    return points


def _steps(axis: str, size: int) -> list[float]:
    """Seconds of a step in each stretch, evaluation included."""
    screen, graph = screen_of(
        size if axis == "perturbations" else PERTURBATIONS,
        size if axis == "genes" else GENES,
        size if axis == "cells per perturbation" else CELLS,
    )
    predictor = pj.GearsFlax(
        steps=STRETCH * (STRETCHES + 1),
        evaluate_every=STRETCH,
        hidden_size=size if axis == "hidden size" else HIDDEN,
        at_once=size if axis == "models at once" else 1,
    )
    cut = max(1, len(screen.perturbations) // 10)
    train, validation = screen.perturbations[cut:], screen.perturbations[:cut]
    tasks = [Task(train, validation, seed) for seed in range(predictor.at_once)]
    fitted = predictor.fit_many(screen, graph, tasks)[0]
    return (np.diff(fitted.history.seconds) / STRETCH).tolist()


def slope(points: list[Point], axis: str) -> float:
    """Of log time on log size, over medians."""
    sizes, seconds = _medians(points, axis)
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _medians(points: list[Point], axis: str) -> tuple[list[int], list[float]]:
    sizes = sorted({point.size for point in points if point.axis == axis})
    of = {size: [point.seconds for point in points if (point.axis, point.size) == (axis, size)] for size in sizes}
    return sizes, [median(of[size]) for size in sizes]


def read_points(file: Path) -> list[Point]:
    """What `measure_growth` wrote."""
    with file.open() as rows:
        return [
            Point(row["axis"], int(row["size"]), int(row["repeat"]), float(row["seconds"]))
            for row in csv.DictReader(rows)
        ]


def draw(points: list[Point], file: Path) -> None:
    """A panel for each axis: milliseconds of a step, medians, both axes logarithmic."""
    figure, panels = plt.subplots(1, len(SIZES), figsize=(13, 3), sharey=True, layout="constrained")
    for axis, panel in zip(SIZES, panels, strict=True):
        sizes, seconds = _medians(points, axis)
        milliseconds = np.array(seconds) * 1e3
        panel.plot(sizes, milliseconds, "o-", color=COLOUR)
        if axis == "models at once":
            panel.plot(sizes, milliseconds[0] * np.array(sizes), "--", color=OTHER, label="one after the other")
            panel.legend(frameon=False)
        panel.set(xscale="log", yscale="log", title=axis, xticks=sizes)
        panel.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=45 if len(sizes) > 5 else 0)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("ms per step")
    figure.suptitle(
        f"Flax GEARS, one step of {BATCH} perturbations and control: {PERTURBATIONS} perturbations, {GENES:,} genes, "
        f"{CELLS} cells each, width {HIDDEN} where nothing else is said",
        fontsize=10,
    )
    figure.savefig(file, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    draw(read_points(RESULTS / "gears_flax_growth.csv"), RESULTS / "gears_flax_growth.png")
