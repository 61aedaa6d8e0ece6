"""The baselines that a selection is drawn against."""

import numpy as np

import perturb_jax as pj
from perturb_jax.genes.perturbations import parse_perturbations
from perturb_jax.plan.coverage import RANDOM_DRAWS, baseline_curves
from perturb_jax.plan.files import plan_curves, plan_files, plan_record
from perturb_jax.plan.plan import Request, make_plan
from perturb_jax.strategies.baselines import Random, TopDegree
from tests.graphs import graph_of
from tests.strategies.questions import pick

GRAPH = graph_of(10, [(0, 1), (2, 1), (3, 4), (5, 6), (7, 6), (8, 6), (9, 8), (1, 5)])


def test_curves_are_the_strategies_under_the_same_conditions() -> None:
    first, pool, tested = (
        parse_perturbations(GRAPH.names, names) for names in (["G4"], ["G0", "G1", "G2", "G5", "G6", "G8"], ["G9"])
    )
    curves = baseline_curves(GRAPH, first, pool, tested, budget=4, hops=2, direction="both")
    assert curves.random.shape == (RANDOM_DRAWS, 5)
    assert curves.before == np.asarray(pj.reach(GRAPH, "G9", 2, "both")).sum()
    assert (curves.random[:, 0] == curves.before).all()
    assert curves.top_degree[0] == curves.before
    with_first = np.asarray(pj.reach(GRAPH, ["G9", "G4"], 2, "both")).any(0).sum()
    assert (curves.random[:, 1] == with_first).all()
    for draw, curve in enumerate(curves.random):
        picks = pick(Random(), GRAPH, pool.labels, 3, hops=2, direction="both", selected=["G9", "G4"], seed=draw)
        assert curve[2:].tolist() == picks.values.tolist()
    top = pick(TopDegree(), GRAPH, pool.labels, 3, hops=2, direction="both", selected=["G9", "G4"])
    assert curves.top_degree[2:].tolist() == top.values.tolist()
    everything = np.asarray(pj.reach(GRAPH, [*pool.labels, "G4", "G9"], 2, "both")).any(0)
    assert curves.reachable == everything.sum()


def test_a_plan_whose_first_pick_reaches_nearly_everything_is_drawn() -> None:
    graph = graph_of(300, [(node, 0) for node in range(1, 300)])
    request = Request(list(graph.genes[:12]), 12, "graphreach")
    plan = make_plan(graph, request)
    curves = plan_curves(graph, request, plan)
    record = plan_record(graph, request, plan, {}, curves)
    assert plan.table["gain"].max() > 50 * plan.table["gain"].median()
    assert plan_files(graph, request, plan, record, curves)["picks.png"].startswith(b"\x89PNG")
