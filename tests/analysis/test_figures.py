"""Pictures of cases at the edge can be drawn, without a warning."""

import numpy as np
import pytest

from perturb_jax.genes.perturbations import parse_perturbations
from perturb_jax.graph.report import degree_figure
from perturb_jax.plan.coverage import band, baseline_curves, coverage_figure
from tests.graphs import graph_of


@pytest.mark.parametrize("degrees", [[0, 0], [1, 0], [3, 1, 1]])
def test_degrees_of_graphs_with_few_or_no_edges(degrees: list[int]) -> None:
    assert degree_figure("t", np.array(degrees), np.array(degrees)).startswith(b"\x89PNG")


@pytest.mark.parametrize("title", ["t", "edge list /" + "long/" * 60, "edge list a$b_$c.csv"])
def test_one_pick_and_any_title(title: str) -> None:
    graph = graph_of(3, [(0, 1)])
    nothing = parse_perturbations(graph.names, [])
    curves = baseline_curves(graph, nothing, parse_perturbations(graph.names, None), nothing, 1, 1, "in")
    picture = coverage_figure(
        title, np.array([0, 2]), np.array([2]), np.array([2.0]), np.array([1]), curves, 3, "graphreach"
    )
    assert picture.startswith(b"\x89PNG")


def test_band_is_mean_least_and_greatest() -> None:
    assert [part.tolist() for part in band(np.array([[0, 1], [0, 3]]))] == [[0, 2], [0, 1], [0, 3]]
