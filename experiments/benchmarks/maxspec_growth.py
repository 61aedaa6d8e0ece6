"""How the time of MaxSpec grows with candidates, picks, nodes and edges, on real GO graphs: measure, then draw.

    python experiments/benchmarks/maxspec_growth.py

draws `results/maxspec_growth.png` again from `results/maxspec_growth.csv`, which `maxspec.py` writes.
"""

import csv
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import matplotlib
import numpy as np
from harness import RESULTS, read_names

import perturb_jax as pj

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

PICKS = 100
CANDIDATES = 500
HOPS = (1, 2)
REPEATS = 3
ENOUGH_SECONDS = 3.0
"""A point is not repeated once its runs have taken this long."""
AXES = ("candidates", "picks", "nodes", "edges")
COLOURS = {1: "#1f5a94", 2: "#d1661f"}


class Point(NamedTuple):
    """One run: what was varied, its size, the run's hops and repeat, and what it took."""

    axis: str
    size: int
    hops: int
    repeat: int
    seconds: float
    evaluations: int


class Problem(NamedTuple):
    """A selection to be timed, as a point on one axis of the figure."""

    axis: str
    size: int
    graph: pj.KnowledgeGraph
    candidates: tuple[str, ...]
    picks: int


def problems(library: Path, graph: pj.KnowledgeGraph, candidates: tuple[str, ...], quick: bool) -> Iterator[Problem]:
    """One axis after the other; the others stay at the library's graph, 500 candidates and 100 picks."""
    everyone, picks = candidates[:CANDIDATES], 10 if quick else PICKS
    others = np.random.default_rng(0).permutation(sorted(set(graph.genes) - set(candidates))).tolist()
    pool = (*candidates, *others)
    for count in (100, 200) if quick else (125, 250, 500, 1000, 2000, 4000, len(pool)):
        yield Problem("candidates", count, graph, pool[:count], picks)
    for count in (10, 20) if quick else (25, 50, 100, 200, 400):
        yield Problem("picks", count, graph, everyone, count)
    genome = pj.load_go_graph()
    others = np.random.default_rng(0).permutation(sorted(set(genome.genes) - set(everyone))).tolist()
    for count in (1000, 2000) if quick else (1250, 2500, 5000, 10000, genome.num_nodes):
        part = pj.load_go_graph([*everyone, *others][:count])
        yield Problem("nodes", part.num_nodes, part, everyone, picks)
    for neighbors in (5, 10) if quick else (5, 10, 20, 40):
        part = pj.load_go_graph(read_names(library), neighbors=neighbors, unknown="drop")
        yield Problem("edges", part.num_edges, part, everyone, picks)


def measure_growth(
    library: Path, graph: pj.KnowledgeGraph, candidates: tuple[str, ...], quick: bool, file: Path
) -> list[Point]:
    """Time every problem and write the points, a repeat a row."""
    points = [
        point
        for problem in problems(library, graph, candidates, quick)
        for hops in HOPS
        for point in _run(problem, hops)
    ]
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(Point._fields)
        writer.writerows(point._replace(seconds=f"{point.seconds:.6g}") for point in points)
    return points


def _run(problem: Problem, hops: int) -> Iterator[Point]:
    spent = 0.0
    for repeat in range(REPEATS):
        start = time.perf_counter()
        selection = pj.maxspec(problem.graph, problem.candidates, problem.picks, hops)
        seconds = time.perf_counter() - start
        yield Point(problem.axis, problem.size, hops, repeat, seconds, selection.info.evaluations)
        spent += seconds
        if spent > ENOUGH_SECONDS:
            return


def read_points(file: Path) -> list[Point]:
    """The points of a CSV file."""
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        Point(
            row["axis"], int(row["size"]), int(row["hops"]), int(row["repeat"]), float(row["seconds"]),
            int(row["evaluations"]),
        )
        for row in rows
    ]  # fmt: skip


def medians(points: list[Point], axis: str, hops: int) -> dict[int, float]:
    """Median seconds by size."""
    sizes = sorted({point.size for point in points if (point.axis, point.hops) == (axis, hops)})
    return {size: median(p.seconds for p in points if (p.axis, p.hops, p.size) == (axis, hops, size)) for size in sizes}


def exponent(seconds: dict[int, float]) -> float:
    """The slope of log time against log size, by least squares."""
    return float(np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0])


def plot_growth(file: Path, picture: Path) -> None:
    """Four panels, one an axis: time against size, both logarithmic, with the slope of each line."""
    points = read_points(file)
    figure, grid = plt.subplots(1, 4, figsize=(13, 3.7), sharey=True, layout="constrained")
    for axes, axis in zip(grid, AXES, strict=True):
        _panel(axes, points, axis)
    grid[0].set_ylabel("seconds, graph to selection")
    held = "Elsewhere: graph of the genome-wide library, 500 candidates, 100 picks. Median of up to 3 runs."
    figure.suptitle(f"Time of maxspec on GO graphs (slope of the log-log line in the legend)\n{held}", fontsize=11)
    figure.savefig(picture, dpi=150)
    plt.close(figure)


def _panel(axes: Axes, points: list[Point], axis: str) -> None:
    for hops in HOPS:
        seconds = medians(points, axis, hops)
        label = f"{_hops(hops)}, slope {exponent(seconds):.1f}"
        axes.plot(list(seconds), list(seconds.values()), "o-", color=COLOURS[hops], label=label, markersize=5)
    axes.set(xscale="log", yscale="log", xlabel=axis)
    ticks = list(medians(points, axis, HOPS[0]))
    axes.set_xticks(ticks, minor=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: _short(size)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def _short(size: float) -> str:
    return f"{size:g}" if size < 1000 else f"{size / 1000:.3g}k"


def _hops(count: int) -> str:
    return f"{count} hop{'s' if count > 1 else ''}"


def growth_rows(points: list[Point]) -> list[dict[str, str]]:
    """The ends of every line and its slope, for a table."""
    rows = []
    for axis in AXES:
        row = {"varied": axis}
        for hops in HOPS:
            seconds = medians(points, axis, hops)
            low, high = min(seconds), max(seconds)
            row |= {
                "from, to": f"{low:,}, {high:,}",
                f"seconds, {_hops(hops)}": f"{seconds[low]:.3g} to {seconds[high]:.3g}",
                f"slope, {_hops(hops)}": f"{exponent(seconds):.2f}",
            }
        rows.append(row)
    return rows


if __name__ == "__main__":
    plot_growth(RESULTS / "maxspec_growth.csv", RESULTS / "maxspec_growth.png")
