"""Training on a selection from the command line: files, numbers, bad input."""

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from perturb_jax.cli import app as cli
from perturb_jax.evaluation.metrics import BUILT_IN
from perturb_jax.predictors.registry import PREDICTORS, predictor_class
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.store import save_screen
from perturb_jax.support.errors import InputError
from perturb_jax.support.figures import DEGREE, SELECTION
from perturb_jax.support.options import read_texts
from tests.cli.test_cli import refuses, run
from tests.pictures import colours

PERTURBED = ["TP53", "MDM2", "GATA1", "MYC", "KLF1", "CEBPE", "SPI1", "JUN"]
MEASURED = [*PERTURBED, *(f"GENE{i}" for i in range(22))]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells of eight perturbations, a combination and control, and lists."""
    directory = tmp_path_factory.mktemp("train")
    rng = np.random.default_rng(0)
    conditions = np.repeat(["ctrl", *(f"{gene}+ctrl" for gene in PERTURBED), "TP53+MYC"], 12)
    effects = {name: rng.normal(0, 1, len(MEASURED)) for name in np.unique(conditions)} | {
        "ctrl": np.zeros(len(MEASURED))
    }
    values = np.stack([np.maximum(rng.normal(1 + effects[name], 0.5), 0) for name in conditions])
    obs = pd.DataFrame({"condition": conditions}, index=[f"cell{i}" for i in range(len(conditions))])
    cells = anndata.AnnData(values.astype(np.float32), obs, pd.DataFrame(index=MEASURED))
    cells.write_h5ad(directory / "cells.h5ad")
    save_screen(read_screen(directory / "cells.h5ad", progress=False), directory / "screen.h5ad")
    lists = {"picks.csv": "rank,gene\n1,MDM2\n2,GATA1\n3,MYC\n4,KLF1\n", "test.txt": "TP53\nTP53+MYC\n",
             "universe.txt": "\n".join(PERTURBED),
             "leak.txt": "TP53\nMDM2\nGATA1\n", "other.txt": "TP53\nMYC\nEGFR\n", "apart.txt": "EGFR\n"}  # fmt: skip
    for name, text in lists.items():
        (directory / name).write_text(text)
    alone = cells[[place for place, name in enumerate(conditions) if name != "JUN+ctrl" or place % 12 == 0]]
    alone.write_h5ad(directory / "alone.h5ad")
    means = cells.to_df().groupby(conditions).mean().round(4)
    means.to_csv(directory / "means.csv", index_label="condition")
    anndata.AnnData(means.to_numpy(), means[[]].assign(condition=means.index, n_cells=12), means.T[[]]).write_h5ad(
        directory / "means.h5ad"
    )
    (directory / "broken.h5ad").write_bytes((directory / "cells.h5ad").read_bytes()[:5000])
    return directory


def train(*options: str, screen: str = "cells.h5ad", out: str = "out") -> list[str]:
    return ["train", "--screen", screen, "--out", out, *options]


BAD_INPUT = {
    "no such file": (train(screen="none.h5ad"), "none.h5ad"),
    "truncated": (train(screen="broken.h5ad"), "broken.h5ad"),
    "predictor": (train("--predictor", "x"), "predictor: expected one of control-mean"),
    "leak": (train("--test", "test.txt", "--train", "leak.txt"), "TP53"),
    "not in the screen": (train("--test", "test.txt", "--train", "other.txt"), "EGFR"),
    "test too large": (train("--test", "9"), "test: expected at least 11 perturbations"),
    "test what": (train("--test", "x"), "--test: expected a fraction, a count, or a file that exists, got 'x'"),
    "setting": (train("--set", "depth=2"), "depth: no such setting; expected one of"),
    "setting without value": (train("--set", "depth"), "--set: expected NAME=VALUE, got 'depth'"),
    "where twice": (train("--where", "a=1", "--where", "a=2"), "--where: a is given twice; give each COLUMN one VALUE"),
    "seed": (train("--seed", "4294967296"), "seed: expected a whole number from 0 to 2^32 - 1"),
    "test too large beside picks": (train("--train", "picks.csv", "--test", "6"), "got 5; hold out fewer"),
    "where": (train("--where", "cells"), "--where: expected COLUMN=VALUE, got 'cells'"),
    "graph without the genes": (
        train("--universe", "apart.txt"),
        "none of the 9 perturbations is in the graph: CEBPE (CEBPE not in",
    ),
    "graph without some": (train("--universe", "other.txt"), "have genes that the graph lacks"),
    "too few left": (train("--test", "6"), "at least 3 perturbations, got 2; 1 validate and 6 test: hold out fewer"),
    "output nowhere": (train(out=""), "--out: expected a directory to write to, got ''"),
    "one cell": (train(screen="alone.h5ad"), "1 perturbations have fewer than 2 cells (JUN); leave them out with"),
    "too few what": (train("--too-few", "x"), "--too-few: expected one of error, drop, got 'x'"),
    "a saved screen": (train("--too-few", "drop", screen="screen.h5ad"), "a saved screen is used as it is"),
    "means without the word": (train(screen="means.csv"), "if these are means, add --pseudobulk"),
    "means as cells": (train(screen="means.h5ad"), "if each row is an average over cells"),
    "a saved screen as means": (train("--pseudobulk", screen="screen.h5ad"), "a saved screen is used as it is"),
    "means of cell types": (train("--pseudobulk", "--cell-type", "x", screen="means.csv"), "has no cells; choose"),
    "counts of cells": (train("--cell-counts", "n_cells"), "--cell-counts: cells are counted as they are read"),
    "unknown what": (train("--unknown", "x"), "--unknown: expected one of error, drop, got 'x'"),
}


def test_bad_input_is_one_line_exit_code_2_and_nothing_written(files: Path) -> None:
    refuses(files, BAD_INPUT)


def test_several_cell_types_are_a_caution(files: Path, tmp_path: Path) -> None:
    cells = anndata.read_h5ad(files / "cells.h5ad")
    cells.obs["cell_type"] = ["K562", "RPE1"] * (cells.n_obs // 2)
    cells.write_h5ad(tmp_path / "two.h5ad")
    (result,) = run(tmp_path, train("--test", "2", "--predictor", "training-mean", screen="two.h5ad", out="o"))
    assert result.code == 0 and "caution: 2 cell types (K562, RPE1): effects are against" in result.out
    assert json.loads((tmp_path / "o" / "train.json").read_text())["screen"]["caution"].startswith("2 cell types")


def test_a_predictor_is_trained_on_the_selection_and_measured_on_the_rest(files: Path, tmp_path: Path) -> None:
    selection = ["--train", "picks.csv", "--test", "test.txt"]
    results = run(
        files,
        train(*selection, "--predictor", "training-mean", out=str(tmp_path / "mean")),
        train(*selection, out=str(tmp_path / "again"), screen="screen.h5ad"),
        train(*selection, out=str(tmp_path / "gp"), screen="cells.h5ad"),
        train("--test", "2", "--predictor", "control-mean", "--seed", "3", "--quiet", out=str(tmp_path / "quiet")),
        train(*selection, "--predictor", "training-mean", out=str(tmp_path / "mean")),
    )
    assert [result.code for result in results] == [0, 0, 0, 0, 2], results
    screen = read_screen(files / "cells.h5ad", progress=False)
    split = json.loads((tmp_path / "mean" / "split.json").read_text())
    assert sorted(split["train"] + split["validation"]) == ["GATA1", "KLF1", "MDM2", "MYC"]
    assert split["test"] == ["TP53", "TP53+MYC"]
    predictions = anndata.read_h5ad(tmp_path / "mean" / "predictions.h5ad")
    effect = screen.effects[screen.index(tuple(split["train"]))].mean(0)
    np.testing.assert_allclose(predictions.X, np.tile(effect, (2, 1)), atol=1e-5)
    np.testing.assert_allclose(
        predictions.layers["observed"], screen.effects[screen.index(("TP53", "MYC+TP53"))], atol=1e-5
    )
    assert list(predictions.layers) == ["observed"]
    assert (anndata.read_h5ad(tmp_path / "gp" / "predictions.h5ad").layers["uncertainty"] > 0).all()
    metrics = pd.read_csv(tmp_path / "mean" / "metrics.csv", index_col="perturbation")
    assert metrics.columns.tolist() == list(BUILT_IN)
    error = (effect - screen.effects[screen.index(("TP53",))][0]) ** 2
    assert metrics.loc["TP53", "mse"] == pytest.approx(error.mean(), rel=1e-4)
    assert metrics.loc["TP53", "mse_de"] == pytest.approx(
        error[screen.de_genes[screen.index(("TP53",))[0]]].mean(), rel=1e-4
    )
    record = json.loads((tmp_path / "mean" / "train.json").read_text())
    assert record["perturbations"] == {"train": 3, "validation": 1, "test": 2}
    assert record["result"]["mse"]["mean"] == pytest.approx(metrics["mse"].mean())
    assert {SELECTION, DEGREE} <= set(colours((tmp_path / "mean" / "predictions.png").read_bytes()))
    saved, fresh = (pd.read_csv(tmp_path / name / "metrics.csv", index_col=0) for name in ("again", "gp"))
    pd.testing.assert_frame_equal(saved, fresh, rtol=1e-4)
    assert results[3].out == ""
    assert "already holds" in results[4].err


def test_the_test_set_is_drawn_from_what_is_not_selected_or_first(files: Path, tmp_path: Path) -> None:
    mean = ["--predictor", "training-mean"]
    held, plan, again = (str(tmp_path / name) for name in ("held", "plan", "drawn/split.json"))
    universe = ["--universe", "universe.txt"]
    results = run(
        files,
        train("--train", "picks.csv", "--test", "3", "--seed", "1", *mean, out=str(tmp_path / "drawn")),
        ["data", "split", "--screen", "cells.h5ad", "--test", "2", "--out", held],
        ["select", "--candidates", f"{held}/candidates.txt", "--budget", "4", *universe, "--out", plan],
        train("--train", f"{plan}/picks.csv", "--test", f"{held}/test.txt", *mean, out=str(tmp_path / "first")),
        train("--train", "picks.csv", "--test", again, *mean, out=str(tmp_path / "again")),
    )
    assert [result.code for result in results] == [0] * 5, results
    split = json.loads((tmp_path / "drawn" / "split.json").read_text())
    assert len(split["test"]) == 3
    test, candidates = ((tmp_path / "held" / name).read_text().split() for name in ("test.txt", "candidates.txt"))
    assert (len(test), sorted([*test, *candidates])) == (2, sorted([*PERTURBED, "MYC+TP53"]))
    assert json.loads((tmp_path / "first" / "split.json").read_text())["test"] == test
    assert json.loads((tmp_path / "again" / "split.json").read_text())["test"] == split["test"]


def test_training_that_diverges_is_one_line(monkeypatch: pytest.MonkeyPatch, files: Path, tmp_path: Path) -> None:
    def diverging(*_: object) -> None:
        raise FloatingPointError("training diverged; lower the learning rate")

    monkeypatch.setattr("perturb_jax.evaluation.trial.fit_and_measure", diverging)
    with pytest.raises(InputError, match="graph-gp: training diverged; lower the learning rate"):
        arguments = ["train", "--screen", str(files / "screen.h5ad"), "--test", "2", "--out", str(tmp_path / "out")]
        CliRunner().invoke(cli.app, arguments, catch_exceptions=False)


def test_perturbations_of_one_cell_are_dropped_and_reported(files: Path, tmp_path: Path) -> None:
    options = ["--test", "2", "--predictor", "training-mean", "--too-few", "drop"]
    check = ["data", "check", "alone.h5ad", "--too-few", "drop", "--json"]
    trained, checked = run(files, train(*options, screen="alone.h5ad", out=str(tmp_path / "out")), check)
    assert (trained.code, checked.code) == (0, 0), (trained, checked)
    assert "left out: 1: JUN" in trained.out
    assert "22 of 30 measured genes are not in the graph" in trained.out
    record = json.loads((tmp_path / "out" / "train.json").read_text())
    assert record["screen"]["dropped"] == {"JUN": "fewer than 2 cells"}
    assert json.loads(checked.out)["settings"]["dropped"] == {"JUN": "fewer than 2 cells"}


def test_a_pseudobulk_is_a_screen_where_that_is_said(files: Path, tmp_path: Path) -> None:
    selection = ["--pseudobulk", "--train", "picks.csv", "--test", "test.txt", "--predictor", "training-mean"]
    results = run(
        files,
        train(*selection, screen="means.csv", out=str(tmp_path / "csv")),
        train(*selection, screen="means.h5ad", out=str(tmp_path / "h5ad")),
        ["data", "check", "means.h5ad", "--pseudobulk", "--json"],
    )
    assert [result.code for result in results] == [0] * 3, results
    table, file = (pd.read_csv(tmp_path / name / "metrics.csv", index_col=0) for name in ("csv", "h5ad"))
    pd.testing.assert_frame_equal(table, file)
    record = json.loads((tmp_path / "h5ad" / "train.json").read_text())
    assert record["screen"]["read"]["pseudobulk"] == "means.h5ad"
    checked = json.loads(results[2].out)
    assert (checked["perturbations"], checked["control cells"], checked["perturbed cells"]) == (9, 12, 108)


@pytest.mark.parametrize(
    ("predictor", "name", "text", "value"),
    [
        ("graph-gp", "hops", "3", 3),
        ("graph-gp", "hops", "1,2", (1, 2)),
        ("graph-gp", "signal", "0.5", 0.5),
        ("graph-gp", "signal", "none", None),
        ("graph-gp", "weighted", "false", False),
        ("graph-gp", "direction", "both", "both"),
        ("graph-ridge", "penalties", "0.1,1", (0.1, 1.0)),
        ("graph-ridge", "penalties", "2", (2.0,)),
        ("gears-reference", "device", "cpu", "cpu"),
        ("gears-reference", "device", "none", None),
        ("gears-reference", "epochs", "2", 2),
    ],
)
def test_settings_are_read_by_their_types(predictor: str, name: str, text: str, value: object) -> None:
    cls = predictor_class(predictor)
    assert getattr(cls(**read_texts(cls, {name: text})), name) == value


@pytest.mark.parametrize(
    ("predictor", "name", "text", "message"),
    [
        ("graph-gp", "hops", "x", "or a list of whole numbers such as 1, 2, 3, got 'x'"),
        ("graph-gp", "signal", "x", "signal: expected a finite number.*, or none, got 'x'"),
        ("graph-gp", "direction", "up", "direction: expected one of in, out, both, got 'up'"),
        ("gears-reference", "coexpression", "x", "coexpression: expected one of control, training, got 'x'"),
        ("gears-reference", "cells", "x", "cells: no such setting"),
        ("control-mean", "name", "x", "name: no such setting; there are none"),
    ],
)
def test_settings_of_another_type_are_refused(predictor: str, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_texts(predictor_class(predictor), {name: text})


def test_every_predictor_has_its_name_in_order() -> None:
    names = [predictor_class(name)().name for name in PREDICTORS.built_in]
    assert PREDICTORS.names == tuple(PREDICTORS.built_in)
    assert names == [
        "control mean", "training mean", "nearest neighbours", "bilinear ridge", "graph ridge", "graph GP",
        "GEARS Flax", "GEARS reference",
    ]  # fmt: skip


def test_cells_as_laboratories_store_them_are_read_as_check_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = ["NTC_1", "NTC_2", "SEPT9", "SEPTIN9", "KLF1", "GATA1", "KLF1_GATA1", "MYC", "CTRL", "nan"] * 6
    raw = anndata.AnnData(
        np.log1p(rng.poisson(3, (60, 8)) * 1000.0),
        pd.DataFrame({"gene": labels}, index=[f"cell{i}" for i in range(60)]),
        pd.DataFrame(index=["KLF1", "GATA1", "MYC", "SEPT9", "CTRL", "CDK1", "SEPTIN9", "TP53"]),
    )
    cells = raw.copy()
    cells.raw = raw
    cells.X = cells.X - cells.X.mean(0)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    command = ["train", "--screen", "cells.h5ad", "--raw", "--test", "1", "--predictor", "graph-ridge", "--out", "out"]
    refused, checked, trained = run(
        tmp_path, ["data", "check", "cells.h5ad"], ["data", "check", "cells.h5ad", "--raw"], command
    )
    assert refused.code == 2 and "negative values come from scaling" in refused.err
    assert "(there are: raw, with --raw)" in refused.err
    assert "perturbations: 7" in checked.out and "combinations: 1" in checked.out
    assert "{'no condition': 6}" in checked.out and "CTRL is the gene" in checked.out
    assert trained.code == 0, trained.err
    split = json.loads((tmp_path / "out" / "split.json").read_text())
    names = {*split["train"], *split["validation"], *split["test"]}
    assert names == {"CTRL", "GATA1", "GATA1+KLF1", "KLF1", "MYC", "SEPTIN9"}
    record = json.loads((tmp_path / "out" / "train.json").read_text())
    assert record["screen"]["read"]["merged"] == {"SEPT9": "SEPTIN9"}
