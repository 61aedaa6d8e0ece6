"""The picture of a graph's degrees can be drawn at the edges too, without a warning."""

import pytest

from perturb_jax.graph.report import graph_picture
from perturb_jax.support.figures import DEGREE, SELECTION
from tests.graphs import graph_of
from tests.pictures import colours


@pytest.mark.parametrize("edges", [[], [(0, 1)], [(0, 1), (0, 2), (1, 2)]])
def test_degrees_of_graphs_with_few_or_no_edges(edges: list[tuple[int, int]]) -> None:
    found = colours(graph_picture(graph_of(3, edges)))
    assert found[SELECTION] > 100
    assert (found[DEGREE] > 100) == bool(edges)  # even where it is one point
