"""The graph of genes that are expressed together in control cells."""

import numpy as np
from scipy import sparse

from perturb_jax.graph.knowledge_graph import KnowledgeGraph, Provenance, make_graph
from perturb_jax.screen.kernels import add_products

BLOCK = 1024
"""Genes, and cells, that are dense in memory at a time."""

SPARSE_COST = 20.0
"""How much longer a product takes that finds its entry by an index than one in a dense matrix product."""


def coexpression_graph(
    cells: sparse.csr_array, genes: tuple[str, ...], neighbors: int = 20, min_correlation: float = 0.4
) -> KnowledgeGraph:
    """Connect each gene to those it correlates with most.

    Per target the `neighbors + 1` genes with the largest absolute Pearson correlation, the target itself among them,
    and of these the ones above `min_correlation`: GEARS' rule (`get_coexpression_network_from_train`), on control cells
    alone, so that the graph does not depend on which perturbations were selected. A gene that does not vary has
    correlation 0 with every gene, itself included, and so no edge. In double precision; where GEARS, in the data's
    precision, meets a correlation within rounding of another, either may be kept.

    Complexity: O(sum over cells of expressed genes^2) where that is less, else O(cells x genes^2) by dense products of
    centred values. In blocks: never a dense copy of the cells [cells, genes] nor all correlations at once.
    """
    mean, deviation = _mean_and_deviation(cells)
    usable = deviation > 1e-10 * np.sqrt(cells.shape[0]) * np.abs(mean)  # what rounding leaves of a constant is none
    inverse = np.where(usable, 1 / np.where(usable, deviation, 1), 0)
    is_sparse = SPARSE_COST * (np.diff(cells.indptr).astype(float) ** 2).sum() < cells.shape[0] * len(genes) ** 2
    kept = min(neighbors + 1, len(genes))
    senders, receivers, weights = [], [], []
    for first in range(0, len(genes), BLOCK):
        block = slice(first, min(first + BLOCK, len(genes)))
        correlation = (_sparse_block if is_sparse else _dense_block)(cells, mean, inverse, block)
        strength = np.minimum(np.abs(correlation), 1.0)
        strength[~usable[block]] = 0
        top = np.argpartition(strength, len(genes) - kept, axis=1)[:, len(genes) - kept :]
        top.sort(axis=1)
        value = np.take_along_axis(strength, top, axis=1)
        target, rank = np.nonzero(value > min_correlation)
        senders.append(top[target, rank])
        receivers.append(first + target)
        weights.append(value[target, rank])
    settings = (("neighbors", neighbors), ("min_correlation", min_correlation), ("control cells", cells.shape[0]))
    provenance = Provenance("co-expression in control cells", settings)
    ends = np.concatenate(senders), np.concatenate(receivers)
    return make_graph(*ends, np.concatenate(weights), genes, provenance=provenance)


def no_coexpression(genes: tuple[str, ...], reason: str) -> KnowledgeGraph:
    """A graph of the measured genes without an edge: there are no control cells to correlate."""
    nothing = np.zeros(0, np.int32)
    return make_graph(nothing, nothing, nothing, genes, provenance=Provenance(f"no co-expression: {reason}"))


def _dense_block(cells: sparse.csr_array, mean: np.ndarray, inverse: np.ndarray, block: slice) -> np.ndarray:
    """Correlations of a block of genes with all genes, by dense products over blocks of cells."""
    correlation = np.zeros((block.stop - block.start, cells.shape[1]))
    for row in range(0, cells.shape[0], BLOCK):
        centred = (cells[row : row + BLOCK].toarray() - mean) * inverse
        correlation += centred[:, block].T @ centred
    return correlation


def _sparse_block(cells: sparse.csr_array, mean: np.ndarray, inverse: np.ndarray, block: slice) -> np.ndarray:
    """The same from products of non-zero values.

    Subtracting the means' product costs (mean / deviation)^2 units in the last digit of float64: without effect on
    expression, where that ratio stays far below 10^4.
    """
    columns = cells[:, block].tocsc()
    products = np.zeros((block.stop - block.start, cells.shape[1]))
    add_products(columns.data, columns.indices, columns.indptr, cells.data, cells.indices, cells.indptr, products)
    products -= cells.shape[0] * mean[block, None] * mean[None, :]
    products *= inverse[block, None] * inverse[None, :]
    return products


def _mean_and_deviation(cells: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each gene, and the root of its sum of squared deviations, in two passes (stable)."""
    values, gene = cells.data.astype(np.float64), cells.indices  # SciPy would sum in the data's precision
    mean = np.bincount(gene, values, minlength=cells.shape[1]) / cells.shape[0]
    present = np.bincount(gene, minlength=cells.shape[1])
    squares = np.bincount(gene, (values - mean[gene]) ** 2, minlength=cells.shape[1])
    return mean, np.sqrt(squares + (cells.shape[0] - present) * mean**2)
