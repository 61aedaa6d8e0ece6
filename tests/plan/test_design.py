"""Plans of GraphDesign: what each pick informs, what stays unknown, targets, costs, what they are compared with."""

import json

import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.genes.perturbations import parse_perturbations
from perturb_jax.plan.coverage import RANDOM_DRAWS, Curves
from perturb_jax.plan.design import Learned
from perturb_jax.plan.files import plan_file_names, plan_files, plan_record
from perturb_jax.plan.plan import Plan, Request, make_plan
from perturb_jax.selection.design import explained_by_each, explained_fractions
from perturb_jax.strategies.registry import make_strategy
from perturb_jax.support.figures import SELECTION
from tests.graphs import graph_of
from tests.pictures import colours
from tests.strategies.questions import pick

GRAPH = graph_of(10, [(0, 1), (0, 2), (0, 3), (4, 5), (4, 6), (0, 6), (7, 8), (9, 8), (9, 1)])
NAMES = [f"G{i}" for i in range(10)]


def design(budget: int, **others: object) -> Plan:
    options = {
        name: others.pop(name) for name in ("criterion", "noise", "normalize", "targets", "costs") if name in others
    }
    candidates = others.pop("candidates", NAMES)
    return make_plan(GRAPH, Request(candidates, budget, "graphdesign", options=options, **others))  # type: ignore[arg-type]


def unknown(measured: list[str], targets: list[str], noise: float = 2.0) -> np.ndarray:
    """Remaining fraction of each target's prior variance, one hop, unit prior variance, by the definition."""
    adjacency = np.eye(10)
    adjacency[np.asarray(GRAPH.receivers), np.asarray(GRAPH.senders)] = 1
    scale = 1 / np.sqrt(adjacency.sum(1))
    reads = scale[:, None] * adjacency * scale
    reads /= np.linalg.norm(reads, axis=1, keepdims=True)
    some, of = reads[GRAPH.index(measured)], reads[GRAPH.index(targets)]
    inverse = np.linalg.inv(some @ some.T + noise * np.eye(len(some)))
    return 1 - np.einsum("ta,ab,tb->t", of @ some.T, inverse, of @ some.T)


def test_a_plan_is_the_strategy_where_nothing_else_is_asked() -> None:
    plan, picks = design(6), pj.graphdesign(GRAPH, NAMES, 6)
    assert plan.table["gene"].tolist() == list(picks.genes)
    np.testing.assert_allclose(plan.table["explained"], picks.values, atol=1e-6)
    assert plan.table["bound"].isna().all()
    assert "criterion" not in plan.table


def test_explained_counts_what_was_tested_and_the_must_haves() -> None:
    plan = design(4, already_tested=["G8"], must_include=["G5"])
    genes = plan.table["gene"].tolist()
    assert genes[0] == "G5"
    assert "G8" not in genes
    for size in range(1, 5):
        left = unknown(["G8", *genes[:size]], NAMES)
        assert plan.table["explained"][size - 1] == pytest.approx(1 - left.mean(), abs=1e-6)


def test_targets_are_ranked_by_what_stays_unknown() -> None:
    plan = design(3, already_tested=["G8"])
    assert plan.targets is not None
    genes = plan.table["gene"].tolist()
    left = dict(zip(NAMES, unknown(["G8", *genes], NAMES), strict=True))
    assert plan.targets["remaining"].is_monotonic_decreasing
    for target, remaining, status in plan.targets[["target", "remaining", "status"]].to_numpy().tolist():
        assert remaining == pytest.approx(left[target], abs=1e-6)
        assert status == ("picked" if target in genes else "already tested" if target == "G8" else "")
    assert plan.targets["rank"].tolist() == list(range(1, 11))


def test_each_pick_says_what_it_informs_most() -> None:
    plan = design(2, candidates=["G1", "G5", "G8"], targets=["G2", "G6"])
    genes = plan.table["gene"].tolist()
    before = np.ones(2)
    for number, gene in enumerate(genes):
        after = unknown(genes[: number + 1], ["G2", "G6"])
        told = zip(["G2", "G6"], before - after, strict=True)
        informed = sorted(((part, target) for target, part in told if part > 0.0005), reverse=True)
        named = plan.table["informs"][number].split("; ")
        assert named == [f"{target} {part:.1%}" for part, target in informed], gene
        before = after


def test_without_targets_all_that_was_given_is_to_be_predicted() -> None:
    plan = design(2, candidates=NAMES[:6], must_include=["G9"], already_tested=["G3"], exclude=["G4"])
    assert plan.targets is not None
    assert sorted(plan.targets["target"]) == ["G0", "G1", "G2", "G3", "G4", "G5", "G9"]


def test_weights_of_targets_count() -> None:
    plan = design(2, candidates=["G1", "G5"], targets={"G2": 1.0, "G6": 100.0})
    assert plan.table["gene"].tolist() == ["G5", "G1"]
    assert plan.targets is not None
    assert sorted(plan.targets["weight"]) == [1.0, 100.0]
    assert design(2, candidates=["G1", "G5"], targets={"G2": 100.0, "G6": 1.0}).table["gene"].tolist() == ["G1", "G5"]


def test_costs_bound_the_sum_and_must_haves_are_paid_first() -> None:
    costs = {"G1": 3.0, "G5": 2.0, "G7": 0.5}
    plan = design(6, costs=costs, must_include=["G1"])
    assert plan.table["gene"][0] == "G1"
    assert plan.table["cost"].tolist() == [costs.get(gene, 1.0) for gene in plan.table["gene"]]
    assert plan.table["cost"].sum() <= 6
    left = 6 - plan.table["cost"].sum()
    rest = set(NAMES) - set(plan.table["gene"])
    assert left < min(costs.get(gene, 1.0) for gene in rest)
    only = design(3, costs=costs, must_include=["G1"])
    assert only.table["gene"].tolist() == ["G1"]
    with pytest.raises(pj.InputError, match="budget: 2 is less than the 3 that the must-include genes cost"):
        design(2, costs=costs, must_include=["G1"])
    with pytest.raises(pj.InputError, match="budget: 1 buys nothing: the cheapest candidate costs 2"):
        design(1, costs=dict.fromkeys(NAMES, 2))


@pytest.mark.parametrize("criterion", ["information", "facility", "soft"])
def test_other_criteria_have_their_value_and_bound_beside_what_is_explained(criterion: str) -> None:
    plan, picks = design(4, criterion=criterion), pj.graphdesign(GRAPH, NAMES, 4, criterion)  # type: ignore[arg-type]
    np.testing.assert_allclose(plan.table["criterion"], picks.values, atol=1e-6)
    np.testing.assert_allclose(plan.table["criterion_bound"], picks.bounds, atol=1e-6)
    assert plan.table["explained"].iloc[-1] == pytest.approx(1 - unknown(list(picks.genes), NAMES).mean(), abs=1e-6)


def test_unknown_targets_and_prices_are_dropped_and_reported_if_asked() -> None:
    plan = design(2, targets=["G1", "NOPE"], costs={"NIL": 2.0}, unknown="drop")
    assert {"NOPE"} <= set(plan.dropped)
    assert plan.targets is not None
    assert plan.targets["target"].tolist() == ["G1"]
    with pytest.raises(pj.InputError, match="NOPE"):
        design(2, targets=["G1", "NOPE"])


def test_options_of_another_strategy_are_refused() -> None:
    with pytest.raises(pj.InputError, match="ties: no such setting"):
        make_plan(GRAPH, Request(NAMES, 2, "graphdesign", options={"ties": "rare"}))


CHAIN = graph_of(12, [(0, 1), (0, 2), (0, 3), (4, 5), (4, 6), (0, 6), (7, 8), (9, 8), (9, 1), (10, 11)])
LINKED = list(CHAIN.genes)


def drawn(request: Request) -> tuple[Plan, Curves]:
    plan = make_plan(CHAIN, request)
    return plan, plan.comparison.own


def left_by(plan: Plan, genes: list[str]) -> np.ndarray:
    assert isinstance(plan.evidence, Learned)
    return 1 - explained_fractions(plan.evidence.problem, parse_perturbations(CHAIN.names, genes))


def test_curves_are_what_the_picks_explain() -> None:
    plan, remaining = drawn(Request(LINKED, 5, "graphdesign", must_include=["G5"], already_tested=["G8"]))
    np.testing.assert_allclose(1 - remaining.plan[1:], plan.table["explained"], atol=1e-6)
    assert remaining.spent.tolist() == [0, 1, 2, 3, 4, 5]
    assert remaining.random.shape == (RANDOM_DRAWS, 6)
    before = ["G8", "G5"]
    for seed in (0, 7):
        picks = pick(make_strategy("random"), CHAIN, plan.pool.labels, 4, selected=before, seed=seed).genes
        np.testing.assert_allclose(remaining.random[seed], left_by(plan, [*before, *picks])[1:])
    assert set(remaining.others) == {"graphreach", "maxspec"}
    for name, curve in remaining.others.items():
        picks = pick(make_strategy(name), CHAIN, plan.pool.labels, 4, selected=before).genes
        np.testing.assert_allclose(curve, left_by(plan, [*before, *picks])[1:])
    assert (remaining.plan[-1] <= remaining.random[:, -1] + 1e-12).all()


def test_what_stays_unknown_of_each_target_sums_to_the_whole() -> None:
    plan, remaining = drawn(Request(LINKED, 4, "graphdesign", options={"targets": {"G1": 1.0, "G6": 3.0, "G11": 2.0}}))
    assert isinstance(plan.evidence, Learned)
    problem, picks = plan.evidence.problem, parse_perturbations(CHAIN.names, plan.table["gene"])
    informed, worth = explained_by_each(problem, picks), np.array([1, 3, 2]) / 6
    np.testing.assert_allclose(np.cumsum(informed @ worth), plan.table["explained"], atol=1e-6)
    left = 1 - informed.sum(0)
    assert plan.targets is not None
    np.testing.assert_allclose(plan.targets["remaining"], np.sort(left)[::-1], atol=1e-6)
    assert left @ worth == pytest.approx(remaining.plan[-1])


def test_with_costs_a_curve_is_what_the_money_spent_so_far_explains() -> None:
    costs = {"G1": 2.0, "G5": 0.5}
    plan, remaining = drawn(Request(LINKED, 6, "graphdesign", options={"costs": costs}))
    spent = np.cumsum(plan.table["cost"])
    for money, left in zip(remaining.spent, remaining.plan, strict=True):
        bought = plan.table["explained"][spent <= money + 1e-9]
        assert left == pytest.approx(1 - (bought.iloc[-1] if len(bought) else 0), abs=1e-6)
    order = [LINKED[i] for i in np.random.default_rng(0).permutation(12)]
    money = np.cumsum([costs.get(name, 1.0) for name in order])
    bought_at_random = order[: int((money <= 6).sum())]
    assert remaining.random[0, -1] == pytest.approx(left_by(plan, bought_at_random)[-1])


def test_files_hold_the_targets_and_a_record_without_long_lists() -> None:
    request = Request(LINKED, 3, "graphdesign", options={"targets": LINKED[:4], "criterion": "soft"})
    plan = make_plan(CHAIN, request)
    record = plan_record(plan)
    files = plan_files(plan, record)
    assert tuple(files) == plan_file_names("graphdesign")
    assert colours(files["picks.png"])[SELECTION] > 100
    assert files["targets.csv"].decode().splitlines()[0] == "rank,target,weight,remaining,status,informed_by"
    assert record["settings"]["options"] == {"criterion": "soft"}
    assert record["result"]["design"]["targets"] == 4
    assert record["result"]["design"]["value"] <= record["result"]["design"]["bound"]
    assert json.loads(files["picks.json"]) == json.loads(json.dumps(record))
    assert plan_file_names("graphreach") == ("picks.csv", "picks.json", "picks.png")
