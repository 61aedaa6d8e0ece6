"""Results as tidy tables, read from a directory by walking its chains once more."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from perturb_jax.evaluation.metrics import BUILT_IN
from perturb_jax.experiment.file import experiment_of
from perturb_jax.experiment.planner import Chain, Cycle, chains_of, preparation_of, walk
from perturb_jax.experiment.sources import Sources
from perturb_jax.experiment.store import EXPERIMENT, METRICS as METRICS_FILE, PICKS, RECORD, RUN, Store, Stored
from perturb_jax.experiment.work import Choice
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
            embeddings, uncertainties and the like. A run that several strategies share is told for each.
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
        stored = json.loads((root / EXPERIMENT).read_text(encoding="utf-8"))
        raw, checksums = stored["config"], stored["checksums"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{root}: expected the results of an experiment, found no {EXPERIMENT} ({error})") from None
    experiment, sources, store = experiment_of(raw, stored=stored.get("own", {})), Sources(checksums, {}), Store(root)
    known, tables = Stored(store), _Tables(store)
    screens: dict[str, dict[str, Any]] = {}
    total = 0
    for chain in chains_of(experiment):
        for cycle in walk(experiment, sources, chain, known).cycles:
            tables.add(chain, cycle)
        total += experiment.table.cycles
        preparation = preparation_of(experiment, sources, chain)
        if chain.data not in screens and store.holds(preparation):
            about = store.record(preparation, RECORD)
            screens[chain.data] = {part: about[part] for part in ("simulated", "screen", "caution", "dropped")}
    if store.damaged:
        place, wrong = next(iter(store.damaged.items()))
        raise InputError(
            f"{place}: damaged ({wrong}), as are {len(store.damaged) - 1} others; run the experiment "
            "again, which does them anew"
        )
    record = {
        "config": raw,
        "versions": stored["versions"],
        "versions of runs": [json.loads(text) for text in sorted(tables.versions)],
        "simulated": bool(screens) and all(about["simulated"] for about in screens.values()),
        "screens": screens,
        "trainings": {"there": tables.done, "all": total, "runs": len(tables.runs)},
    }
    own = stored.get("metrics", {})
    named = raw.get("metrics", BUILT_IN)
    expected = [*(name for name in BUILT_IN if name in named), *own]
    record |= {"metrics": own} if own else {}
    return tables.results(record, expected)


class _Tables:
    """Tables while they are collected."""

    def __init__(self, store: Store):
        self.store = store
        self.runs: dict[str, tuple[pd.DataFrame, dict[str, float]]] = {}
        self._choices: dict[str, float] = {}
        self._costs: list[tuple[str, str, float]] = []
        self.versions: set[str] = set()
        self.done = 0
        self._metrics: list[pd.DataFrame] = []
        self._selections: list[tuple[Any, ...]] = []
        self._times: list[tuple[Any, ...]] = []
        self._ranks: dict[Chain, int] = {}
        self._measured: list[tuple[tuple[Any, ...], frozenset[str]]] = []

    def add(self, chain: Chain, cycle: Cycle) -> None:
        labels = (*chain, cycle.number)
        rank = self._ranks.get(chain, 0)
        self._selections += [(*labels, rank + 1 + number, name) for number, name in enumerate(cycle.picks)]
        self._ranks[chain] = rank + len(cycle.picks)
        if cycle.choice is not None:
            self._times.append((*labels, "selection", self._seconds_of(cycle.choice, chain.predictor)))
        if not cycle.done:
            return
        self.done += 1
        if cycle.training.digest not in self.runs:
            record = self.store.record(cycle.training, RUN)
            self.versions.add(json.dumps(record["versions"], sort_keys=True))
            table = pd.read_parquet(self.store.place(cycle.training) / METRICS_FILE)
            self.runs[cycle.training.digest] = table, record["seconds"]
            self._costs += [(chain.predictor, part, float(took)) for part, took in record["seconds"].items()]
        table, seconds = self.runs[cycle.training.digest]
        self._times += [(*labels, what, float(seconds[what])) for what in ("training", "view")]
        columns: dict[str, Any] = dict(zip(_LABELS, labels, strict=True)) | {"size": len(cycle.training.selected)}
        self._measured.append((labels, frozenset(table.columns) - {"perturbation"}))
        self._metrics.append(table.assign(**columns))

    def _seconds_of(self, choice: Choice, predictor: str) -> float:
        if choice.digest not in self._choices:
            record = self.store.record(choice, PICKS)
            self._choices[choice.digest] = float(record["seconds"])
            self._costs.append((predictor, "choosing", float(record["seconds_first"])))
        return self._choices[choice.digest]

    def results(self, record: dict[str, Any], expected: Sequence[str]) -> Results:
        seen = {name for _, measured in self._measured for name in measured}
        names = [*(name for name in BUILT_IN if name in seen or name in expected), *sorted(seen - {*BUILT_IN})]
        names += [name for name in expected if name not in names]
        absent = [(*labels, name) for labels, measured in self._measured for name in names if name not in measured]
        columns = [*_LABELS, "size", "perturbation", *names]
        metrics = pd.concat(self._metrics, ignore_index=True) if self._metrics else pd.DataFrame(columns=columns)
        metrics = metrics.reindex(columns=columns)
        costs = pd.DataFrame(self._costs, columns=["predictor", "part", "seconds"])
        by_part = costs.groupby(["predictor", "part"], sort=False)["seconds"]
        return Results(
            metrics,
            pd.DataFrame(self._selections, columns=[*_LABELS, "rank", "perturbation"]),
            pd.DataFrame(self._times, columns=[*_LABELS, "what", "seconds"]),
            by_part.agg(count="size", seconds="sum").reset_index(),
            record,
            pd.DataFrame(absent, columns=[*_LABELS, "metric"]),
        )
