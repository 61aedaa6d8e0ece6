"""Metrics against loops, SciPy and GEARS' own; what is undefined stays NaN."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.evaluation.metrics import (
    BUILT_IN,
    centroid_accuracy,
    de_weights,
    duplicate_ceiling,
    evaluate,
    pearson_rows,
    summarize,
)
from perturb_jax.screen.screen import Screen
from tests.screens import small_screen, with_moments

NAMES = ("A", "B", "C", "D+E", "F", "H")
GENES = tuple(f"M{i}" for i in range(7))
TRAIN, TEST = ["A", "B"], ["C", "E+D", "F", "H"]


def case(seed: int) -> tuple[Screen, np.ndarray]:
    screen = small_screen(NAMES, GENES, seed)
    return screen, np.random.default_rng(seed + 1).normal(size=(len(TEST), len(GENES)))


def pearson(first: np.ndarray, second: np.ndarray) -> float:
    return float(scipy.stats.pearsonr(first, second)[0])


def expected_row(screen: Screen, row: int, effect: np.ndarray) -> dict[str, float]:
    """The definitions, one perturbation and one gene at a time."""
    truth, control = screen.mean[row], screen.control_mean
    predicted = control + effect
    de = screen.de_genes[row]
    centroid = (screen.mean[0] + screen.mean[1]) / 2
    distance = [np.sqrt(sum((predicted[g] - mean[g]) ** 2 for g in range(len(truth)))) for mean in screen.mean]
    t = scipy.stats.ttest_ind_from_stats(
        truth,
        np.sqrt(screen.perturbed.variance[row] * screen.cell_counts[row] / (screen.cell_counts[row] - 1)),
        screen.cell_counts[row],
        control,
        np.sqrt(screen.control.variance * screen.control.cells / (screen.control.cells - 1)),
        screen.control.cells,
        equal_var=False,
    ).statistic
    weights = ((np.abs(t) - np.abs(t).min()) / np.ptp(np.abs(t))) ** 2
    return {
        "mse_de": sum((predicted[g] - truth[g]) ** 2 for g in de) / len(de),
        "pearson_de": pearson(predicted[de], truth[de]),
        "mse": sum((predicted[g] - truth[g]) ** 2 for g in range(len(truth))) / len(truth),
        "pearson": pearson(predicted, truth),
        "pearson_change": pearson(effect, truth - control),
        "pearson_centroid": pearson(predicted - centroid, truth - centroid),
        "centroid_accuracy": sum(far > distance[row] for far in distance) / (len(distance) - 1),
        "weighted_mse": sum(w * (p - t) ** 2 for w, p, t in zip(weights, predicted, truth, strict=True)) / sum(weights),
    }


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000))
def test_metrics_are_their_definitions(seed: int) -> None:
    screen, effects = case(seed)
    table = evaluate(screen, TEST, effects, TRAIN)
    assert list(table.columns) == list(BUILT_IN) and list(table.index) == TEST
    for name, row, effect in zip(TEST, (2, 3, 4, 5), effects, strict=True):
        expected = expected_row(screen, row, effect)
        for metric in BUILT_IN:
            assert table.loc[name, metric] == pytest.approx(expected[metric], rel=1e-9, abs=1e-12), metric


@pytest.mark.gears
@pytest.mark.parametrize("seed", range(3))
def test_gears_agrees(seed: int) -> None:
    screen, effects = case(seed)
    effects[1] = screen.mean[3] * 0 - screen.control_mean  # a constant prediction: GEARS counts its Pearson as 0
    with warnings.catch_warnings():  # importing gears silences every warning
        inference: Any = pytest.importorskip("gears.inference")
        warnings.simplefilter("ignore")  # and scipy warns of the constant
        rows = [2, 3, 4, 5]
        de = screen.de_genes[rows]
        predicted, truth = screen.control_mean + effects, screen.mean[rows]
        _, theirs = inference.compute_metrics(
            {
                "pert_cat": np.array(TEST),
                "pred": predicted,
                "truth": truth,
                "pred_de": np.take_along_axis(predicted, de, 1),
                "truth_de": np.take_along_axis(truth, de, 1),
            }
        )
    ours = evaluate(screen, TEST, effects, TRAIN, nan="zero")
    for name in TEST:
        for metric, value in theirs[name].items():
            assert ours.loc[name, metric] == pytest.approx(value, abs=1e-6), metric


def test_the_truth_is_perfect() -> None:
    screen, _ = case(0)
    table = evaluate(screen, TEST, screen.effects[2:], TRAIN)
    assert np.allclose(table.filter(like="mse"), 0)
    assert np.allclose(table.drop(columns=["mse", "mse_de", "weighted_mse"]), 1)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_what_is_undefined_is_kept_and_counted(precision: type) -> None:
    screen, _ = case(0)
    mean = np.tile(screen.effects[:2].mean(0).astype(precision), (4, 1))
    table = evaluate(screen, TEST, mean, TRAIN)
    assert table["pearson_centroid"].isna().all()  # rounding is not a prediction
    assert table.drop(columns="pearson_centroid").notna().all().all()
    nothing = evaluate(screen, TEST, np.zeros((4, len(GENES)), precision), TRAIN)
    assert nothing["pearson_change"].isna().all() and nothing["pearson"].notna().all()
    counted = summarize(nothing)
    assert (counted["defined"]["pearson_change"], counted["undefined"]["pearson_change"]) == (0, 4)
    assert counted["mean"]["mse"] == pytest.approx(float(np.mean(nothing["mse"])))


def test_zero_replaces_what_gears_replaces_and_no_more() -> None:
    screen, _ = case(0)
    flat = np.tile(1 - screen.control_mean, (4, 1))
    kept, zero = (evaluate(screen, TEST, flat, TRAIN, nan) for nan in ("keep", "zero"))
    assert kept[["pearson", "pearson_de"]].isna().all().all()
    assert (zero[["pearson", "pearson_de"]] == 0).all().all()
    nothing = evaluate(screen, TEST, np.zeros((4, len(GENES))), TRAIN, "zero")
    assert nothing["pearson_change"].isna().all()


def test_a_pseudobulk_has_no_weights() -> None:
    screen, effects = case(0)
    none = np.zeros_like(screen.mean)
    bulk = with_moments(screen, variance=none, control_variance=none[0])
    table = evaluate(bulk, TEST, effects, TRAIN)
    assert table["weighted_mse"].isna().all()
    assert table.drop(columns="weighted_mse").notna().all().all()


def test_unexpressed_genes_weigh_nothing() -> None:
    screen, _ = case(0)
    mean, variance = screen.mean.copy(), screen.perturbed.variance.copy()
    control_mean, control_variance = screen.control_mean.copy(), screen.control.variance.copy()
    for moments in (mean, variance):
        moments[:, 2] = 0
    control_mean[2] = control_variance[2] = 0
    silent = with_moments(
        screen, mean=mean, variance=variance, control_mean=control_mean, control_variance=control_variance
    )
    weights = de_weights(silent, np.array([2, 3]))
    assert (weights[:, 2] == 0).all() and np.allclose(weights.sum(1), 1)


def test_ties_and_single_perturbations_in_centroid_accuracy() -> None:
    means = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 9.0]])
    assert centroid_accuracy(np.array([[1.0, 0.0]]), means, np.array([0])).tolist() == [0.5]
    assert np.isnan(centroid_accuracy(np.array([[1.0, 0.0]]), means[:1], np.array([0]))).all()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.sampled_from([1e-200, 1e-3, 1.0, 1e100]))
def test_correlations_do_not_depend_on_the_scale(seed: int, scale: float) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, 4, 6))
    assert np.allclose(pearson_rows(first * scale, second), pearson_rows(first, second))
    assert np.allclose(pearson_rows(first, first), 1) and np.allclose(pearson_rows(first, -first), -1)
    assert np.isnan(pearson_rows(first, np.ones_like(first))).all()
    assert np.isnan(pearson_rows(first[:, :0], second[:, :0])).all()


def test_the_ceiling_is_the_other_half_as_a_prediction() -> None:
    truth = np.random.default_rng(3).normal(size=(len(NAMES), len(GENES)))
    first, second = (small_screen(NAMES, GENES, seed, truth) for seed in (0, 0))
    assert np.allclose(duplicate_ceiling(first, second, TEST, TRAIN)["mse"], 0)
    other = with_moments(second, mean=second.mean + 0.1)
    expected = evaluate(first, TEST, other.effects[2:], TRAIN)
    assert duplicate_ceiling(first, other, TEST, TRAIN).equals(expected)
    with pytest.raises(pj.InputError, match="the same measured genes"):
        duplicate_ceiling(first, replace(second, readouts=GENES[::-1]), TEST, TRAIN)


def test_the_ceiling_has_the_noise_of_four_means() -> None:
    genes = tuple(f"M{i}" for i in range(2_000))
    truth = np.random.default_rng(3).normal(size=(len(NAMES), len(genes)))
    halves = [small_screen(NAMES, genes, seed, truth, deviation=0.3, cells=20) for seed in (0, 1)]
    error = duplicate_ceiling(halves[0], halves[1], TEST, TRAIN)["mse"].to_numpy()
    assert error.mean() == pytest.approx(0.3**2 * (2 / 20 + 2 / halves[0].control.cells), rel=0.05)


def test_the_ceiling_can_be_asked_for_other_de_genes() -> None:
    truth = np.random.default_rng(3).normal(size=(len(NAMES), len(GENES)))
    first, second = (small_screen(NAMES, GENES, seed, truth) for seed in (0, 1))
    others = replace(first, de_genes=first.de_genes[:, :1])
    own, asked = (duplicate_ceiling(half, second, TEST, TRAIN) for half in (first, others))
    gene = first.de_genes[2, 0]
    assert asked.loc["C", "mse_de"] == pytest.approx((second.effects[2, gene] - first.effects[2, gene]) ** 2)
    assert asked.drop(columns=["mse_de", "pearson_de"]).equals(own.drop(columns=["mse_de", "pearson_de"]))


@pytest.mark.parametrize(
    ("names", "train", "message"),
    [
        (["C", "X"], ["A"], "'X' is not in the screen"),
        (["C", "F"], ["X"], "'X' is not in the screen"),
        (["C", "C"], ["A"], "'C' is given twice"),
        (["C", "E+D"], ["D+E"], r"'E\+D' was trained on"),
        (["C", "F"], [], "train: expected at least one"),
        (["C"], ["A"], "effects: expected the shape"),
        (["C", "ctrl"], ["A"], "'ctrl' names no gene"),
    ],
)
def test_bad_input_is_refused(names: list[str], train: list[str], message: str) -> None:
    screen, effects = case(0)
    with pytest.raises(pj.InputError, match=message):
        evaluate(screen, names, effects[:2], train)


def test_effects_that_are_not_finite_are_refused() -> None:
    screen, effects = case(0)
    effects[1, 2] = np.nan
    with pytest.raises(pj.InputError, match=r"got NaN or infinity for E\+D"):
        evaluate(screen, TEST, effects, TRAIN)


def test_what_a_metric_needs_is_what_screens_can_have() -> None:
    with pytest.raises(pj.InputError, match=r"metric m: needs: expected some of .*de_genes.*; got skewness, variance$"):
        pj.Metric("m", "M", True, needs=("variance", "de_genes", "skewness"))
