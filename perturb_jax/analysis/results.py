"""An experiment's results as tidy tables, and the runs among them that can be compared."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from perturb_jax.evaluation.metrics import BUILT_IN, METRICS, Metric
from perturb_jax.experiment import store as files
from perturb_jax.experiment.file import Sources, experiment_of
from perturb_jax.experiment.planner import chains_of, preparation_of, walk
from perturb_jax.support.errors import InputError

_LABELS = ["data", "predictor", "strategy", "seed", "cycle"]


class Results(NamedTuple):
    """What an experiment has found so far.

    Attributes:
        metrics: a row per test perturbation of each finished run: data, predictor, strategy, seed, cycle (from 1), size
            (perturbations selected so far), perturbation, and every metric that was measured.
        selections: a row per pick: data, predictor, strategy, seed, cycle, rank (from 1, over all cycles),
            perturbation. One-shot picks are repeated for each predictor.
        times: data, predictor, strategy, seed, cycle, what, seconds. "selection": choosing, given its inputs, at the
            first of the cycles that were chosen for together; "training": fitting the predictor; "view": computing its
            embeddings, uncertainties and the like. A run that several strategies share is listed for each.
        costs: where the time went, each run and selection counted once: predictor, part ("choosing", "loading",
            "training", "evaluation", "view", "storing"), count, seconds (their sum). Selections that several predictors
            share are the first one's.
        record: plain values: "config"; "versions"; "versions of runs"; "simulated": whether all data are; "screens": of
            each data set's first repetition what it is, whether simulated, its caution and what was dropped;
            "trainings": there, all, and from how many runs; "metrics": what those are that do not ship here.
        unmeasured: data, predictor, strategy, seed, cycle, metric: runs that were stored without a metric of the config
            or of other runs.
    """

    metrics: pd.DataFrame
    selections: pd.DataFrame
    times: pd.DataFrame
    costs: pd.DataFrame
    record: dict[str, Any]
    unmeasured: pd.DataFrame = pd.DataFrame(columns=[*_LABELS, "metric"])


def read_results(directory: str | Path) -> Results:
    """Read what is there of an experiment.

    Raises:
        InputError: a directory without an experiment; damaged results.

    Complexity: each run's table is read once, however many strategies share it.
    """
    root = Path(directory)
    try:
        stored = json.loads((root / files.EXPERIMENT).read_text(encoding="utf-8"))
        raw, checksums = stored["config"], stored["checksums"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"found no {files.EXPERIMENT} ({error})"
        raise InputError(f"{root}: expected the results of an experiment, {why}") from None
    experiment, sources = experiment_of(raw, stored=stored.get("own", {})), Sources(checksums, {})
    store = files.Store(root)
    runs: dict[str, tuple[pd.DataFrame, dict[str, Any]]] = {}  # these and choices by digest
    choices: dict[str, dict[str, Any]] = {}
    done: list[tuple[tuple[Any, ...], int, pd.DataFrame]] = []
    spent: list[tuple[str, str, float]] = []
    selections: list[tuple[Any, ...]] = []
    times: list[tuple[Any, ...]] = []
    screens: dict[str, dict[str, Any]] = {}
    chains = list(chains_of(experiment))
    for chain in chains:
        for cycle in walk(experiment, sources, chain, store).cycles:
            labels, training, choice = (*chain, cycle.number), cycle.training, cycle.choice
            before = len(training.selected) - len(cycle.picks)
            selections += [(*labels, rank, name) for rank, name in enumerate(cycle.picks, before + 1)]
            if choice is not None:
                if choice.digest not in choices:
                    choices[choice.digest] = store.record(choice, files.PICKS)
                    spent.append((chain.predictor, "choosing", choices[choice.digest]["seconds_first"]))
                times.append((*labels, "selection", choices[choice.digest]["seconds"]))
            if not cycle.done:
                continue
            if training.digest not in runs:
                found = store.record(training, files.RUN)
                runs[training.digest] = pd.read_parquet(store.directory(training) / files.METRICS), found
                spent += [(chain.predictor, part, took) for part, took in found["seconds"].items()]
            table, found = runs[training.digest]
            times += [(*labels, what, found["seconds"][what]) for what in ("training", "view")]
            done.append((labels, len(training.selected), table))
        preparation = preparation_of(experiment, sources, chain)
        if chain.data not in screens and store.holds(preparation):
            about = store.record(preparation, files.RECORD)
            screens[chain.data] = {part: about[part] for part in ("simulated", "screen", "caution", "dropped")}
    if store.damaged:
        path, wrong = next(iter(store.damaged.items()))
        raise InputError(
            f"{path}: damaged ({wrong}), as are {len(store.damaged) - 1} others; run the experiment "
            "again, which does them anew"
        )
    versions = {json.dumps(found["versions"], sort_keys=True) for _, found in runs.values()}
    record = {
        "config": raw,
        "versions": stored["versions"],
        "versions of runs": [json.loads(text) for text in sorted(versions)],
        "simulated": bool(screens) and all(about["simulated"] for about in screens.values()),
        "screens": screens,
        "trainings": {"there": len(done), "all": len(chains) * experiment.table.cycles, "runs": len(runs)},
    }
    own = stored.get("metrics", {})
    record |= {"metrics": own} if own else {}
    expected = {*own, *(name for name in BUILT_IN if name in raw.get("metrics", BUILT_IN))}
    names = ordered(BUILT_IN, expected.union(*(table.columns.drop("perturbation") for *_, table in done)))
    absent = [(*labels, name) for labels, _, table in done for name in names if name not in table]
    columns = [*_LABELS, "size", "perturbation", *names]
    frames = [table.assign(**dict(zip(_LABELS, labels, strict=True)), size=size) for labels, size, table in done]
    costs = pd.DataFrame(spent, columns=["predictor", "part", "seconds"])
    return Results(
        pd.concat(frames or [pd.DataFrame(columns=columns)], ignore_index=True).reindex(columns=columns),
        pd.DataFrame(selections, columns=[*_LABELS, "rank", "perturbation"]),
        pd.DataFrame(times, columns=[*_LABELS, "what", "seconds"]),
        costs.groupby(["predictor", "part"], sort=False)["seconds"].agg(count="size", seconds="sum").reset_index(),
        record,
        pd.DataFrame(absent, columns=[*_LABELS, "metric"]),
    )


PLACE = ["data", "predictor"]
"""Within a data set and a predictor strategies are compared."""

RUN = [*PLACE, "strategy", "seed"]
LISTED = {"data": "data", "predictor": "predictors", "strategy": "strategies"}
"""Where a config lists the names that a column of the tables has."""

HEADLINE = ("mse_de", "pearson_de")
"""The metrics that people are shown first; the CSV files have all."""

_NAMED = 4


class Runs(NamedTuple):
    """What an experiment's tables and figures read: runs with all of their cycles.

    Attributes:
        means: a row per run, cycle and metric: the columns of `RUN`, cycle, size, metric, value (the mean over the test
            perturbations where the metric is defined; NaN where it is for none), tests, undefined (how many of them).
        incomplete: a row per run without all of its cycles, which `means` does not have: the columns of `RUN`, missing.
        absent: (data, predictor, strategy) that the config names, and of which there is no run.
        data, predictors, strategies: names of those that `means` has, in the order of the config.
        model_based: the strategies that read a view of the predictor: they select in a cycle after the first, while
            cycles without a view are selected together.
        simulated: the data sets whose outcomes are.
        fixed: what is the same for every seed, of "data", "split", "selection", "training".
        own: the metrics that do not ship here.
        unmeasured: metrics that some trainings were stored without, and how many; `means` has no row for these.
    """

    means: pd.DataFrame
    incomplete: pd.DataFrame
    absent: tuple[tuple[str, str, str], ...]
    data: tuple[str, ...]
    predictors: tuple[str, ...]
    strategies: tuple[str, ...]
    model_based: frozenset[str]
    simulated: frozenset[str]
    fixed: frozenset[str]
    own: tuple[Metric, ...] = ()
    unmeasured: tuple[tuple[str, int], ...] = ()

    def metric(self, name: str) -> Metric:
        """What a metric is."""
        return next((metric for metric in self.own if metric.name == name), None) or METRICS.get(name)

    @property
    def shown(self) -> list[str]:
        """The metrics of the tables for people and of the figures: two over the DE genes, and those of one's own."""
        return [metric for metric in self.metrics if metric in HEADLINE or metric not in BUILT_IN]

    @property
    def errors(self) -> frozenset[str]:
        """The metrics of which smaller values are better."""
        return frozenset(metric for metric in self.metrics if self.metric(metric).smaller_is_better)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that were measured."""
        return tuple(self.means["metric"].unique())

    def values(self) -> pd.Series:
        """The means, indexed by data set, predictor, metric, cycle, strategy and seed."""
        return self.means.set_index([*PLACE, "metric", "cycle", "strategy", "seed"])["value"]

    def final(self) -> pd.Series:
        """The means at the last cycle of each data set, indexed by data set, predictor, metric, strategy and seed."""
        last = self.means["cycle"] == self.means.groupby("data")["cycle"].transform("max")
        return self.means[last].set_index([*PLACE, "metric", "strategy", "seed"])["value"]

    def in_order(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table with its rows in the order of data, predictors, metrics, strategies."""
        metrics = ordered(BUILT_IN, table["metric"]) if "metric" in table else ()
        orders = {"data": self.data, "predictor": self.predictors, "metric": metrics, "strategy": self.strategies}
        columns = [name for name in (*orders, "cycle", "seed") if name in table]

        def position(column: "pd.Series[Any]") -> "pd.Series[Any]":
            names = orders.get(str(column.name))
            return column if names is None else column.map({name: index for index, name in enumerate(names)})

        return table.sort_values(columns, key=position, ignore_index=True)


def complete_runs(results: Results) -> Runs:
    """The mean of every metric in every cycle of the runs that have all cycles.

    A seed of the experiment that one run has is expected of every other; the cycles are those of the config or, where
    it does not say, those of any run on the same data.
    """
    means = _means(results)
    config = results.record.get("config", {})
    seen = {key: set(map(int, cycles)) for key, cycles in means.groupby(RUN)["cycle"]}
    rows = []
    for data, own in means.groupby("data"):
        cycles = {*map(int, own["cycle"]), *range(1, 1 + (config.get("cycles") or 0))}
        seeds = sorted(_planned_seeds(config.get("seeds"), set(map(int, own["seed"]))))
        pairs = own[["predictor", "strategy"]].drop_duplicates().itertuples(index=False, name=None)
        for pair, seed in product(pairs, seeds):
            missing = sorted(cycles - seen.get((data, *pair, seed), set()))
            if missing:
                rows.append((data, *pair, seed, ", ".join(map(str, missing))))
    incomplete = pd.DataFrame(rows, columns=[*RUN, "missing"])
    keys = pd.MultiIndex.from_frame(means[RUN])
    means = means[~keys.isin(pd.MultiIndex.from_frame(incomplete[RUN]))]
    if means.empty:
        raise InputError(f"no run has all of its cycles yet ({len(seen)} have some); run the rest of the experiment")
    names = {column: ordered(config.get(listed), means[column]) for column, listed in LISTED.items()}
    there = set(results.metrics[[*PLACE, "strategy"]].drop_duplicates().itertuples(index=False, name=None))
    times, record = results.times, results.record
    of_data = record.get("screens", {})  # a record says of each data set, or of all, whether it is simulated
    runs = Runs(
        means,
        incomplete,
        tuple(one for one in _planned(config, names) if one not in there),
        names["data"],
        names["predictor"],
        names["strategy"],
        frozenset(times.loc[(times["what"] == "selection") & (times["cycle"] > 1), "strategy"]),
        frozenset(name for name in names["data"] if of_data.get(name, record).get("simulated", False)),
        frozenset(config.get("fixed") or ()),
        own_metrics(record),
        tuple((str(name), len(own)) for name, own in results.unmeasured.groupby("metric", sort=False)),
    )
    return runs._replace(means=runs.in_order(means), incomplete=runs.in_order(incomplete))


def about(runs: Runs) -> str:
    """What every caption says first: simulated or not, how many seeds, which runs are left out."""
    counts = runs.means.groupby([*PLACE, "strategy"])["seed"].nunique()
    few, many = int(counts.min()), int(counts.max())
    seeds = f"{many} seed{'s' * (many > 1)}" if few == many else f"{few} to {many} seeds"
    outcomes = "Simulated outcomes" if runs.simulated else "Measured outcomes"
    if 0 < len(runs.simulated) < len(runs.data):
        outcomes += f" of {', '.join(name for name in runs.data if name in runs.simulated)}, measured ones of others"
    parts = [f"{outcomes}, {seeds}."]
    if len(runs.incomplete):
        lacking = [
            f"{strategy} ({data}, {predictor}): {', '.join(map(str, own['seed']))}"
            for (data, predictor, strategy), own in runs.incomplete.groupby([*PLACE, "strategy"], sort=False)
        ]
        few = len(lacking) <= _NAMED
        what = "Seeds without all cycles are left out" if few else "Curves that lack seeds with all cycles"
        parts.append(f"{what}: {_some(lacking)}.")
    if runs.absent:
        parts.append(f"No run of: {_some([' x '.join(one) for one in runs.absent])}.")
    return " ".join(parts)


def label_of(results: Results, runs: Runs, strategy: str) -> str | None:
    """The label of a strategy among those with complete runs: its name, or the first that the config gives to it."""
    config = results.record.get("config", {})
    named = [label for label in runs.strategies if _entry(config, label).get("strategy") == strategy]
    return strategy if strategy in runs.strategies else next(iter(named), None)


def own_metrics(record: Mapping[str, Any]) -> tuple[Metric, ...]:
    """What a record says of metrics that do not ship here."""
    return tuple(Metric(name, **about) for name, about in record.get("metrics", {}).items())


def _means(results: Results) -> pd.DataFrame:
    metrics = results.metrics
    if metrics.empty:
        raise InputError("expected the results of at least one run, got none; run the experiment first")
    columns = list(ordered(BUILT_IN, set(metrics.columns) - {*RUN, "cycle", "size", "perturbation"}))
    grouped = metrics.groupby([*RUN, "cycle", "size"], sort=False)
    tables = {"value": grouped[columns].mean(), "defined": grouped[columns].count()}
    stacked = {name: own.rename_axis(columns="metric").stack(future_stack=True) for name, own in tables.items()}
    table = pd.DataFrame(stacked).reset_index().merge(grouped.size().rename("tests").reset_index())
    table = table.assign(undefined=table["tests"] - table["defined"]).drop(columns="defined")
    keys = [*RUN, "cycle", "metric"]
    without = pd.MultiIndex.from_frame(table[keys]).isin(pd.MultiIndex.from_frame(results.unmeasured[keys]))
    return table[~without] if without.any() else table


def _planned_seeds(planned: object, seen: set[int]) -> set[int]:
    """The seeds of a config, which names them or says how many there are from 0, and those that any run has."""
    if isinstance(planned, int):
        return seen | (set(range(planned)) if max(seen) < planned else set())
    return seen | set(map(int, planned)) if isinstance(planned, list | tuple) else seen


def _planned(config: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> list[tuple[str, str, str]]:
    """Every data set, predictor and strategy of a config: a strategy's table can name the predictors that it is for."""
    labels = {column: tuple(config.get(listed) or names[column]) for column, listed in LISTED.items()}
    return [
        (data, predictor, strategy)
        for data, predictor, strategy in product(*labels.values())
        if predictor in (_entry(config, strategy).get("predictors") or labels["predictor"])
    ]


def _entry(config: Mapping[str, Any], strategy: str) -> Mapping[str, Any]:
    tables = config.get("strategies")
    return tables.get(strategy, {}) if isinstance(tables, Mapping) else {}


def ordered(planned: Any, seen: Iterable[str]) -> tuple[str, ...]:
    """Labels in the order planned; others follow, sorted."""
    labels = dict.fromkeys(planned or ())
    present = set(seen)
    return (*(label for label in labels if label in present), *sorted(present - set(labels)))


def _some(items: Sequence[str]) -> str:
    return "; ".join(items) if len(items) <= _NAMED else f"{len(items)} (see incomplete.csv)"
