"""Plans of GraphDesign: what each pick teaches, what stays unknown, targets, costs."""

import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.plan.plan import Plan, Request, make_plan
from tests.graphs import graph_of

GRAPH = graph_of(10, [(0, 1), (0, 2), (0, 3), (4, 5), (4, 6), (0, 6), (7, 8), (9, 8), (9, 1)])
NAMES = [f"G{i}" for i in range(10)]


def design(budget: int, **others: object) -> Plan:
    options = {
        name: others.pop(name) for name in ("criterion", "noise", "normalize", "targets", "costs") if name in others
    }
    candidates = others.pop("candidates", NAMES)
    return make_plan(GRAPH, Request(candidates, budget, "graphdesign", options=options, **others))  # type: ignore[arg-type]


def unknown(measured: list[str], targets: list[str], noise: float = 2.0) -> np.ndarray:
    """Remaining share of each target's prior variance, one hop, unit prior variance, by the definition."""
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


def test_each_pick_says_what_it_teaches_most_about() -> None:
    plan = design(2, candidates=["G1", "G5", "G8"], targets=["G2", "G6"])
    genes = plan.table["gene"].tolist()
    before = np.ones(2)
    for number, gene in enumerate(genes):
        after = unknown(genes[: number + 1], ["G2", "G6"])
        taught = {target: share for target, share in zip(["G2", "G6"], before - after, strict=True) if share > 0.0005}
        named = plan.table["teaches"][number].split("; ")
        assert named == [f"{target} {share:.1%}" for target, share in sorted(taught.items(), key=lambda x: -x[1])], gene
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
