"""Files of experiments: what is accepted, and that what is not is named."""

from pathlib import Path
from typing import Any

import pytest

from perturb_jax.experiment.file import experiment_of, find_sources, read_experiment
from perturb_jax.predictors.gears_flax.predictor import GearsFlax
from perturb_jax.strategies.graphreach import GraphReach
from perturb_jax.support.errors import InputError
from tests.experiment.grids import SIMULATION, tables

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "cycles": ({"cycles": 0}, "cycles: expected greater than or equal to 1, got 0"),
    "true is no number": ({"batch": True}, "batch: expected a valid integer, got True"),
    "test": ({"test": 1.5}, "test: expected a count of at least 1, or a fraction between 0 and 1, got 1.5"),
    "seeds": ({"seeds": [1, 1]}, "seeds: expected how many, or a list of different whole numbers of at least 0"),
    "no seeds": ({"seeds": 0}, "seeds: expected how many"),
    "fixed": ({"fixed": ["cells"]}, "fixed.0: expected 'data', 'split', 'selection' or 'training', got 'cells'"),
    "unknown key": ({"cycle": 5}, "cycle: no such key; omit it"),
    "no data": ({"data": {}}, "data: "),
    "two sources": (
        {"data": {"a": {"simulation": SIMULATION, "screen": "x.h5ad"}}},
        "data.a: expected one of simulation, screen and dataset, got simulation and screen",
    ),
    "no source": ({"data": {"a": {}}}, "data.a: expected one of simulation, screen and dataset, got none"),
    "data set": ({"data": {"a": {"dataset": "x"}}}, "data.a: dataset: expected one of adamson"),
    "homophily": (
        {"data": {"a": {"simulation": SIMULATION | {"homophily": 2}}}},
        "data.a.simulation.homophily: expected a finite number of at least 0 and of at most 1, got 2",
    ),
    "model": (
        {"data": {"a": {"simulation": SIMULATION | {"model": {"noise": 2}}}}},
        "data.a.simulation.model.noise: no such setting; expected one of cells, responsive",
    ),
    "model's value": (
        {"data": {"a": {"simulation": SIMULATION | {"model": {"null": 2}}}}},
        "data.a.simulation.model.null: expected a finite number of at least 0 and of at most 1, or none, got 2",
    ),
    "reading a simulation": (
        {"data": {"a": {"simulation": SIMULATION, "layer": "x"}}},
        "data.a: layer: a simulated screen is not read",
    ),
    "neighbors": (
        {"graph": {"neighbors": 1.5}},
        "graph.neighbors: expected a whole number of at least 1, or none, got 1.5",
    ),
    "finished edges": ({"graph": {"file": "e.csv", "neighbors": 3}}, "graph.neighbors: a finished edge list is used"),
    "predictor": ({"predictors": {"gears": {}}}, "predictors.gears.predictor: expected one of control-mean"),
    "setting": (
        {"predictors": {"gears-flax": {"epochs": 3}}},
        "predictors.gears-flax.epochs: no such setting; expected one of steps,",
    ),
    "setting's type": (
        {"predictors": {"gears-flax": {"steps": "many"}}},
        "predictors.gears-flax.steps: expected a whole number of at least 1, got 'many'",
    ),
    "setting's value": (
        {"predictors": {"gears-flax": {"steps": 0}}},
        "predictors.gears-flax.steps: expected a whole number of at least 1, got 0",
    ),
    "strategy": ({"strategies": {"best": {}}}, "strategies.best.strategy: expected one of"),
    "option": ({"strategies": {"graphreach": {"depth": 2}}}, "strategies.graphreach."),
    "two one-shot strategies": (
        {"strategies": {"both": {"strategy": "hybrid", "first": "graphreach", "cycles": 1, "then": "random"}}},
        "strategies.both.then: expected one of uncertainty, acs-fw, typiclust, or FILE.py:NAME; got 'random'",
    ),
    "strategy's predictors": (
        {"strategies": {"random": {"predictors": ["ridge"]}}},
        "strategies.random.predictors: expected some of training-mean, graph-gp, got ridge",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named(case: str) -> None:
    changes, message = BAD[case]
    with pytest.raises(InputError) as caught:
        experiment_of(tables(**changes))
    assert str(caught.value).startswith(message)


def test_a_missing_field_is_named() -> None:
    raw = tables()
    del raw["cycles"], raw["batch"]
    with pytest.raises(InputError, match=r"^cycles: expected a value, got none \(and 1 more errors\)$"):
        experiment_of(raw)


def test_settings_options_and_labels_are_understood() -> None:
    experiment = experiment_of(
        tables(
            seeds=[7, 3],
            predictors={"mine": {"predictor": "gears-flax", "steps": 5, "learning-rate": 1e-3, "uncertainty": True}},
            strategies={
                "wide": {"strategy": "graphreach", "hops": 2},
            },
        )
    )
    assert experiment.table.seeds == (7, 3)
    expected = GearsFlax(steps=5, learning_rate=1e-3, uncertainty=True)
    assert experiment.predictors["mine"] == ("gears-flax", expected)
    assert experiment.strategies["wide"].strategy == GraphReach(hops=2)


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("cycles = = 3")
    with pytest.raises(InputError, match=r"x\.toml: expected a readable TOML file"):
        read_experiment(path)
    with pytest.raises(InputError, match="No such file"):
        read_experiment(tmp_path / "none.toml")


def test_a_file_with_a_byte_order_mark_and_a_path_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "library.txt").write_text("TP53\nMYC\n")
    text = (
        'name = "a"\nseeds = 1\ntest = 1\ncycles = 1\nbatch = 1\n[graph]\nuniverse = "~/library.txt"\n'
        "[data.sim.simulation]\nperturbations = 3\n[predictors.training-mean]\n[strategies.random]\n"
    )
    (tmp_path / "grid.toml").write_text(text, encoding="utf-8-sig")
    _, experiment = read_experiment(tmp_path / "grid.toml")
    assert find_sources(experiment, tmp_path / "elsewhere").paths["sim"]["graph.universe"] == tmp_path / "library.txt"
