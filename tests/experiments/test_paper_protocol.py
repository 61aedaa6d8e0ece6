"""The paper's experiments: what their files say, and, on a small file of cell-gears' form, what their commands do."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.analysis.results import read_results
from perturb_jax.analysis.summary import summarise
from perturb_jax.experiment.file import read_experiment
from perturb_jax.screen.datasets import DATASETS

FOLDER = Path(__file__).parents[2] / "experiments"
FILES = {
    "adamson": {"cycles": 5, "batch": 8, "test": 8, "seeds": 10, "dataset": "adamson"},
    "replogle": {"cycles": 5, "batch": 100, "test": 100, "seeds": 10, "dataset": "replogle_k562_essential"},
}
PAPER = ["random", "graphreach", "maxspec", "uncertainty", "acs-fw", "typiclust"]
OURS = ["graphdesign", "k-center", "top-degree"]
UNKNOWN, AMBIGUOUS = "RP5-862P8.2", "MARS"


def experiment_file(name: str) -> Path:
    return FOLDER / f"paper_{name}.toml"


@pytest.mark.parametrize("name", FILES)
def test_the_files_say_what_the_paper_does(name: str) -> None:
    raw, experiment = read_experiment(experiment_file(name))
    table = experiment.table
    (data,) = table.data.values()
    found = {part: getattr(table, part) for part in ("cycles", "batch", "test")}
    assert found | {"seeds": len(table.seeds), "dataset": data.dataset} == FILES[name]
    assert set(table.fixed) == {"data", "split"}, "one test set"
    assert list(raw["strategies"]) == PAPER + OURS
    read_by = {label: experiment.strategies[label].predictors for label in raw["strategies"]}
    assert read_by["uncertainty"] == ("gears-flax-uncertainty",)
    assert read_by["random"] == ("gears-flax", "gears-flax-uncertainty"), "each predictor has its baseline"
    assert data.dataset in DATASETS


@pytest.mark.parametrize("name", FILES)
def test_the_commands_in_the_comments_are_right(name: str, tmp_path: Path) -> None:
    text = experiment_file(name).read_text()
    assert f"perturb-jax data fetch {FILES[name]['dataset']}\n" in text
    assert f"perturb-jax run experiments/paper_{name}.toml\n" in text
    (script,) = re.findall(r"sed '(.*)' ", text)
    reference = tmp_path / "reference.toml"
    reference.write_text(subprocess.run(["sed", script], input=text, capture_output=True, text=True, check=True).stdout)
    experiment = read_experiment(reference)[1]
    assert {named.name for named in experiment.predictors.values()} == {"gears-reference"}
    assert experiment.table.name == f"reference-{name}"
    assert experiment.strategies["uncertainty"].predictors == ("gears-reference-uncertainty",)


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated cells in a file of the form that cell-gears distributes.

    "GENE+ctrl" and "ctrl" as conditions, Ensembl numbers as index with symbols beside them, doses and what cell-gears
    keeps in `uns`; one perturbation is no gene of the graph, and the symbol of another is two genes' today.
    """
    path = tmp_path_factory.mktemp("cells") / "perturb_processed.h5ad"
    names = list(pj.human_annotation().genes_with("GO:0003735"))[:60]
    graph = pj.load_go_graph(names, unknown="drop")
    pj.simulate_screen(graph, list(graph.genes[:18]), 40, 6, control_cells=30, path=path, condition_names="gears")
    made = anndata.read_h5ad(path)
    first, second = graph.genes[:2]
    renamed = {f"{first}+ctrl": f"{UNKNOWN}+ctrl", f"{second}+ctrl": f"{AMBIGUOUS}+ctrl"}
    conditions = made.obs["condition"].astype(str).replace(renamed)
    obs = pd.DataFrame(
        {
            "condition": pd.Categorical(conditions),
            "cell_type": pd.Categorical(["K562"] * len(conditions)),
            "dose_val": pd.Categorical(["1" if name == "ctrl" else "1+1" for name in conditions]),
            "control": (conditions == "ctrl").astype(int),
        }
    )
    obs["condition_name"] = pd.Categorical("K562_" + conditions + "_" + obs["dose_val"].astype(str))
    obs.index = pd.Index([f"{number:04}-1" for number in range(len(obs))], name="cell_barcode")
    ensembl = pd.Index([f"ENSG{number:011}" for number in range(made.n_vars)], name="gene_id")
    var = pd.DataFrame({"gene_name": list(made.var_names)}, index=ensembl)
    kinds = [kind for kind in obs["condition_name"].unique() if kind != "K562_ctrl_1"]
    uns = {
        "rank_genes_groups_cov_all": {kind: np.array(ensembl[:20]) for kind in kinds},
        "top_non_dropout_de_20": {kind: np.array(ensembl[:20]) for kind in kinds},
        "non_zeros_gene_idx": {kind: np.arange(made.n_vars) for kind in kinds},
    }
    anndata.AnnData(made.X, obs, var, uns).write_h5ad(path)
    return path


@pytest.mark.parametrize("name", FILES)
def test_the_command_runs_on_a_file_of_the_same_form(name: str, cells: Path, tmp_path: Path) -> None:
    text = experiment_file(name).read_text()
    made_small = {
        r"^cycles = .*$": "cycles = 2", r"^batch = .*$": "batch = 4", r"^test = .*$": "test = 4",
        r"^seeds = .*$": "seeds = 1", r"^dataset = .*$": f"screen = '{cells}'",
        r"^(\[predictors\..*\].*)$": "\\1\nsteps = 2\nhidden_size = 4",
    }  # fmt: skip
    for line, instead in made_small.items():
        text, count = re.subn(line, instead, text, flags=re.MULTILINE)
        assert count, line
    (tmp_path / "small.toml").write_text(text)
    command = ["run", str(tmp_path / "small.toml"), "--out", str(tmp_path / "out"), "--workers", "1", "--quiet"]
    code = "from perturb_jax.cli.app import run; run()"
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # nearly all of the time is compilation
    done = subprocess.run(
        [sys.executable, "-c", code, *command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    results = read_results(tmp_path / "out")
    trainings = 2 * (len(PAPER + OURS) + 1)  # Random has two predictors
    assert results.record["trainings"]["there"] == results.record["trainings"]["all"] == trainings
    assert results.record["trainings"]["runs"] < trainings, "in the first cycle, three strategies are Random's"
    (screen,) = results.record["screens"].values()
    assert screen["dropped"].keys() == {UNKNOWN, AMBIGUOUS}
    assert "ambiguous" in screen["dropped"][AMBIGUOUS]
    tested = results.metrics.groupby(["predictor", "strategy", "cycle"])["perturbation"].agg(frozenset)
    assert tested.nunique() == 1 and len(tested.iloc[0]) == 4
    assert np.isfinite(results.metrics["mse_de"]).all()
    assert "Data and split are the same for all seeds" in " ".join(summarise(results).notes)


def test_the_tables_differ_in_size_alone() -> None:
    """What is said of one data set's protocol is said of the other's."""
    sizes = ("name", "batch", "test", "data")
    one, other = (tomllib.loads(experiment_file(name).read_text()) for name in FILES)
    assert {key: value for key, value in one.items() if key not in sizes} == {
        key: value for key, value in other.items() if key not in sizes
    }
