"""The units of work, each known by a checksum of what its result depends on, and which can be done next."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cached_property, lru_cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from perturb_jax.evaluation.metrics import Metric
from perturb_jax.experiment.file import Data, Described, Experiment, Graph, NamedPredictor, Purpose, Sources, seed_for
from perturb_jax.screen.split import choose_test
from perturb_jax.strategies.registry import identity_of
from perturb_jax.strategies.strategy import parts_of
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import changed_options
from perturb_jax.support.registry import source_checksum

FORMAT = 2
"""Part of every identity; raised when what is stored, or what the same words mean, changes."""


class Work:
    """A unit of work: frozen dataclasses; those of one digest are the same."""

    kind: Literal["data", "selections", "runs"]

    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on: plain values."""
        raise NotImplementedError

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the canonical JSON (sorted keys, no spaces) of kind, format and identity."""
        whole = {"kind": self.kind, "format": FORMAT, **self.identity()}
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Work) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


_GRAPH = {
    "universe": "screen", "neighbors": 20, "min_jaccard": 0.1, "namespaces": ("BP", "MF", "CC"), "annotation": None,
    "file": None,
}  # fmt: skip
"""What identities have of a graph, whether or not the file says so."""


@dataclass(frozen=True, eq=False)
class Preparation(Work):
    """Reading or simulating a screen (then with a seed), and building its graph.

    A file is what it holds, wherever it is: checksums, by key, say what the work is, and paths where the files are.
    """

    data: Data
    graph: Graph
    seed: int | None
    checksums: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)
    kind = "data"

    def identity(self) -> dict[str, Any]:
        """The tables, files as checksums."""
        simulation = None if self.data.simulation is None else asdict(self.data.simulation)
        data = self.data.model_dump(mode="json", exclude={"simulation"}) | {"simulation": simulation}
        tables: dict[str, Any] = {"data": data, "graph": _GRAPH | changed_options(self.graph)}
        for key, checksum in self.checksums.items():
            *way, last = key.split(".")
            reduce(getitem, way, tables)[last] = {"sha256": checksum}
        return {**tables, "seed": self.seed}


@dataclass(frozen=True, eq=False)
class Training(Work):
    """Fitting a predictor to what is selected, sorted, and measuring it: a run.

    A fraction of the selected validates, which one the split's seed says. With `effect`, predicted effects are part of
    the view that is stored. Metrics are named where they are not all that ship here, and do not say what the work is.
    """

    preparation: Preparation
    predictor: NamedPredictor
    selected: tuple[str, ...]
    test: tuple[str, ...]
    validation: float
    split_seed: int
    training_seed: int
    effect: bool = False
    metrics: tuple[Metric, ...] = ()
    kind = "runs"

    def identity(self) -> dict[str, Any]:
        """The screen's digest, the predictor with all settings but what tables call it, the sets and the seeds."""
        names = ("selected", "test", "validation", "split_seed", "training_seed", "effect")
        predictor = predictor_identity(*self.predictor)
        return {"data": self.preparation.digest, "predictor": predictor} | {one: getattr(self, one) for one in names}


@dataclass(frozen=True, eq=False)
class Choice(Work):
    """Selecting a batch among the perturbations of a screen but those that test and those that are selected already.

    The strategy reads parts of the view of a run, or none.
    """

    preparation: Preparation
    strategy: Any
    test: tuple[str, ...]
    selected: tuple[str, ...]
    batch: int
    seed: int
    parts: tuple[str, ...] = ()
    run: Training | None = None
    kind = "selections"

    def identity(self) -> dict[str, Any]:
        """The screen's and the run's digests, the strategy, the candidates and the budget."""
        run = None if self.run is None else self.run.digest
        whole = {"data": self.preparation.digest, "strategy": strategy_identity(self.strategy), "run": run}
        return whole | {one: getattr(self, one) for one in ("test", "selected", "batch", "seed", "parts")}


def predictor_identity(name: str, predictor: Any) -> dict[str, Any]:
    """A predictor's name and all its settings but what tables call it; of a user's file the checksum too."""
    if isinstance(predictor, Described):
        return dict(predictor.identity)
    settings = {key: value for key, value in plain(predictor).items() if key != "name"}
    return {"name": Path(name).name, "settings": settings}


def strategy_identity(strategy: Any) -> dict[str, Any]:
    """A strategy's name and options; of a user's file the checksum too."""
    return dict(strategy.identity) if isinstance(strategy, Described) else identity_of(strategy)


def own_identities(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """What results are found and read by of predictors and strategies that a user's own files define, by label."""
    predictors = {
        label: predictor_identity(*named) for label, named in experiment.predictors.items() if is_own(named.predictor)
    }
    strategies = {
        label: {
            "identity": strategy_identity(named.strategy),
            "parts": [list(parts_of(named.strategy, cycle)) for cycle in range(experiment.table.cycles)],
        }
        for label, named in experiment.strategies.items()
        if is_own(named.strategy)
    }
    return {"predictors": predictors, "strategies": strategies} if predictors or strategies else {}


def is_own(thing: Any) -> bool:
    """Whether a user's file defines it, or a part of it."""
    parts = [getattr(thing, one.name) for one in fields(thing)] if is_dataclass(thing) else []
    return source_checksum(thing) is not None or any(is_dataclass(part) and is_own(part) for part in parts)


def plain(value: Any) -> Any:
    """A value as JSON has it; refuses what is no plain value.

    A dataclass is its class and its fields, but those that its comparison leaves out; where a user's file defines it,
    the checksum of that file too.
    """
    if is_dataclass(value):
        named = {one.name: plain(getattr(value, one.name)) for one in fields(value) if one.compare}
        checksum = source_checksum(value)
        return {"class": type(value).__name__, **named} | ({"source": checksum} if checksum else {})
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"expected a plain value, got {value!r}")


class Chain(NamedTuple):
    """What is done cycle after cycle: labels of the file, and the repetition."""

    data: str
    predictor: str
    strategy: str
    seed: int


@runtime_checkable
class Known(Protocol):
    """What is there."""

    def perturbations(self, work: Preparation) -> tuple[str, ...] | None:
        """Those of the screen that the graph knows; None while it is not prepared."""

    def picks(self, work: Choice) -> tuple[str, ...] | None:
        """What was selected; None while nothing is."""

    def holds(self, work: Training) -> bool:
        """Whether the run is finished."""


class Cycle(NamedTuple):
    """One cycle of a chain, counted from 1: its picks, the choice in the first cycle that it selected for, its run."""

    number: int
    picks: tuple[str, ...]
    choice: Choice | None
    training: Training
    done: bool


class Walk(NamedTuple):
    """How far a chain is: cycles whose perturbations are selected, and work that can be done now."""

    cycles: tuple[Cycle, ...]
    wanted: tuple[Work, ...]


def chains_of(experiment: Experiment) -> Iterator[Chain]:
    """All chains: by repetition, so that whole repetitions come in first."""
    for seed in experiment.table.seeds:
        for data in experiment.table.data:
            for strategy, named in experiment.strategies.items():
                for predictor in named.predictors:
                    yield Chain(data, predictor, strategy, seed)


def preparation_of(experiment: Experiment, sources: Sources, chain: Chain) -> Preparation:
    """The screen and graph of a chain."""
    data = experiment.table.data[chain.data]
    seed = None if data.simulation is None else _seed(experiment, chain, "data")
    checksums, paths = sources.checksums[chain.data], sources.paths.get(chain.data, {})
    return Preparation(data, experiment.table.graph, seed, checksums, paths)


def walk(experiment: Experiment, sources: Sources, chain: Chain, known: Known) -> Walk:
    """Follow a chain as far as it is known.

    Cycles in a row in which the strategy reads no view are selected together; a cycle in which it reads one needs the
    run of the cycle before.
    """
    table, strategy = experiment.table, experiment.strategies[chain.strategy].strategy
    preparation = preparation_of(experiment, sources, chain)
    names = known.perturbations(preparation)
    if names is None:
        return Walk((), (preparation,))
    split_seed, training_seed = (_seed(experiment, chain, purpose) for purpose in ("split", "training"))
    test = _test_of(names, table.test, split_seed)
    budget, candidates = table.cycles * table.batch, len(names) - len(test)
    if budget > candidates:
        raise InputError(
            f"data.{chain.data}: {table.cycles} cycles of {table.batch} are {budget} perturbations, and there are "
            f"{candidates} that are not held out; select fewer"
        )
    everyone = (named.strategy for named in experiment.strategies.values())
    effect = any("effect" in parts_of(one, cycle) for one in everyone for cycle in range(table.cycles))
    cycles: list[Cycle] = []
    wanted: list[Work] = []
    selected: tuple[str, ...] = ()
    while len(cycles) < table.cycles:
        first = len(cycles)
        parts = parts_of(strategy, first)
        if parts and not cycles[-1].done:
            break  # its run is wanted already
        together = first + 1
        while not parts and together < table.cycles and not parts_of(strategy, together):
            together += 1
        seed = _seed(experiment, chain, "selection", first)
        run = cycles[-1].training if parts else None
        size = (together - first) * table.batch
        choice = Choice(preparation, strategy, test, selected, size, seed, tuple(parts), run)
        picks = known.picks(choice)
        if picks is None:
            wanted.append(choice)
            break
        for number in range(first, together):
            part = picks[(number - first) * table.batch : (number + 1 - first) * table.batch]
            selected += part
            training = Training(
                preparation, experiment.predictors[chain.predictor], tuple(sorted(selected)), test, table.validation,
                split_seed, training_seed, effect, experiment.metrics,
            )  # fmt: skip
            done = known.holds(training)
            wanted += [] if done else [training]
            cycles.append(Cycle(number + 1, part, choice if number == first else None, training, done))
    return Walk(tuple(cycles), tuple(wanted))


_test_of = lru_cache(256)(choose_test)  # the same for every chain of a repetition


def _seed(experiment: Experiment, chain: Chain, purpose: Purpose, cycle: int = 0) -> int:
    return seed_for(purpose, 0 if purpose in experiment.table.fixed else chain.seed, cycle)
