"""What a strategy returns: the genes to perturb, in order, with the evidence for each pick."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Selection:
    """Perturbations in the order picked.

    Attributes:
        objective: what `values` are: "coverage", "mean coverage" (over the graphs of a batch), "spectral norm", or one
            of GraphDesign's: "explained variance" (share of the targets' prior variance), "information" (nats),
            "facility location" (mean similarity of a target to its nearest pick), "soft coverage" (nodes).
        genes: current gene names, or "A+B".
        indices: node numbers of the picks in the graph; a row per pick, filled with -1, where there are combinations.
        gains: what each pick added to the objective (coverage: nodes of its layer, or their weight).
        values: the objective after each pick, what was selected beforehand included.
        layers: the cover layer of each pick. In layer m a gain counts the nodes covered exactly m - 1 times; from
            layer 2 on, `values` stays where it is.
        bounds: upper bounds of the value that any selection of as many picks can have; NaN where none is known.
        reachable: the value of all candidates together; NaN where it is not known.
        method: how it was computed.
        evaluations: gains computed.
        naive_evaluations: gains that a naive greedy would have computed.
    """

    objective: Literal[
        "coverage",
        "mean coverage",
        "spectral norm",
        "explained variance",
        "information",
        "facility location",
        "soft coverage",
    ]
    genes: tuple[str, ...]
    indices: Int[np.ndarray, " picks"] | Int[np.ndarray, "picks arity"]
    gains: Float[np.ndarray, " picks"]
    values: Float[np.ndarray, " picks"]
    layers: Int[np.ndarray, " picks"]
    bounds: Float[np.ndarray, " picks"]
    reachable: float
    method: str
    evaluations: int
    naive_evaluations: int

    def __len__(self) -> int:
        return len(self.genes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.genes)

    @property
    def layer_starts(self) -> dict[int, int]:
        """Each cover layer with the number of the pick (from 0) that began it."""
        layers, starts = np.unique(self.layers, return_index=True)
        return dict(zip(layers.tolist(), starts.tolist(), strict=True))

    @property
    def guarantee(self) -> float:
        """The final value is at least this share of the best possible; NaN where no bound is known."""
        return float(self.values[-1] / self.bounds[-1])
