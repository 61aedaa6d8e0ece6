"""How many edges genes and perturbations have."""

import numpy as np
from jaxtyping import Int

from perturb_jax.genes.perturbations import NO_MEMBER, Perturbations
from perturb_jax.graph.knowledge_graph import KnowledgeGraph


def in_degrees(graph: KnowledgeGraph) -> Int[np.ndarray, " nodes"]:
    """Incoming edges of every gene, self-loops left out."""
    return _ends(graph, np.asarray(graph.receivers))


def out_degrees(graph: KnowledgeGraph) -> Int[np.ndarray, " nodes"]:
    """Outgoing edges of every gene, self-loops left out."""
    return _ends(graph, np.asarray(graph.senders))


def candidate_degrees(graph: KnowledgeGraph, pool: Perturbations) -> Int[np.ndarray, " candidates"]:
    """Outgoing edges of every candidate: a combination's is the sum over its genes."""
    degrees = np.append(out_degrees(graph), 0)
    return degrees[np.where(pool.members == NO_MEMBER, graph.num_nodes, pool.members)].sum(1)


def _ends(graph: KnowledgeGraph, ends: Int[np.ndarray, " edges"]) -> Int[np.ndarray, " nodes"]:
    loops = np.asarray(graph.senders) == np.asarray(graph.receivers)
    return np.bincount(ends[~loops], minlength=graph.num_nodes)
