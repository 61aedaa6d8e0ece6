"""Plans: must-haves, what was tested, cycles, bounds."""

import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.plan.files import plan_files, plan_record
from perturb_jax.plan.plan import Request, make_plan
from perturb_jax.support.figures import SELECTION
from tests.graphs import graph_of
from tests.pictures import colours

GRAPH = graph_of(10, [(0, 1), (2, 1), (3, 4), (5, 6), (7, 6), (8, 6), (9, 8)])
NAMES = [f"G{i}" for i in range(10)]


def genes(table: pd.DataFrame) -> list[str]:
    return table["gene"].tolist()


def test_a_plan_is_the_strategy_where_nothing_else_is_asked() -> None:
    plan = make_plan(GRAPH, Request(NAMES, 6, "graphreach"))
    picks = pj.graphreach(GRAPH, NAMES, 6)
    assert genes(plan.table) == list(picks.genes)
    assert plan.table["covered"].tolist() == picks.values.tolist()
    assert plan.table["bound"].tolist() == picks.bounds.tolist()
    assert plan.table["covered_fraction"].tolist() == (picks.values / 10).tolist()
    assert plan.table["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert list(plan.table.columns) == [
        "rank", "gene", "cycle", "gain", "covered", "covered_fraction", "layer", "bound",
    ]  # fmt: skip


def test_must_haves_rank_first_use_budget_and_have_no_bound() -> None:
    plan = make_plan(GRAPH, Request(NAMES[:8], 4, "graphreach", must_include=["G9", "G4"]))
    assert genes(plan.table)[:2] == ["G4", "G9"]
    assert plan.must.labels == ("G4", "G9")
    assert plan.table["bound"].isna().tolist() == [True, True, False, False]
    rest = pj.graphreach(GRAPH, NAMES[:8], 2, selected=["G4", "G9"])
    assert genes(plan.table)[2:] == list(rest.genes)
    assert plan.table["bound"].tolist()[2:] == rest.bounds.tolist()


def test_only_must_haves() -> None:
    plan = make_plan(GRAPH, Request(NAMES, 2, must_include=["G3", "G6"]))
    assert genes(plan.table) == ["G6", "G3"]


def test_tested_ones_count_as_covered_and_never_appear() -> None:
    plan = make_plan(GRAPH, Request(NAMES, 3, already_tested=["G6"]))
    assert "G6" not in genes(plan.table)
    assert plan.table["covered"].iloc[0] == 4 + plan.table["gain"].iloc[0]


def test_excluded_ones_never_appear_and_count_for_nothing() -> None:
    plan = make_plan(GRAPH, Request(NAMES, 9, exclude=["G6"]))
    assert "G6" not in genes(plan.table)
    assert plan.table["covered"].iloc[0] == plan.table["gain"].iloc[0]


@pytest.mark.parametrize(
    ("budget", "cycles", "sizes"), [(10, None, [2] * 5), (3, None, [1] * 3), (10, 3, [4, 3, 3]), (7, 1, [7])]
)
def test_cycles_divide_the_picks(budget: int, cycles: int | None, sizes: list[int]) -> None:
    plan = make_plan(GRAPH, Request(NAMES, budget, cycles=cycles))
    assert plan.table["cycle"].is_monotonic_increasing
    assert plan.table["cycle"].value_counts(sort=False).tolist() == sizes


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(NAMES, 0), "budget: expected a whole number of at least 1, got 0"),
        (Request(NAMES, 1, must_include=["G1", "G2"]), "less than the 2 must-include"),
        (Request(NAMES, 10, exclude=["G1"]), "only 9 candidates can be picked"),
        (Request(NAMES, 3, cycles=4), "cycles: expected a whole number from 1 to the 3 picks, got 4"),
        (Request(NAMES, 3, cycles=0), "cycles"),
        (Request(NAMES, 3, hops=0), "hops"),
        (Request(NAMES, 3, strategy="best"), "strategy: expected one of graphreach"),
        (Request(NAMES, 3, must_include=["G1"], exclude=["G1"]), "G1: in both must_include and exclude"),
        (Request(NAMES, 3, must_include=["G1"], already_tested=["G1"]), "in both must_include and already_tested"),
        (Request([*NAMES, "X"], 3), "candidates: 1 gene not in the graph: 'X'"),
        (Request(NAMES, 3, already_tested=["X"]), "already_tested: 1 gene not in the graph: 'X'"),
    ],
)
def test_requests_that_cannot_be_met(request_: Request, message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        make_plan(GRAPH, request_)


def test_dropped_names_are_reported_for_every_list() -> None:
    plan = make_plan(GRAPH, Request([*NAMES, "X"], 3, exclude=["Y"], unknown="drop"))
    assert plan.dropped == {"X": "not in the graph", "Y": "not in the graph"}


def test_candidates_without_an_edge_between_them_are_warned_of() -> None:
    assert make_plan(GRAPH, Request(["G0", "G3", "G5"], 2)).warnings
    assert not make_plan(GRAPH, Request(["G0", "G1", "G5"], 2)).warnings


def test_combinations_in_every_list() -> None:
    plan = make_plan(
        GRAPH,
        Request(["G0+G1", "G2", "G3+G4", "G5"], 3, must_include=["G6+G7"], already_tested=["G1+G0"], exclude=["G4+G3"]),
    )
    assert genes(plan.table)[0] == "G6+G7"
    assert set(genes(plan.table)[1:]) == {"G2", "G5"}


def test_a_must_have_that_reaches_nothing_new_begins_no_layer_while_the_rest_still_does() -> None:
    graph = graph_of(6, [(0, 1), (2, 3)])
    plan = make_plan(graph, Request([f"G{i}" for i in range(6)], 4, must_include=["G1", "G0"]))
    assert genes(plan.table)[:2] == ["G1", "G0"]
    assert plan.table["layer"].tolist() == [1, 1, 1, 1]
    assert plan.table["gain"].tolist() == plan.table["covered"].diff().fillna(2).tolist()


def test_the_seed_decides_ties_of_the_plan() -> None:
    graph = graph_of(8, [])
    requests = [Request(NAMES[:8], 8, "graphreach", seed=seed) for seed in range(10)]
    orders = {tuple(genes(make_plan(graph, request).table)) for request in requests}
    assert len(orders) > 5


def test_edges_that_count_for_the_warning() -> None:
    graph = graph_of(4, [(0, 0), (1, 3)])
    assert make_plan(graph, Request(["G0", "G1"], 1)).warnings  # a self-loop is no edge between two
    assert not make_plan(graph, Request(["G1"], 2, must_include=["G3"])).warnings
    assert make_plan(graph, Request(["G0+G2", "G1"], 2)).warnings  # the last gene is no member of a combination


def test_a_budget_of_must_haves_and_one_less() -> None:
    assert len(make_plan(GRAPH, Request([], 2, must_include=["G3", "G6"])).table) == 2
    with pytest.raises(pj.InputError, match="1 is less than the 2 must-include"):
        make_plan(GRAPH, Request(NAMES, 1, must_include=["G3", "G6"]))


def test_nothing_left_to_choose_from_says_so() -> None:
    for request in (Request(["X"], 1, unknown="drop"), Request(["G1"], 1, already_tested=["G1"])):
        with pytest.raises(pj.InputError, match="candidates: none can be picked"):
            make_plan(GRAPH, request)


def test_old_symbols_are_reported_from_every_list() -> None:
    graph = pj.load_go_graph(["AARS1", "TP53", "MDM2", "MYC"])
    assert make_plan(graph, Request(["TP53"], 1, exclude=["AARS"])).renamed == {"AARS": "AARS1"}


def test_a_maxspec_plan_has_the_norm_beside_the_coverage() -> None:
    plan = make_plan(GRAPH, Request(NAMES, 4, strategy="maxspec", must_include=["G6"], options={"weighted": False}))
    picks = pj.maxspec(GRAPH, NAMES, 3, weighted=False, selected=["G6"])
    assert genes(plan.table) == ["G6", *picks.genes]
    assert plan.table["sigma"].tolist()[1:] == picks.values.round(6).tolist()
    assert plan.table["bound"].isna().all()
    covered = np.asarray(pj.reach(GRAPH, genes(plan.table))).any(0).sum()
    assert plan.table["covered"].iloc[-1] == covered
    assert plan.table["gain"].sum() == covered


def test_an_option_of_another_strategy_is_refused() -> None:
    with pytest.raises(pj.InputError, match="sense: no such setting"):
        make_plan(GRAPH, Request(NAMES, 2, "graphreach", options={"sense": "max"}))
    with pytest.raises(pj.InputError, match="ties: no such setting"):
        make_plan(GRAPH, Request(NAMES, 2, strategy="random", options={"ties": "rare"}))


def test_ties_can_go_to_the_first() -> None:
    plan = make_plan(GRAPH, Request(NAMES, 5, "graphreach", options={"ties": "first"}))
    assert genes(plan.table) == list(pj.graphreach(GRAPH, NAMES, 5, ties="first").genes)


def test_any_kernel_gives_a_plan_with_what_it_explains() -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 4)), index=[f"K{i}" for i in range(12)])
    features = pj.FeatureKernel(table)
    dense = pj.DenseKernel(features.genes, features.matrix())
    for kernel, must, tested in ((features, ["K3"], ["K7"]), (dense, [], []), (0.5 * features + 0.5 * dense, [], [])):
        plan = make_plan(kernel, Request(kernel.genes, 5, must_include=must, already_tested=tested))
        pool = [gene for gene in kernel.genes if gene not in must + tested]
        picks = pj.graphdesign(kernel, pool, 5 - len(must), targets=kernel.genes, selected=tested + must)
        assert genes(plan.table) == [*must, *picks.genes]
        assert list(plan.table.columns) == ["rank", "gene", "cycle", "explained", "informs"]
        assert plan.targets is not None
        assert sorted(plan.targets["target"]) == sorted(kernel.genes)
        assert plan.targets["remaining"].mean() == pytest.approx(1 - plan.table["explained"].iloc[-1], abs=1e-5)
        assert plan.curve["remaining"].tolist()[1:] == pytest.approx((1 - plan.table["explained"]).tolist(), abs=1e-5)
        assert list(plan.curve.columns) == ["spent", "remaining", "random", "random_least", "random_most"]
        record = plan_record(plan)
        assert record["kernel"] == kernel.description()
        assert record["result"]["design"]["remaining variance"] == pytest.approx(plan.curve["remaining"].iloc[-1])
        assert colours(plan_files(plan, record)["picks.png"])[SELECTION] > 100


def test_random_picks_of_a_kernel_are_shown_with_what_they_explain() -> None:
    kernel = pj.DenseKernel(["A", "B", "C"], [[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    plan = make_plan(kernel, Request(["A", "B", "C"], 2, "random", seed=1))
    assert genes(plan.table) == list(np.random.default_rng(1).permutation(["A", "B", "C"])[:2])
    assert plan.curve["remaining"].tolist() == pytest.approx(plan.curve["random"].tolist(), abs=0.2)
    assert plan.targets is not None and len(plan.targets) == 3
    with_costs = make_plan(kernel, Request(["A", "B", "C"], 3, options={"costs": {"A": 2.5}}))
    assert with_costs.table["cost"].sum() <= 3


@pytest.mark.parametrize("strategy", ["graphreach", "maxspec", "top-degree", "k-center", pj.GraphReach()])
def test_a_kernel_and_a_strategy_that_needs_a_graph_do_not_go_together(strategy: object) -> None:
    kernel = pj.DenseKernel(["A", "B"], [[1, 0.5], [0.5, 1]])
    with pytest.raises(pj.InputError, match="give a graph, or choose graphdesign or random"):
        make_plan(kernel, Request(["A", "B"], 1, strategy))
    with pytest.raises(pj.InputError, match="hops: only for a graph; the kernel given has its own"):
        make_plan(kernel, Request(["A", "B"], 1, hops=2))
    with pytest.raises(pj.InputError, match="'X'"):
        make_plan(kernel, Request(["A", "X"], 1))
