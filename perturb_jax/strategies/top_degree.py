"""Top-degree: the genes that most other genes read."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int

from perturb_jax.genes.perturbations import NO_MEMBER, Perturbations, as_names, without
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.selection.selection import Selection
from perturb_jax.strategies.order import as_selection
from perturb_jax.support.checks import check_budget, check_seed


def top_degree(
    graph: KnowledgeGraph,
    candidates: Iterable[str] | None,
    budget: int,
    hops: int = 1,
    direction: Direction = "in",
    selected: Iterable[str] = (),
    seed: int | None = None,
) -> Selection:
    """Pick the candidates with most outgoing edges.

    Out-degree, because in-degree is capped by the graph's construction.
    Ties go to the earliest candidate, with `seed` to a seeded random one. `hops` and `direction` only measure coverage.

    Raises:
        InputError: names, a budget or a seed that cannot be used.
    """
    check_seed(seed)
    selected = as_names(selected)
    pool = without(graph.names, candidates, selected)
    check_budget(budget, len(pool))
    if seed is not None:
        pool = pool.take(np.random.default_rng(seed).permutation(len(pool)))
    order = np.argsort(-candidate_degrees(graph, pool), kind="stable")[:budget]
    return as_selection(graph, pool, order, hops, direction, selected, "top-degree")


def out_degrees(graph: KnowledgeGraph) -> Int[np.ndarray, " nodes"]:
    """Outgoing edges of every gene, self-loops left out."""
    senders, receivers = np.asarray(graph.senders), np.asarray(graph.receivers)
    return np.bincount(senders[senders != receivers], minlength=graph.num_nodes)


def candidate_degrees(graph: KnowledgeGraph, pool: Perturbations) -> Int[np.ndarray, " candidates"]:
    """Outgoing edges of every candidate: a combination's is the sum over its genes."""
    degrees = np.append(out_degrees(graph), 0)
    return degrees[np.where(pool.members == NO_MEMBER, graph.num_nodes, pool.members)].sum(1)
