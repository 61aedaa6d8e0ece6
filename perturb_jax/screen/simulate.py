"""Simulated screens on a real knowledge graph: for tests, power studies, and where data cannot be had."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import anndata
import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from perturb_jax.genes.perturbations import NO_MEMBER, as_names, control_kind, parse_perturbations
from perturb_jax.genes.symbols import Unknown
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.screen.coexpression import coexpression_graph
from perturb_jax.screen.kernels import accumulate, negative_binomial
from perturb_jax.screen.screen import Moments, Screen, top_genes, welch_t, with_zeros
from perturb_jax.screen.simulation_model import SCALE, Genes, MomentTable, SimulationModel, draw_changes, draw_genes
from perturb_jax.support.checks import check_choice, check_count
from perturb_jax.support.errors import InputError
from perturb_jax.support.hdf5 import whole_hdf5

CHUNK = 256
"""Cells that are drawn at a time."""

_DE_GENES = 20
_GENES, _EFFECTS, _CELLS = range(3)  # streams of random numbers, one for each purpose


class Truth(NamedTuple):
    """What a simulated screen measures: log fold changes of mean counts; and what it does not, with the reason."""

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
    """Simulate a perturbation screen whose effects are as smooth over the graph as `homophily` says.

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
        homophily: fraction of the variance of effects that is smooth over the graph, 0 (none) to 1.
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
        InputError: unknown or repeated names, numbers out of range, `path` without cells or that cannot be written.

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
    check_count("seed", seed, at_least=0)
    check_count("cell_seed", cell_seed, at_least=0)
    check_count("cells_per_perturbation", cells_per_perturbation, at_least=2)
    check_count("control_cells", control_cells, at_least=2)
    check_choice("moments", moments, ("cells", "expected"))
    check_choice("condition_names", condition_names, ("gears", "plain"))
    if path is not None and moments == "expected":
        raise InputError("path: there are no cells to write with expected moments; use moments='cells'")
    truth = simulate_truth(
        graph, perturbations, genes, homophily=homophily, hops=hops, seed=seed, model=model, unknown=unknown
    )
    settings: dict[str, object] = {
        "simulated": True, "homophily": homophily, "hops": hops, "seed": seed, "cell_seed": cell_seed,
        "moments": moments, "control_cells": control_cells, "cells_per_perturbation": cells_per_perturbation,
        **{f"model.{name}": value for name, value in asdict(model).items() if value is not None},
    }  # fmt: skip
    names = truth.genes.names
    rates = np.concatenate([truth.genes.rate[None], truth.genes.rate * np.exp(truth.changes)])
    counts = np.array([control_cells] + [cells_per_perturbation] * len(truth.perturbations))

    def cells_of(row: int) -> Iterator[DrawnCells]:
        """Control's, and of every perturbation, the same whatever else is in the screen."""
        stream = np.random.default_rng([_CELLS, cell_seed, *("", *truth.perturbations)[row].encode()])
        return draw_cells(truth.genes, rates[row], int(counts[row]), model, stream)

    if moments == "expected":
        fitted = model.fitted
        table = MomentTable(truth.genes.rate, truth.genes.dispersion, fitted.library_median, fitted.library_spread)
        parts = np.stack([table(rate, truth.genes.dispersion) for rate in rates], 1)
        sums = Moments(counts, *parts[:4])
        nonzero = np.round(counts[:, None] * (1 - parts[4])) > 0
    else:
        gathered = np.zeros((len(counts), len(names), 5))
        with ExitStack() as stack:
            write = None if path is None else stack.enter_context(_cell_file(Path(path), names, settings))
            for row, label in enumerate(("", *truth.perturbations)):
                for expression, library in cells_of(row):
                    one, part = np.zeros(len(library), np.int64), gathered[row : row + 1]
                    arrays = expression.data, expression.indices, expression.indptr
                    accumulate(*arrays, first=0, by_cell=True, groups=one, sums=part)
                    if write is not None:
                        write(_condition(label, condition_names), expression, library)
        sums = with_zeros(gathered, counts)
        nonzero = sums.mean > 0
    control, perturbed = sums.of(slice(0, 1)), sums.of(slice(1, None))
    rows = [slice(row, row + 1) for row in range(len(truth.perturbations))]
    return Screen(
        perturbations=truth.perturbations,
        readouts=names,
        perturbed=perturbed,
        control=control.of(0),
        nonzero=nonzero[1:],
        de_genes=np.stack([top_genes(welch_t(perturbed.of(row), control), _DE_GENES) for row in rows]),
        coexpression=coexpression_graph(sparse.csr_array(sparse.vstack([part for part, _ in cells_of(0)])), names),
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
    """The genes and effects that `simulate_screen` measures with the same arguments, which it describes."""
    if not 0 <= homophily <= 1:
        raise InputError(f"homophily: expected a number from 0 to 1, got {homophily!r}")
    model = model or SimulationModel()
    chance = np.random.default_rng([_GENES, seed])
    if isinstance(perturbations, int):
        if not 1 <= perturbations <= graph.num_nodes:
            raise InputError(f"perturbations: expected 1 to {graph.num_nodes}, the graph's genes, got {perturbations}")
        order = [graph.genes[node] for node in chance.permutation(graph.num_nodes)]
        unlike_controls = (gene for gene in order if not control_kind(gene.lower()))  # one gene is called CTRL
        perturbations = list(islice(unlike_controls, perturbations))
    given = parse_perturbations(graph.names, perturbations, unknown)
    labels = sorted("+".join(sorted(label.split("+"))) for label in given.labels)
    candidates = parse_perturbations(graph.names, labels)
    if not len(candidates):
        raise InputError("perturbations: expected at least one, got none")
    nodes = candidates.members[candidates.members != NO_MEMBER]
    targets = frozenset(graph.genes[node] for node in nodes)
    names = _measured(graph, targets, genes, chance)
    drawn = draw_genes(names, targets, model, chance)
    effects = np.random.default_rng([_EFFECTS, seed])
    changes = draw_changes(graph, candidates, drawn, model, homophily, hops, effects)
    return Truth(candidates.labels, drawn, changes, given.dropped)


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
    renamed = graph.names.resolve(given, "drop").renamed
    names = tuple(renamed.get(name, name) for name in given)
    if len(names) < 2:
        raise InputError(f"genes: expected at least 2 names, got {len(names)}")
    return names


DrawnCells = tuple[sparse.csr_array, Float[np.ndarray, " cells"]]
"""Expression, log1p of counts scaled to 10,000, float32 [cells, genes]; and total counts, unmeasured genes included."""


def draw_cells(
    genes: Genes, rate: Float[np.ndarray, " genes"], number: int, model: SimulationModel, rng: np.random.Generator
) -> Iterator[DrawnCells]:
    """Cells of a perturbation that makes `rate` the genes' fractions of counts, `CHUNK` at a time. O(cells * genes)."""
    fitted = model.fitted
    for start in range(0, number, CHUNK):
        cells = min(CHUNK, number - start)
        library = fitted.library_median * np.exp(fitted.library_spread * rng.standard_normal(cells))
        states = rng.standard_normal((cells, model.states))
        own = rng.standard_normal((cells, len(rate)), np.float32)
        parts = negative_binomial(rate, 1 / genes.dispersion, library, states, genes.state, model.shared, own, SCALE)
        yield sparse.csr_array(parts, shape=(cells, len(rate))), library


def _condition(label: str, style: str) -> str:
    if style == "plain":
        return label or "control"
    return label if "+" in label else f"{label}+ctrl" if label else "ctrl"


@contextmanager
def _cell_file(
    path: Path, genes: tuple[str, ...], settings: dict[str, object]
) -> Iterator[Callable[[str, sparse.csr_array, np.ndarray], None]]:
    """Writes cells to an .h5ad file as they are drawn: X is CSR float32, never whole in memory; `settings` in `uns`."""
    conditions: list[str] = []
    libraries, ends = [np.zeros(0)], [np.zeros(1, np.int64)]
    with whole_hdf5(path) as (file, check):
        matrix = file.create_group("X")
        storage = {"shape": (0,), "maxshape": (None,), "chunks": (1 << 18,), "compression": "gzip"}
        data = matrix.create_dataset("data", dtype="f4", compression_opts=1, **storage)
        indices = matrix.create_dataset("indices", dtype="i4", compression_opts=1, shuffle=True, **storage)

        def add(condition: str, expression: sparse.csr_array, library: np.ndarray) -> None:
            start = int(ends[-1][-1])
            for stored, values in ((data, expression.data), (indices, expression.indices)):
                stored.resize(start + len(values), axis=0)
                stored[start:] = values
            check()
            ends.append(start + expression.indptr[1:].astype(np.int64))
            conditions.extend([condition] * len(library))
            libraries.append(library)

        yield add
        matrix.create_dataset("indptr", data=np.concatenate(ends))
        matrix.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        matrix.attrs["shape"] = np.array([len(conditions), len(genes)])
        obs = {
            "condition": pd.Categorical(conditions),
            "cell_type": pd.Categorical(["simulated"] * len(conditions)),
            "total_counts": np.concatenate(libraries),
        }
        cells = pd.Index([f"cell{i}" for i in range(len(conditions))])
        var = pd.DataFrame({"gene_name": list(genes)}, index=pd.Index(genes))
        uns = {"simulation": settings, "log1p": {}}
        for name, part in (("obs", pd.DataFrame(obs, index=cells)), ("var", var), ("uns", uns)):
            anndata.io.write_elem(file, name, part)
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
