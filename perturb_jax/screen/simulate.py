"""Simulated screens on a real knowledge graph: for tests, power studies, and where data cannot be had."""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from perturb_jax.genes.perturbations import NO_MEMBER, Perturbations, as_names, parse_perturbations, perturbed_genes
from perturb_jax.genes.symbols import Unknown
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.screen.coexpression import coexpression_graph
from perturb_jax.screen.moments import Moments, accumulate, empty_sums, top_genes, welch_t, with_zeros
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.simulation_cells import CellFile, MomentTable, draw_cells
from perturb_jax.screen.simulation_model import Genes, SimulationModel, draw_changes, draw_genes
from perturb_jax.support.errors import InputError

_DE_GENES = 20
_GENES, _EFFECTS, _CELLS = range(3)  # streams of random numbers, one for each purpose


class Truth(NamedTuple):
    """What a simulated screen measures.

    Attributes:
        perturbations: sorted names, combinations with genes in sorted order.
        genes: the measured genes in control cells.
        changes: log fold changes of a gene's mean count.
        dropped: perturbations that the graph does not know, with the reason.
    """

    perturbations: tuple[str, ...]
    genes: Genes
    changes: Float[np.ndarray, "perturbations genes"]
    dropped: dict[str, str]


def simulate_screen(
    graph: KnowledgeGraph,
    perturbations: Iterable[str] | int,
    genes: Iterable[str] | int = 5_000,
    cells_per_perturbation: int = 100,
    *,
    control_cells: int | None = None,
    homophily: float = 0.5,
    hops: int = 1,
    seed: int = 0,
    cell_seed: int | None = None,
    moments: Literal["cells", "expected"] = "cells",
    model: SimulationModel | None = None,
    path: str | Path | None = None,
    condition_names: Literal["gears", "plain"] = "gears",
    unknown: Unknown = "error",
) -> Screen:
    """Simulate a perturbation screen whose effects are as smooth over the graph as asked for.

    The model, with its formulas, sources and limits, is described at `SimulationModel`. The screen's `settings` hold
    ``"simulated": True``; numbers computed from it should be called simulated wherever they appear.

    Complexity: O(perturbations * genes) with expected moments (1,087 x 5,000: seconds), O(cells * genes) with cells
    (160,000 x 5,000: about a minute or two), drawn 256 at a time.

    Args:
        graph: genes that can be perturbed, and their edges.
        perturbations: genes or combinations "A+B" of the graph, old symbols are resolved; or how many single genes to
            draw from it.
        genes: measured genes, any names; or how many: the perturbed ones and others of the graph, drawn at random.
        cells_per_perturbation: cells of each, at least 2.
        control_cells: unperturbed cells, at least 2; None: ten times as many as of one perturbation.
        homophily: share of the variance of effects that is smooth over the graph, 0 (none) to 1.
        hops: steps over which it is smooth: k of `GraphKernel`.
        seed: of the genes and effects.
        cell_seed: of the cells; None: `seed`. Seeds are at least 0.
        moments: "cells": of cells that are drawn, with their sampling error; "expected": of the model's distribution,
            without error, cells are drawn only for the co-expression graph; a gene is called non-zero where at least
            half a cell is expected to express it.
        model: the other parameters.
        path: where to write the cells as .h5ad: expression in X (CSR, float32), `condition` in obs, names in
            `gene_name` of var. None: not kept.
        condition_names: in that file: as GEARS wants them ("KLF1+ctrl", "ctrl"), or plain ("KLF1", "control").
        unknown: "error", or "drop" to leave out perturbations with genes that the graph does not know, and report them
            in `settings`.

    Raises:
        InputError: unknown or repeated names, numbers out of range, `path` without cells.

    Examples:
        >>> import pandas as pd
        >>> import perturb_jax as pj
        >>> ring = pj.graph_from_edges(pd.DataFrame({
        ...     "source": list("ABCDEF"), "target": list("BCDEFA"), "importance": 1.0}))
        >>> screen = simulate_screen(ring, ["A", "B", "B+D"], genes=list("ABCDEFGH"), cells_per_perturbation=50)
        >>> screen.perturbations, screen.mean.shape, screen.settings["simulated"]
        (('A', 'B', 'B+D'), (3, 8), True)
    """
    model = model or SimulationModel()
    cell_seed = seed if cell_seed is None else cell_seed
    control_cells = 10 * cells_per_perturbation if control_cells is None else control_cells
    _check_seed("seed", seed)
    _check_settings(cells_per_perturbation, control_cells, cell_seed, moments, path, condition_names)
    truth = simulate_truth(
        graph, perturbations, genes, homophily=homophily, hops=hops, seed=seed, model=model, unknown=unknown
    )
    settings: dict[str, object] = {
        "simulated": True, "homophily": homophily, "hops": hops, "seed": seed, "cell_seed": cell_seed,
        "moments": moments, "control_cells": control_cells, "cells_per_perturbation": cells_per_perturbation,
        **{f"model.{name}": value for name, value in asdict(model).items() if value is not None},
    }  # fmt: skip
    rates = np.concatenate([truth.genes.rate[None], truth.genes.rate * np.exp(truth.changes)])
    labels = ("", *truth.perturbations)
    counts = (control_cells, *[cells_per_perturbation] * len(truth.perturbations))
    control = [
        chunk.expression for chunk in draw_cells(truth.genes, rates[0], control_cells, model, _stream(cell_seed, ""))
    ]
    sums: Moments
    if moments == "expected":
        sums = _expected(truth.genes, rates, np.array(counts), model)
    else:
        sums = _drawn(truth.genes, rates, labels, counts, model, cell_seed, path, condition_names, settings)
    coexpression = coexpression_graph(sparse.csr_array(sparse.vstack(control)), truth.genes.names)
    only, rest = (Moments(*(part[rows] for part in sums)) for rows in (slice(0, 1), slice(1, None)))
    top = [
        top_genes(welch_t(Moments(*(part[row : row + 1] for part in rest)), only), _DE_GENES)
        for row in range(len(rest.count))
    ]
    return Screen(
        perturbations=truth.perturbations,
        readouts=truth.genes.names,
        cell_counts=rest.count,
        mean=rest.mean,
        variance=rest.variance,
        third=rest.third,
        fourth=rest.fourth,
        nonzero=rest.expressing > 0,
        de_genes=np.stack(top),
        control_count=control_cells,
        control_mean=only.mean[0],
        control_variance=only.variance[0],
        control_third=only.third[0],
        control_fourth=only.fourth[0],
        coexpression=coexpression,
        source=None if path is None else Path(path).absolute(),
        settings=settings | ({"dropped": truth.dropped} if truth.dropped else {}),
    )


def simulate_truth(
    graph: KnowledgeGraph,
    perturbations: Iterable[str] | int,
    genes: Iterable[str] | int = 5_000,
    *,
    homophily: float = 0.5,
    hops: int = 1,
    seed: int = 0,
    model: SimulationModel | None = None,
    unknown: Unknown = "error",
) -> Truth:
    """The genes and effects that `simulate_screen` measures with the same arguments, which it describes.

    Raises:
        InputError: unknown or repeated names, numbers out of range.
    """
    if not 0 <= homophily <= 1:
        raise InputError(f"homophily: expected a number from 0 to 1, got {homophily!r}")
    _check_seed("seed", seed)
    model = model or SimulationModel()
    chance = np.random.default_rng([_GENES, seed])
    if isinstance(perturbations, int):
        if not 1 <= perturbations <= graph.num_nodes:
            raise InputError(f"perturbations: expected 1 to {graph.num_nodes}, the graph's genes, got {perturbations}")
        order = [graph.genes[node] for node in chance.permutation(graph.num_nodes)]
        perturbations = [gene for gene in order if perturbed_genes(gene)][:perturbations]  # one gene is called CTRL
    given = parse_perturbations(graph.names, perturbations, unknown)
    candidates = _sorted(graph, given)
    if not len(candidates):
        raise InputError("perturbations: expected at least one, got none")
    nodes = candidates.members[candidates.members != NO_MEMBER]
    targets = frozenset(graph.genes[node] for node in nodes)
    names = _measured(graph, targets, genes, chance)
    drawn = draw_genes(names, targets, model, chance)
    effects = np.random.default_rng([_EFFECTS, seed])
    changes = draw_changes(graph, candidates, drawn, model, homophily, hops, effects)
    return Truth(candidates.labels, drawn, changes, given.dropped)


def _sorted(graph: KnowledgeGraph, candidates: Perturbations) -> Perturbations:
    """The candidates in the order of their names, genes within a combination too."""
    labels = ["+".join(sorted(label.split("+"))) for label in candidates.labels]
    order = np.argsort(np.array(labels, object), kind="stable")
    return parse_perturbations(graph.names, [labels[row] for row in order])


def _measured(
    graph: KnowledgeGraph, targets: frozenset[str], genes: Iterable[str] | int, chance: np.random.Generator
) -> tuple[str, ...]:
    if isinstance(genes, int):
        if not max(2, len(targets)) <= genes <= graph.num_nodes:
            raise InputError(
                f"genes: expected {max(2, len(targets))}, the perturbed ones, to {graph.num_nodes}, the graph's, got "
                f"{genes}; list names to measure others"
            )
        others = [graph.genes[node] for node in chance.permutation(graph.num_nodes) if graph.genes[node] not in targets]
        return tuple(sorted([*targets, *others[: genes - len(targets)]]))
    given = as_names(genes)
    known = graph.names.resolve(given, "drop")
    current = dict(zip(known.given, known.genes, strict=True))
    names = tuple(current.get(name, name) for name in given)
    if len(names) < 2:
        raise InputError(f"genes: expected at least 2 names, got {len(names)}")
    return names


def _stream(seed: int, perturbation: str) -> np.random.Generator:
    """Randomness of one perturbation's cells: the same whatever else is in the screen. "" is control."""
    return np.random.default_rng([_CELLS, seed, *perturbation.encode()])


def _expected(
    genes: Genes, rates: Float[np.ndarray, "conditions genes"], counts: Int[np.ndarray, " conditions"],
    model: SimulationModel,
) -> Moments:  # fmt: skip
    fitted = model.fitted
    table = MomentTable(genes.rate, genes.dispersion, fitted.library_median, fitted.library_spread)
    mean, variance, third, fourth, zero = np.moveaxis(np.stack([table(rate, genes.dispersion) for rate in rates]), 1, 0)
    expressing = np.round(counts[:, None] * (1 - zero)).astype(np.int64)
    return Moments(counts, expressing, mean, variance, third, fourth)


def _drawn(
    genes: Genes,
    rates: Float[np.ndarray, "conditions genes"],
    labels: tuple[str, ...],
    counts: tuple[int, ...],
    model: SimulationModel,
    cell_seed: int,
    path: str | Path | None,
    condition_names: str,
    settings: dict[str, object],
) -> Moments:
    """Moments of cells drawn condition by condition, and the file of them where one is wanted."""
    sums = empty_sums(len(labels), len(genes.names))
    with ExitStack() as stack:
        file = None if path is None else stack.enter_context(CellFile(Path(path), genes.names, settings))
        for row, (label, number) in enumerate(zip(labels, counts, strict=True)):
            condition = _condition(label, condition_names)
            for chunk in draw_cells(genes, rates[row], number, model, _stream(cell_seed, label)):
                cells = chunk.expression
                one = np.zeros(cells.shape[0], np.int64)
                part = sums[row : row + 1]
                accumulate(cells.data, cells.indices, cells.indptr, first=0, by_cell=True, groups=one, sums=part)
                if file is not None:
                    file.add(condition, chunk)
    return with_zeros(sums, np.array(counts))


def _condition(label: str, style: str) -> str:
    if style == "plain":
        return label or "control"
    return label if "+" in label else f"{label}+ctrl" if label else "ctrl"


def _check_seed(name: str, seed: int) -> None:
    if seed < 0:
        raise InputError(f"{name}: expected a whole number of at least 0, got {seed}")


def _check_settings(
    cells: int, control: int, cell_seed: int, moments: str, path: str | Path | None, condition_names: str
) -> None:
    _check_seed("cell_seed", cell_seed)
    for name, value in (("cells_per_perturbation", cells), ("control_cells", control)):
        if value < 2:
            raise InputError(f"{name}: expected at least 2 cells, got {value}")
    if moments not in ("cells", "expected"):
        raise InputError(f"moments: expected 'cells' or 'expected', got {moments!r}")
    if condition_names not in ("gears", "plain"):
        raise InputError(f"condition_names: expected 'gears' or 'plain', got {condition_names!r}")
    if path is not None and moments == "expected":
        raise InputError("path: there are no cells to write with expected moments; use moments='cells'")
