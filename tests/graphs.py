"""Random knowledge graphs for property tests."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

import perturb_jax as pj
from perturb_jax.graph.knowledge_graph import make_graph

NUM_NODES, NUM_EDGES = 9, 20


def compilations(function: Any) -> int:
    """How many times a jitted function has been compiled."""
    return int(function._cache_size())


def graph_of(num_nodes: int, edges: list[tuple[int, int]]) -> pj.KnowledgeGraph:
    """A graph of genes G0, G1, ... with unit weights."""
    senders, receivers = np.array(edges, np.int32).reshape(-1, 2).T
    return make_graph(senders, receivers, np.ones(len(edges)), [f"G{i}" for i in range(num_nodes)])


@st.composite
def random_graphs(draw: st.DrawFn, fixed_shape: bool = False) -> pj.KnowledgeGraph:
    """Directed graphs with isolated nodes, self-loops and duplicate edges.

    `fixed_shape` keeps the numbers of nodes and edges constant, so that JAX compiles once.
    """
    num_nodes = NUM_NODES if fixed_shape else draw(st.integers(1, 10))
    node = st.integers(0, num_nodes - 1)
    least, most = (NUM_EDGES, NUM_EDGES) if fixed_shape else (0, 25)
    return graph_of(num_nodes, draw(st.lists(st.tuples(node, node), min_size=least, max_size=most)))
