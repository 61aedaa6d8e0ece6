"""Slow references that share no code with the package."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import combinations
from typing import NamedTuple

import networkx as nx
import numpy as np

import perturb_jax as pj


def gears_go_edges(
    terms_of: Mapping[str, Set[str]], neighbors: int = 20, min_jaccard: float = 0.1
) -> list[tuple[str, str, float]]:
    """GEARS' gene-ontology edges (source, target, Jaccard) over all pairs: O(genes^2) Python sets.

    Targets in sorted order; within a target by falling similarity, equals in sorted order of the source.
    """
    edges = []
    for target in sorted(terms_of):
        scores = []
        for source in sorted(terms_of):
            score = len(terms_of[source] & terms_of[target]) / len(terms_of[source] | terms_of[target])
            if score > min_jaccard:
                scores.append((-score, source))
        edges += [(source, target, -negative) for negative, source in sorted(scores)[: neighbors + 1]]
    return edges


def reach_by_bfs(graph: pj.KnowledgeGraph, genes: Iterable[int], hops: int, direction: str) -> set[int]:
    """The nodes within `hops` steps of some nodes, by networkx' breadth-first search."""
    network = nx.MultiDiGraph()
    network.add_nodes_from(range(graph.num_nodes))
    steps = list(zip(graph.senders.tolist(), graph.receivers.tolist(), strict=True))
    if direction in ("out", "both"):
        network.add_edges_from(steps)
    if direction in ("in", "both"):
        network.add_edges_from([(receiver, sender) for sender, receiver in steps])
    return {node for gene in genes for node in nx.single_source_shortest_path_length(network, gene, cutoff=hops)}


class CoverRun(NamedTuple):
    """What a greedy cover did."""

    picks: list[int]
    gains: list[int]
    values: list[int]
    layers: list[int]


def greedy_cover(sets: Sequence[Set[int]], weights: Sequence[int], counts: Sequence[int], budget: int) -> CoverRun:
    """Greedy coverage with cover layers, by the definitions: every gain anew, every layer tried in turn."""
    counts = list(counts)
    left = list(range(len(sets)))
    layer = 1
    run = CoverRun([], [], [], [])
    highest = max(counts, default=0) + budget + 2
    for _ in range(budget):
        for trial in range(layer, highest):
            gains = {v: sum(weights[u] for u in sets[v] if counts[u] == trial - 1) for v in left}
            if max(gains.values()) > 0:
                layer = trial
                break
        else:
            gains = dict.fromkeys(left, 0)
        pick = max(left, key=lambda v: (gains[v], -v))
        left.remove(pick)
        for node in sets[pick]:
            counts[node] += 1
        run.picks.append(pick)
        run.gains.append(gains[pick])
        run.values.append(sum(w for w, count in zip(weights, counts, strict=True) if count))
        run.layers.append(layer)
    return run


def covered_weight(
    sets: Sequence[Set[int]], weights: Sequence[int], counts: Sequence[int], picks: Iterable[int]
) -> int:
    """The weight that some picks cover, together with what is covered already."""
    nodes = {node for node, count in enumerate(counts) if count}.union(*(sets[v] for v in picks))
    return sum(weights[node] for node in nodes)


def best_cover(sets: Sequence[Set[int]], weights: Sequence[int], counts: Sequence[int], budget: int) -> int:
    """The best value of any `budget` candidates, by trying all of them."""
    return max(covered_weight(sets, weights, counts, picks) for picks in combinations(range(len(sets)), budget))


def rarest_first(candidates: Sequence[int], sets: Sequence[Set[int]], num_nodes: int) -> list[int]:
    """Perturbations by how few others cover their nodes, with the package's fixed point; stable."""
    unit = 2**30 // num_nodes
    shared_by = Counter(node for covered in sets for node in covered)
    worth = {v: sum(unit // shared_by[node] for node in covered) for v, covered in zip(candidates, sets, strict=True)}
    return sorted(candidates, key=lambda v: -worth[v])


def dense_operator(graph: pj.KnowledgeGraph, weighted: bool, symmetric: bool) -> np.ndarray:
    """Dense adjacency [receiver, sender] with a self-loop of weight 1 where there is none."""
    adjacency = np.zeros((graph.num_nodes, graph.num_nodes))
    for sender, receiver, weight in zip(graph.senders, graph.receivers, graph.weights, strict=True):
        adjacency[receiver, sender] += weight if weighted else 1
    if symmetric:
        adjacency = np.maximum(adjacency, adjacency.T)
    loops = np.diag(adjacency) == 0
    adjacency[np.flatnonzero(loops), np.flatnonzero(loops)] = 1
    return adjacency


def induced_norm(adjacency: np.ndarray, nodes: Sequence[int], normalization: str) -> float:
    """Spectral norm by SVD of D^-1/2 A D^-1/2 on some nodes, with all degrees or those within the nodes."""
    if normalization == "subgraph":
        adjacency = adjacency[np.ix_(nodes, nodes)]
        nodes = list(range(len(nodes)))
    scale = 1 / np.sqrt(adjacency.sum(1))
    normalized = scale[:, None] * adjacency * scale
    return float(np.linalg.norm(normalized[np.ix_(nodes, nodes)], 2))
