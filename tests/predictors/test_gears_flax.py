"""The Flax GEARS as a predictor: it learns, is reproducible, stops, resumes, and trains several at once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.evaluation.metrics import evaluate
from perturb_jax.predictors.gears_flax import training
from perturb_jax.predictors.gears_flax.predictor import GearsFlax, Task
from perturb_jax.predictors.gears_flax.training import train_steps
from tests.graphs import graph_of
from tests.screens import small_screen, with_moments

NODES = [f"G{i}" for i in range(8)]
MEASURED = [*NODES, *(f"M{i}" for i in range(12))]
GRAPH = graph_of(8, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (6, 1), (7, 3), (2, 6)])
TRAIN, VALIDATION = ["G0", "G1", "G3", "G2+G5", "G4"], ["G2"]
SMALL = GearsFlax(steps=12, evaluate_every=4, hidden_size=8, batch_size=4, patience=100)


@pytest.fixture(scope="module")
def screen() -> pj.Screen:
    return small_screen(["G0", "G1", "G2", "G3", "G4", "G5", "G0+G1", "G2+G5"], MEASURED)


def test_the_same_key_gives_the_same_numbers_and_another_key_others(screen: pj.Screen) -> None:
    first, again, other = (SMALL.fit(screen, GRAPH, TRAIN, VALIDATION, key) for key in (3, 3, 4))
    assert np.array_equal(first.effects(["G5", "G0+G1"]), again.effects(["G5", "G1+G0"]))
    assert not np.allclose(first.effects(["G5"]), other.effects(["G5"]))


def test_a_training_compiles_its_steps_once(screen: pj.Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    traced = []

    def counted(*given: Any) -> Any:
        traced.append(given)
        return train_steps(*given)

    monkeypatch.setattr(training, "train_steps", counted)
    size = replace(SMALL, hidden_size=9)  # compiled by no other test
    assert len(size.fit(screen, GRAPH, TRAIN, VALIDATION, 0).history.step) == 3
    assert len(traced) == 1


def test_what_all_perturbations_do_is_learnt() -> None:
    """A change that all share and a little noise: the error falls far below that of predicting no change."""
    rng = np.random.default_rng(0)
    change = 2 * rng.normal(size=(1, len(MEASURED))) + 0.1 * rng.normal(size=(8, len(MEASURED)))
    screen = small_screen(NODES, MEASURED, change=change, deviation=0.1, cells=50)
    learner = replace(SMALL, steps=100, evaluate_every=50, learning_rate=0.02)
    fitted = learner.fit(screen, GRAPH, NODES[:5], NODES[5:6], 0)
    errors = [
        evaluate(screen, NODES[6:], effects, NODES[:5])["mse"].mean()
        for effects in (fitted.effects(NODES[6:]), np.zeros((2, len(MEASURED))))
    ]
    assert errors[0] < 0.1 * errors[1]
    assert fitted.history.loss[-1] < 0.2 * fitted.history.loss[0]


@pytest.fixture(scope="module")
def stopped(screen: pj.Screen) -> Any:
    """A training that got worse, and ended for it."""
    return replace(SMALL, steps=400, patience=8, learning_rate=0.5).fit(screen, GRAPH, TRAIN, VALIDATION, 0)


def test_training_stops_when_nothing_improves(stopped: Any) -> None:
    history = stopped.history
    assert history.step[-1] < 400 and history.step[-1] - history.best_step >= 8


def test_the_kept_weights_are_those_of_the_best_evaluation(screen: pj.Screen, stopped: Any) -> None:
    history, row = stopped.history, screen.index(("G2",))
    best = int(np.argmin(history.validation_mse_de))
    assert history.best_step == history.step[best] < history.step[-1]
    genes = screen.de_genes[row[0]]
    error = np.mean((stopped.effects(["G2"])[0, genes] - screen.effects[row[0], genes]) ** 2)
    assert np.isclose(error, history.validation_mse_de[best], rtol=1e-4)


def test_without_validation_the_last_weights_are_kept(screen: pj.Screen) -> None:
    fitted = SMALL.fit(screen, GRAPH, [*TRAIN, *VALIDATION], [], 0)
    assert np.isnan(fitted.history.validation_mse_de).all() and fitted.history.best_step == 12


def test_several_at_once_are_those_of_one_after_the_other(screen: pj.Screen) -> None:
    """Other training sets, sizes, validation sets and seeds; vmapped or not."""
    tasks = [Task(TRAIN, VALIDATION, 0), Task(TRAIN[:3], [], 1), Task(["G5", *TRAIN[1:3]], ["G4", "G0"], 2)]
    together = replace(SMALL, at_once=3).fit_many(screen, GRAPH, tasks)
    in_turn = SMALL.fit_many(screen, GRAPH, tasks)
    for one, other in zip(together, in_turn, strict=True):
        assert np.allclose(one.effects(["G5", "G7"]), other.effects(["G5", "G7"]), atol=2e-3)
    alone = SMALL.fit(screen, GRAPH, *tasks[1])
    assert np.allclose(alone.effects(["G5", "G7"]), in_turn[1].effects(["G5", "G7"]), atol=2e-3)


def test_an_ensemble_averages_and_spreads(screen: pj.Screen) -> None:
    fitted = replace(SMALL, ensemble=3).fit(screen, GRAPH, TRAIN, VALIDATION, 0)
    wanted = ["G5", "G6", "G5"]
    assert fitted.effects(wanted).shape == fitted.uncertainties(wanted).shape == (3, len(MEASURED))
    assert (fitted.uncertainties(wanted) > 0).all() and len(fitted.histories) == 3
    assert fitted.embeddings(wanted).shape == fitted.features(wanted).shape == (3, 3 * 8)
    assert {name.split(".")[0] for name in fitted.parameters()} == {"0", "1", "2"}


def test_log_variances_give_uncertainties(screen: pj.Screen) -> None:
    fitted = replace(SMALL, uncertainty=True).fit(screen, GRAPH, TRAIN, VALIDATION, 0)
    assert (fitted.uncertainties(["G5"]) > 0).all()
    with pytest.raises(pj.InputError, match="uncertainty=True or ensemble"):
        SMALL.fit(screen, GRAPH, TRAIN, VALIDATION, 0).uncertainties(["G5"])


def test_an_interrupted_training_continues_to_the_same_weights(
    screen: pj.Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "gears.msgpack"
    whole = SMALL.fit(screen, GRAPH, TRAIN, VALIDATION, 0)
    advance, calls = training.advance, list[None]()

    def interrupted(*args: Any, **options: Any) -> Any:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(None)
        return advance(*args, **options)

    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(training, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace(SMALL, checkpoint=path).fit(screen, GRAPH, TRAIN, VALIDATION, 0)
    monkeypatch.setattr(training, "advance", advance)
    continued = replace(SMALL, checkpoint=path).fit(screen, GRAPH, TRAIN, VALIDATION, 0)
    assert np.array_equal(whole.effects(NODES), continued.effects(NODES))
    assert np.array_equal(whole.history.loss, continued.history.loss)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_checkpoint_of_another_training_is_refused(screen: pj.Screen, tmp_path: Path) -> None:
    path = tmp_path / "gears.msgpack"
    kept = replace(SMALL, checkpoint=path)
    kept.fit(screen, GRAPH, TRAIN, VALIDATION, 0)
    content = path.read_bytes()
    for other, key in ((kept, 1), (replace(kept, learning_rate=0.1), 0)):
        with pytest.raises(pj.InputError, match="belongs to another training"):
            other.fit(screen, GRAPH, TRAIN, VALIDATION, key)
    with pytest.raises(pj.InputError, match="belongs to another training"):
        kept.fit(screen, GRAPH, TRAIN[1:], VALIDATION, 0)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(pj.InputError, match="no checkpoint"):
        kept.fit(screen, GRAPH, TRAIN, VALIDATION, 0)


def test_weights_go_out_by_the_reference_names(screen: pj.Screen) -> None:
    parameters = SMALL.fit(screen, GRAPH, TRAIN, VALIDATION, 0).parameters()
    assert parameters["pert_emb.weight"].shape == (8, 8) and parameters["indv_w2"].shape == (1, len(MEASURED), 9)
    assert (np.linalg.norm(parameters["gene_emb.weight"], axis=1) < 1.001).all()


def test_weights_come_in_by_the_reference_names_and_layers_go_out(screen: pj.Screen) -> None:
    trained = SMALL.fit(screen, GRAPH, TRAIN, VALIDATION, 0)
    fitted = SMALL.with_parameters(screen, GRAPH, trained.parameters())
    np.testing.assert_allclose(fitted.effects(["G5", "G0+G1"]), trained.effects(["G5", "G0+G1"]), rtol=1e-5, atol=1e-6)
    layers = fitted.layers(["G5", "G0+G1"])
    np.testing.assert_allclose(layers[""], trained.effects(["G5", "G0+G1"]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layers["sim_layers.0"], trained.embeddings(["G5", "G0+G1"]), rtol=1e-5, atol=1e-6)
    assert layers["layers_emb_pos.0"].shape == (1, len(MEASURED), 8)
    assert layers["recovery_w"].shape == (2, len(MEASURED), 8)
    with pytest.raises(pj.InputError, match=r"gene_emb\.weight is not in it"):
        SMALL.with_parameters(screen, GRAPH, {"w": np.zeros(3)})
    assert fitted.layers([])[""].shape == (0, len(MEASURED))


def test_weights_that_do_not_fit_are_named(screen: pj.Screen) -> None:
    given = SMALL.fit(screen, GRAPH, TRAIN, VALIDATION, 0).parameters()
    given["pert_emb.weight"] = given["pert_emb.weight"][:, :4]
    given["emb_pos.weight"] = given["emb_pos.weight"] * np.nan
    given["sim_layers.1.lin.weight"] = given["sim_layers.0.lin.weight"]
    del given["bn_emb.running_mean"]
    wrong = (
        r"parameters: bn_emb\.running_mean missing; sim_layers\.1\.lin\.weight not of this model; pert_emb\.weight of "
        r"another shape; emb_pos\.weight not finite; expected those of a GEARS with these settings"
    )
    with pytest.raises(pj.InputError, match=wrong):
        SMALL.with_parameters(screen, GRAPH, given)


def test_nothing_but_finite_moments(screen: pj.Screen) -> None:
    third = np.array(screen.perturbed.third)
    third[screen.index(("G1",))] = np.nan
    with pytest.raises(pj.InputError, match="the third of G1 is not finite"):
        SMALL.fit(with_moments(screen, third=third), GRAPH, TRAIN, VALIDATION, 0)


def test_divergence_is_said(screen: pj.Screen) -> None:
    huge = with_moments(screen, mean=screen.mean * 1e12)
    with pytest.raises(FloatingPointError, match="lower it"):
        SMALL.fit(huge, GRAPH, TRAIN, VALIDATION, 0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"steps": 0}, "steps: expected a whole number of at least 1, got 0"),
        ({"batch_size": 1}, "batch_size: expected a whole number of at least 2, got 1"),
        ({"learning_rate": 0.0}, "learning_rate: expected a finite number above 0"),
        ({"weight_decay": -1.0}, "weight_decay: expected a finite number of at least 0"),
    ],
)
def test_settings_out_of_range(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        GearsFlax(**setting)


def test_as_the_reference_has_it_row_0_alone_is_reached(screen: pj.Screen) -> None:
    edges = pd.DataFrame({"source": ["G0", "G5", "M3"], "target": ["G3", "M1", "G2"], "importance": 0.9})
    connected = replace(screen, coexpression=pj.graph_from_edges(edges, genes=MEASURED))
    corrected, faithful = (
        replace(SMALL, first_row_only=switch).fit(connected, GRAPH, TRAIN, VALIDATION, jax.random.key(0))
        for switch in (False, True)
    )
    assert np.isfinite(faithful.effects(["G5"])).all()
    assert not np.allclose(corrected.effects(["G5"]), faithful.effects(["G5"]))
