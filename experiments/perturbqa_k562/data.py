"""The outcomes of the screen, the graph, and the splits into candidates and test perturbations."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import perturb_jax as pj


class Outcomes(NamedTuple):
    """Which measured genes respond to which perturbation: labelled pairs as sparse rows.

    Attributes:
        perturbations: current gene names, sorted; only those that the graph knows.
        genes: measured genes, sorted.
        indptr: where each perturbation's pairs begin [perturbations + 1].
        columns: the measured gene of each pair.
        labels: 1 where the gene responds, else 0.
        dropped: perturbations left out, with the reason.
    """

    perturbations: tuple[str, ...]
    genes: tuple[str, ...]
    indptr: np.ndarray
    columns: np.ndarray
    labels: np.ndarray
    dropped: dict[str, str]

    @property
    def rows(self) -> np.ndarray:
        """The perturbation of each pair."""
        return np.repeat(np.arange(len(self.perturbations)), np.diff(self.indptr))


class Split(NamedTuple):
    """A seed's division of the perturbations, as numbers: what may be picked, shuffled, and what is predicted."""

    seed: int
    candidates: np.ndarray
    test: np.ndarray


def read_graph(library: Path) -> pj.KnowledgeGraph:
    """The GO graph of a library's genes, given one a line."""
    names = dict.fromkeys(line.strip() for line in library.read_text().splitlines() if line.strip())
    return pj.load_go_graph(genes=list(names), unknown="drop")


def read_outcomes(path: Path, graph: pj.KnowledgeGraph) -> Outcomes:
    """Read a table with the columns pert, gene and label; perturbations that the graph does not know are left out."""
    table = pd.read_csv(path, usecols=["pert", "gene", "label"])
    if not set(table["label"].unique()) <= {0, 1}:
        raise ValueError(f"{path.name}: expected the labels 0 and 1, got {sorted(table['label'].unique())[:5]}")
    resolved = graph.names.resolve(sorted(table["pert"].unique()), unknown="drop")
    current = dict(zip(resolved.given, resolved.genes, strict=True))
    table = table[table["pert"].isin(current)]
    perturbations = sorted(resolved.genes)
    genes = sorted(table["gene"].unique())
    row = pd.Index(perturbations).get_indexer(table["pert"].map(current))
    column = pd.Index(genes).get_indexer(table["gene"])
    order = np.lexsort((column, row))
    return Outcomes(
        perturbations=tuple(perturbations),
        genes=tuple(genes),
        indptr=np.searchsorted(row[order], np.arange(len(perturbations) + 1)),
        columns=column[order].astype(np.int32),
        labels=table["label"].to_numpy(np.float32)[order],
        dropped=resolved.dropped,
    )


def splits(outcomes: Outcomes, seeds: int, test_share: float = 0.3) -> Iterator[Split]:
    """Random divisions, one per seed: `test_share` of the perturbations are predicted, the rest may be picked."""
    size = len(outcomes.perturbations)
    for seed in range(seeds):
        order = np.random.default_rng([seed, 562]).permutation(size)
        cut = round(test_share * size)
        yield Split(seed, order[cut:], np.sort(order[:cut]))


def digest(path: Path) -> dict[str, Any]:
    """What identifies an input file without saying where it lies."""
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
