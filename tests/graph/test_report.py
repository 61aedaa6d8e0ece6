"""The picture of a graph's degrees can be drawn at the edges too, without a warning."""

import numpy as np
import pytest

from perturb_jax.graph.report import degree_figure
from perturb_jax.support.figures import DEGREE, SELECTION
from tests.pictures import colours


@pytest.mark.parametrize("degrees", [[0, 0], [1, 0], [3, 1, 1]])
def test_degrees_of_graphs_with_few_or_no_edges(degrees: list[int]) -> None:
    found = colours(degree_figure("t", np.array(degrees), np.array(degrees)))
    assert found[SELECTION] > 100
    assert (found[DEGREE] > 100) == any(degrees)  # even where it is one point
