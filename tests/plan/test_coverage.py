"""Coverage as evidence: the baselines that a plan is drawn against, and its picks on noisy copies of the graph."""

import io
import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

import perturb_jax as pj
from perturb_jax.cli import printing
from perturb_jax.plan.coverage import RANDOM_DRAWS, Curves, draw_coverage
from perturb_jax.plan.files import plan_files, plan_record
from perturb_jax.plan.plan import Request, make_plan
from perturb_jax.strategies.baselines import Random, TopDegree
from perturb_jax.strategies.graphreach import GraphReach
from perturb_jax.support.errors import InputError
from perturb_jax.support.figures import BOUND, DEGREE, SELECTION
from tests.graphs import graph_of
from tests.oracles import reach_by_bfs
from tests.pictures import colours
from tests.strategies.questions import pick

GRAPH = graph_of(10, [(0, 1), (2, 1), (3, 4), (5, 6), (7, 6), (8, 6), (9, 8), (1, 5)])
NOISE = GraphReach(robust=6, dropout=0.3, dropout_seed=5)


def test_curves_are_the_strategies_under_the_same_conditions() -> None:
    pool = ["G0", "G1", "G2", "G5", "G6", "G8"]
    conditions = {"hops": 2, "direction": "both", "must_include": ["G4"], "already_tested": ["G9"]}
    plan = make_plan(GRAPH, Request(pool, 4, "random", **conditions))  # type: ignore[arg-type]
    comparison, curves = plan.comparison, plan.comparison.coverage
    assert curves.random.shape == (RANDOM_DRAWS, 5)
    assert curves.plan[0] == np.asarray(pj.reach(GRAPH, "G9", 2, "both")).sum()
    assert (curves.random[:, 0] == curves.plan[0]).all()
    assert curves.others["top_degree"][0] == curves.plan[0]
    with_first = np.asarray(pj.reach(GRAPH, ["G9", "G4"], 2, "both")).any(0).sum()
    assert (curves.random[:, 1] == with_first).all()
    for draw, curve in enumerate(curves.random):
        picks = pick(Random(), GRAPH, pool, 3, hops=2, direction="both", selected=["G9", "G4"], seed=draw)
        assert curve[2:].tolist() == picks.values.tolist()
    top = pick(TopDegree(), GRAPH, pool, 3, hops=2, direction="both", selected=["G9", "G4"])
    assert curves.others["top_degree"][2:].tolist() == top.values.tolist()
    everything = np.asarray(pj.reach(GRAPH, [*pool, "G4", "G9"], 2, "both")).any(0)
    assert comparison.reachable == everything.sum()
    assert plan.curve["covered"].tolist() == [curves.plan[0], *plan.table["covered"]]


def test_band_is_mean_least_and_greatest() -> None:
    table = Curves(np.arange(2), np.zeros(2), np.array([[0, 1], [0, 3]]), {}).table("picks", "covered")
    band = table[["random", "random_least", "random_most"]].to_numpy().T
    assert band.tolist() == [[0, 2], [0, 1], [0, 3]]


def test_the_picture_has_the_plan_the_baselines_and_the_certificate() -> None:
    plan = make_plan(GRAPH, Request(list(GRAPH.genes), 4, "graphreach", must_include=["G4"]))
    axes = Figure().subplots()
    draw_coverage(axes, plan, plan.table["bound"].to_numpy(dtype=float, na_value=np.nan))
    lines = {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.get_lines()}
    assert lines["graphreach"].tolist() == plan.curve["covered"].tolist()
    assert lines["random (mean and range of 20 draws)"].tolist() == plan.curve["random"].tolist()
    assert lines["most connected (out-degree)"].tolist() == plan.curve["top_degree"].tolist()
    assert lines["no more with the must-haves"][1:].tolist() == plan.table["bound"][1:].tolist()


def test_a_plan_whose_first_pick_reaches_nearly_everything_is_drawn() -> None:
    graph = graph_of(300, [(node, 0) for node in range(1, 300)])
    plan = make_plan(graph, Request(list(graph.genes[:12]), 12, "graphreach"))
    assert plan.table["gain"].max() > 50 * plan.table["gain"].median()
    found = colours(plan_files(plan, plan_record(plan))["picks.png"])
    assert min(found[SELECTION], found[DEGREE], found[BOUND]) > 100


@pytest.mark.parametrize("title", ["t", "edge list /" + "long/" * 60, "edge list a$b_$c.csv"])
def test_one_pick_and_any_title(title: str) -> None:
    plan = make_plan(graph_of(3, [(0, 1)]), Request(["G0", "G1", "G2"], 1, "graphreach"))
    assert colours(plan.evidence.figure(plan, title))[SELECTION] > 100


def noisy_graph() -> pj.KnowledgeGraph:
    edges = np.random.default_rng(2).integers(0, 60, (240, 2))
    return graph_of(60, [tuple(edge) for edge in edges.tolist()])


def test_columns_are_those_of_the_definitions_and_the_record_says_what_made_them() -> None:
    known = noisy_graph()
    candidates = [f"G{i}" for i in range(30)]
    request = Request(candidates, 8, NOISE, must_include=["G3"], already_tested=["G7"])
    plan = make_plan(known, request)
    copies = NOISE.noisy(known)
    table = plan.table
    chosen = [int(gene[1:]) for gene in table["gene"]]
    for row in (0, 3, 7):
        covered = [len(reach_by_bfs(copies.variant(i), [7, *chosen[: row + 1]], 1, "in")) for i in range(len(copies))]
        np.testing.assert_allclose(table["mean_covered"][row], np.mean(covered), atol=1e-4)
    assert table["covered"].iloc[-1] == len(reach_by_bfs(known, [7, *chosen], 1, "in"))
    assert table["frequency"].isna().tolist() == [True] + 7 * [False]
    pool = [gene for gene in candidates if gene not in ("G3", "G7")]
    alone = [pj.graphreach(copies.variant(i), pool, 7, selected=["G7", "G3"], method="host").genes for i in range(6)]
    for gene, frequency in zip(table["gene"][1:], table["frequency"][1:], strict=True):
        assert abs(frequency - np.mean([gene in picks for picks in alone])) < 1e-4
    assert table["mean_covered"].iloc[-1] <= table["mean_bound"].iloc[-1]
    record = json.loads(json.dumps(plan_record(plan)))
    assert record["settings"]["robust"] == {"copies": 6, "dropout": 0.3, "seed": 5}
    plain = pj.graphreach(known, pool, 7, selected=["G7", "G3"]).genes
    reached = [int(gene[1:]) for gene in ("G7", "G3", *plain)]
    covered = [len(reach_by_bfs(copies.variant(i), reached, 1, "in")) for i in range(6)]
    assert record["result"]["robust"]["picks of the graph itself"] == pytest.approx(np.mean(covered))
    console = Console(file=io.StringIO(), width=100)
    printing.print_plan(console, plan, record, [])
    assert "On 6 copies of the graph, each without 30% of the edges" in console.file.getvalue()  # type: ignore[attr-defined]


def test_without_noise_nothing_is_added() -> None:
    known = noisy_graph()
    request = Request([f"G{i}" for i in range(30)], 5, "graphreach")
    plan = make_plan(known, request)
    assert "frequency" not in plan.table
    assert "robust" not in plan_record(plan)["settings"]


@pytest.mark.parametrize(
    ("strategy", "options", "message"),
    [
        ("maxspec", {"robust": 6}, "robust: no such setting"),
        ("graphreach", {"robust": 0}, "robust: expected a whole number of at least 1"),
        ("graphreach", {"robust": 2, "dropout": 1.5}, "dropout: expected a finite number of at least 0 and below 1"),
        ("graphreach", {"dropout": 0.2}, "dropout, dropout_seed: need robust"),
    ],
)
def test_what_cannot_be_used_is_refused(strategy: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_plan(noisy_graph(), Request(["G0", "G1"], 1, strategy, options=options))
