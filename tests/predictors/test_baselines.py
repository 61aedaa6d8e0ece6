"""Baselines against their definitions in loops."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.predictors.baselines import ControlMean, NearestNeighbours, TrainingMean
from tests.design_oracles import dense_gcn_norm, weighted_graphs
from tests.graphs import graph_of
from tests.screens import small_screen

GENES = ("M0", "M1", "M2")


def test_means() -> None:
    screen, graph = small_screen(["A", "B", "C"], GENES), graph_of(2, [])
    assert (ControlMean().fit(screen, graph, ["A", "B"], ["C"]).effects(["C", "X"]) == 0).all()
    mean = (screen.mean[0] + screen.mean[1]) / 2 - screen.control_mean
    assert np.allclose(TrainingMean().fit(screen, graph, ["A", "B"], ["C"]).effects(["C", "X+Y"]), mean)


@settings(deadline=None, max_examples=50)
@given(st.data(), st.integers(1, 5), st.integers(1, 2), st.sampled_from(["in", "out", "both"]))
def test_neighbours_are_the_most_alike(data: st.DataObject, neighbors: int, hops: int, direction: str) -> None:
    graph = data.draw(weighted_graphs())
    names = list(graph.genes)
    train = names[: max(1, len(names) // 2)]
    screen = small_screen(train, GENES)
    rows = np.linalg.matrix_power(dense_gcn_norm(graph, direction, True), hops)
    rows = rows / np.linalg.norm(rows, axis=1)[:, None]
    fitted = NearestNeighbours(neighbors, hops, direction).fit(screen, graph, train, [])  # type: ignore[arg-type]
    assert np.allclose(fitted.embeddings(names), rows)
    change = dict(zip(screen.perturbations, screen.effects, strict=True))
    for name, row, effect in zip(names, rows, fitted.effects(names), strict=True):
        alike = {other: float(row @ rows[names.index(other)]) for other in train}
        ranked = sorted(train, key=lambda other: -alike[other])
        if len(ranked) > neighbors and alike[ranked[neighbors - 1]] - alike[ranked[neighbors]] < 1e-9:
            continue  # a tie but for rounding
        near = [other for other in ranked[:neighbors] if alike[other] > 0]
        total = sum(alike[other] for other in near)
        if near:
            expected = sum(alike[other] / total * change[other] for other in near)
        else:
            expected = np.mean(list(change.values()), axis=0)
        assert np.allclose(effect, expected), name


def test_a_trained_perturbation_is_its_own_neighbour_and_a_lonely_one_gets_the_mean() -> None:
    graph = graph_of(4, [(0, 1)])
    screen = small_screen(["G0", "G2"], GENES)
    effects = NearestNeighbours(neighbors=1).fit(screen, graph, ["G2", "G0"], []).effects(["G2", "G3", "G1"])
    assert np.allclose(effects, [screen.effects[1], screen.effects.mean(0), screen.effects[0]])


@pytest.mark.parametrize("neighbors", [0, 1.5, True])
def test_bad_numbers_of_neighbours_are_refused(neighbors: int) -> None:
    with pytest.raises((pj.InputError, TypeError), match="neighbors"):
        NearestNeighbours(neighbors=neighbors)


@pytest.mark.parametrize("predictor", [pj.NearestNeighbours, pj.GraphRidge, pj.GraphGP])
def test_any_kernel_takes_the_place_of_the_graph(predictor: type[Any]) -> None:
    graph = graph_of(9, [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (7, 0), (8, 2), (1, 7)])
    names, asked = ["G0", "G1", "G2", "G3", "G0+G4", "G5"], ["G7", "G1+G8", "G0", "G4+G0", "G6"]
    screen = small_screen(names, GENES)
    expected = predictor(hops=2).fit(screen, graph, names, [])
    same = pj.DenseKernel(graph.genes, pj.GraphKernel(graph, 2, normalize=False).matrix())
    for fitted in (
        predictor(kernel=same).fit(screen, graph, names, []),
        predictor().fit(screen, same, names, []),
        predictor().fit(screen, pj.GraphKernel(graph, 2), names, []),
    ):
        np.testing.assert_allclose(fitted.effects(asked), expected.effects(asked), rtol=1e-5)
        assert "hops" not in fitted.report
    with pytest.raises(pj.InputError, match="the matrix kernel has no feature map"):
        predictor(kernel=same).fit(screen, graph, names, []).embeddings(asked)
    several = 0.5 * pj.GraphKernel(graph) + 0.5 * pj.GraphKernel(graph, 2)
    fitted = predictor(kernel=several).fit(screen, graph, names, [])
    features = fitted.embeddings(asked)
    np.testing.assert_allclose(features @ features.T, several.matrix(asked), rtol=1e-10)
