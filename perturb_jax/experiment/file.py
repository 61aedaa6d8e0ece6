"""The file that says what an experiment is: TOML, checked before anything is done; and the files that it names."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, Field, PlainValidator, ValidationError, model_validator

from perturb_jax.evaluation.metrics import Metric, metrics_of
from perturb_jax.graph.choice import GraphChoice
from perturb_jax.predictors.predictor import Predictor
from perturb_jax.predictors.registry import make_predictor
from perturb_jax.screen.datasets import CELLS, DATASETS, cache_directory, fetch, holding
from perturb_jax.screen.reading import Reading, SimulationChoice
from perturb_jax.screen.simulation_model import SimulationModel
from perturb_jax.strategies.registry import strategy_of
from perturb_jax.strategies.strategy import parts_of
from perturb_jax.support.checks import is_whole
from perturb_jax.support.errors import InputError, prefixed
from perturb_jax.support.files import sha256_of
from perturb_jax.support.options import made_from, option

Purpose = Literal["data", "split", "selection", "training"]
PURPOSES: tuple[Purpose, ...] = ("data", "split", "selection", "training")


def seed_for(purpose: Purpose, repetition: int, cycle: int = 0) -> int:
    """The seed of a purpose in a repetition: the first 32 bits of the SHA-256 of "purpose repetition cycle".

    So seeds of different purposes, repetitions and cycles are as unrelated as hashes are. `cycle` (the first is 0) is
    for selections; all trainings of a repetition share one seed, so that equal training sets give equal models.

    The purpose is "data" (simulated genes, effects and cells), "split" (the test set, and which selected perturbations
    validate), "selection" or "training"; the repetition is the seed that the file names, or 0 for a fixed purpose.

    Examples:
        >>> seed_for("data", 0), seed_for("training", 0)
        (534518157, 1851273174)
    """
    return int.from_bytes(hashlib.sha256(f"{purpose} {repetition} {cycle}".encode()).digest()[:4], "big")


def _size(value: Any) -> Any:
    if not (is_whole(value) and value >= 1) and not (isinstance(value, float) and 0 < value < 1):
        raise ValueError("expected a count of at least 1, or a fraction between 0 and 1")
    return value


def _seeds(value: Any) -> tuple[int, ...]:
    numbers = range(value) if is_whole(value) and value >= 1 else value
    listed = isinstance(numbers, range | list | tuple) and all(is_whole(number) and number >= 0 for number in numbers)
    if not listed or not numbers or len(set(numbers)) < len(numbers):
        raise ValueError("expected how many, or a list of different whole numbers of at least 0")
    return tuple(numbers)


def _settings(cls: type[Any], table: object) -> Any:
    if not isinstance(table, Mapping):
        raise ValueError(f"expected a table, got {table!r}")
    with prefixed("."):
        return made_from(cls, table)


def _simulation(table: object) -> Any:
    if isinstance(table, Mapping) and "model" in table:
        with prefixed(".model"):
            table = {**table, "model": _settings(SimulationModel, table["model"])}
    return _settings(Simulation, table)


Count = Annotated[int, Field(strict=True, ge=1)]
Text = Annotated[str, Field(strict=True, min_length=1)]


@dataclass(frozen=True)
class Simulation(SimulationChoice):
    """A simulated screen of an experiment: see `simulate_screen`."""

    moments: Literal["cells", "expected"] = option("cells", "Those of cells that are drawn, or those expected.")
    over: Literal["graph", "genome"] = option(
        "graph", "The graph that effects are smooth over: the one that is read, or the genome's, of which it is a part."
    )
    model: SimulationModel = option(SimulationModel(), "Other parameters, of `SimulationModel`.")


@dataclass(frozen=True)
class Graph(GraphChoice):
    """The knowledge graph of an experiment: as elsewhere, or of the genes of each screen."""

    universe: Literal["screen", "genome"] | Path | None = option(  # type: ignore[assignment]
        "screen", "Its genes: 'screen', the measured and perturbed ones; 'genome', all annotated ones; or a file."
    )


class Data(BaseModel, frozen=True, extra="allow"):
    """One data set: a simulation, a file, or a published screen; of the last two also how it is read (`Reading`)."""

    simulation: Annotated[Simulation, PlainValidator(_simulation)] | None = None
    screen: Path | None = None
    dataset: str | None = None
    unknown: Literal["error", "drop"] = "error"

    @model_validator(mode="after")
    def _one_source(self) -> "Data":
        given = [name for name in ("simulation", "screen", "dataset") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of simulation, screen and dataset, got {' and '.join(given) or 'none'}")
        if self.dataset is not None and self.dataset not in DATASETS:
            raise ValueError(f"dataset: expected one of {', '.join(DATASETS)}, got {self.dataset!r}")
        reading = sorted(self.model_extra or {})
        if self.simulation is not None and reading:
            raise ValueError(f"{', '.join(reading)}: a simulated screen is not read; omit the key")
        assert self.reading
        return self

    @property
    def reading(self) -> Reading:
        """How a file or a published screen is read."""
        table = dict(self.model_extra or {})
        if isinstance(where := table.get("where"), Mapping):
            table["where"] = {column: str(value) for column, value in where.items()}
        return made_from(Reading, table)


class PredictorTable(BaseModel, frozen=True, extra="allow"):
    """A predictor: its name in the registry where that is not the label, and settings (its fields)."""

    predictor: str | None = None


class StrategyTable(BaseModel, frozen=True, extra="allow"):
    """A strategy: its name where that is not the label, for which predictors (all), and options."""

    strategy: str | None = None
    predictors: tuple[str, ...] | None = None


class ExperimentTable(BaseModel, frozen=True, extra="forbid"):
    """The file: `cycles` rounds of selecting `batch` perturbations and training; data, predictors, strategies by label.

    `test` is a count or a fraction, `validation` the fraction of the selected that validates. `seeds` says how many
    repetitions there are, or their numbers; what is `fixed` has the seed of repetition 0 in all of them. `metrics` are
    names, or FILE.py:NAME; all that ship here unless named.
    """

    name: Text
    cycles: Count
    batch: Count
    test: Annotated[int | float, BeforeValidator(_size)] = 0.1
    validation: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.1
    seeds: Annotated[tuple[int, ...], BeforeValidator(_seeds)]
    fixed: tuple[Purpose, ...] = ()
    data: Annotated[dict[str, Data], Field(min_length=1)]
    graph: Annotated[Graph, PlainValidator(partial(_settings, Graph))] = Graph()
    predictors: Annotated[dict[str, PredictorTable], Field(min_length=1)]
    strategies: Annotated[dict[str, StrategyTable], Field(min_length=1)]
    metrics: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None


@dataclass(frozen=True)
class Described:
    """A predictor or strategy of a user's file as results describe it, by which these are found without the file.

    `read` is the parts of a view that a strategy reads, cycle by cycle.
    """

    identity: Mapping[str, Any]
    read: tuple[tuple[str, ...], ...] = ()

    def parts(self, cycle: int) -> tuple[str, ...]:
        """What a strategy reads in a cycle."""
        return self.read[cycle]


class NamedPredictor(NamedTuple):
    """A predictor and its name in the registry."""

    name: str
    predictor: Predictor | Described


class NamedStrategy(NamedTuple):
    """A strategy, and the labels of the predictors that it is for."""

    strategy: Any
    predictors: tuple[str, ...]


class Experiment(NamedTuple):
    """What a file says, and the parts that it names: predictors and strategies by label, metrics."""

    table: ExperimentTable
    predictors: dict[str, NamedPredictor]
    strategies: dict[str, NamedStrategy]
    metrics: tuple[Metric, ...] = ()


def read_experiment(path: str | Path) -> tuple[dict[str, Any], Experiment]:
    """What a TOML file says, as it stands there and checked."""
    raw = read_toml(Path(path))
    with prefixed(f"{path}: "):
        return raw, experiment_of(raw, Path(path).parent)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: expected a readable TOML file ({reason})") from None


def experiment_of(
    raw: Mapping[str, Any], base: Path | None = None, stored: Mapping[str, Any] | None = None
) -> Experiment:
    """An experiment from the file's tables.

    Relative paths start from `base`, or the current directory. Where results are read, `stored` is what they say of the
    parts that a user's files define: the files are not needed.
    """
    try:
        table = ExperimentTable.model_validate(raw)
    except ValidationError as error:
        raise InputError(first_error(error)) from None
    own = {"predictors": {}, "strategies": {}} | dict(stored or {})
    predictors = {
        label: _predictor(label, given, base, own["predictors"].get(label)) for label, given in table.predictors.items()
    }
    strategies = {
        label: _strategy(label, given, table, base, own["strategies"].get(label))
        for label, given in table.strategies.items()
    }
    metrics: tuple[Metric, ...] = ()
    if table.metrics is not None and stored is None:
        with prefixed("metrics: "):
            metrics = metrics_of(_located(name, base) for name in table.metrics)
    return Experiment(table, predictors, strategies, metrics)


def _located(name: str, base: Path | None) -> str:
    """A name as it is; of "FILE.py:NAME" the file where it is."""
    return str(base / Path(name).expanduser()) if base is not None and ".py:" in name else name


def first_error(error: ValidationError) -> str:
    """The first error: where, what was expected, what came."""
    first, *others = error.errors(include_url=False)
    where = ".".join(str(part) for part in first["loc"] if part != "[key]")
    what, got = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected"), first["input"]
    if first["type"] == "missing":
        what = "expected a value, got none"
    elif first["type"] == "extra_forbidden":
        inside = len(first["loc"]) > 2
        what = "no such key; omit it" + (" (a label with a dot in it needs quotes)" if inside else "")
    elif not isinstance(got, dict | BaseModel):
        what = f"{what}, got {got!r}"
    joined = where + what if what.startswith(".") else f"{where}: {what}"
    return joined + (f" (and {len(others)} more errors)" if others else "")


def _predictor(label: str, given: PredictorTable, base: Path | None, own: Any) -> NamedPredictor:
    name = given.predictor or label
    if own is not None:
        return NamedPredictor(name, Described(own))
    with prefixed(f"predictors.{label}."):
        return NamedPredictor(name, make_predictor(_located(name, base), given.model_extra or {}))


def _strategy(label: str, given: StrategyTable, table: ExperimentTable, base: Path | None, own: Any) -> NamedStrategy:
    strategy: Any
    if own is not None:
        strategy = Described(own["identity"], tuple(map(tuple, own["parts"])))
    else:
        with prefixed(f"strategies.{label}."):
            strategy = strategy_of(_located(given.strategy or label, base), given.model_extra or {})
    wanted = tuple(table.predictors) if given.predictors is None else given.predictors
    absent = [one for one in wanted if one not in table.predictors]
    if absent or not wanted:
        expected = f"expected some of {', '.join(table.predictors)}"
        raise InputError(f"strategies.{label}.predictors: {expected}, got {', '.join(absent) or 'none'}")
    if parts_of(strategy):
        raise InputError(
            f"strategies.{label}: reads a predictor in its first cycle, when none is fitted; expected a hybrid"
        )
    return NamedStrategy(strategy, wanted)


class Sources(NamedTuple):
    """Checksums and paths of all files, by data set's label, then key; no paths where results are only read."""

    checksums: Mapping[str, Mapping[str, str]]
    paths: Mapping[str, Mapping[str, Path]]


def find_sources(experiment: Experiment, base: Path) -> Sources:
    """Find all files, relative paths from `base`, and take their checksums; an error names the field."""
    checksum = cache(sha256_of)
    table = experiment.table
    paths = {label: _paths(label, data, table.graph, base) for label, data in table.data.items()}
    checksums = {label: {key: checksum(path) for key, path in found.items()} for label, found in paths.items()}
    return Sources(checksums, paths)


def _paths(label: str, data: Data, graph: Graph, base: Path) -> dict[str, Path]:
    simulation = {} if data.simulation is None else vars(data.simulation)
    tables = {"data": {"screen": data.screen}, "graph": vars(graph), "data.simulation": simulation}
    named = {f"{table}.{key}": path for table, keys in tables.items() for key, path in keys.items()}
    found = {key: (base / path.expanduser()).absolute() for key, path in named.items() if isinstance(path, Path)}
    for key, path in found.items():
        if not path.is_file():
            raise InputError(f"{key.replace('data', f'data.{label}', 1)}: expected a file, found none at {path}")
    if data.dataset is not None:
        if holding(data.dataset).cells is None:
            at = cache_directory() / data.dataset / CELLS
            raise InputError(f"data.{label}.dataset: {data.dataset} is not in the cache ({at}); fetch it first")
        found["data.dataset"] = fetch(data.dataset).path
    return found
