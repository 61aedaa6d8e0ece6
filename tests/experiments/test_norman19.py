"""The experiment on real cells, from command line to tables, on a small generated file; and its two measures."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.evaluation.metrics import BUILT_IN

FOLDER = Path(__file__).parents[2] / "experiments" / "norman19"
DUPLICATE = "duplicate (half of the cells)"
PREDICTORS = ["control-mean", "graph-gp", DUPLICATE]
SEEDS = [0, 1]
NUM_GENES, CELLS, TESTED = 40, 11, 6


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 perturbations of 11 cells each, and 30 control cells; and as many of another data set, not to be read."""
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    names = list(pj.human_annotation().genes_with("GO:0003735"))[:60]
    graph = pj.load_go_graph(names, unknown="drop")
    perturbed = [*graph.genes[:13], f"{graph.genes[0]}+{graph.genes[1]}"]
    pj.simulate_screen(graph, perturbed, NUM_GENES, CELLS, control_cells=30, path=path, condition_names="plain")
    ours = anndata.read_h5ad(path)
    other = ours.copy()
    ours.obs["dataset"], other.obs["dataset"] = "norman19", "other"
    both = anndata.concat([ours, other], index_unique="-", merge="same")
    both.write_h5ad(path)
    return path


def call(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def results(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    shared = ["--cells", cells, "--out", out, "--seeds", *SEEDS]
    for script, options in (("run.py", ["--predictors", *PREDICTORS]), ("calibration.py", [])):
        done = call(script, *shared, *options)
        assert done.returncode == 0, done.stderr
    done = call("table.py", "--results", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def test_every_split_is_stored_and_nothing_is_averaged(results: Path) -> None:
    table = pd.read_csv(results / "metrics.csv")
    assert table.groupby(["predictor", "split"]).size().to_dict() == {(p, s): TESTED for p in PREDICTORS for s in SEEDS}
    tested = table.groupby(["split", "predictor"])["perturbation"].agg(frozenset)
    assert tested.groupby("split").nunique().eq(1).all()
    assert table.loc[table["predictor"] == DUPLICATE, list(BUILT_IN)].notna().all().all()
    assert "/" not in (results / "record.json").read_text()


def test_the_tables_have_both_pieces(results: Path) -> None:
    lines = (results / "table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {name}" for name in PREDICTORS]
    assert len({line.count("|") for line in lines}) == 1
    calibration = (results / "calibration.md").read_text()
    assert "nan" not in calibration and "| DE, if the model were right | 20 |" in calibration
    assert not (results / "coexpression.md").exists()  # the reference was not run


def test_a_second_run_computes_nothing_anew(results: Path, cells: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in (results / "parts").iterdir()}
    assert len(times) == len(PREDICTORS) * len(SEEDS)
    done = call("run.py", "--cells", cells, "--out", results, "--seeds", *SEEDS, "--predictors", *PREDICTORS)
    assert done.returncode == 0 and done.stdout == ""
    assert {path: path.stat().st_mtime_ns for path in (results / "parts").iterdir()} == times


def test_a_fresh_clone_keeps_what_it_does_not_run(results: Path, cells: Path, tmp_path: Path) -> None:
    """The parts are not in the repository, `metrics.csv` and `record.json` are."""
    clone = tmp_path / "results"
    clone.mkdir()
    before = pd.read_csv(results / "metrics.csv")
    own = before[before["predictor"] == "graph-gp"].assign(predictor="gears-reference, own co-expression")
    pd.concat([before.assign(seconds=-1.0), own]).to_csv(clone / "metrics.csv", index=False)
    (clone / "record.json").write_text((results / "record.json").read_text())
    done = call("run.py", "--cells", cells, "--out", clone, "--seeds", 1, "--predictors", "control-mean", "gears-flux")
    assert done.returncode == 0 and "gears-flux, split 1" in done.stdout, done
    after = pd.read_csv(clone / "metrics.csv")
    assert len(after) == len(before) + len(own)
    anew = (after["predictor"] == "control-mean") & (after["split"] == 1)
    assert anew.sum() == TESTED and (after.loc[anew, "seconds"] > 0).all()
    key = ["predictor", "split", "perturbation"]
    pd.testing.assert_frame_equal(
        after.drop(columns="seconds").set_index(key).sort_index(),
        pd.concat([before, own]).drop(columns="seconds").set_index(key).sort_index(),
    )
    done = call("table.py", "--results", clone)  # own co-expression, but no reference to compare with
    assert done.returncode == 0, done.stderr
    assert not (clone / "coexpression.md").exists()
    assert json.loads((clone / "record.json").read_text())["seeds"] == SEEDS


def test_results_of_other_cells_are_not_mixed(results: Path, cells: Path, tmp_path: Path) -> None:
    before = (results / "metrics.csv").read_bytes()
    done = call("run.py", "--cells", cells, "--out", results, "--where", "dataset=other", "--predictors", "graph-gp")
    assert done.returncode == 1 and "holds results of other cells (dataset=norman19)" in done.stderr
    assert (results / "metrics.csv").read_bytes() == before
    done = call("run.py", "--cells", cells, "--out", tmp_path, "--predictors", "gears-flux", "--seeds", 0)
    assert done.returncode == 1 and done.stderr == "nothing was run, so there is nothing to store\n"


def test_halves_are_random_within_conditions(modules: None) -> None:
    from duplicate import halves  # type: ignore[import-not-found]

    conditions = pd.Series(["A"] * 10 + ["control"] * 7 + ["B"] * 4).sample(frac=1, random_state=0)
    half = halves(conditions, 3)
    counts = pd.crosstab(conditions.to_numpy(), half)
    assert counts.to_dict("index") == {
        "A": {"first": 5, "second": 5}, "B": {"first": 2, "second": 2}, "control": {"first": 3, "second": 4},
    }  # fmt: skip
    assert (halves(conditions, 3) == half).all() and (halves(conditions, 4) != half).any()


def test_the_duplicate_is_the_other_half_of_the_cells(results: Path, cells: Path, modules: None) -> None:
    from duplicate import halves

    ours: Any = anndata.read_h5ad(cells)
    ours = ours[ours.obs["dataset"] == "norman19"]
    conditions = ours.obs["condition"].astype(str)
    half, expression = halves(ours.obs["condition"], 1), ours.X.toarray()
    screen = pj.read_screen(cells, {"dataset": "norman19"}, progress=False)
    table: Any = pd.read_csv(results / "metrics.csv").set_index(["predictor", "split", "perturbation"])
    for name, row in table.loc[DUPLICATE, 1].iterrows():
        mean = {
            (side, what): expression[(half == side) & (conditions == what).to_numpy()].mean(0)
            for side in ("first", "second")
            for what in (name, "control")
        }
        error = mean["second", name] - mean["second", "control"] - mean["first", name] + mean["first", "control"]
        assert row["mse"] == pytest.approx(np.mean(error**2), rel=1e-4)
        de = screen.de_genes[screen.index((name,))[0]]
        assert row["mse_de"] == pytest.approx(np.mean(error[de] ** 2), rel=1e-4)


def test_coverage_is_that_of_the_interval(results: Path, cells: Path, modules: None) -> None:
    from calibration import coverage  # type: ignore[import-not-found, unused-ignore]
    from cells import read_measured, split_of  # type: ignore[import-not-found]

    assert coverage(np.array([0.0, 0.6, 1.0, 1.8, 2.5])) == {"50": 0.4, "90": 0.6, "95": 0.8}
    measured = read_measured(cells, "dataset=norman19")
    split = split_of(measured, 0)
    fitted = pj.GraphGP().fit(measured.screen, measured.graph, split.train, split.validation)
    table = pd.read_csv(results / "calibration.csv")
    assert not table.duplicated(["split", "perturbation", "genes", "interval"]).any()
    rows: Any = table.set_index(["split", "genes", "interval", "perturbation"])
    for number, name in enumerate(split.test):
        screen, row = measured.screen, measured.screen.index((name,))[0]
        away = np.abs(screen.effects[row] - fitted.effects(split.test)[number])
        true = fitted.uncertainties(split.test)[number]
        observed = np.sqrt(true**2 + screen.perturbed.variance[row] / (CELLS - 1))
        de = np.isin(np.arange(NUM_GENES), screen.de_genes[row])
        for genes, chosen in (("all", true > 0), ("DE", de & (true > 0))):
            for interval, deviation in (("observed effect", observed), ("true effect", true)):
                stored = rows.loc[0, genes, interval, name]
                assert stored["count"] == chosen.sum()
                for level, quantile in (("50", 0.67449), ("90", 1.64485), ("95", 1.95996)):
                    assert stored[level] == pytest.approx((away <= quantile * deviation)[chosen].mean())


def test_genes_that_are_chosen_for_their_size_are_covered_less(modules: None) -> None:
    from calibration import drawn_coverage

    shape = (2, 300)
    nothing, ones = np.zeros(shape), np.ones(shape)
    every = drawn_coverage(nothing, ones, ones, 300, np.random.default_rng(0))
    assert every == pytest.approx(np.tile([0.5, 0.9, 0.95], (2, 1)), abs=0.01)
    largest = drawn_coverage(nothing, ones, ones, 30, np.random.default_rng(0))
    assert largest == pytest.approx(np.tile([0.0, 0.0, 0.5], (2, 1)), abs=0.1)  # a tenth is beyond 90 %
    errors = np.where(np.arange(300) < 270, 0.0, ones)  # only the last 30 can be tested
    assert drawn_coverage(nothing, ones, errors, 30, np.random.default_rng(0)) == pytest.approx(every, abs=0.02)
