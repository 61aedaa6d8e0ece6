"""The reference: cell-gears 0.1.2 trained by its own code, free of its defects as a guest, its numbers unchanged."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import perturb_jax as pj
from perturb_jax.predictors.gears_reference.predictor import FittedGears, GearsReference
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError

pytestmark = pytest.mark.gears
pytest.importorskip("torch")

PERTURBED = ["A", "B", "C", "A+B", "D"]
GENES = [f"g{i}" for i in range(24)]
TRAIN, VALIDATION = ["A", "C", "A+B"], ["B"]


def write_cells(path: Path, seed: int, cells_each: int = 8, control: str = "control") -> Path:
    """Log-normal-like cells whose perturbations shift different genes."""
    rng = np.random.default_rng(seed)
    conditions = np.repeat([control, *PERTURBED], [4 * cells_each] + [cells_each] * len(PERTURBED))
    factor = rng.normal(size=(len(conditions), 3)) @ rng.normal(size=(3, len(GENES)))
    expression = np.maximum(factor + rng.normal(size=factor.shape) * 0.5 + 0.4, 0)
    for shift, name in enumerate(PERTURBED):
        expression[conditions == name, 2 * shift : 2 * shift + 3] += 1.0
    order = rng.permutation(len(conditions))
    data = anndata.AnnData(
        sparse.csr_matrix(expression[order].astype(np.float32)),
        obs=pd.DataFrame({"condition": conditions[order]}, index=[f"cell{i}" for i in range(len(conditions))]),
        var=pd.DataFrame(index=GENES),
    )
    data.write_h5ad(path)
    return path


def tiny_graph() -> pj.KnowledgeGraph:
    edges = [("A", "B"), ("B", "A"), ("C", "A"), ("D", "C"), ("E", "D")]
    return pj.graph_from_edges(
        pd.DataFrame([(*edge, 0.5) for edge in edges], columns=["source", "target", "importance"])
    )


@pytest.fixture(scope="module")
def graph() -> pj.KnowledgeGraph:
    return tiny_graph()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small only wait for other threads."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Screen:
    return read_screen(write_cells(tmp_path_factory.mktemp("cells") / "cells.h5ad", 0), num_de=5)


QUICK = GearsReference(epochs=2, batch_size=16, hidden_size=8, device="cpu")


@pytest.fixture(scope="module")
def fitted(screen: Screen, graph: pj.KnowledgeGraph) -> FittedGears:
    return QUICK.fit(screen, graph, TRAIN, VALIDATION, 0)


def test_what_a_fitted_reference_answers(fitted: FittedGears, screen: Screen) -> None:
    names = ["A", "E", "B+A", "A+B", "C+D"]
    effects = fitted.effects(names)
    assert effects.shape == (5, len(GENES)) and np.isfinite(effects).all()
    np.testing.assert_array_equal(effects[2], effects[3])
    embeddings = fitted.embeddings(names)
    features = fitted.features(names)
    assert features.shape == embeddings.shape and not np.allclose(features, embeddings)
    assert embeddings.shape == (5, 8)
    single = fitted.embeddings(["A", "B"])
    np.testing.assert_allclose(embeddings[2], single[0] + single[1], rtol=1e-6)
    assert fitted.history.loss.shape == (2,)


def test_parameters_are_the_weights_that_were_kept(fitted: FittedGears) -> None:
    weights = fitted.parameters()
    state = fitted.model.best_model.state_dict()
    assert set(weights) == set(state)
    for name, values in weights.items():
        np.testing.assert_array_equal(values, state[name].numpy())


def test_history(fitted: FittedGears) -> None:
    history = fitted.history
    measured = {name: part for name, part in history._asdict().items() if name != "best_epoch"}
    assert all(np.isfinite(part).all() and len(part) == 2 for part in measured.values())
    assert 0 < history.seconds[0] < history.seconds[1]
    assert history.best_epoch == history.validation_mse_de.argmin()


def test_effects_are_what_gears_predicts_less_its_control_cells(fitted: FittedGears, screen: Screen) -> None:
    """`predict` averages over 300 control cells that it draws; the adapter leaves out which."""
    controls = QUICK.cells(screen, []).expression
    table, model = fitted.model.adata, fitted.model
    state = np.random.get_state()  # noqa: NPY002  (the generator that cell-gears uses)
    try:
        model.adata = anndata.AnnData(
            sparse.csr_matrix(controls), obs=pd.DataFrame({"condition": ["ctrl"] * controls.shape[0]}).rename(str)
        )
        model.saved_pred = {}
        np.random.seed(1)  # noqa: NPY002
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predicted = model.predict([["A"], ["A", "B"]])
        np.random.seed(1)  # noqa: NPY002
        drawn = [controls[np.random.randint(0, controls.shape[0], 300)].mean(axis=0) for _ in range(2)]  # noqa: NPY002
    finally:
        model.adata, model.saved_pred = table, {}
        np.random.set_state(state)  # noqa: NPY002
    expected = np.stack([predicted["A"] - drawn[0], predicted["A_B"] - drawn[1]])
    np.testing.assert_allclose(fitted.effects(["A", "A+B"]), expected, atol=1e-5)


def test_effects_are_what_gears_predicts_from_the_stand_in(fitted: FittedGears, screen: Screen) -> None:
    """The stand-in has one control row, the mean, so `predict` works on it and has no sampling noise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = fitted.model.predict([["E"]])["E"]
    np.testing.assert_allclose(fitted.effects(["E"])[0], predicted - screen.control_mean, atol=1e-5)


def test_same_key_same_numbers_and_another_key_others(fitted: FittedGears, screen: Screen, graph: Any) -> None:
    again = QUICK.fit(screen, graph, TRAIN, VALIDATION, 0)
    np.testing.assert_array_equal(again.effects(PERTURBED), fitted.effects(PERTURBED))
    np.testing.assert_array_equal(again.history.loss, fitted.history.loss)
    other = QUICK.fit(screen, graph, TRAIN, VALIDATION, 1)
    assert np.abs(other.effects(PERTURBED) - fitted.effects(PERTURBED)).max() > 1e-3


def test_same_numbers_whatever_the_order_of_sets_in_the_process(
    screen: Screen, graph: pj.KnowledgeGraph, tmp_path: Path
) -> None:
    """cell-gears sums over a set of strings, whose order follows PYTHONHASHSEED."""
    script = tmp_path / "fit.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import json, torch, test_gears_reference as test\n"
        "torch.set_num_threads(1)\n"
        f"screen = test.read_screen({str(screen.source)!r}, num_de=5)\n"
        "fitted = test.QUICK.fit(screen, test.tiny_graph(), ['D', 'C', 'A', 'A+B'], ['B'], 0)\n"
        "sys.stdout.write(json.dumps([fitted.effects(test.PERTURBED).tolist(), fitted.history.loss.tolist()]))\n"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    paths = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-W", "ignore", str(script)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env={**os.environ, **paths})
    here = QUICK.fit(screen, graph, ["D", "C", "A", "A+B"], ["B"], 0)
    effects, loss = json.loads(run.stdout)
    np.testing.assert_array_equal(np.array(effects), here.effects(PERTURBED))
    np.testing.assert_array_equal(np.array(loss), here.history.loss)


def test_random_states_warnings_and_directory_stay_as_they_were(
    screen: Screen, graph: pj.KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "gears"]:
        monkeypatch.delitem(sys.modules, name)  # so that its import runs again
    filters = list(warnings.filters)
    torch.manual_seed(5)
    np.random.seed(6)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].tolist()  # noqa: NPY002
    replace(QUICK, epochs=1).fit(screen, graph, ["A"], [], 0)
    assert torch.equal(torch.get_rng_state(), before[0]) and torch.get_num_threads() == 1
    assert np.random.get_state(legacy=False)["state"]["key"].tolist() == before[1]  # noqa: NPY002
    assert list(warnings.filters) == filters
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_no_network_no_pickle_and_nothing_patched(
    screen: Screen, graph: pj.KnowledgeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle
    import socket

    import gears.gears
    import gears.inference
    import gears.utils

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("not wanted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    modules = (gears.gears, gears.utils, gears.inference, gears.gears.GEARS, gears.gears.GEARS_Model)
    before = [dict(vars(module)) for module in modules]
    replace(QUICK, epochs=1, uncertainty=True).fit(screen, graph, ["A"], ["C"], 0)
    assert [dict(vars(module)) for module in modules] == before


def test_uncertainty_works_on_cpu(screen: Screen, graph: pj.KnowledgeGraph) -> None:
    fitted = replace(QUICK, epochs=1, uncertainty=True).fit(screen, graph, TRAIN, VALIDATION, 0)
    spread = fitted.uncertainties(["A", "E", "B+A", "A+B"])
    assert spread.shape == (4, len(GENES)) and (spread > 0).all()
    np.testing.assert_array_equal(spread[2], spread[3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, score = fitted.model.predict([["A"]])
    np.testing.assert_allclose(np.exp(-2 * np.log(spread[0]).mean()), score["A"], rtol=1e-5)


def test_without_uncertainty_it_is_refused(fitted: FittedGears) -> None:
    with pytest.raises(InputError, match="uncertainty=True"):
        fitted.uncertainties(["A"])


def edges_of(fitted: FittedGears) -> set[tuple[int, int]]:
    return set(map(tuple, fitted.model.config["G_coexpress"].T.tolist()))


def test_co_expression_comes_from_the_control_cells_whatever_is_selected(
    screen: Screen, graph: pj.KnowledgeGraph
) -> None:
    quick = replace(QUICK, epochs=1)
    first, second = (quick.fit(screen, graph, train, [], 0) for train in (["A"], ["C", "D"]))
    expected = set(zip(screen.coexpression.senders.tolist(), screen.coexpression.receivers.tolist(), strict=True))
    assert edges_of(first) == edges_of(second) == expected


def test_two_screens_in_one_process_get_their_own_co_expression(
    screen: Screen, graph: pj.KnowledgeGraph, tmp_path: Path
) -> None:
    other = read_screen(write_cells(tmp_path / "cells.h5ad", 1), num_de=5)
    quick = replace(QUICK, epochs=1)
    assert edges_of(quick.fit(other, graph, ["A"], [], 0)) != edges_of(quick.fit(screen, graph, ["A"], [], 0))


def test_co_expression_of_training_cells_follows_the_training_set(screen: Screen, graph: pj.KnowledgeGraph) -> None:
    """cell-gears' own graph; there, a second training set would silently get the first one's from a file."""
    quick = replace(QUICK, epochs=1, coexpression="training")
    for train in (["A", "B"], ["C", "D", "A+B"]):
        model = quick.fit(screen, graph, train, [], 0).model
        cells = QUICK.cells(screen, [name for name in train if "+" not in name]).expression.toarray()
        strength = np.abs(np.corrcoef(cells.T))
        top = np.argsort(strength, axis=1)[:, -21:]
        expected = {(source, target) for target in range(len(GENES)) for source in top[target]}
        expected = {(source, target) for source, target in expected if strength[target, source] > 0.4}
        assert set(map(tuple, model.config["G_coexpress"].T.tolist())) == expected


def test_the_reference_passes_co_expression_to_the_first_cell_of_a_batch_only(fitted: FittedGears) -> None:
    """A defect that the reference keeps: its edges are not repeated for the other cells of a batch."""
    import torch
    from torch_geometric.data import Batch, Data

    network = fitted.model.best_model.eval()
    cell = Data(x=torch.zeros(len(GENES), 1), pert_idx=[0])
    with torch.no_grad():
        first, second, third = network(Batch.from_data_list([cell] * 3)).numpy()
    np.testing.assert_allclose(second, third, atol=1e-6)
    assert np.abs(first - second).max() > 1e-4
    np.testing.assert_allclose(fitted.effects([fitted.graph.genes[0]])[0], (first + 299 * second) / 300, atol=1e-6)


def test_its_training_is_cell_gears_own(screen: Screen, graph: pj.KnowledgeGraph) -> None:
    """The same data and seed through `GEARS.train` itself, on PyTorch's own losses, give the same weights."""
    import torch

    from perturb_jax.predictors.gears_reference import private as gears_private

    trained: list[dict[str, Any]] = []

    def unchanged(
        model: Any, epochs: int, learning_rate: float, weight_decay: float, step: Any, evaluated: Any, _: Any
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.train(epochs=epochs, lr=learning_rate, weight_decay=weight_decay)
        for _ in range(epochs * len(model.dataloader["train_loader"])):
            step(0.0)
        for _ in range(2 * epochs):
            evaluated({"mse": 0.0, "mse_de": 0.0})

    own = gears_private.train
    for train in (own, unchanged):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gears_private, "train", train)
            fitted = QUICK.fit(screen, graph, TRAIN, VALIDATION, 3)
        trained.append(fitted.model.best_model.state_dict())
    for name, value in trained[0].items():
        torch.testing.assert_close(value, trained[1][name], rtol=1e-4, atol=1e-5)


def test_without_validation_the_last_epoch_is_kept(screen: Screen, graph: pj.KnowledgeGraph) -> None:
    fitted = QUICK.fit(screen, graph, TRAIN, [], 0)
    assert fitted.history.best_epoch == 1 and np.isnan(fitted.history.validation_mse_de).all()
    assert np.isfinite(fitted.history.train_mse_de).all()
    assert fitted.model.best_model is fitted.model.model


def test_training_cells_are_paired_with_seeded_control_cells(screen: Screen) -> None:
    from perturb_jax.predictors.gears_reference.data import cell_graphs
    from perturb_jax.screen.cells import CONTROL

    cells = QUICK.cells(screen, ["A", "A+B"])
    nodes = {"A": [0], "A+B": [0, 1]}
    sets = [cell_graphs(screen, cells, ["A", "A+B"], nodes, seed, control=True) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(sets[0].partners, sets[1].partners)
    assert (sets[0].partners != sets[2].partners).any()
    assert set(cells.conditions[sets[0].partners]) == {CONTROL}
    control = cells.conditions[sets[0].rows] == CONTROL
    np.testing.assert_array_equal(sets[0].partners[control], sets[0].rows[control])
    place = int(np.flatnonzero(cells.conditions[sets[0].rows] == "A+B")[0])
    item = sets[0][place]
    assert item.pert == "A+B" and item.pert_idx == [0, 1]
    assert item.de_idx == sorted(screen.de_genes[screen.index(("A+B",))[0]].tolist())
    np.testing.assert_allclose(item.y[0], cells.expression[[sets[0].rows[place]]].toarray()[0])
    np.testing.assert_allclose(item.x[:, 0], cells.expression[[sets[0].partners[place]]].toarray()[0])


def test_progress_is_shown_when_wanted(screen: Screen, graph: pj.KnowledgeGraph, capfd: Any) -> None:
    replace(QUICK, epochs=1, progress=True).fit(screen, graph, ["A"], ["C"], 0)
    shown = capfd.readouterr()
    assert shown.out == "" and "cell-gears" in shown.err and "Train Overall MSE" in shown.err


@pytest.mark.parametrize(
    ("train", "validation", "config", "message"),
    [
        ([], [], {}, "train: expected at least one"),
        (["A"], ["A"], {}, "'A' in train and in validation"),
        (["X"], [], {}, "1 of 1 names are no perturbations of this screen: X"),
        (["A"], [], {"batch_size": 1000}, "batch_size: 1000 is more than the 40"),
    ],
)
def test_what_fit_refuses(
    screen: Screen,
    graph: pj.KnowledgeGraph,
    train: Sequence[str],
    validation: Sequence[str],
    config: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        replace(QUICK, **config).fit(screen, graph, train, validation, 0)


def test_a_screen_without_cells_is_refused(screen: Screen, graph: pj.KnowledgeGraph) -> None:
    with pytest.raises(InputError, match="has no cells"):
        QUICK.fit(replace(screen, source=None), graph, ["A"], [], 0)


def test_a_gene_outside_the_graph_is_refused(screen: Screen, fitted: FittedGears) -> None:
    edges = pd.DataFrame({"source": ["A"], "target": ["B"], "importance": [0.5]})
    with pytest.raises(InputError, match="C not in the graph"):
        QUICK.fit(screen, pj.graph_from_edges(edges), ["A", "C"], [], 0)
    with pytest.raises(InputError, match="X not in the graph"):
        fitted.effects(["X"])


def test_divergence_is_reported(screen: Screen, graph: pj.KnowledgeGraph) -> None:
    with pytest.raises(FloatingPointError, match="lower it"):
        replace(QUICK, learning_rate=1e12).fit(screen, graph, TRAIN, VALIDATION, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("batch_size", 1), ("learning_rate", 0.0), ("hidden_size", 0)],
)
def test_what_the_configuration_refuses(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        replace(QUICK, **{name: value})  # type: ignore[arg-type]


def test_real_cells_single_and_double(real_data: Path, tmp_path: Path) -> None:
    """Norman et al.: K562 cells, few of each condition, one epoch."""
    data = anndata.read_h5ad(real_data / "perturbench_devel_norman19_mcfaline23.h5ad")
    data = data[data.obs["dataset"] == "norman19"]
    names = ["control", "SGK1", "KLF1", "MAP2K6", "KLF1+MAP2K6"]
    kept = [np.flatnonzero(data.obs["condition"] == name)[:12] for name in names]
    assert all(len(rows) for rows in kept)
    data[np.concatenate(kept)].copy().write_h5ad(tmp_path / "norman.h5ad")
    screen = read_screen(tmp_path / "norman.h5ad", condition="condition")
    graph = pj.load_go_graph(["SGK1", "KLF1", "MAP2K6", "CEBPE", "SET"])
    fitted = replace(QUICK, epochs=1, batch_size=8).fit(screen, graph, ["SGK1", "KLF1+MAP2K6"], ["KLF1"], 0)
    effects = fitted.effects(["MAP2K6", "MAP2K6+KLF1", "CEBPE"])
    assert effects.shape == (3, len(screen.readouts)) and np.isfinite(effects).all()
    assert np.isfinite(fitted.history.validation_mse_de).all()
