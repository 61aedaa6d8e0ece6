"""Results are what was stored; runs are those with all cycles, and what is left out is counted."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.analysis.results import about, complete_runs, read_results
from perturb_jax.analysis.summary import summarise
from perturb_jax.analysis.tables import table_files
from perturb_jax.evaluation.metrics import BUILT_IN
from perturb_jax.evaluation.trial import fit_and_measure
from perturb_jax.experiment.execution import read_view, ready
from perturb_jax.experiment.file import NamedPredictor, NamedStrategy, Sources, experiment_of, find_sources
from perturb_jax.experiment.planner import Chain, Choice, Preparation, Training, chains_of, walk
from perturb_jax.experiment.store import HISTORY, RUN, SCREEN, VIEW, Store
from perturb_jax.predictors.predictor import Answers
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.split import split_selected
from perturb_jax.screen.store import load_screen, save_screen
from perturb_jax.strategies.baselines import Random
from perturb_jax.strategies.registry import Hybrid
from perturb_jax.support.errors import InputError
from tests.experiment.grids import SIMULATION, Largest, finish, finished, tables, with_strategy
from tests.made_results import made_results, row_of, without

RAW = tables(
    cycles=3,
    strategies={"random": {}, "graphreach": {}, "half": {"strategy": "random", "predictors": ["graph-gp"]}},
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished experiment."""
    root = tmp_path_factory.mktemp("results")
    finished(RAW, root)
    return root


def test_there_is_a_row_for_everything(directory: Path) -> None:
    results = read_results(directory)
    chains = 2 * (2 + 2 + 1)
    assert len(results.metrics) == chains * 3 * 4
    assert len(results.selections) == chains * 12
    times = {"selection": chains, "training": 3 * chains, "view": 3 * chains}
    assert results.times.groupby("what").size().to_dict() == times
    labels = ["data", "predictor", "strategy", "seed", "cycle", "size", "perturbation"]
    assert list(results.metrics.columns) == [*labels, *BUILT_IN]
    by_chain = results.selections.groupby(["predictor", "strategy", "seed"])
    assert all(part["rank"].tolist() == list(range(1, 13)) for _, part in by_chain)
    assert all(part["cycle"].tolist() == [1] * 4 + [2] * 4 + [3] * 4 for _, part in by_chain)
    assert (results.metrics["size"] == 4 * results.metrics["cycle"]).all()
    assert results.record["simulated"] is True
    assert results.record["trainings"] == {"there": 3 * chains, "all": 3 * chains, "runs": 2 * 3 * 4}
    assert results.record["config"] == RAW
    counts = results.costs.pivot_table(index="predictor", columns="part", values="count", aggfunc="sum", fill_value=0)
    assert (counts[["loading", "training", "evaluation", "view", "storing"]] == 2 * 3 * 2).all(axis=None)
    assert counts["choosing"].sum() == 2 * 2  # of both seeds; what predictors share is chosen once
    assert (results.costs["seconds"] > 0).all()


def test_the_same_strategy_twice_is_trained_once(directory: Path) -> None:
    metrics = read_results(directory).metrics
    one, other = (
        metrics[(metrics.strategy == label) & (metrics.predictor == "graph-gp")].drop(columns="strategy")
        for label in ("random", "half")
    )
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))


def test_metrics_are_those_of_a_trial_of_the_same_sets(directory: Path) -> None:
    experiment = experiment_of(RAW)
    chain = Chain("sim", "graph-gp", "graphreach", 1)
    known = Store(directory)
    for cycle in walk(experiment, Sources({"sim": {}}, {}), chain, known).cycles:
        work = cycle.training
        screen = load_screen(directory / "data" / work.preparation.digest / SCREEN)
        graph = pj.load_go_graph(screen.readouts)
        split = split_selected(work.selected, work.test, work.split_seed)
        trial = fit_and_measure(screen, graph, pj.GraphGP(), split, work.training_seed)
        results = read_results(directory)
        rows = results.metrics.query("predictor == 'graph-gp' and strategy == 'graphreach' and seed == 1")
        rows = rows[rows["cycle"] == cycle.number].set_index("perturbation")[list(BUILT_IN)]
        pd.testing.assert_frame_equal(rows, trial.metrics)
        picked = results.selections.query("predictor == 'graph-gp' and strategy == 'graphreach' and seed == 1")
        so_far = picked[picked["cycle"] <= cycle.number]["perturbation"]
        assert sorted(so_far) == sorted((*split.train, *split.validation))
        candidates = [name for name in screen.perturbations if name not in work.test]
        first = walk(experiment, Sources({"sim": {}}, {}), chain, known).cycles[0].choice
        assert first is not None
        expected = pj.graphreach(graph, candidates, 12, seed=first.seed).genes
        assert picked["perturbation"].tolist() == list(expected)


def test_a_simulation_is_over_the_graph_that_is_read(directory: Path) -> None:
    preparation = next(iter(walk(experiment_of(RAW), Sources({"sim": {}}, {}), Chain("sim", "graph-gp", "random", 0),
                                 Store(directory)).cycles)).training.preparation  # fmt: skip
    screen, graph, names = ready(preparation, directory)
    assert preparation.seed is not None
    simulated = pj.simulate_screen(graph, 24, list(graph.genes), 10, seed=preparation.seed)
    np.testing.assert_array_equal(screen.mean, simulated.mean)
    assert set(graph.genes) == set(screen.readouts)
    assert names == screen.perturbations


def test_a_model_based_strategy_sees_what_the_run_before_has_learnt(tmp_path: Path) -> None:
    raw = tables(cycles=3, seeds=1, predictors={"graph-gp": {}}, strategies={"random": {}})
    hybrid = Hybrid(Random(), 2, Largest("log_variance"))
    experiment = with_strategy(experiment_of(raw), "unsure", hybrid)
    sources = find_sources(experiment, tmp_path)
    done = finish(experiment, sources, tmp_path)
    assert [sum(isinstance(work, kind) for work in done) for kind in (Preparation, Choice, Training)] == [1, 3, 4]
    store = Store(tmp_path)
    cycles = walk(experiment, sources, Chain("sim", "graph-gp", "unsure", 0), store).cycles
    work = cycles[1].training
    screen, graph, names = ready(work.preparation, store.root)
    split = split_selected(work.selected, work.test, work.split_seed)
    fitted = pj.GraphGP().fit(screen, graph, split.train, split.validation, work.training_seed)
    free = [name for name in names if name not in {*work.test, *work.selected}]
    deviations = fitted.uncertainties(free)
    unsure = np.abs(2 * np.log(deviations[:, (fitted.uncertainties([*free, *work.selected]) > 0).all(0)]).mean(1))
    expected = tuple(free[place] for place in np.argsort(-unsure, kind="stable")[:4])
    assert cycles[2].picks == expected


class Errors(NamedTuple):
    """A history: values by step, and one of the whole."""

    step: np.ndarray
    loss: np.ndarray
    best_step: int


class Learner(Answers):
    """Answers with a history."""

    history = Errors(np.arange(3), np.array([3.0, 1.0, 2.0]), 1)


@dataclass(frozen=True)
class Pretender:
    """A predictor with embeddings and a history."""

    width: int = 3
    name: str = "pretender"

    def fit(self, screen: Screen, *others: Any) -> Learner:
        assert others

        def rows(names: Sequence[str]) -> np.ndarray:
            return np.arange(len(names) * self.width, dtype=float).reshape(-1, self.width)

        return Learner(self.name, lambda names: np.zeros((len(names), len(screen.readouts))), rows)


def test_a_view_holds_what_the_predictor_has_and_says_what_it_has_not(tmp_path: Path) -> None:
    raw = tables(cycles=1, seeds=1, predictors={"training-mean": {}}, strategies={"random": {}})
    experiment = experiment_of(raw)
    experiment.predictors["other"] = NamedPredictor("pretender", Pretender())
    experiment.strategies["random"] = NamedStrategy(Random(), tuple(experiment.predictors))
    finish(experiment, find_sources(experiment, tmp_path), tmp_path)
    runs = {}
    for run in (tmp_path / "runs").iterdir():
        runs[json.loads((run / RUN).read_text())["work"]["predictor"]["name"]] = run
    view = read_view(runs["pretender"], ("embedding", "features"))
    for part in (view.embedding, view.features):
        np.testing.assert_array_equal(part, np.arange(60.0).reshape(20, 3))
    assert (view.effect, view.log_variance) == (None, None)
    with pytest.raises(InputError, match="log_variance: pretender has none with these settings; name the predictors"):
        read_view(runs["pretender"], ("log_variance",))
    with pytest.raises(InputError, match="embedding: training-mean has none"):
        read_view(runs["training-mean"], ("embedding",))
    with np.load(runs["training-mean"] / VIEW, allow_pickle=False) as file:
        assert file.files == ["perturbations"]
    history = pd.read_parquet(runs["pretender"] / HISTORY)
    assert history.to_dict("list") == {"step": [0, 1, 2], "loss": [3.0, 1.0, 2.0]}
    assert json.loads((runs["pretender"] / RUN).read_text())["report"] == {"best_step": 1}
    assert not (runs["training-mean"] / HISTORY).exists()


def test_effects_are_in_the_view_where_a_strategy_reads_them(tmp_path: Path) -> None:
    raw = tables(seeds=1, predictors={"graph-gp": {}}, strategies={"random": {}})
    experiment = with_strategy(experiment_of(raw), "effect", Hybrid(Random(), 1, Largest("effect")))
    done = finish(experiment, find_sources(experiment, tmp_path), tmp_path)
    work = next(work for work in done if isinstance(work, Training))
    view = read_view(Store(tmp_path).directory(work), ("effect",))
    assert view.effect is not None
    assert view.effect.shape == (20, 60)
    embedding, features = (read_view(Store(tmp_path).directory(work), (part,)) for part in ("embedding", "features"))
    np.testing.assert_array_equal(embedding.embedding, features.features)


def test_a_screen_in_a_file_keeps_its_names_and_is_read_once(tmp_path: Path) -> None:
    """Genes by an old symbol: picks are called as the screen calls them."""
    graph = pj.load_go_graph()
    old, new = next(iter((old, new) for old, news in graph.names.aliases.items() for new in news if len(news) == 1))
    genes = [new, *(gene for gene in graph.genes[:40] if gene != new)]
    screen = pj.simulate_screen(pj.load_go_graph(genes), genes[:20], genes, 5, seed=1)
    names = tuple(old if name == new else name for name in screen.perturbations)
    order = np.argsort(np.array(names, object))
    parts = ("cell_counts", "mean", "variance", "third", "fourth", "nonzero", "de_genes")
    renamed = replace(screen, perturbations=tuple(names[row] for row in order),
                      **{part: getattr(screen, part)[order] for part in parts})  # fmt: skip
    save_screen(renamed, tmp_path / "screen.h5ad")
    raw = tables(data={"file": {"screen": "screen.h5ad"}}, predictors={"training-mean": {}})
    done = finished(raw, tmp_path)
    assert sum(isinstance(work, Preparation) for work in done) == 1, "two seeds read one file"
    results = read_results(tmp_path)
    assert {*results.selections["perturbation"], *results.metrics["perturbation"]} <= {*renamed.perturbations}
    assert old in {*results.selections["perturbation"], *results.metrics["perturbation"]}


def test_an_unfinished_experiment_can_be_read_and_a_damaged_one_not(tmp_path: Path) -> None:
    raw = tables(seeds=1)
    finished(raw, tmp_path)
    full = read_results(tmp_path)
    run = sorted((tmp_path / "runs").iterdir())[0]
    (run / "metrics.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"metrics.parquet has changed .* run the experiment again"):
        read_results(tmp_path)
    run.rename(tmp_path / "aside")
    part = read_results(tmp_path)
    assert part.record["trainings"]["there"] == full.record["trainings"]["there"] - 1
    assert len(part.metrics) == len(full.metrics) - 4
    with pytest.raises(InputError, match=r"expected the results of an experiment, found no experiment.json"):
        read_results(tmp_path / "runs")


def test_every_chain_is_walked_by_repetition() -> None:
    two = {label: {"simulation": SIMULATION} for label in "ab"}
    chains = list(chains_of(experiment_of(tables(data=two))))
    assert len(set(chains)) == len(chains) == 2 * 2 * 2 * 2
    assert [chain.seed for chain in chains] == [0] * 8 + [1] * 8


def test_a_mean_leaves_out_what_is_undefined_and_counts_it() -> None:
    results = made_results(seeds=2, tests=3)
    metrics = results.metrics
    mine = (metrics["strategy"] == "graphreach") & (metrics["seed"] == 1) & (metrics["cycle"] == 2)
    rows = metrics.index[mine]
    metrics.loc[rows, "pearson_de"] = [0.2, np.nan, 0.6]
    metrics.loc[rows, "mse_de"] = np.nan
    means = complete_runs(results).means
    found = {
        metric: row_of(means, strategy="graphreach", seed=1, cycle=2, metric=metric)
        for metric in ("pearson_de", "mse_de", "mse")
    }
    assert [found["pearson_de"][name] for name in ("value", "tests", "undefined")] == [pytest.approx(0.4), 3, 1]
    assert np.isnan(found["mse_de"]["value"]) and found["mse_de"]["undefined"] == 3
    assert found["mse"]["value"] == pytest.approx(metrics.loc[rows, "mse"].mean())
    assert means["undefined"].sum() == 4
    notes = " ".join(summarise(results).notes)
    assert "pearson_de is undefined for 1 of 54 predictions" in notes and "mse_de is undefined for 3 of 54" in notes


def test_seeds_without_all_cycles_are_listed_and_left_out() -> None:
    results = without(made_results(seeds=4), strategy="graphreach", seed=2, cycle=3)
    results = without(results, strategy="uncertainty", seed=1)
    runs = complete_runs(results)
    assert runs.incomplete[["strategy", "seed", "missing"]].to_numpy().tolist() == [
        ["graphreach", 2, "3"],
        ["uncertainty", 1, "1, 2, 3"],
    ]
    seeds = runs.means.groupby("strategy")["seed"].unique().map(sorted).to_dict()
    assert seeds == {"random": [0, 1, 2, 3], "graphreach": [0, 1, 3], "uncertainty": [0, 2, 3]}
    assert about(runs) == (
        "Simulated outcomes, 3 to 4 seeds. Seeds without all cycles are left out: "
        "graphreach (adamson, gears-flax): 2; uncertainty (adamson, gears-flax): 1."
    )


def test_the_config_says_what_is_missing_of_an_experiment_that_is_not_finished() -> None:
    results = made_results(cycles=2, seeds=2)
    config = results.record["config"]
    config["seeds"], config["cycles"] = 3, 2
    config["predictors"] = {"gears-flax": {}, "control-mean": {}}
    config["strategies"] = {
        "uncertainty": {"predictors": ["gears-flax"]}, "random": {}, "graphreach": {}, "k-center": {},
    }  # fmt: skip
    runs = complete_runs(results)
    assert runs.strategies == ("uncertainty", "random", "graphreach")
    assert runs.incomplete["seed"].tolist() == [2, 2, 2]
    assert runs.absent == (
        ("adamson", "gears-flax", "k-center"), ("adamson", "control-mean", "random"),
        ("adamson", "control-mean", "graphreach"), ("adamson", "control-mean", "k-center"),
    )  # fmt: skip
    config["cycles"] = 3
    with pytest.raises(InputError, match="no run has all of its cycles yet"):
        complete_runs(results)


def test_a_strategy_is_model_based_where_it_selects_after_the_first_cycle() -> None:
    results = made_results(strategies=("random", "uncertainty", "graphreach", "typiclust"))
    assert complete_runs(results).model_based == {"uncertainty", "typiclust"}


@pytest.mark.parametrize(("simulated", "word"), [(True, "Simulated"), (False, "Measured")])
def test_what_is_simulated_is_called_so(simulated: bool, word: str) -> None:
    assert about(complete_runs(made_results(seeds=1, simulated=simulated))) == f"{word} outcomes, 1 seed."


def test_of_several_data_sets_the_simulated_ones_are_named() -> None:
    results = made_results(data=("made", "screen"), seeds=2, simulated=False)
    results.record["screens"] = {"made": {"simulated": True}, "screen": {"simulated": False}}
    runs = complete_runs(results)
    assert about(runs) == "Simulated outcomes of made, measured ones of others, 2 seeds."
    table = pd.read_csv(io.BytesIO(table_files(summarise(results), {})["table.csv"]))
    assert table.groupby("data")["simulated"].unique().map(list).to_dict() == {"made": [True], "screen": [False]}


def test_without_any_run_there_is_nothing_to_compare() -> None:
    results = made_results()
    with pytest.raises(InputError, match="at least one run"):
        complete_runs(results._replace(metrics=results.metrics.iloc[:0]))


def test_the_baseline_is_found_by_its_name_where_the_label_is_another() -> None:
    results = made_results(strategies=("chance", "graphreach"))
    with pytest.raises(InputError, match=r"no complete run of the strategy 'random'.* baseline: chance, graphreach"):
        summarise(results)
    assert summarise(results, "chance").baseline == "chance"
    results.record["config"]["strategies"] = {"chance": {"strategy": "random"}, "graphreach": {}}
    assert summarise(results).baseline == "chance"
