"""A plan that holds up against noise in the graph: GraphReach on many copies of it, each without some of its edges."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from perturb_jax.genes.perturbations import Perturbations, parse_perturbations
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.graph.reach import reach_sets
from perturb_jax.graph.variants import GraphBatch, edge_dropout
from perturb_jax.selection.coverage import Ties, covered_after
from perturb_jax.selection.graphreach import graphreach
from perturb_jax.selection.pick_counts import pick_counts
from perturb_jax.selection.selection import Selection
from perturb_jax.support.checks import check_seed
from perturb_jax.support.errors import InputError

DROPOUT = 0.1
"""Probability that an edge is missing from a noisy copy, where none is given."""


class Noise(NamedTuple):
    """What `--robust` asks for: how many noisy copies of the graph, the share of edges they lack, and the seed."""

    copies: int
    dropout: float = DROPOUT
    seed: int = 0

    def graphs(self, graph: KnowledgeGraph) -> GraphBatch:
        """The noisy copies.

        Raises:
            InputError: numbers that cannot be used.
        """
        if self.copies < 1:
            raise InputError(f"robust: expected at least 1 noisy copy of the graph, got {self.copies}")
        check_seed(self.seed)
        return edge_dropout(graph, self.dropout, self.copies, jax.random.key(self.seed))


class Robustness(NamedTuple):
    """How a plan does on the noisy copies.

    Attributes:
        mean_covered: genes reached after each pick, mean over the copies.
        bound: no selection of as many picks that begins with the must-haves reaches more; NaN for must-haves.
        frequency: share of the copies on which GraphReach, asked alone, picks the gene; NaN for must-haves.
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
    covered = tested.labels + must.labels
    chosen = must.labels
    left = len(values) - len(must)
    if left:
        counts = pick_counts(copies, pool.labels, left, hops, direction, covered, seed, ties=ties)
        share = dict(zip(counts.candidates, counts.counts / len(copies), strict=True))
        frequency[len(must) :] = [share[gene] for gene in selections[-1].genes]
        chosen += graphreach(graph, pool.labels, left, hops, direction, covered, seed, ties=ties).genes
    before = reach_sets(copies, tested.members, hops, direction).counts()
    sets = reach_sets(copies, parse_perturbations(graph.names, chosen).members, hops, direction)
    plain = covered_after(sets, before)[-1]
    return Robustness(values, bounds, frequency, float(plain) / len(copies))
