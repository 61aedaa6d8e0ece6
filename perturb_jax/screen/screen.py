"""A perturbation screen as sufficient statistics: what everything but the PyTorch reference works from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from perturb_jax.graph.knowledge_graph import KnowledgeGraph


@dataclass(frozen=True, eq=False)
class Screen:
    """The first four moments of expression in the cells of every perturbation, and in control cells.

    Expression is log1p of counts scaled to 10,000 per cell, unless said otherwise. Third and fourth moments, like the
    variance, are central and divided by the number of cells (not by one less).

    Attributes:
        perturbations: "A" or "A+B" with genes in sorted order, as the data name them, controls left out; sorted.
        genes: the measured genes.
        cell_counts: cells of each perturbation.
        mean: mean expression.
        variance: second central moment.
        third: third central moment.
        fourth: fourth central moment.
        nonzero: whether any cell of the perturbation expresses the gene.
        de_genes: columns of the differentially expressed genes, the largest absolute t first.
        control_count: control cells.
        control_mean: mean expression in control cells.
        control_variance: second central moment in control cells.
        control_third: third central moment in control cells.
        control_fourth: fourth central moment in control cells.
        coexpression: the measured genes' graph: each reads those it correlates with most in control cells.
        source: the file with the cells; None where there are none.
        settings: how it was read or made: plain values, for reports.
    """

    perturbations: tuple[str, ...]
    genes: tuple[str, ...]
    cell_counts: Int[np.ndarray, " perturbations"]
    mean: Float[np.ndarray, "perturbations genes"]
    variance: Float[np.ndarray, "perturbations genes"]
    third: Float[np.ndarray, "perturbations genes"]
    fourth: Float[np.ndarray, "perturbations genes"]
    nonzero: Bool[np.ndarray, "perturbations genes"]
    de_genes: Int[np.ndarray, "perturbations de"]
    control_count: int
    control_mean: Float[np.ndarray, " genes"]
    control_variance: Float[np.ndarray, " genes"]
    control_third: Float[np.ndarray, " genes"]
    control_fourth: Float[np.ndarray, " genes"]
    coexpression: KnowledgeGraph
    source: Path | None
    settings: dict[str, object]

    def __len__(self) -> int:
        return len(self.perturbations)

    def index(self, names: tuple[str, ...]) -> Int[np.ndarray, " names"]:
        """Rows of some perturbations."""
        position = {name: row for row, name in enumerate(self.perturbations)}
        return np.array([position[name] for name in names], np.int64)

    @property
    def change(self) -> Float[np.ndarray, "perturbations genes"]:
        """Mean expression less the control's: the effect of each perturbation."""
        return self.mean - self.control_mean[None, :]
