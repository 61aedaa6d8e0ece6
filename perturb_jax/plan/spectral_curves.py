"""How the spectral norm grows with the number of picks: for a selection, and for what it is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.graph.degrees import candidate_degrees
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.graph.operator import gcn_norm, message_passing
from perturb_jax.graph.reach import ReachSets, reach_sets
from perturb_jax.plan.coverage_curves import RANDOM_DRAWS
from perturb_jax.selection.host.spectral import InducedMatrix

_POINTS = 12


@dataclass(frozen=True, eq=False)
class SpectralCurves:
    """Spectral norms after some numbers of picks.

    Attributes:
        picks: the numbers of picks.
        random: one row per draw.
        top_degree: candidates by falling out-degree.
    """

    picks: Int[np.ndarray, " points"]
    random: Float[np.ndarray, "draws points"]
    top_degree: Float[np.ndarray, " points"]


def spectral_baselines(
    graph: KnowledgeGraph,
    first: Perturbations,
    pool: Perturbations,
    tested: Perturbations,
    budget: int,
    hops: int,
    direction: Direction,
    options: Mapping[str, Any],
) -> SpectralCurves:
    """Norms that random and top-degree picks have under the same conditions, at up to 12 numbers of picks.

    Args:
        graph: the knowledge graph.
        first: what every selection begins with, in order.
        pool: the candidates for the rest.
        tested: what counts as reached.
        budget: picks, `first` included.
        hops: as for the selection.
        direction: as for the selection.
        options: of MaxSpec: normalization, symmetric, weighted.
    """
    renormalize = options.get("normalization", "graph") == "subgraph"
    operator = message_passing(graph, options.get("weighted", True), options.get("symmetric", False))
    operator = operator if renormalize else gcn_norm(operator)
    sets, before, head = (reach_sets(graph, some.members, hops, direction) for some in (pool, tested, first))
    picks = np.unique(np.linspace(len(first) or 1, budget, _POINTS).round().astype(int))

    def curve(order: Int[np.ndarray, " order"]) -> Float[np.ndarray, " points"]:
        matrix = InducedMatrix(operator, renormalize)
        matrix.extend(np.unique(np.concatenate([before.indices, head.indices])))
        norms, done = [], 0
        for end in picks - len(first):
            matrix.extend(_union(sets, order[done:end]))
            norms.append(matrix.norm)
            done = end
        return np.array(norms)

    draws = [curve(np.random.default_rng(seed).permutation(len(pool))) for seed in range(RANDOM_DRAWS)]
    by_degree = np.argsort(-candidate_degrees(graph, pool), kind="stable")
    return SpectralCurves(picks, np.stack(draws), curve(by_degree))


def _union(sets: ReachSets, rows: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " nodes"]:
    return np.unique(sets.take(rows).indices)
