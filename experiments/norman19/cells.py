"""The cells, the graph and the splits: the same for every script here."""

import argparse
from pathlib import Path
from typing import NamedTuple

import perturb_jax as pj
from perturb_jax.genes.perturbations import perturbed_genes, unknown_to
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.split import Split, choose_test, remaining, split_selected

CONDITION = "condition"
"""The column that names the perturbation."""

TESTED = 6
"""Perturbations of the test set."""


class Measured(NamedTuple):
    """The screen of all cells, and what it is predicted with.

    Attributes:
        screen: every perturbation of the file.
        graph: of the measured and the perturbed genes.
        usable: the perturbations that the graph knows.
        unknown: the others, with the reason.
    """

    screen: Screen
    graph: KnowledgeGraph
    usable: list[str]
    unknown: dict[str, str]


def options_of(description: str) -> argparse.ArgumentParser:
    """The options that name the cells, the splits and where results go."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--cells", type=Path, required=True, help="the .h5ad file")
    options.add_argument("--where", default="dataset=norman19", help="COLUMN=VALUE of the cells to read")
    options.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4], help="of the splits and of training")
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return options


def chosen(where: str) -> dict[str, str]:
    """COLUMN=VALUE as `read_screen` wants it."""
    column, _, value = where.partition("=")
    return {column: value}


def read_measured(cells: Path, where: str) -> Measured:
    """Read the cells, and load the graph of their genes."""
    screen = read_screen(cells, chosen(where), condition=CONDITION, progress=False)
    genes = dict.fromkeys(
        [*screen.readouts, *(gene for name in screen.perturbations for gene in perturbed_genes(name))]
    )
    graph = pj.load_go_graph(list(genes), unknown="drop")
    unknown = unknown_to(graph.names, screen.perturbations)
    return Measured(screen, graph, [name for name in screen.perturbations if name not in unknown], unknown)


def split_of(measured: Measured, seed: int) -> Split:
    """What tests, trains and validates."""
    test = choose_test(measured.usable, TESTED, seed)
    return split_selected(remaining(measured.usable, test), test, seed, screen=measured.usable)
