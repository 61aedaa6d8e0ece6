"""How long the paper's grids take, on paper: trainings counted by the planner, seconds from what was measured.

python experiments/estimate.py [--measured benchmarks/results/gears_flax.csv]

Writes estimate.md, where every assumption stands.
"""

import argparse
from collections import Counter
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pandas as pd

import perturb_jax as pj
from perturb_jax.experiment.file import Experiment, Sources, read_experiment
from perturb_jax.experiment.planner import Choice, Preparation, Training, chains_of, walk
from perturb_jax.strategies.choose import choose

HERE = Path(__file__).parent


class Size(NamedTuple):
    """Of a screen."""

    perturbations: int
    cells: int
    controls: int


GRIDS = {"paper_adamson.toml": Size(81, 800, 2_400), "paper_replogle.toml": Size(1_087, 150, 1_500)}
"""Files, and their screens: Adamson's as in simulated_adamson.toml, Replogle's as in benchmarks/gears_flax.py."""
STEPS, ROWS, GENES, HIDDEN = 400, 33, 5_000, 64
"""Of gears-flax: batches at most; a batch and its row for control; measured genes; width."""
FLOP = 6 * 2 * ROWS * GENES * HIDDEN * 2 * HIDDEN
"""The six matrix products of a step: see benchmarks/gears_flax_steps.py."""
H100_FLOPS, H100_BYTES = 67e12, 3.35e12
"""NVIDIA H100 SXM data sheet: FP32 without tensor cores, memory bandwidth, both per second."""
REACHED, LAUNCHES, LAUNCH, COMPILE = 0.3, 300, 5e-6, 30.0
"""Assumed of the H100: share of both rates; kernels of a step; seconds to launch one; seconds to compile a training."""
NODES, WORKERS = 100, 16
"""Of the cluster: nodes, and workers of two cores on each."""
EPOCHS, BATCH = 20, 32
"""Of cell-gears: its defaults."""


class Imagined:
    """`planner.Known` of an experiment that is finished, with picks at random.

    Random picks are Random's own, so that what is shared with its first cycle is seen; those of the others are drawn
    anew for each choice, so that they share nothing else.
    """

    def __init__(self, number: int):
        self._graph = pj.load_go_graph()
        genes = np.random.default_rng(0).permutation(np.array(self._graph.genes))[:number]
        self._names = tuple(sorted(genes.tolist()))

    def perturbations(self, work: Preparation) -> tuple[str, ...]:  # noqa: ARG002  (the contract's)
        """Genes of the graph."""
        return self._names

    def picks(self, work: Choice) -> tuple[str, ...]:
        """Random's, or drawn."""
        taken = {*work.test, *work.selected}
        left = tuple(name for name in self._names if name not in taken)
        first = work.strategy.first if isinstance(work.strategy, pj.Hybrid) else work.strategy
        if not work.parts and first == pj.Random():
            return choose(first, pj.Ask.of(self._graph, left, work.batch, work.selected, work.seed)).genes
        drawn = np.random.default_rng(int(work.digest, 16)).permutation(len(left))[: work.batch]
        return tuple(left[place] for place in drawn)

    def holds(self, work: Training) -> bool:  # noqa: ARG002  (the contract's)
        """Always."""
        return True


def trainings(experiment: Experiment, number: int) -> tuple[set[Training], int]:
    """The distinct trainings of a grid, and how many there are with those that strategies share."""
    sources = Sources({label: {} for label in experiment.table.data}, {})
    known = Imagined(number)
    every = [
        cycle.training for chain in chains_of(experiment) for cycle in walk(experiment, sources, chain, known).cycles
    ]
    return set(every), len(every)


def measured(path: Path) -> dict[str, float]:
    """Medians of what the benchmark of gears-flax measured on two cores with 5,000 genes, in seconds and byte/s."""
    table = pd.read_csv(path)
    found = {}
    for case, contender, measure in (
        ("5,000 genes, 2 cores", "Flax", "step"), ("5,000 genes, 2 cores", "PyTorch", "step"),
        ("5,000 genes, 2 cores", "Flax", "matrix products"), ("5,000 genes, 2 cores", "machine", "copy"),
        ("1,087 perturbations x 150 cells x 5,000 genes", "Flax", "whole training"),
    ):  # fmt: skip
        own = table[(table["case"] == case) & (table["contender"] == contender) & (table["measure"] == measure)]
        found[f"{contender} {measure}"] = median(own["value"])
    return found


def reference_steps(training: Training, size: Size) -> int:
    """Batches of cell-gears for a training, its epochs together."""
    held = round(training.validation * len(training.selected))
    return EPOCHS * ((size.cells * (len(training.selected) - held) + size.controls) // BATCH)


def clock(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}" if seconds >= 10 * size else f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def counts(grids: dict[str, tuple[set[Training], int]]) -> list[str]:
    lines = [
        "| grid | trainings | distinct | of them with uncertainty | by perturbations selected |",
        "|---|---:|---:|---:|---|",
    ]
    for name, (distinct, every) in grids.items():
        sizes = Counter(len(one.selected) for one in distinct)
        told = ", ".join(f"{size}: {number}" for size, number in sorted(sizes.items()))
        uncertain = sum(bool(getattr(one.predictor.predictor, "uncertainty", False)) for one in distinct)
        lines.append(f"| {name} | {every} | {len(distinct)} | {uncertain} | {told} |")
    return lines


def times(grids: dict[str, tuple[set[Training], int]], found: dict[str, float]) -> list[str]:
    step = FLOP / (REACHED * H100_FLOPS) + moved(found) / (REACHED * H100_BYTES) + LAUNCHES * LAUNCH
    single = {
        "gears-flax, 2 cores (measured training)": found["Flax whole training"],
        "gears-flax, one H100 (assumed)": STEPS * step + COMPILE,
    }
    lines = ["| grid | predictor | a training | one such machine | 100 nodes |", "|---|---|---:|---:|---:|"]
    for name, (distinct, _) in grids.items():
        cycles = len({len(one.selected) for one in distinct})
        for (predictor, seconds), workers in zip(single.items(), (NODES * WORKERS, NODES), strict=True):
            together = max(cycles * seconds, len(distinct) * seconds / workers)
            cells = (predictor, clock(seconds), clock(len(distinct) * seconds), clock(together))
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        each = {one: reference_steps(one, GRIDS[name]) * found["PyTorch step"] for one in distinct}
        longest = sum({len(one.selected): seconds for one, seconds in each.items()}.values())
        whole = sum(each.values())
        spread = f"{clock(min(each.values()))} to {clock(max(each.values()))}"
        together = max(longest, whole / (NODES * WORKERS))
        cells = ("cell-gears, 2 cores (extrapolated steps)", spread, clock(whole), clock(together))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def moved(found: dict[str, float]) -> float:
    """Bytes that a step reads and writes besides its matrix products, as the benchmark reckons them."""
    return (found["Flax step"] - found["Flax matrix products"]) * found["machine copy"]


TEXT = """# How long the paper's grids take: an estimate on paper

Written by `python experiments/estimate.py`. **Nothing was run on an H100 or on a cluster, and neither grid was
run**: the files of cells were not at hand. The measured training made 660 steps, more than the {steps} of the default:
its seconds are an upper estimate.

## How many trainings

Counted by the planner of `perturb-jax run` on a screen of as many perturbations. Strategies that ask the model begin
with Random's first batch, so that those trainings are shared; apart from that, no two strategies are taken to select
the same.

{counts}

## How long

{times}

From measurements ([gears_flax.md](benchmarks/results/gears_flax.md), two shared cores, 5,000 genes, simulated cells):

- gears-flax: {training:.0f} s for a whole training (880 perturbations; the time does not grow with perturbations or
  cells), {step:.0f} ms a step, of which {products:.0f} ms are {flop:.1f} GFLOP of matrix products; the rest moves
  {bytes:.2f} GB at the measured {copy:.1f} GB/s.
- cell-gears: {torch:.2f} s a step of 32 cells, {epochs} epochs;
  {cells}.
  Loading and evaluating are not counted, nor that a training may need more memory than a worker has.

Assumed:

- Data: 5,000 measured genes for both screens. Adamson's first cycles have batches of fewer than 32 perturbations, and
  are faster than this. The head for uncertainty takes longer: not counted.
- H100 (SXM data sheet of NVIDIA: 67 TFLOP/s in FP32 without tensor cores, 3.35 TB/s): {reached:.0%} of both rates, one
  after the other; {launches} kernels a step, {launch:.0f} us each to launch; {steps} steps; {compile:.0f} s to compile
  each training. So {h100:.1f} ms a step, {compute:.1f} ms of it arithmetic, {memory:.1f} ms memory, {wait:.1f} ms
  launching: with one training at a time the card mostly waits. One training runs on it at a time, as
  `perturb-jax run` does, though a step needs 0.4 GB of its 80.
- Cluster: {nodes} nodes, with {workers} workers of two cores such as the measured ones each, or an H100 each; dask
  hands out trainings (`--slurm` or `--scheduler`) and no time is lost by that. Strategies that ask the model have to
  wait for each cycle's training, so no number of nodes makes the grid faster than one cycle after the other: that is
  what the last column says where there are more workers than trainings.
- Not counted: download, reading cells (17 s for 160,000 x 5,000, once), selection (seconds per strategy and seed),
  evaluation, queueing.
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--measured", type=Path, default=HERE / "benchmarks" / "results" / "gears_flax.csv")
    found = measured(options.parse_args().measured)
    grids = {name: trainings(read_experiment(HERE / name)[1], size.perturbations) for name, size in GRIDS.items()}
    compute, memory = FLOP / (REACHED * H100_FLOPS), moved(found) / (REACHED * H100_BYTES)
    cells = [f"{name}: {size.cells} cells a perturbation, {size.controls:,} of control" for name, size in GRIDS.items()]
    text = TEXT.format(
        counts="\n".join(counts(grids)), times="\n".join(times(grids, found)), training=found["Flax whole training"],
        step=1e3 * found["Flax step"], products=1e3 * found["Flax matrix products"], flop=FLOP / 1e9,
        bytes=moved(found) / 1e9, copy=found["machine copy"] / 1e9, torch=found["PyTorch step"], epochs=EPOCHS,
        cells=";\n  ".join(cells), reached=REACHED, launches=LAUNCHES, launch=1e6 * LAUNCH, steps=STEPS,
        compile=COMPILE, h100=1e3 * (compute + memory + LAUNCHES * LAUNCH), compute=1e3 * compute,
        memory=1e3 * memory, wait=1e3 * LAUNCHES * LAUNCH, nodes=NODES, workers=WORKERS,
    )  # fmt: skip
    (HERE / "estimate.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
