"""The inputs of the coverage benchmark: a graph, its candidates and a budget, each as the reach sets that all share."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from harness import read_names
from scipy.sparse import csr_array

import perturb_jax as pj
from perturb_jax.graph.knowledge_graph import Direction, make_graph
from perturb_jax.graph.reach import reach_sets

CANDIDATES = 1087
IN_DEGREE = 21


class Case(NamedTuple):
    """A selection problem.

    Attributes:
        key: short name, such as "a, k=1".
        graph: the knowledge graph.
        candidates: names; None: every gene.
        sets: the reach of each candidate, which ours and the peers are given.
        budget: picks to make.
        hops: steps of reach.
        direction: of reach.
        repeats: rounds of timing.
    """

    key: str
    graph: pj.KnowledgeGraph
    candidates: tuple[str, ...] | None
    sets: csr_array
    budget: int
    hops: int
    direction: Direction
    repeats: int

    def describe(self) -> dict[str, str]:
        """The size of the problem, for a table."""
        return {
            "case": self.key,
            "nodes": f"{self.graph.num_nodes:,}",
            "edges": f"{self.graph.num_edges:,}",
            "candidates": f"{self.sets.shape[0]:,}",
            "hops": str(self.hops),
            "direction": self.direction,
            "entries of the reach sets": f"{len(self.sets.indices):,}",
            "picks": f"{self.budget:,}",
        }


def screen_graph(library: Path) -> pj.KnowledgeGraph:
    """The GO graph of a screen's library; names that GO does not know are left out."""
    return pj.load_go_graph(read_names(library), unknown="drop")


def screen_candidates(graph: pj.KnowledgeGraph, essential: Path) -> tuple[str, ...]:
    """The first 1,087 in sorted order of the essential-library genes that are in the graph, under current names."""
    return tuple(sorted(graph.names.resolve(read_names(essential), "drop").genes)[:CANDIDATES])


def screen_cases(library: Path, essential: Path, quick: bool) -> Iterator[Case]:
    """(a) A real screen: 500 of 1,087 essential genes, on the GO graph of a genome-wide library."""
    graph = screen_graph(library)
    candidates = screen_candidates(graph, essential)
    for hops in (1, 2):
        sets = reach_sets(graph, graph.index(candidates)[:, None], hops)
        yield Case(f"a, k={hops}", graph, candidates, sets, 500, hops, "in", 1 if quick else 31)


def genome_cases(quick: bool) -> Iterator[Case]:
    """(b) The whole genome: 1,000 of every annotated human gene."""
    graph = pj.load_go_graph()
    for hops in (1, 2):
        sets = reach_sets(graph, all_genes(graph), hops)
        yield Case(f"b, k={hops}", graph, None, sets, 1000, hops, "in", 1 if quick else 11)


def synthetic_cases(quick: bool, seed: int = 0) -> Iterator[Case]:
    """(c) A synthetic graph of 1,000,000 nodes and 21,000,000 edges: 1,000 of all nodes.

    Direction "in": every candidate has a set of exactly 21 nodes, so nearly all decisions are ties. Direction "out"
    on the same graph: heavy-tailed sets, which is where a greedy has something to decide.
    """
    graph = synthetic_graph(20_000 if quick else 1_000_000, seed)
    directions: tuple[Direction, ...] = ("in", "out")
    for direction in directions:
        sets = reach_sets(graph, all_genes(graph), 1, direction)
        yield Case(f"c, {direction}", graph, None, sets, 1000, 1, direction, 1 if quick else 5)


def all_genes(graph: pj.KnowledgeGraph) -> np.ndarray:
    """Every gene as a candidate of its own."""
    return np.arange(graph.num_nodes, dtype=np.int32)[:, None]


def synthetic_graph(num_nodes: int, seed: int) -> pj.KnowledgeGraph:
    """A directed graph of in-degree 21, self-loop included, with heavy-tailed out-degrees.

    Each node draws 20 different sources besides itself: source = label[floor(n u^2)] with u uniform in [0, 1) and
    `label` a random permutation, so the source of rank r is drawn in proportion to r^(-1/2) and the out-degrees have a
    power-law tail with density exponent 3, as under preferential attachment. Repeated draws are drawn again.
    """
    generator = np.random.default_rng(seed)
    label = generator.permutation(num_nodes).astype(np.int32)

    def draw(count: int) -> np.ndarray:
        return label[(num_nodes * generator.random(count) ** 2).astype(np.int32)]

    nodes = np.arange(num_nodes, dtype=np.int32)
    sources = draw(num_nodes * (IN_DEGREE - 1)).reshape(num_nodes, IN_DEGREE - 1)
    sources = np.concatenate([nodes[:, None], sources], axis=1)
    while True:
        sources.sort(axis=1)
        repeated = np.zeros(sources.shape, bool)
        repeated[:, 1:] = sources[:, 1:] == sources[:, :-1]
        count = int(repeated.sum())
        if not count:
            break
        sources[repeated] = draw(count)
    names = [f"G{number:07d}" for number in range(num_nodes)]
    weights = np.ones(sources.size, np.float32)
    return make_graph(sources.ravel(), np.repeat(nodes, IN_DEGREE), weights, names)
