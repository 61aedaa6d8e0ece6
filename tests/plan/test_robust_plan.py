"""A plan over noisy copies of the graph: its columns against the definitions, its record and its refusals."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

import perturb_jax as pj
from perturb_jax.cli import printing
from perturb_jax.plan.files import plan_curves, plan_record
from perturb_jax.plan.plan import Request, make_plan
from perturb_jax.strategies.graphreach import GraphReach
from perturb_jax.support.errors import InputError
from tests.graphs import graph_of
from tests.oracles import reach_by_bfs

NOISE = GraphReach(robust=6, dropout=0.3, dropout_seed=5)


def graph() -> pj.KnowledgeGraph:
    edges = np.random.default_rng(2).integers(0, 60, (240, 2))
    return graph_of(60, [tuple(edge) for edge in edges.tolist()])


def test_columns_are_those_of_the_definitions_and_the_record_says_what_made_them() -> None:
    known = graph()
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
    record = json.loads(json.dumps(plan_record(known, request, plan, {}, plan_curves(known, request, plan))))
    assert record["settings"]["robust"] == {"copies": 6, "dropout": 0.3, "seed": 5}
    assert record["result"]["robust"]["picks of the graph itself"] == plan.found.details.plain
    console = Console(file=io.StringIO(), width=100)
    printing.print_plan(console, table, record, [])
    assert "On 6 copies of the graph, each without 30% of the edges" in console.file.getvalue()  # type: ignore[attr-defined]


def test_without_noise_nothing_is_added() -> None:
    known = graph()
    request = Request([f"G{i}" for i in range(30)], 5, "graphreach")
    plan = make_plan(known, request)
    assert "frequency" not in plan.table
    assert "robust" not in plan_record(known, request, plan, {}, plan_curves(known, request, plan))["settings"]


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
        make_plan(graph(), Request(["G0", "G1"], 1, strategy, options=options))
