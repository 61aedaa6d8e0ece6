"""What stays unknown, for a design and for what it is compared with."""

import json

import numpy as np
import pytest

from perturb_jax.genes.perturbations import parse_perturbations
from perturb_jax.plan.coverage import RANDOM_DRAWS
from perturb_jax.plan.design import Learned, Remaining
from perturb_jax.plan.files import plan_curves, plan_file_names, plan_files, plan_record
from perturb_jax.plan.plan import Plan, Request, make_plan
from perturb_jax.selection.design import explained_by_each, explained_fractions
from perturb_jax.strategies.registry import make_strategy
from tests.graphs import graph_of
from tests.strategies.questions import pick

GRAPH = graph_of(12, [(0, 1), (0, 2), (0, 3), (4, 5), (4, 6), (0, 6), (7, 8), (9, 8), (9, 1), (10, 11)])
NAMES = list(GRAPH.genes)


def drawn(request: Request) -> tuple[Plan, Remaining]:
    plan = make_plan(GRAPH, request)
    return plan, plan.comparison.own


def shares(plan: Plan, genes: list[str]) -> np.ndarray:
    assert isinstance(plan.evidence, Learned)
    return 1 - explained_fractions(plan.evidence.problem, parse_perturbations(GRAPH.names, genes))


def test_curves_are_what_the_picks_explain() -> None:
    plan, remaining = drawn(Request(NAMES, 5, "graphdesign", must_include=["G5"], already_tested=["G8"]))
    np.testing.assert_allclose(1 - remaining.design[1:], plan.table["explained"], atol=1e-6)
    assert remaining.spent.tolist() == [0, 1, 2, 3, 4, 5]
    assert remaining.random.shape == (RANDOM_DRAWS, 6)
    before = ["G8", "G5"]
    for seed in (0, 7):
        picks = pick(make_strategy("random"), GRAPH, plan.pool.labels, 4, selected=before, seed=seed).genes
        np.testing.assert_allclose(remaining.random[seed], shares(plan, [*before, *picks])[1:])
    assert set(remaining.others) == {"graphreach", "maxspec"}
    for name, curve in remaining.others.items():
        picks = pick(make_strategy(name), GRAPH, plan.pool.labels, 4, selected=before).genes
        np.testing.assert_allclose(curve, shares(plan, [*before, *picks])[1:])
    assert (remaining.design[-1] <= remaining.random[:, -1] + 1e-12).all()


def test_the_share_of_each_target_sums_to_the_whole() -> None:
    plan, remaining = drawn(Request(NAMES, 4, "graphdesign", options={"targets": {"G1": 1.0, "G6": 3.0, "G11": 2.0}}))
    assert isinstance(plan.evidence, Learned)
    problem, picks = plan.evidence.problem, parse_perturbations(GRAPH.names, plan.table["gene"])
    taught, worth = explained_by_each(problem, picks), np.array([1, 3, 2]) / 6
    np.testing.assert_allclose(np.cumsum(taught @ worth), plan.table["explained"], atol=1e-6)
    np.testing.assert_allclose(remaining.per_target[0], 1 - taught.sum(0))
    assert remaining.per_target[0] @ worth == pytest.approx(remaining.design[-1])


def test_with_costs_a_curve_is_what_the_money_spent_so_far_explains() -> None:
    costs = {"G1": 2.0, "G5": 0.5}
    plan, remaining = drawn(Request(NAMES, 6, "graphdesign", options={"costs": costs}))
    spent = np.cumsum(plan.table["cost"])
    for money, left in zip(remaining.spent, remaining.design, strict=True):
        bought = plan.table["explained"][spent <= money + 1e-9]
        assert left == pytest.approx(1 - (bought.iloc[-1] if len(bought) else 0), abs=1e-6)
    order = [NAMES[i] for i in np.random.default_rng(0).permutation(12)]
    money = np.cumsum([costs.get(name, 1.0) for name in order])
    bought_at_random = order[: int((money <= 6).sum())]
    assert remaining.random[0, -1] == pytest.approx(shares(plan, bought_at_random)[-1])


def test_files_hold_the_targets_and_a_record_without_long_lists() -> None:
    request = Request(NAMES, 3, "graphdesign", options={"targets": NAMES[:4], "criterion": "soft"})
    plan = make_plan(GRAPH, request)
    curves = plan_curves(GRAPH, request, plan)
    record = plan_record(GRAPH, request, plan, {}, curves)
    files = plan_files(GRAPH, request, plan, record, curves)
    assert tuple(files) == plan_file_names("graphdesign")
    assert files["picks.png"].startswith(b"\x89PNG")
    assert files["targets.csv"].decode().splitlines()[0] == "rank,target,weight,remaining,status,taught_by"
    assert record["settings"]["options"] == {"criterion": "soft"}
    assert record["result"]["design"]["targets"] == 4
    assert record["result"]["design"]["value"] <= record["result"]["design"]["bound"]
    assert json.loads(files["picks.json"]) == json.loads(json.dumps(record))
    assert plan_file_names("graphreach") == ("picks.csv", "picks.json", "picks.png")
