"""What every predictor in this package keeps to; the reference has its own tests."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.genes.perturbations import nodes_of, unknown_to
from perturb_jax.predictors.baselines import BilinearRidge, ControlMean, GraphRidge, NearestNeighbours, TrainingMean
from perturb_jax.predictors.gears_flax.predictor import GearsFlax
from perturb_jax.predictors.graph_gp import GraphGP
from perturb_jax.predictors.predictor import Fitted, Predictor, seed_of, training_rows
from perturb_jax.predictors.saved import load_fitted
from perturb_jax.screen.screen import MOMENTS, Screen
from tests.graphs import graph_of
from tests.screens import small_screen, with_moments

NODES = [f"G{i}" for i in range(8)]
PERTURBED = ["G0", "G1", "G2", "G3", "G4", "G5", "G0+G1", "G2+G5"]
MEASURED = [*NODES, "M0", "M1", "M2"]
TRAIN, VALIDATION = ["G0", "G1", "G3", "G2+G5", "G4"], ["G2"]
ASKED = ["G5", "G1+G0", "G7", "G6+G3", "G1"]
GRAPH = graph_of(8, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (6, 1), (7, 3), (2, 6)])

PREDICTORS: list[Predictor] = [
    ControlMean(),
    TrainingMean(),
    NearestNeighbours(neighbors=2),
    BilinearRidge(dimensions=3),
    GraphRidge(),
    GraphGP(),
    GearsFlax(steps=8, evaluate_every=4, hidden_size=8, batch_size=4),
]
READ_GRAPH = [predictor for predictor in PREDICTORS if predictor.name not in ("control mean", "training mean")]
every = pytest.mark.parametrize("predictor", PREDICTORS, ids=lambda predictor: predictor.name)


def screen_of(seed: int = 0) -> Screen:
    return small_screen(PERTURBED, MEASURED, seed)


@every
def test_answers_have_their_shapes(predictor: Predictor) -> None:
    assert isinstance(predictor, Predictor)
    fitted = predictor.fit(screen_of(), GRAPH, TRAIN, VALIDATION, jax.random.key(0))
    assert isinstance(fitted, Fitted)
    effects = fitted.effects(ASKED)
    assert effects.shape == (len(ASKED), len(MEASURED)) and np.isfinite(effects).all()
    assert fitted.effects([]).shape == (0, len(MEASURED))
    if predictor.name in ("control mean", "training mean"):
        with pytest.raises(pj.InputError, match="has no embeddings"):
            fitted.embeddings(ASKED)
    else:
        embeddings = fitted.embeddings(ASKED)
        assert len(embeddings) == len(ASKED) and len(fitted.embeddings([])) == 0
        assert len(fitted.features(ASKED)) == len(ASKED) and len(fitted.features([])) == 0
    if predictor.name == "graph GP":
        assert fitted.uncertainties(ASKED).shape == effects.shape
        assert fitted.uncertainties([]).shape == (0, len(MEASURED))
    else:
        with pytest.raises(pj.InputError, match=f"{predictor.name} has no uncertainties"):
            fitted.uncertainties(ASKED)


@every
def test_rows_are_answered_one_by_one(predictor: Predictor) -> None:
    fitted = predictor.fit(screen_of(), GRAPH, TRAIN, VALIDATION, 0)
    together = fitted.effects([*ASKED, ASKED[0]])
    assert np.allclose(together, np.concatenate([fitted.effects([name]) for name in [*ASKED, ASKED[0]]]))
    assert np.allclose(fitted.effects(["G3+G6", "G6+G3+ctrl"]), fitted.effects(["G6+G3"]))


@every
def test_outcomes_of_others_are_not_read(predictor: Predictor) -> None:
    screen = screen_of()
    read = [*TRAIN, *VALIDATION] if predictor.name == "GEARS Flax" else TRAIN  # which stops by the validation set
    held = ~np.isin(screen.perturbations, read)
    hidden = with_moments(
        screen, **{name: np.where(held[:, None], np.nan, getattr(screen.perturbed, name)) for name in MOMENTS}
    )
    ours, theirs = (predictor.fit(each, GRAPH, TRAIN, VALIDATION, 0) for each in (screen, hidden))
    assert np.array_equal(ours.effects(ASKED), theirs.effects(ASKED))


@every
def test_the_order_of_training_does_not_matter(predictor: Predictor) -> None:
    forward, backward = (predictor.fit(screen_of(), GRAPH, train, [], 0) for train in (TRAIN, TRAIN[::-1]))
    assert np.allclose(forward.effects(ASKED), backward.effects(ASKED), rtol=1e-4, atol=1e-4)


@every
def test_bad_training_sets_are_refused(predictor: Predictor) -> None:
    for train, validation, message in (
        ([], [], "train: expected at least one"),
        (["G0", "X"], [], "1 of 2 names are no perturbations of this screen: X"),
        (["G0", "G1+G0", "G0+G1"], [], r"'G0\+G1' given twice in train"),
        (["G0", "G0+G1"], ["G1+G0"], r"'G1\+G0' in train and in validation"),
        (["ctrl"], [], "names no gene"),
    ):
        with pytest.raises(pj.InputError, match=message):
            predictor.fit(screen_of(), GRAPH, train, validation, 0)


@every
def test_control_and_bad_values_are_refused(predictor: Predictor) -> None:
    with pytest.raises(pj.InputError, match="'ctrl' names no gene"):
        predictor.fit(screen_of(), GRAPH, TRAIN, [], 0).effects(["ctrl"])
    if predictor.name != "control mean":
        screen = screen_of()
        mean = screen.mean.copy()
        mean[screen.index(("G3",)), 2] = np.nan
        with pytest.raises(pj.InputError, match="effects of G3 are not finite"):
            predictor.fit(with_moments(screen, mean=mean), GRAPH, TRAIN, [], 0)


@pytest.mark.parametrize("predictor", READ_GRAPH, ids=lambda predictor: predictor.name)
def test_unknown_genes_are_named(predictor: Predictor) -> None:
    fitted = predictor.fit(screen_of(), GRAPH, TRAIN, VALIDATION, 0)
    with pytest.raises(pj.InputError, match="Z"):
        fitted.effects(["G0", "G0+Z"])
    with pytest.raises(pj.InputError, match="Z"):
        fitted.embeddings(["Z"])
    screen = small_screen(["G0", "G1", "G2", "G3+Z"], MEASURED)
    with pytest.raises(pj.InputError, match="Z"):
        predictor.fit(screen, GRAPH, screen.perturbations, [], 0)


def test_unknown_genes_can_be_found_beforehand() -> None:
    assert unknown_to(GRAPH.names, ["G0", "Y+G0+X", "G3+G1"]) == {"Y+G0+X": "X not in the graph, Y not in the graph"}
    with pytest.raises(pj.InputError, match=r"'X' \(X not in the graph\).* and 2 more; leave them out"):
        nodes_of(GRAPH.names, list("XYZUVWT"))


def test_nodes_are_sets() -> None:
    nodes = nodes_of(GRAPH.names, ["G3+G1", "G2", "G1+G3"])
    assert nodes.members.tolist() == [[1, 3], [2, -1], [1, 3]]


def test_training_rows_are_those_of_the_screen() -> None:
    train, validation = training_rows(screen_of(), ["G5+G2", "G0"], ["G1+G0"])
    names = screen_of().perturbations
    assert [names[row] for row in train] == ["G2+G5", "G0"] and [names[row] for row in validation] == ["G0+G1"]


def test_keys_are_seeds_or_keys() -> None:
    assert seed_of(7) == 7
    assert seed_of(jax.random.key(1)) == seed_of(jax.random.PRNGKey(1)) != seed_of(jax.random.key(2))
    for bad in (-1, 2**32, True, jax.random.split(jax.random.key(0)), jax.numpy.zeros(2)):
        with pytest.raises(pj.InputError, match=r"(key|seed): expected"):
            seed_of(bad)


@every
def test_what_is_stored_answers_the_same(predictor: Predictor, tmp_path: Path) -> None:
    fitted = predictor.fit(screen_of(), GRAPH, TRAIN, VALIDATION, 0)
    fitted.save(tmp_path / "fitted.npz")
    again = load_fitted(tmp_path / "fitted.npz")
    assert isinstance(again, Fitted)
    np.testing.assert_array_equal(again.effects(ASKED), fitted.effects(ASKED))
    assert set(again.parameters()) == set(fitted.parameters()) and dict(again.report) == dict(fitted.report)
    if predictor.name not in ("control mean", "training mean"):
        np.testing.assert_array_equal(again.embeddings(ASKED), fitted.embeddings(ASKED))
    if predictor.name == "graph GP":
        np.testing.assert_array_equal(again.uncertainties(ASKED), fitted.uncertainties(ASKED))
    for name, value in fitted.parameters().items():
        np.testing.assert_array_equal(again.parameters()[name], value)


def kernels() -> dict[str, pj.Kernel]:
    """One of each kind, over more genes than the table knows."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(6, 3)), index=NODES[:6], columns=["x", "y", "z"])
    some = rng.normal(size=(8, 8))
    features, matrix = pj.FeatureKernel(table), pj.DenseKernel(NODES, some @ some.T + np.eye(8))
    return {"features": features.over(NODES), "matrix": matrix, "sum": 0.5 * pj.GraphKernel(GRAPH, 2) + 0.5 * features}


@pytest.mark.parametrize("name", kernels())
@pytest.mark.parametrize("predictor", [NearestNeighbours, GraphRidge, GraphGP])
def test_a_kernel_of_each_kind_is_stored_too(predictor: Any, name: str, tmp_path: Path) -> None:
    fitted = predictor(kernel=kernels()[name]).fit(screen_of(), GRAPH, TRAIN, [], 0)
    fitted.save(tmp_path / "fitted.npz")
    again = load_fitted(tmp_path / "fitted.npz")
    np.testing.assert_array_equal(again.effects(ASKED), fitted.effects(ASKED))
    if name != "matrix":  # which has no feature map
        np.testing.assert_array_equal(again.embeddings(ASKED), fitted.embeddings(ASKED))


def test_a_kernel_of_ones_own_is_refused_with_what_to_do(tmp_path: Path) -> None:
    class Own(pj.DenseKernel):
        """Outside the package, so that no file may name it."""

    kernel = Own(NODES, np.eye(8) + 0.1)
    fitted = GraphGP(kernel=kernel).fit(screen_of(), GRAPH, TRAIN, [], 0)
    with pytest.raises(pj.InputError, match=r"Own is not a part of this package.*DenseKernel\(kernel.genes, "):
        fitted.save(tmp_path / "fitted.npz")
    fitted = GraphGP(kernel=pj.DenseKernel(kernel.genes, kernel.matrix())).fit(screen_of(), GRAPH, TRAIN, [], 0)
    fitted.save(tmp_path / "fitted.npz")
    assert load_fitted(tmp_path / "fitted.npz").effects(["G0"]).shape == (1, len(MEASURED))


def test_old_symbols_mean_the_same_in_what_is_stored(tmp_path: Path) -> None:
    genes = ["TP53", "MDM2", "GATA1", "KLF1", "SPI1"]
    graph = pj.load_go_graph(genes)
    (old, *_) = (alias for alias, meant in graph.names.aliases.items() if meant == ("KLF1",))
    fitted = GraphRidge().fit(small_screen(genes, MEASURED), graph, genes[:3], [], 0)
    fitted.save(tmp_path / "fitted.npz")
    again = load_fitted(tmp_path / "fitted.npz")
    np.testing.assert_array_equal(again.effects([old]), fitted.effects(["KLF1"]))


def test_a_file_makes_nothing_but_parts_of_predictors(tmp_path: Path) -> None:
    for name, tree in {
        "elsewhere": {"partial": "os:system", "args": ["true"], "given": {"table": []}},
        "a function as a class": {"class": "perturb_jax.predictors.predictor:seed_of", "fields": {}},
        "another class": {"kernel": "perturb_jax.kernel.kernel:NO_MEMBER", "holds": {}},
        "unknown": {"pickle": "x"},
    }.items():
        path = tmp_path / "x.npz"
        text = json.dumps({"format": 2, "tree": tree}).encode()
        np.savez(path, tree=np.frombuffer(text, np.uint8))
        with pytest.raises(pj.InputError, match="expected a fitted predictor"):
            load_fitted(path)
        assert name
    (tmp_path / "empty.npz").touch()
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:100])
    for name in ("none.npz", "empty.npz", "cut.npz"):
        with pytest.raises(pj.InputError, match="expected a fitted predictor"):
            load_fitted(tmp_path / name)
