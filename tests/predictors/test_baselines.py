"""Baselines against their definitions in loops, ridges against scikit-learn, leave-one-out against leaving one out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

import perturb_jax as pj
from perturb_jax.predictors.baselines import (
    BilinearRidge,
    ControlMean,
    GraphRidge,
    NearestNeighbours,
    TrainingMean,
    gene_embeddings,
    inverse_of,
)
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
def test_neighbours_are_the_most_similar(data: st.DataObject, neighbors: int, hops: int, direction: str) -> None:
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
        similarity = {other: float(row @ rows[names.index(other)]) for other in train}
        ranked = sorted(train, key=lambda other: -similarity[other])
        if len(ranked) > neighbors and similarity[ranked[neighbors - 1]] - similarity[ranked[neighbors]] < 1e-9:
            continue  # a tie but for rounding
        near = [other for other in ranked[:neighbors] if similarity[other] > 0]
        total = sum(similarity[other] for other in near)
        if near:
            expected = sum(similarity[other] / total * change[other] for other in near)
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
    names, wanted = ["G0", "G1", "G2", "G3", "G0+G4", "G5"], ["G7", "G1+G8", "G0", "G4+G0", "G6"]
    screen = small_screen(names, GENES)
    expected = predictor(hops=2).fit(screen, graph, names, [])
    same = pj.DenseKernel(graph.genes, pj.GraphKernel(graph, 2, normalize=False).matrix())
    for fitted in (
        predictor(kernel=same).fit(screen, graph, names, []),
        predictor().fit(screen, same, names, []),
        predictor().fit(screen, pj.GraphKernel(graph, 2), names, []),
    ):
        np.testing.assert_allclose(fitted.effects(wanted), expected.effects(wanted), rtol=1e-5)
        assert "hops" not in fitted.report
    with pytest.raises(pj.InputError, match="the matrix kernel has no feature map"):
        predictor(kernel=same).fit(screen, graph, names, []).embeddings(wanted)
    several = 0.5 * pj.GraphKernel(graph) + 0.5 * pj.GraphKernel(graph, 2)
    fitted = predictor(kernel=several).fit(screen, graph, names, [])
    features = fitted.embeddings(wanted)
    np.testing.assert_allclose(features @ features.T, several.matrix(wanted), rtol=1e-10)


NAMES = ["G0", "G1", "G2", "G3", "G0+G4"]
MEASURED = [f"G{i}" for i in range(9)]
ASKED = ["G7", "G1+G8", "G0"]
GRAPH = graph_of(9, [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (7, 0), (8, 2), (1, 7)])


def features(hops: int, names: list[str], normalize: bool) -> np.ndarray:
    power = np.linalg.matrix_power(dense_gcn_norm(GRAPH, "in", True), hops)
    rows = np.array([power[[int(gene[1:]) for gene in name.split("+")]].sum(0) for name in names])
    return rows / np.linalg.norm(rows, axis=1)[:, None] if normalize else rows


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 9), st.sampled_from([1e-3, 0.1, 10.0]))
def test_bilinear_ridge_is_two_ridge_regressions_on_a_pca(seed: int, dimensions: int, penalty: float) -> None:
    screen = small_screen(NAMES, MEASURED, seed)
    fitted = BilinearRidge(dimensions, penalty).fit(screen, GRAPH, list(screen.perturbations), [])
    genes = PCA(min(dimensions, len(NAMES)), svd_solver="full").fit_transform(screen.mean.T)
    embedding = dict(zip(MEASURED, genes, strict=True))

    def perturbed(names: list[str]) -> np.ndarray:
        return np.array([sum(embedding[gene] for gene in name.split("+")) for name in names])

    center = screen.effects.mean(0)
    first = Ridge(penalty, fit_intercept=False).fit(genes, (screen.effects - center).T).coef_  # train x dimensions
    second = (
        Ridge(penalty, fit_intercept=False)
        .fit(perturbed(list(screen.perturbations)), first)
        .coef_.reshape(2 * genes.shape[1:])
    )
    expected = center + perturbed(ASKED) @ second.T @ genes.T
    assert np.allclose(fitted.effects(ASKED), expected, rtol=1e-6, atol=1e-8)
    assert np.allclose(np.abs(fitted.embeddings(["G7"])), np.abs(perturbed(["G7"])))


def test_bilinear_ridge_finds_a_bilinear_truth() -> None:
    rng = np.random.default_rng(0)
    names, measured = [f"G{i}" for i in range(30)], [f"G{i}" for i in range(60)]
    hidden = rng.normal(size=(60, 2))
    hidden -= hidden.mean(0)
    change = hidden[:30] @ rng.normal(size=(2, 2)) @ hidden.T
    order = [int(name[1:]) for name in sorted(names)]
    screen = small_screen(names, measured, 1, change[order], deviation=1e-6)
    train = [name for name in screen.perturbations if int(name[1:]) < 25]
    test = [name for name in screen.perturbations if int(name[1:]) >= 25]
    fitted = BilinearRidge(dimensions=4, penalty=1e-6).fit(screen, GRAPH, train, [])
    truth = screen.effects[screen.index(tuple(test))]
    mean = screen.effects[screen.index(tuple(train))].mean(0)
    assert np.mean((fitted.effects(test) - truth) ** 2) < 0.1 * np.mean((mean - truth) ** 2)


def test_gene_embeddings_explain_the_means() -> None:
    means = np.random.default_rng(0).normal(size=(4, 9))
    scores = gene_embeddings(means, 10)
    assert scores.shape == (9, 4)
    assert np.allclose(scores @ scores.T, (means - means.mean(1, keepdims=True)).T @ (means - means.mean(1)[:, None]))


def test_genes_that_are_not_measured_are_named() -> None:
    screen = small_screen(["G0", "X+G1", "Y"], MEASURED)
    with pytest.raises(pj.InputError, match="does not measure: X, Y; bilinear ridge has no embedding"):
        BilinearRidge().fit(screen, GRAPH, list(screen.perturbations), [])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 3), st.booleans(), st.sampled_from([1e-3, 0.1, 10.0]))
def test_graph_ridge_is_ridge_on_smoothed_features(seed: int, hops: int, normalize: bool, penalty: float) -> None:
    screen = small_screen(NAMES, MEASURED, seed)
    names = list(screen.perturbations)
    fitted = GraphRidge(hops, (penalty,), normalize=normalize).fit(screen, GRAPH, names, [])
    train, center = features(hops, names, normalize), screen.effects.mean(0)
    scaled = penalty * np.mean((train**2).sum(1))
    model = Ridge(scaled, fit_intercept=False, solver="cholesky").fit(train, screen.effects - center)
    assert np.allclose(fitted.effects(ASKED), center + model.predict(features(hops, ASKED, normalize)))
    assert np.allclose(fitted.embeddings(ASKED), features(hops, ASKED, normalize))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000))
def test_the_choice_has_the_least_error_when_each_is_left_out(seed: int) -> None:
    screen = small_screen(NAMES, MEASURED, seed)
    names, penalties = list(screen.perturbations), (0.01, 1.0, 30.0)
    fitted = GraphRidge((1, 2), penalties).fit(screen, GRAPH, names, [])
    errors = {}
    for hops in (1, 2):
        train, left = features(hops, names, True), screen.effects - screen.effects.mean(0)
        for penalty in penalties:
            residuals = []
            for row in range(len(names)):
                rest = np.arange(len(names)) != row
                model = Ridge(penalty, fit_intercept=False).fit(train[rest], left[rest])
                residuals.append(left[row] - model.predict(train[[row]])[0])
            errors[hops, penalty] = float(np.mean(np.square(residuals)))
    best = min(errors, key=lambda choice: errors[choice])
    assert (fitted.report["hops"], fitted.report["penalty"]) == best
    assert fitted.report["leave-one-out error"] == pytest.approx(errors[best])


def test_bad_options_are_refused() -> None:
    for options in ({"dimensions": 0}, {"penalty": 0.0}, {"penalty": float("inf")}):
        with pytest.raises(pj.InputError, match="expected a"):
            BilinearRidge(**options)
    with pytest.raises(pj.InputError, match="a list of"):
        GraphRidge(penalties=())
    with pytest.raises(pj.InputError, match="a list of"):
        GraphRidge(hops=())
    screen = small_screen(NAMES, MEASURED)
    with pytest.raises(pj.InputError, match="at least 2 perturbations to choose"):
        GraphRidge().fit(screen, GRAPH, ["G0"], [])
    assert np.allclose(
        GraphRidge(2, (1e-9,)).fit(screen, GRAPH, ["G0"], []).effects(["G0"]), screen.effects[screen.index(("G0",))]
    )
    with pytest.raises(pj.InputError, match="hops"):
        GraphRidge(hops=0).fit(screen, GRAPH, NAMES, [])


def test_a_singular_kernel_is_refused() -> None:
    everything = graph_of(9, [(i, j) for i in range(9) for j in range(9)])  # all read the same
    screen = small_screen(NAMES, MEASURED)
    with pytest.raises(pj.InputError, match="penalties: 1e-300 is too small"):
        GraphRidge(1, (1e-300,)).fit(screen, everything, NAMES, [])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 6))
def test_inverse_and_determinant(seed: int, size: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(size, 8))
    matrix = rows @ rows.T + np.eye(size)
    inverse, determinant = inverse_of(matrix)
    assert np.allclose(inverse @ matrix, np.eye(size))
    assert determinant == pytest.approx(float(np.linalg.slogdet(matrix)[1]))
