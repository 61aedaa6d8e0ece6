"""How coverage grows with the number of picks: for a selection, and for what it has to beat."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.graph.degrees import candidate_degrees
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.graph.reach import reach_sets
from perturb_jax.selection.coverage import covered_after

RANDOM_DRAWS = 20
"""Draws of the random baseline, with seeds 0, 1, ..."""


@dataclass(frozen=True, eq=False)
class CoverageCurves:
    """Nodes covered after 0, 1, ... picks.

    Attributes:
        before: nodes covered before the first pick.
        reachable: nodes that all candidates together, with what was covered before, would cover.
        random: one row per draw.
        top_degree: candidates by falling out-degree.
    """

    before: int
    reachable: int
    random: Int[np.ndarray, "draws points"]
    top_degree: Int[np.ndarray, " points"]


def baseline_curves(
    graph: KnowledgeGraph,
    first: Perturbations,
    pool: Perturbations,
    tested: Perturbations,
    budget: int,
    hops: int,
    direction: Direction,
) -> CoverageCurves:
    """Coverage of random and top-degree picks under the same conditions as a selection.

    Args:
        graph: the knowledge graph.
        first: what every selection begins with, in order.
        pool: the candidates for the rest.
        tested: what counts as covered.
        budget: picks, `first` included.
        hops: as for the selection.
        direction: as for the selection.

    Complexity: O(draws x entries of the picks' reach sets).
    """
    counts = reach_sets(graph, tested.members, hops, direction).counts()
    first_sets = reach_sets(graph, first.members, hops, direction)
    head = covered_after(first_sets, counts)
    covered = counts + first_sets.counts()
    sets = reach_sets(graph, pool.members, hops, direction)
    before = np.count_nonzero(counts)
    rest = budget - len(first)

    def curve(order: Int[np.ndarray, " order"]) -> Int[np.ndarray, " points"]:
        tail = covered_after(sets, covered, order[:rest])
        return np.concatenate([[before], head, tail])

    draws = [curve(np.random.default_rng(seed).permutation(len(pool))) for seed in range(RANDOM_DRAWS)]
    by_degree = np.argsort(-candidate_degrees(graph, pool), kind="stable")
    return CoverageCurves(
        before=int(before),
        reachable=int(np.count_nonzero(covered + sets.counts())),
        random=np.stack(draws),
        top_degree=curve(by_degree),
    )


def band(draws: Float[np.ndarray, "draws points"] | Int[np.ndarray, "draws points"]) -> tuple[np.ndarray, ...]:
    """Mean, least and greatest over the draws."""
    return draws.mean(0), draws.min(0), draws.max(0)
