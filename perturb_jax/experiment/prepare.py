"""Screens and graphs of an experiment: made once, kept in its directory, and loaded where they are needed."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

import perturb_jax as pj
from perturb_jax.evaluation.trial import genes_of_screen, usable_perturbations
from perturb_jax.experiment.file import Simulation
from perturb_jax.experiment.store import RECORD, SCREEN, Store
from perturb_jax.experiment.work import Preparation
from perturb_jax.genes.lists import read_names
from perturb_jax.genes.perturbations import parse_perturbations, perturbed_genes
from perturb_jax.graph.annotation import Annotation
from perturb_jax.graph.knowledge_graph import KnowledgeGraph, graph_record
from perturb_jax.screen.reading import open_screen
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.simulate import simulate_screen
from perturb_jax.screen.store import load_screen, save_screen
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import versions

CELLS = "cells"
"""Directory of the simulated cells that the reference needs: they can be drawn again, and are only kept."""


class Ready(NamedTuple):
    """What work begins with."""

    screen: Screen
    graph: KnowledgeGraph
    perturbations: tuple[str, ...]


def prepare(work: Preparation, store: Store) -> None:
    """Make the screen and store it, with the perturbations that the graph knows.

    Raises:
        InputError: data that cannot be read or simulated; perturbations that the graph lacks, unless dropped.
    """
    if work.data.simulation is not None:
        screen, graph = _simulated(work, work.data.simulation, None)
    else:
        screen = _read(work)
        graph = _graph(work, genes_of_screen(screen))
    usable, missing = usable_perturbations(screen, graph, work.data.unknown)
    parse_perturbations(graph.names, usable)  # refuses two names of one perturbation
    record = {
        "work": work.identity(),
        "perturbations": list(usable),
        "dropped": missing,
        "screen": repr(screen),
        "caution": screen.caution,
        "simulated": bool(screen.how.simulated),
        "graph": graph_record(graph),
        "versions": versions(),
    }
    with store.writing(work) as place:
        save_screen(screen, place / SCREEN)
        (place / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def ready(work: Preparation, store: Store) -> Ready:
    """The screen and the graph, as they were prepared; the last few are kept in memory."""
    return _ready(work, store.root)


def with_cells(work: Preparation, store: Store, screen: Screen) -> Screen:
    """The screen with a file of its cells, for a predictor that learns from cells.

    Simulated cells are drawn again, the same, and kept.

    Raises:
        InputError: a simulation of expected moments, which has no cells.
    """
    simulation = work.data.simulation
    if simulation is None:
        return replace(screen, source=work.path("data.screen") or work.path("data.dataset") or screen.source)
    if simulation.moments == "expected":
        raise InputError('expected moments have no cells to learn from; simulate with moments = "cells"')
    path = store.root / CELLS / f"{work.digest}.h5ad"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".perturb-jax-") as staging:
            whole = Path(staging, "cells.h5ad")
            _simulated(work, simulation, whole)
            whole.replace(path)
    return replace(screen, source=path)


@lru_cache(4)
def _ready(work: Preparation, root: Path) -> Ready:
    store = Store(root)
    screen = load_screen(store.place(work) / SCREEN)
    graph = _graph(work, genes_of_screen(screen))
    return Ready(screen, graph, tuple(store.record(work, RECORD)["perturbations"]))


def _graph(work: Preparation, of_screen: Sequence[str] | None) -> KnowledgeGraph:
    """The graph of a universe; of all annotated genes where that is "screen" and the screen's are not given."""
    graph = work.graph
    if graph.file is not None:
        return pj.graph_from_edges(_file(work, "graph.file"))
    genes: list[str] | None = None
    if isinstance(graph.universe, Path):
        genes = read_names(_file(work, "graph.universe"))
    annotation = _annotation(work)
    if graph.universe == "screen" and of_screen is not None:  # which may name a gene by its old symbol and by its new
        genes = list(dict.fromkeys(annotation.names.resolve(of_screen, "drop", distinct=False).genes))
    return pj.load_go_graph(genes, graph.neighbors, graph.min_jaccard, graph.namespaces, annotation)


def _annotation(work: Preparation) -> Annotation:
    if work.graph.annotation is None:
        return pj.human_annotation()
    return pj.read_annotation(_file(work, "graph.annotation"))


def _file(work: Preparation, key: str) -> Path:
    path = work.path(key)
    assert path is not None
    return path


def _simulated(work: Preparation, simulation: Simulation, path: Path | None) -> tuple[Screen, KnowledgeGraph]:
    """A simulated screen and the graph that is read.

    Where the graph is the measured genes' and effects are smooth over it, its genes are drawn first: the perturbed ones
    of a list and others of the annotation, at random.
    """
    assert work.seed is not None
    names: int | list[str] = (
        simulation.perturbations
        if isinstance(simulation.perturbations, int)
        else read_names(_file(work, "data.simulation.perturbations"))
    )
    genes: int | list[str] = simulation.genes
    over = None
    if work.graph.universe == "screen" and work.graph.file is None and simulation.over == "graph":
        genes = _drawn(work, names, simulation.genes)
        over = _graph(work, genes)
        genes = list(over.genes)
    elif simulation.over == "graph":
        over = _graph(work, None)
    else:
        over = pj.load_go_graph(
            None, work.graph.neighbors, work.graph.min_jaccard, work.graph.namespaces, _annotation(work)
        )
    screen = simulate_screen(
        over, names, genes, simulation.cells, control_cells=simulation.control_cells,
        homophily=simulation.homophily, hops=simulation.hops, seed=work.seed, moments=simulation.moments,
        model=simulation.model, path=path, unknown=work.data.unknown,
    )  # fmt: skip
    return screen, over if simulation.over == "graph" else _graph(work, genes_of_screen(screen))


def _drawn(work: Preparation, names: int | list[str], count: int) -> list[str]:
    """Genes of a simulated screen: the perturbed ones, and others of the annotation."""
    annotation = _annotation(work)
    given: list[str] = []
    if not isinstance(names, int):
        targets = dict.fromkeys(gene for name in names for gene in perturbed_genes(name))
        given = list(annotation.names.resolve(targets, work.data.unknown).genes)
    if not len(given) <= count <= len(annotation.genes):
        raise InputError(f"genes: expected {len(given)}, the perturbed ones, to {len(annotation.genes)}, got {count}")
    order = np.random.default_rng([_GENES_OF_GRAPH, work.seed or 0]).permutation(len(annotation.genes))
    taken = set(given)
    drawn = (annotation.genes[place] for place in order.tolist())
    others = [gene for gene in drawn if gene not in taken and perturbed_genes(gene)]  # one gene is called CTRL
    return [*given, *others[: count - len(given)]]


_GENES_OF_GRAPH = 3
"""The stream of random numbers for these; a simulation uses those before it."""


def _read(work: Preparation) -> Screen:
    path = work.path("data.screen") or work.path("data.dataset")
    assert path is not None
    return open_screen(path, work.data.reading, progress=False)
