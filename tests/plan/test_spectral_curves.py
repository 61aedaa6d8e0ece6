"""The spectral norms that MaxSpec is drawn against."""

import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.genes.perturbations import parse_perturbations
from perturb_jax.plan.spectral import spectral_baselines
from perturb_jax.strategies.baselines import Random, TopDegree
from tests.graphs import graph_of
from tests.oracles import dense_operator, induced_norm
from tests.strategies.questions import pick

GRAPH = graph_of(10, [(0, 1), (2, 1), (3, 4), (5, 6), (7, 6), (8, 6), (9, 8), (1, 5)])


@pytest.mark.parametrize(
    "options", [{}, {"normalization": "subgraph"}, {"weighted": False}, {"symmetric": True}], ids=str
)
def test_norms_are_those_of_what_the_baselines_reach(options: dict[str, object]) -> None:
    first, pool, tested = (
        parse_perturbations(GRAPH.names, names) for names in (["G4"], ["G0", "G1", "G2", "G5", "G6", "G8"], ["G9"])
    )
    curves = spectral_baselines(
        GRAPH, first, pool, tested, 4, 2, "in",
        options.get("normalization") == "subgraph", bool(options.get("weighted", True)), bool(options.get("symmetric")),
    )  # fmt: skip
    assert curves.picks.tolist() == [1, 2, 3, 4]
    adjacency = dense_operator(GRAPH, weighted=True, symmetric=bool(options.get("symmetric")))

    def norm(names: tuple[str, ...]) -> float:
        reached = np.flatnonzero(np.asarray(pj.reach(GRAPH, ["G9", "G4", *names], 2)).any(0))
        return induced_norm(adjacency, reached.tolist(), str(options.get("normalization", "graph")))

    for draw in (0, 7):
        picks = pick(Random(), GRAPH, pool.labels, 3, hops=2, direction="in", selected=["G9", "G4"], seed=draw)
        expected = [norm(picks.genes[:size]) for size in range(4)]
        np.testing.assert_allclose(curves.random[draw], expected, rtol=1e-5)
    top = pick(TopDegree(), GRAPH, pool.labels, 3, hops=2, direction="in", selected=["G9", "G4"])
    np.testing.assert_allclose(curves.top_degree, [norm(top.genes[:size]) for size in range(4)], rtol=1e-5)
