"""The experiment on a screen's outcomes, from command line to figures, on a small generated file; and its measures."""

import gzip
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
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


@pytest.fixture(scope="module")
def rounds(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rounds")
    done = call("rounds.py", *_rounds_options(inputs, out))
    assert done.returncode == 0, done.stderr
    return out


def _rounds_options(inputs: dict[str, Path], out: Path) -> list[object]:
    options = ["--outcomes", inputs["outcomes.csv.gz"], "--library", inputs["library.txt"], "--out", out]
    return [*options, "--seeds", 2, "--cycles", 3, "--batch", 8, "--draws", 2]


def test_rounds_begin_at_random_s_picks_and_are_stored_once_per_seed(rounds: Path, inputs: dict[str, Path]) -> None:
    table = pd.read_csv(rounds / "rounds.csv.gz")
    place = ["arm", "draw", "budget", "predictor", "seed"]
    assert not table.duplicated(place).any()
    assert set(table["budget"]) == {8, 16, 24}
    assert table["arm"].nunique() == 1 + 3 + 8
    first = table[table["budget"] == 8].set_index(["predictor", "seed", "draw", "arm"])["gene_auroc"].unstack("arm")
    begun = first[["uncertainty, entropy", "typiclust, effect", "acs-fw, features"]]
    assert begun.eq(first["random"], axis=0).all(axis=None)
    once, hybrid = (first.xs(0, level="draw")[arm] for arm in ("graphdesign", "graphdesign, then uncertainty"))
    assert once.eq(hybrid).all()
    times = {path: path.stat().st_mtime_ns for path in (rounds / "seeds").iterdir()}
    assert call("rounds.py", *_rounds_options(inputs, rounds)).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (rounds / "seeds").iterdir()} == times


def test_rounds_tables_and_figure(rounds: Path, tmp_path: Path) -> None:
    text = tmp_path / "README.md"
    text.write_text("# A\n<!-- table rounds -->\nold\n<!-- end -->\nrest\n")
    done = call("rounds_tables.py", "--results", rounds, "--readme", text)
    assert done.returncode == 0, done.stderr
    assert "| typiclust, effect |" in text.read_text()
    assert "old" not in text.read_text()
    assert (rounds / "rounds.png").stat().st_size > 0
    line = next(line for line in (rounds / "rounds_all.md").read_text().splitlines() if "acs-fw, features" in line)
    assert line.split("|")[3].strip() == "+0.000 ± 0.000", "the first cycle is Random's own"


def test_area_is_the_mean_skill_between_first_and_last_cycle(modules: None) -> None:
    from rounds_tables import AREA, values_of  # type: ignore[import-not-found]

    budgets, skill = [10, 20, 30], [0.5, 0.6, 0.9]
    table = pd.DataFrame({"budget": budgets, "gene_auroc": skill})
    table = table.assign(study="rounds", predictor="p", arm="a", seed=0)
    assert values_of(table).loc["p", "a", AREA, 0] == pytest.approx((0.55 + 0.75) / 2)


@pytest.fixture
def screen(modules: None) -> tuple[Any, np.ndarray, np.ndarray]:
    """Random outcomes of 40 perturbations, the first 30 of them candidates, and a kernel between them."""
    from data import Outcomes

    random = np.random.default_rng(2)
    labelled = random.random((40, 6)) < 0.7
    names = list(pj.human_annotation().genes_with("GO:0003735"))[:40]
    outcomes = Outcomes(
        tuple(names), tuple("abcdef"), np.r_[0, labelled.sum(1).cumsum()],
        np.nonzero(labelled)[1].astype(np.int32), (random.random(labelled.sum()) < 0.4).astype(np.float32), {},
    )  # fmt: skip
    features = random.random((40, 5))
    return outcomes, features @ features.T, np.arange(30)


@pytest.mark.parametrize("name", ["uncertainty, entropy", "typiclust, effect", "acs-fw, effect"])
def test_no_outcome_of_what_is_not_selected_is_seen(name: str, screen: tuple[Any, np.ndarray, np.ndarray]) -> None:
    from data import Split
    from predictors import ridge
    from rounds import asking_arms, play  # type: ignore[import-not-found]
    from studies import Problem, Seed  # type: ignore[import-not-found]
    from views import Seen, factor  # type: ignore[import-not-found]

    outcomes, kernel, candidates = screen
    graph = pj.load_go_graph(genes=list(outcomes.perturbations))
    arm = asking_arms(outcomes.perturbations)[name]

    def picks(labels: np.ndarray) -> np.ndarray:
        changed = outcomes._replace(labels=labels)
        seen = Seen(ridge, kernel, factor(kernel), changed, candidates)
        seed = Seed(Problem(graph, changed, {}), Split(0, candidates, np.arange(30, 40)))
        return play(arm.strategy, seed, partial(seen.view, unsure=arm.unsure), draw=0, cycles=3, batch=5)

    chosen = picks(outcomes.labels)
    assert len(set(chosen)) == 15
    assert set(chosen) <= set(candidates)
    before_last = np.isin(outcomes.rows, chosen[:10])
    assert np.array_equal(picks(np.where(before_last, outcomes.labels, 1 - outcomes.labels)), chosen)
    first = np.isin(outcomes.rows, chosen[:5])
    assert not np.array_equal(picks(np.where(first, np.arange(len(first)) % 2, outcomes.labels)), chosen)


def test_a_view_of_a_kernel_predictor(screen: tuple[Any, np.ndarray, np.ndarray]) -> None:
    from predictors import base_rates, ridge
    from views import Seen, factor

    outcomes, kernel, candidates = screen
    selected = np.array([3, 17, 8])
    seen = Seen(ridge, kernel, factor(kernel), outcomes, candidates)
    view = seen.view(selected, ("embedding", "effect", "log_variance"), "variance")
    assert view.perturbations == outcomes.perturbations[:30]
    assert view.embedding @ view.embedding.T == pytest.approx(kernel[:30, :30])
    inverse = np.linalg.inv(kernel[np.ix_(selected, selected)] + np.eye(3))
    left = kernel - kernel[:, selected] @ inverse @ kernel[selected]
    assert np.exp(view.log_variance) == pytest.approx(left.diagonal()[:30])
    base = base_rates(outcomes, selected)
    expected = base + ridge(kernel, outcomes, selected, candidates, base)
    assert view.effect == pytest.approx(expected)
    entropy = seen.view(selected, ("log_variance",), "entropy").log_variance
    p = np.clip(expected, 1e-3, 1 - 1e-3)
    assert np.exp(entropy) == pytest.approx(scipy.stats.entropy(np.stack([p, 1 - p])).mean(1))
    with pytest.raises(ValueError, match="read-only"):
        view.effect[0] = 0


def test_where_random_reaches_a_skill(modules: None) -> None:
    from summary import _reaches  # type: ignore[import-not-found]

    counts = np.log([50.0, 100.0, 400.0])
    curve = np.array([0.5, 0.6, 0.55])
    assert _reaches(counts, curve, 0.55) == pytest.approx(np.sqrt(5000))
    assert _reaches(counts, curve, 0.7) == np.inf
    assert _reaches(counts, curve, 0.4) == 0
