"""The spectral norms that MaxSpec is drawn against."""

import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.plan.plan import Request, make_plan
from perturb_jax.strategies.baselines import Random, TopDegree
from perturb_jax.support.figures import DEGREE, SELECTION
from tests.graphs import graph_of
from tests.oracles import dense_operator, induced_norm
from tests.pictures import colours
from tests.strategies.questions import pick

GRAPH = graph_of(10, [(0, 1), (2, 1), (3, 4), (5, 6), (7, 6), (8, 6), (9, 8), (1, 5)])


@pytest.mark.parametrize(
    "options", [{}, {"normalization": "subgraph"}, {"weighted": False}, {"symmetric": True}], ids=str
)
def test_norms_are_those_of_what_the_baselines_reach(options: dict[str, object]) -> None:
    pool = ["G0", "G1", "G2", "G5", "G6", "G8"]
    conditions = {"hops": 2, "must_include": ["G4"], "already_tested": ["G9"], "options": options}
    plan = make_plan(GRAPH, Request(pool, 4, "maxspec", **conditions))  # type: ignore[arg-type]
    curves = plan.comparison.own
    assert curves.spent.tolist() == [1, 2, 3, 4]
    adjacency = dense_operator(GRAPH, weighted=True, symmetric=bool(options.get("symmetric")))

    def norm(names: tuple[str, ...]) -> float:
        reached = np.flatnonzero(np.asarray(pj.reach(GRAPH, ["G9", "G4", *names], 2)).any(0))
        return induced_norm(adjacency, reached.tolist(), str(options.get("normalization", "graph")))

    for draw in (0, 7):
        picks = pick(Random(), GRAPH, pool, 3, hops=2, direction="in", selected=["G9", "G4"], seed=draw)
        expected = [norm(picks.genes[:size]) for size in range(4)]
        np.testing.assert_allclose(curves.random[draw], expected, rtol=1e-5)
    top = pick(TopDegree(), GRAPH, pool, 3, hops=2, direction="in", selected=["G9", "G4"])
    np.testing.assert_allclose(curves.others["top_degree"], [norm(top.genes[:size]) for size in range(4)], rtol=1e-5)
    found = colours(plan.evidence.figure(plan, "title"))
    assert min(found[SELECTION], found[DEGREE]) > 100
