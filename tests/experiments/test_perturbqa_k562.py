"""The experiment on a screen's outcomes, from command line to figures, on a small generated file; and its measures."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import perturb_jax as pj

FOLDER = Path(__file__).parents[2] / "experiments" / "perturbqa_k562"
NUM_PERTURBATIONS, NUM_GENES = 60, 25


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Outcomes in which genes of the same GO neighbourhood do the same, a library and a table of features."""
    directory = tmp_path_factory.mktemp("inputs")
    library = list(pj.human_annotation().genes_with("GO:0003735"))[:NUM_PERTURBATIONS]
    random = np.random.default_rng(0)
    kind = random.integers(2, size=(NUM_GENES, 2))
    rows = []
    for i, perturbation in enumerate([*library, "NOSUCHGENE"]):
        chance = np.where(kind[:, i % 2], 0.8, 0.2)
        labels = random.random(NUM_GENES) < chance
        rows += [(perturbation, f"R{g}", int(labels[g]), "train") for g in range(NUM_GENES)]
    paths = {name: directory / name for name in ("outcomes.csv.gz", "library.txt", "features.tsv.gz")}
    pd.DataFrame(rows, columns=["pert", "gene", "label", "split"]).to_csv(paths["outcomes.csv.gz"], index=False)
    paths["library.txt"].write_text("\n".join(library) + "\n")
    table = [f"{source}\tF{i % 2}\t{gene}\n" for i, gene in enumerate(library) for source in ("kegg", "pubmed")]
    with gzip.open(paths["features.tsv.gz"], "wt") as file:
        file.write("source\tfeature\tgene\n" + "".join(table))
    return paths


def call(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def results(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    options = ["--outcomes", inputs["outcomes.csv.gz"], "--library", inputs["library.txt"], "--out", out]
    options += ["--features", inputs["features.tsv.gz"], "--seeds", 2, "--sensitivity-seeds", 1]
    done = call("run.py", *options, "--budgets", 10, 20)
    assert done.returncode == 0, done.stderr
    return out


def test_every_seed_is_stored_and_nothing_is_averaged(results: Path) -> None:
    table = pd.read_csv(results / "skill.csv.gz")
    assert not table.duplicated(["study", "seed", "arm", "draw", "budget", "predictor"]).any()
    main = table[table["study"] == "main"]
    assert set(main["seed"]) == {0, 1}
    assert main["arm"].nunique() == 15
    assert main["predictor"].nunique() == 8
    assert main.groupby(["arm", "draw", "predictor"]).size().ge(2 * 2).all()
    assert set(table.loc[table["study"] == "sensitivity", "seed"]) == {0}
    assert set(table.loc[table["study"] == "confirmation", "seed"]) == {1}
    assert "/" not in (results / "record.json").read_text().replace("\\/", "")


def test_features_that_tell_the_answer_are_used(results: Path) -> None:
    table = pd.read_csv(results / "skill.csv.gz")
    told = table[(table["predictor"] == "ridge other") & (table["budget"] == 20)]
    assert told["gene_auroc"].mean() > 0.6


def test_a_second_run_computes_nothing_anew(results: Path, inputs: dict[str, Path]) -> None:
    before = (results / "skill.csv.gz").read_bytes()
    times = {path: path.stat().st_mtime_ns for path in (results / "seeds").iterdir()}
    options = ["--outcomes", inputs["outcomes.csv.gz"], "--library", inputs["library.txt"], "--out", results]
    options += ["--features", inputs["features.tsv.gz"], "--seeds", 2, "--sensitivity-seeds", 1]
    assert call("run.py", *options, "--budgets", 10, 20).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (results / "seeds").iterdir()} == times
    assert (results / "skill.csv.gz").read_bytes() == before


def test_tables_and_figures_are_made_from_what_is_stored(results: Path, tmp_path: Path) -> None:
    text = tmp_path / "README.md"
    text.write_text("# A\n<!-- table main -->\nold\n<!-- end -->\nrest\n")
    done = call("tables.py", "--results", results, "--readme", text)
    assert done.returncode == 0, done.stderr
    assert "| design variance |" in text.read_text()
    assert "old" not in text.read_text()
    assert text.read_text().endswith("<!-- end -->\nrest\n")
    done = call("plots.py", "--results", results)
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in results.glob("*.png")} == {
        "learning_curves", "equivalence", "every_arm", "sensitivity", "distance",
    }  # fmt: skip


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def test_measures_agree_with_scikit_learn(modules: None) -> None:
    from skill import _ranked  # type: ignore[import-not-found]

    random = np.random.default_rng(0)
    for _ in range(50):
        labels = np.r_[0.0, 1.0, random.integers(2, size=30)]
        scores = random.integers(6, size=32).astype(float)
        auroc, precision = _ranked(scores, labels)
        assert auroc == pytest.approx(roc_auc_score(labels, scores))
        assert precision == pytest.approx(average_precision_score(labels, scores))


def test_predictors_agree_with_their_definitions(modules: None) -> None:
    from data import Outcomes  # type: ignore[import-not-found]
    from predictors import base_rates, ridge, smoothing  # type: ignore[import-not-found]

    random = np.random.default_rng(1)
    labelled = random.random((12, 5)) < 0.6
    labels = (random.random((12, 5)) < 0.4).astype(np.float32)
    features = random.random((12, 4))
    kernel = features @ features.T
    outcomes = Outcomes(
        tuple(f"P{i}" for i in range(12)), tuple("abcde"), np.r_[0, labelled.sum(1).cumsum()],
        np.nonzero(labelled)[1].astype(np.int32), labels[labelled], {},
    )  # fmt: skip
    train, test = np.array([4, 0, 7, 2, 9, 11]), np.array([1, 5, 8])
    base = base_rates(outcomes, train)
    smooth = smoothing(kernel, outcomes, train, test, base, 0.7)
    ridged = ridge(kernel, outcomes, train, test, base, 0.7)
    overall = labels[train][labelled[train]].mean()
    for g in range(5):
        own = [s for s in train if labelled[s, g]]
        assert base[g] == pytest.approx((labels[own, g].sum() + 2 * overall) / (len(own) + 2))
        weights = kernel[np.ix_(test, own)]
        excess = labels[own, g] - base[g]
        assert smooth[:, g] == pytest.approx(weights @ excess / (weights.sum(1) + 0.7), rel=1e-4)
        inner = kernel[np.ix_(own, own)] + 0.7 * np.eye(len(own))
        assert ridged[:, g] == pytest.approx(weights @ np.linalg.solve(inner, excess), rel=1e-3, abs=1e-5)


def test_where_random_reaches_a_skill(modules: None) -> None:
    from summary import _reaches  # type: ignore[import-not-found]

    counts = np.log([50.0, 100.0, 400.0])
    curve = np.array([0.5, 0.6, 0.55])
    assert _reaches(counts, curve, 0.55) == pytest.approx(np.sqrt(5000))
    assert _reaches(counts, curve, 0.7) == np.inf
    assert _reaches(counts, curve, 0.4) == 0
