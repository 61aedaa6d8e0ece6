"""Batches of graphs: what each one holds, and what edge dropout does."""

import jax
import numpy as np
import pytest

import perturb_jax as pj
from tests.graphs import graph_of


def edges_of(graph: pj.KnowledgeGraph) -> dict[tuple[str, str], float]:
    return {
        (graph.genes[s], graph.genes[r]): float(w)
        for s, r, w in zip(graph.senders, graph.receivers, graph.weights, strict=True)
    }


def test_a_batch_holds_each_graph_as_it_was() -> None:
    genes = pj.human_annotation().genes_with("GO:0003700")[:60]
    graphs = [
        pj.load_go_graph(genes, neighbors=5),
        pj.load_go_graph(genes, neighbors=20),
        pj.load_go_graph(genes[:50], neighbors=5, namespaces=["BP"], unknown="drop"),
    ]
    assert len({graph.genes for graph in graphs}) == 2
    batch = pj.graph_batch(graphs)
    assert batch.graph.genes == graphs[0].genes
    for i, graph in enumerate(graphs):
        assert edges_of(batch.variant(i)) == edges_of(graph)


def test_dropout_removes_the_share_it_says_keeps_loops_and_repeats() -> None:
    edges = [(i, j) for i in range(60) for j in range(60)]
    graph = graph_of(60, edges)
    batch = pj.edge_dropout(graph, 0.25, 20, jax.random.key(4))
    loops = np.asarray(graph.senders) == np.asarray(graph.receivers)
    assert batch.present[:, loops].all()
    kept = batch.present[:, ~loops].mean(1)
    assert (abs(kept - 0.75) < 6 * np.sqrt(0.25 * 0.75 / 3540)).all()
    assert len({row.tobytes() for row in batch.present}) == 20
    fewer = pj.edge_dropout(graph, 0.25, 5, jax.random.key(4))
    np.testing.assert_array_equal(fewer.weights, batch.weights[:5])
    assert pj.edge_dropout(graph, 0.0, 1, jax.random.key(0)).present.all()


@pytest.mark.parametrize(
    ("rate", "variants", "message"), [(1.0, 2, "got 1.0"), (-0.1, 2, "got -0.1"), (0.1, 0, "got 0")]
)
def test_bad_numbers_are_refused(rate: float, variants: int, message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        pj.edge_dropout(graph_of(3, [(0, 1)]), rate, variants, jax.random.key(0))


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(pj.InputError, match="at least one"):
        pj.graph_batch([])
