"""How the time of GraphDesign grows with nodes, picks and edges, on GO graphs and synthetic ones: measure, then draw.

    python experiments/benchmarks/graphdesign_growth.py

draws `results/graphdesign_growth.png` again from `results/graphdesign_growth.csv`, which `graphdesign.py` writes.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import matplotlib
import numpy as np
from coverage_cases import synthetic_graph
from graphdesign_stages import MODULE, count_compilations, select
from harness import RESULTS, read_names

import perturb_jax as pj

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

PICKS = 100
REPEATS = 3
ENOUGH_SECONDS = 4.0
"""A point is not repeated once its runs have taken this long."""
LONG_SECONDS = 20.0
"""From here on the first call counts, less the compilation in it; a shorter one is only the warm-up."""
AXES = ("nodes", "picks", "edges")
FEW, FEW_SYNTHETIC = "1,087 candidates", "1,087 candidates, synthetic graph"
ALL, ALL_SYNTHETIC = "every gene", "every node, synthetic graph"
STYLES = {
    FEW: ("#1f5a94", "o-"),
    FEW_SYNTHETIC: ("#1f5a94", "s--"),
    ALL: ("#d1661f", "o-"),
    ALL_SYNTHETIC: ("#d1661f", "s--"),
}
NOTE = """![growth](graphdesign_growth.png)

Ends of the lines of the figure and slopes of log time on log size (least squares over all points of a line). Targets:
the whole graph. "1,087 candidates" runs on dense blocks of K and B0; "every gene" has more than {largest:,} candidates
and takes columns by message passing, without any matrix of candidates x candidates. Synthetic graphs have 21 edges a
node and heavy-tailed out-degrees (as in the coverage benchmark). Figure and slopes show processor time,
which other work on the machine hardly changes; runs that compile have XLA's compilation taken off. "A pick" is the
compiled greedy alone."""


class Point(NamedTuple):
    """One run: what was varied, line and size, picks, repeat; seconds, and processor seconds of it and its greedy."""

    axis: str
    line: str
    size: int
    picks: int
    repeat: int
    seconds: float
    cpu_seconds: float
    cpu_greedy: float


class Problem(NamedTuple):
    """A selection to be timed, as a point on one axis of the figure."""

    axis: str
    line: str
    size: int
    graph: pj.KnowledgeGraph
    candidates: tuple[str, ...]
    picks: int


def problems(library: Path, graph: pj.KnowledgeGraph, candidates: tuple[str, ...], quick: bool) -> Iterator[Problem]:
    """One axis after the other; the others stay at the library's graph and 100 picks."""
    picks = 10 if quick else PICKS
    genome = pj.load_go_graph()
    others = np.random.default_rng(0).permutation(sorted(set(genome.genes) - set(candidates))).tolist()
    for count in (1250, 5000) if quick else (1250, 2500, 5000, 10000, genome.num_nodes):
        part = pj.load_go_graph([*candidates, *others][:count])
        yield Problem("nodes", FEW, part.num_nodes, part, candidates, picks)
        if count > MODULE._LARGEST_BLOCK:
            yield Problem("nodes", ALL, part.num_nodes, part, part.genes, picks)
    for count in (1250, 5000) if quick else (1250, 5000, 10000, 20000, 40000, 80000, 160000):
        made = synthetic_graph(count, 0)
        yield Problem("nodes", FEW_SYNTHETIC, count, made, made.genes[: len(candidates)], picks)
        if count > MODULE._LARGEST_BLOCK:
            yield Problem("nodes", ALL_SYNTHETIC, count, made, made.genes, picks)
    for count in (10, 20) if quick else (50, 100, 200, 500, 1000, 2000):
        if count <= len(candidates):
            yield Problem("picks", FEW, count, graph, candidates, count)
        yield Problem("picks", ALL, count, graph, graph.genes, count)
    for neighbors in (5, 10) if quick else (5, 10, 20, 40, 80):
        part = pj.load_go_graph(read_names(library), neighbors=neighbors, unknown="drop")
        yield Problem("edges", FEW, part.num_edges, part, candidates, picks)
        yield Problem("edges", ALL, part.num_edges, part, part.genes, picks)


def measure_growth(
    library: Path, graph: pj.KnowledgeGraph, candidates: tuple[str, ...], quick: bool, file: Path
) -> list[Point]:
    """Time every problem and write the points, a repeat a row."""
    points = [point for problem in problems(library, graph, candidates, quick) for point in _run(problem)]
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(Point._fields)
        writer.writerows([f"{x:.6g}" if isinstance(x, float) else x for x in point] for point in points)
    return points


def _run(problem: Problem) -> list[Point]:
    """Calls until enough; one that compiles counts only where it takes so long that it is not repeated."""
    points: list[Point] = []
    spent = 0.0
    for call in range(REPEATS + 1):
        with count_compilations() as compilations:
            run = select(problem.graph, problem.candidates, problem.picks, targets=problem.graph.genes)
        compiling = sum(compilations)
        seconds = sum(run.stages.values()) - compiling
        if call == 0 and seconds < LONG_SECONDS:
            continue
        head = (problem.axis, problem.line, problem.size, problem.picks, len(points))
        used = run.result
        points.append(Point(*head, seconds, used.cpu_seconds - compiling, used.cpu_picks - compiling))
        spent += seconds
        if spent > ENOUGH_SECONDS:
            break
    return points


def read_points(file: Path) -> list[Point]:
    """The points of a CSV file."""
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        Point(
            row["axis"], row["line"], int(row["size"]), int(row["picks"]), int(row["repeat"]), float(row["seconds"]),
            float(row["cpu_seconds"]), float(row["cpu_greedy"]),
        )
        for row in rows
    ]  # fmt: skip


def medians(points: list[Point], axis: str, line: str, per_pick: bool = False) -> dict[int, float]:
    """Median processor seconds of the whole, or of the greedy per pick, by size."""
    values: dict[int, list[float]] = {}
    for point in points:
        if (point.axis, point.line) == (axis, line):
            value = point.cpu_greedy / point.picks if per_pick else point.cpu_seconds
            values.setdefault(point.size, []).append(value)
    return {size: median(values[size]) for size in sorted(values)}


def exponent(seconds: dict[int, float]) -> float:
    """The slope of log time against log size, by least squares; NaN for a single size."""
    if len(seconds) < 2:
        return float("nan")
    return float(np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0])


def plot_growth(file: Path, picture: Path) -> None:
    """Three panels of whole runs and one of a pick without blocks; both axes logarithmic, slopes in the legends."""
    points = read_points(file)
    figure, grid = plt.subplots(1, 4, figsize=(14, 4.3), layout="constrained")
    for axes, axis in zip(grid, AXES, strict=False):
        _panel(axes, points, axis, list(STYLES))
        axes.set_xlabel(axis)
    heights = [height for axis in AXES for line in STYLES for height in medians(points, axis, line).values()]
    for axes in grid[:3]:
        axes.set_ylim(min(heights) / 1.4, max(heights) * 1.4)
    grid[0].set_ylabel("processor seconds, graph to selection")
    _panel(grid[3], points, "nodes", [ALL, ALL_SYNTHETIC], per_pick=True)
    grid[3].set(xlabel="nodes", ylabel="processor ms per pick")
    held = f"Elsewhere: graph of the genome-wide library, {PICKS} picks; targets are the whole graph."
    figure.suptitle(f"Time of graphdesign, criterion variance (slope of the log-log line in the legend)\n{held}")
    figure.savefig(picture, dpi=150)
    plt.close(figure)


def _panel(axes: Axes, points: list[Point], axis: str, lines: list[str], per_pick: bool = False) -> None:
    sizes: set[int] = set()
    for line in lines:
        values = medians(points, axis, line, per_pick)
        if not values:
            continue
        colour, style = STYLES[line]
        label = f"{line}: {exponent(values):.2f}"
        scale = 1000 if per_pick else 1
        axes.plot(list(values), [scale * v for v in values.values()], style, color=colour, label=label, markersize=5)
        sizes |= set(values)
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(_apart(sorted(sizes)), minor=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: _short(size)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def _apart(sizes: list[int]) -> list[int]:
    """Ticks at sizes that leave room for their labels."""
    ticks: list[int] = []
    for size in sizes:
        if not ticks or size >= 1.6 * ticks[-1]:
            ticks.append(size)
    return ticks


def _short(size: float) -> str:
    return f"{size:g}" if size < 1000 else f"{size / 1000:.3g}k"


def growth_rows(points: list[Point]) -> list[dict[str, str]]:
    """The ends of every line and its slopes, for a table."""
    rows = []
    for axis in AXES:
        for line in STYLES:
            seconds, each = medians(points, axis, line), medians(points, axis, line, per_pick=True)
            if not seconds:
                continue
            low, high = min(seconds), max(seconds)
            rows.append(
                {
                    "varied": axis,
                    "line": line,
                    "from, to": f"{low:,}, {high:,}",
                    "CPU s": f"{seconds[low]:.3g} to {seconds[high]:.3g}",
                    "slope": f"{exponent(seconds):.2f}",
                    "CPU ms of a pick": f"{1000 * each[low]:.3g} to {1000 * each[high]:.3g}",
                    "slope of a pick": f"{exponent(each):.2f}",
                }
            )
    return rows


if __name__ == "__main__":
    plot_growth(RESULTS / "graphdesign_growth.csv", RESULTS / "graphdesign_growth.png")
