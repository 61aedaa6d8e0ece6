"""Noise in the graph as evidence: how picks that were chosen for many noisy copies of it do on these."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.graph.reach import reach_sets
from perturb_jax.graph.variants import GraphBatch
from perturb_jax.plan.coverage import Coverage
from perturb_jax.plan.evidence import Found
from perturb_jax.selection.coverage import Ties, covered_after
from perturb_jax.selection.graphreach import graphreach, pick_counts
from perturb_jax.selection.selection import Selection
from perturb_jax.strategies.graphreach import DROPOUT

if TYPE_CHECKING:
    from perturb_jax.plan.plan import Plan


class Robust(Coverage):
    """Coverage of the noisy copies beside that of the graph; for strategies with GraphReach's options."""

    recorded_elsewhere = ("robust", "dropout", "dropout_seed")

    def settings(self) -> dict[str, Any]:
        """The noise."""
        strategy = self.question.strategy
        dropout = DROPOUT if strategy.dropout is None else strategy.dropout
        return {"robust": {"copies": strategy.robust, "dropout": dropout, "seed": strategy.dropout_seed or 0}}

    def found(self, picks: Perturbations, selections: tuple[Selection, ...]) -> Found:  # noqa: ARG002
        """The picks on each copy."""
        asked, strategy = self.question, self.question.strategy
        must = selections[0].perturbations if len(asked.must) else asked.must
        copies = strategy.noisy(asked.graph)
        conditions = (must, asked.pool, asked.tested, strategy.hops, strategy.direction, asked.seed, strategy.ties)
        robust = robustness(asked.graph, copies, selections, *conditions)
        return Found(robust.columns(), details=robust)

    def record(self, plan: "Plan") -> dict[str, Any]:
        """The mean coverage in the end."""
        robust: Robustness = plan.found.details
        mean, bound = float(robust.mean_covered[-1]), float(robust.bound[-1])
        bounded = {"bound": bound} if np.isfinite(bound) else {}
        return {"robust": {"mean covered": mean, "picks of the graph itself": robust.plain, **bounded}}


class Robustness(NamedTuple):
    """How a plan does on the noisy copies.

    Attributes:
        mean_covered: genes reached after each pick, mean over the copies.
        bound: no selection of as many picks that begins with the must-haves reaches more; NaN for must-haves.
        frequency: fraction of the copies on which GraphReach, asked alone, picks the gene; NaN for must-haves.
        plain: the final mean of the picks that GraphReach makes on the graph itself.
    """

    mean_covered: np.ndarray
    bound: np.ndarray
    frequency: np.ndarray
    plain: float

    def columns(self) -> pd.DataFrame:
        """For the table of picks; must-haves have no bound and no frequency."""
        parts = {"mean_covered": self.mean_covered, "mean_bound": self.bound, "frequency": self.frequency}
        return pd.DataFrame({name: pd.array(part.round(4), dtype="Float64") for name, part in parts.items()})


def robustness(
    graph: KnowledgeGraph,
    copies: GraphBatch,
    selections: Sequence[Selection],
    must: Perturbations,
    pool: Perturbations,
    tested: Perturbations,
    hops: int,
    direction: Direction,
    seed: int | None,
    ties: Ties = "rare",
) -> Robustness:
    """Compare a plan's selections on the noisy copies with what GraphReach picks on each of them, and on the graph.

    Complexity: that of `graphreach` on every copy.
    """
    values, bounds = (np.concatenate([getattr(picks, part) for picks in selections]) for part in ("values", "bounds"))
    frequency = np.full(len(values), np.nan)
    bounds[: len(must)] = np.nan
    chosen = must
    left = len(values) - len(must)
    if left:
        conditions = (pool, left, hops, direction, tested.joined(must), seed)
        counts = pick_counts(copies, *conditions, ties=ties)
        fraction = dict(zip(counts.candidates, counts.counts / len(copies), strict=True))
        frequency[len(must) :] = [fraction[gene] for gene in selections[-1].genes]
        chosen = must.joined(graphreach(graph, *conditions, ties=ties).perturbations)
    before = reach_sets(copies, tested.members, hops, direction).counts()
    plain = covered_after(reach_sets(copies, chosen.members, hops, direction), before)[-1]
    return Robustness(values, bounds, frequency, float(plain) / len(copies))
