"""What the command line says must be true of what was written."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import perturb_jax as pj
from perturb_jax.cli import printing
from perturb_jax.graph.knowledge_graph import make_graph
from perturb_jax.plan.files import plan_record
from perturb_jax.plan.plan import Request, make_plan
from tests.graphs import graph_of

GRAPH = graph_of(10, [(0, 1), (2, 1), (3, 4), (5, 6), (7, 6), (8, 6), (9, 8)])
NAMES = [f"G{i}" for i in range(10)]


def printed(graph: pj.KnowledgeGraph, request: Request) -> str:
    plan = make_plan(graph, request)
    console = Console(file=io.StringIO(), width=200)
    record = plan_record(plan)
    printing.print_plan(console, plan, record, [Path("picks.csv")])
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_certificate_names_the_must_haves_that_it_holds_for() -> None:
    assert "No 2 of these candidates can reach more than 7:" in printed(GRAPH, Request(NAMES, 2, "graphreach"))
    text = printed(GRAPH, Request(NAMES, 2, "graphreach", must_include=["G9"]))  # without G9, two genes reach 7
    assert "No 2 of these candidates, the 1 must-haves among them, can reach more than 5:" in text
    assert "NA" not in text


def test_what_was_tested_before_is_named_as_part_of_what_is_reached() -> None:
    assert "2 picks and the 1 already tested reach 9 of 10" in printed(
        GRAPH, Request(NAMES, 2, "graphreach", already_tested=["G6"])
    )


@pytest.mark.parametrize(
    ("covered", "bound", "share"), [(9999, 10000, "99.9 %"), (1999, 2000, "99.9 %"), (987, 1000, "98.7 %")]
)
def test_at_least_is_never_rounded_up(covered: int, bound: int, share: str) -> None:
    request = Request(NAMES, 2, "graphreach")
    plan = make_plan(GRAPH, request)
    record = plan_record(plan)
    record["result"] |= {"covered": covered, "bound": bound}
    console = Console(file=io.StringIO(), width=200)
    printing.print_plan(console, plan, record, [Path("picks.csv")])
    assert isinstance(console.file, io.StringIO)
    assert f"at least {share} of the best possible" in console.file.getvalue()


def test_names_are_printed_as_they_are_and_never_read_as_markup() -> None:
    names = ["A[/b]", "B[red]x"]
    graph = make_graph(np.array([0]), np.array([1]), np.array([1.0]), names)
    text = printed(graph, Request(names, 2, "graphreach"))
    assert all(name in text for name in names)
