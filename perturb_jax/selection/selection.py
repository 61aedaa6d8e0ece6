"""What a strategy returns: the genes to perturb, in order, with the evidence for each pick."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from perturb_jax.genes.perturbations import Perturbations

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5


class SearchInfo(NamedTuple):
    """How a selection was found.

    Attributes:
        method: where and how it was computed, such as "host" or "jax, lazy".
        evaluations: gains computed.
        naive_evaluations: gains that a naive greedy would have computed.
    """

    method: str
    evaluations: int = 0
    naive_evaluations: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class Selection:
    """Perturbations in the order picked.

    Attributes:
        objective: what `values` are: "coverage", "mean coverage" (over the graphs of a batch), "spectral norm", or one
            of GraphDesign's: "explained variance" (fraction of the targets' prior variance), "information" (nats),
            "facility location" (mean similarity of a target to its nearest pick), "soft coverage" (nodes).
        perturbations: what was picked.
        gains: what each pick added to the objective (coverage: nodes of its layer, or their weight).
        values: the objective after each pick, what was selected beforehand included.
        layers: the cover layer of each pick. In layer m a gain counts the nodes covered exactly m - 1 times; from
            layer 2 on, `values` stays where it is. All 1 where an objective has no layers.
        bounds: upper bounds of the value that any selection of as many picks can have; NaN where none is known.
        reachable: the value of all candidates together; NaN where it is not known.
        info: how the picks were found.

    Examples:
        >>> import pandas as pd, perturb_jax as pj
        >>> edges = pd.DataFrame({"source": ["A", "B", "D"], "target": ["B", "C", "E"], "importance": 1.0})
        >>> picks = pj.graphreach(pj.graph_from_edges(edges), None, budget=2)
        >>> picks
        Selection(2 picks: C, E; coverage 4, at most 4)
        >>> picks.to_frame()
           rank gene  gain  value  layer  bound
        0     1    C   2.0    2.0      1    2.0
        1     2    E   2.0    4.0      1    4.0
        >>> picks.info
        SearchInfo(method='host', evaluations=7, naive_evaluations=9)
    """

    objective: str
    perturbations: Perturbations
    gains: Float[np.ndarray, " picks"]
    values: Float[np.ndarray, " picks"]
    layers: Int[np.ndarray, " picks"]
    bounds: Float[np.ndarray, " picks"]
    reachable: float
    info: SearchInfo

    def __len__(self) -> int:
        return len(self.perturbations)

    def __iter__(self) -> Iterator[str]:
        return iter(self.genes)

    def __repr__(self) -> str:
        shown = ", ".join(self.genes[:_SHOWN]) + (", ..." if len(self) > _SHOWN else "")
        final = f"; {self.objective} {self.values[-1]:.6g}" if len(self) else ""
        most = f", at most {self.bounds[-1]:.6g}" if len(self) and np.isfinite(self.bounds[-1]) else ""
        return f"Selection({len(self)} pick{'s' * (len(self) != 1)}: {shown}{final}{most})"

    @property
    def genes(self) -> tuple[str, ...]:
        """Current gene names, or "A+B"."""
        return self.perturbations.labels

    @property
    def indices(self) -> Int[np.ndarray, " picks"] | Int[np.ndarray, "picks arity"]:
        """Node numbers of the picks in the graph; a row per pick, filled with -1, where there are combinations."""
        return self.perturbations.indices()

    @property
    def layer_starts(self) -> dict[int, int]:
        """Each cover layer with the number of the pick (from 0) that began it."""
        layers, starts = np.unique(self.layers, return_index=True)
        return dict(zip(layers.tolist(), starts.tolist(), strict=True))

    @property
    def guarantee(self) -> float:
        """The final value is at least this fraction of the best possible; NaN where no bound is known."""
        return float(self.values[-1] / self.bounds[-1])

    def to_frame(self) -> "pd.DataFrame":
        """A row per pick: rank (from 1), gene, gain, value, layer, bound (NaN where none is known)."""
        import pandas as pd

        return pd.DataFrame(
            {
                "rank": np.arange(1, len(self) + 1),
                "gene": list(self.genes),
                "gain": self.gains,
                "value": self.values,
                "layer": self.layers,
                "bound": self.bounds,
            }
        )


def make_selection(
    objective: str,
    chosen: Perturbations,
    values: np.ndarray,
    info: SearchInfo,
    *,
    start: float = 0.0,
    gains: np.ndarray | None = None,
    layers: np.ndarray | None = None,
    bounds: np.ndarray | None = None,
    reachable: float = np.nan,
) -> Selection:
    """A selection; `start` is the objective before the first pick, for the gains where they are not given."""
    return Selection(
        objective=objective,
        perturbations=chosen,
        gains=np.diff(np.asarray(values, np.float64), prepend=start) if gains is None else gains.astype(np.float64),
        values=np.asarray(values, np.float64),
        layers=np.ones(len(chosen), np.int32) if layers is None else layers,
        bounds=np.full(len(chosen), np.nan) if bounds is None else bounds.astype(np.float64),
        reachable=reachable,
        info=info,
    )


def naive_evaluations(candidates: int, picks: int) -> int:
    """How many gains a naive greedy computes: those of all candidates that are left, at every pick."""
    return int((candidates - np.arange(picks)).sum())
