"""The simulated screens on which the Flax GEARS and the reference are compared: cells, graph and split by seed."""

from pathlib import Path
from typing import NamedTuple

import perturb_jax as pj
from perturb_jax.experiment.execution import prepare, ready, with_cells
from perturb_jax.experiment.file import find_sources, read_experiment, seed_for
from perturb_jax.experiment.planner import Preparation
from perturb_jax.experiment.store import Store
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.split import Split, choose_test, remaining, split_selected

MODEL = pj.SimulationModel(responsive=1.0)
"""Every measured gene is like a responsive one: the largest effects that the model of simulation has."""

TESTED = 20
"""Perturbations of the test set."""


class Size(NamedTuple):
    """How large a simulated screen is."""

    perturbations: int
    cells: int
    genes: int


SIZES = {"cells-100": Size(81, 100, 1_000), "cells-800": Size(81, 800, 1_000), "adamson": Size(81, 800, 1_000)}
"""Adamson's number of perturbations, with fewer cells and with Adamson's number of cells; and Adamson's own targets."""

ADAMSON = Path(__file__).parents[1] / "simulated_adamson.toml", "homophily 0.8"
"""The experiment, and which of its data sets: effects follow the graph that predictors read, more than elsewhere."""


def simulated_case(name: str, seed: int, directory: Path) -> tuple[Screen, KnowledgeGraph, Split]:
    """A simulated screen with its cells in a file, the graph of its genes, and a split.

    Args:
        name: of `SIZES`.
        seed: of the screen and of the split.
        directory: where the cells are written, or were.
    """
    screen, graph = _adamson(seed, directory) if name == "adamson" else _drawn(name, seed, directory)
    test = choose_test(screen.perturbations, TESTED, seed)
    return screen, graph, split_selected(remaining(screen.perturbations, test), test, seed, screen=screen.perturbations)


def _drawn(name: str, seed: int, directory: Path) -> tuple[Screen, KnowledgeGraph]:
    """Perturbations and genes from the whole genome, whose graph the effects follow."""
    size = SIZES[name]
    path, stored = directory / f"{name}-{seed}.h5ad", directory / f"{name}-{seed}.screen.h5ad"
    directory.mkdir(parents=True, exist_ok=True)
    if not stored.exists():
        genome = pj.load_go_graph()
        drawn = pj.simulate_screen(
            genome, size.perturbations, size.genes, size.cells, seed=seed, model=MODEL, path=path
        )
        pj.save_screen(drawn, stored)
    screen = pj.load_screen(stored)
    return screen, pj.load_go_graph(list(screen.readouts), unknown="drop")


def _adamson(seed: int, directory: Path) -> tuple[Screen, KnowledgeGraph]:
    """As the experiment draws a repetition."""
    file, label = ADAMSON
    _, experiment = read_experiment(file)
    found = find_sources(experiment, file.parent)
    table = experiment.table
    work = Preparation(
        table.data[label], table.graph, seed_for("data", seed), found.checksums[label], found.paths[label]
    )
    store = Store(directory / "adamson")
    if not store.holds(work):
        prepare(work, store)
    screen, graph, _ = ready(work, store.root)
    return with_cells(work, store, screen), graph
