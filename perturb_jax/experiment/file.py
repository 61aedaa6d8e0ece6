"""The file that says what an experiment is: TOML, checked before anything is done; and the files that it names."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from perturb_jax.evaluation.metrics import Metric, metrics_of
from perturb_jax.predictors.predictor import Predictor
from perturb_jax.predictors.registry import predictor_of
from perturb_jax.screen.datasets import CELLS, DATASETS, cache_directory, fetch, holding
from perturb_jax.screen.reading import Reading
from perturb_jax.screen.simulation_model import SimulationModel
from perturb_jax.strategies.registry import strategy_of
from perturb_jax.strategies.strategy import parts_of
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import sha256_of
from perturb_jax.support.options import made_from

Purpose = Literal["data", "split", "selection", "training"]
PURPOSES: tuple[Purpose, ...] = ("data", "split", "selection", "training")


def seed_for(purpose: Purpose, repetition: int, cycle: int = 0) -> int:
    """The seed of a purpose in a repetition: the first 32 bits of the SHA-256 of "purpose repetition cycle".

    So seeds of different purposes, repetitions and cycles are as unrelated as hashes are. `cycle` (the first is 0) is
    for selections; all trainings of a repetition share one seed, so that equal training sets give equal models.

    Args:
        purpose: "data": of simulated genes, effects and cells; "split": of the test set and of which selected
            perturbations validate; "selection"; "training".
        repetition: the seed that the experiment's file names, or 0 where the purpose is fixed.
        cycle: in which is selected.

    Examples:
        >>> seed_for("data", 0), seed_for("training", 0)
        (534518157, 1851273174)
    """
    return int.from_bytes(hashlib.sha256(f"{purpose} {repetition} {cycle}".encode()).digest()[:4], "big")


def _size(value: object) -> object:
    count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not count and not (isinstance(value, float) and 0 < value < 1):
        raise ValueError("expected a count of at least 1, or a fraction between 0 and 1")
    return value


def _seeds(value: object) -> tuple[int, ...]:
    numbers = range(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else value
    if not isinstance(numbers, range | list | tuple) or not numbers:
        raise ValueError("expected how many, or a list of different whole numbers of at least 0")
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in numbers) or len({*numbers}) < len(numbers):
        raise ValueError("expected how many, or a list of different whole numbers of at least 0")
    return tuple(numbers)


def _count_or_file(value: object) -> object:
    if isinstance(value, str) and value:
        return Path(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("expected a count of at least 1, or the path of a file with names")
    return value


def _universe(value: object) -> object:
    if not isinstance(value, str) or not value:
        raise ValueError('expected "screen", "genome" or the path of a file with names')
    return value if value in ("screen", "genome") else Path(value)


def _parameters(value: object) -> object:
    known = [field.name for field in fields(SimulationModel)]
    unknown = [name for name in value if name not in known] if isinstance(value, dict) else []
    if unknown:
        raise ValueError(f"{unknown[0]}: no such parameter; expected one of {', '.join(known)}")
    return value


Count = Annotated[int, Field(strict=True, ge=1)]
Hops = Annotated[int, Field(strict=True, ge=0)]
Cells = Annotated[int, Field(strict=True, ge=2)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Text = Annotated[str, Field(strict=True, min_length=1)]
Flag = Annotated[bool, Field(strict=True)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Simulation(_Table):
    """A simulated screen: see `simulate_screen`.

    Attributes:
        perturbations: how many genes to perturb, or a file of perturbations.
        genes: measured genes.
        cells: of each perturbation.
        control_cells: None: ten times as many as of one perturbation.
        homophily: share of the variance of effects that is smooth over the graph.
        hops: over which it is smooth.
        moments: of drawn cells, or those expected.
        over: which graph effects are smooth over: the one that strategies and predictors read, or the genome's, of
            which that one is a part.
        model: other parameters, of `SimulationModel`.
    """

    perturbations: Annotated[int | Path, BeforeValidator(_count_or_file)]
    genes: Count = 1000
    cells: Cells = 100
    control_cells: Cells | None = None
    homophily: Share = 0.5
    hops: Hops = 1
    moments: Literal["cells", "expected"] = "cells"
    over: Literal["graph", "genome"] = "graph"
    model: Annotated[SimulationModel, BeforeValidator(_parameters)] = SimulationModel()


class Data(_Named):
    """One data set: a simulation, a file, or a published screen; of the last two also how it is read (`Reading`)."""

    simulation: Simulation | None = None
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
        try:
            assert self.reading
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def reading(self) -> Reading:
        """How a file or a published screen is read."""
        table = dict(self.model_extra or {})
        if isinstance(where := table.get("where"), Mapping):
            table["where"] = {column: str(value) for column, value in where.items()}
        return made_from(Reading, table)


class Graph(_Table):
    """The knowledge graph: of gene ontology (`load_go_graph`), or a finished edge list.

    Attributes:
        universe: its genes: "screen", the measured and perturbed ones; "genome", all annotated ones; or a file.
    """

    universe: Annotated[Literal["screen", "genome"] | Path, BeforeValidator(_universe)] = "screen"
    neighbors: Count = 20
    min_jaccard: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.1
    namespaces: tuple[Literal["BP", "MF", "CC"], ...] = ("BP", "MF", "CC")
    annotation: Path | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _finished(self) -> "Graph":
        others = self.model_fields_set - {"file"}
        if self.file is not None and others:
            raise ValueError(f"{', '.join(sorted(others))}: a finished edge list is used as it is; omit the key")
        return self


class PredictorTable(_Named):
    """A predictor: its name in the registry where that is not the label, and settings (its fields)."""

    predictor: str | None = None


class StrategyTable(_Named):
    """A strategy: its name where that is not the label, for which predictors (all), and options."""

    strategy: str | None = None
    predictors: tuple[str, ...] | None = None


class ExperimentTable(_Table):
    """The file.

    Attributes:
        name: of the experiment.
        cycles: rounds of selecting and training.
        batch: perturbations that each adds.
        test: perturbations of the test set, a count or a share.
        validation: share of the selected that validates.
        seeds: how many repetitions, or their numbers.
        fixed: what has the seed of repetition 0 in all of them.
        data: the data sets, by label.
        graph: the knowledge graph.
        predictors: by label.
        strategies: by label.
        metrics: what is measured: names, or FILE.py:NAME; all that ship here unless named.
    """

    name: Text
    cycles: Count
    batch: Count
    test: Annotated[int | float, BeforeValidator(_size)] = 0.1
    validation: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.1
    seeds: Annotated[tuple[int, ...], BeforeValidator(_seeds)]
    fixed: tuple[Purpose, ...] = ()
    data: Annotated[dict[str, Data], Field(min_length=1)]
    graph: Graph = Graph()
    predictors: Annotated[dict[str, PredictorTable], Field(min_length=1)]
    strategies: Annotated[dict[str, StrategyTable], Field(min_length=1)]
    metrics: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None


@dataclass(frozen=True)
class Described:
    """A predictor or strategy of a user's file as results describe it, by which these are found without the file.

    Attributes:
        identity: plain values.
        read: the parts of a view that a strategy reads, cycle by cycle.
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
    """An experiment whose parts exist.

    Attributes:
        table: what the file says.
        predictors: by label.
        strategies: by label.
        metrics: those that the file names; none where it names none.
    """

    table: ExperimentTable
    predictors: dict[str, NamedPredictor]
    strategies: dict[str, NamedStrategy]
    metrics: tuple[Metric, ...] = ()


def read_experiment(path: str | Path) -> tuple[dict[str, Any], Experiment]:
    """What a TOML file says, as it stands there and checked.

    Raises:
        InputError: a file that cannot be read or is no TOML; a field that is missing, unknown or wrong.
    """
    try:
        raw = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: expected a readable TOML file ({reason})") from None
    try:
        return raw, experiment_of(raw, Path(path).parent)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def experiment_of(
    raw: Mapping[str, Any], base: Path | None = None, stored: Mapping[str, Any] | None = None
) -> Experiment:
    """An experiment from the file's tables.

    Args:
        raw: the tables.
        base: the directory that relative paths start from; None: the current one.
        stored: what results say of parts that a user's files define, where results are read: the files are not needed.

    Raises:
        InputError: a field that is missing, unknown or wrong.
    """
    try:
        table = ExperimentTable.model_validate(raw)
    except ValidationError as error:
        raise InputError(first_error(error)) from None
    own = {kind: (stored or {}).get(kind, {}) for kind in ("predictors", "strategies")}
    predictors = {
        label: _predictor(label, given, base, own["predictors"].get(label)) for label, given in table.predictors.items()
    }
    strategies = {
        label: _strategy(label, given, table, base, own["strategies"].get(label))
        for label, given in table.strategies.items()
    }
    try:
        metrics = (
            ()
            if table.metrics is None or stored is not None
            else metrics_of(_located(name, base) for name in table.metrics)
        )
    except InputError as error:
        raise InputError(f"metrics: {error}") from None
    return Experiment(table, predictors, strategies, metrics)


def _described(own: Mapping[str, Any]) -> Described:
    return Described(own["identity"], tuple(map(tuple, own["parts"])))


def _located(name: str, base: Path | None) -> str:
    """A name as it is; of "FILE.py:NAME" the file where it is."""
    return str(base / name) if base is not None and ".py:" in name else name


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
    return f"{where}: {what}" + (f" (and {len(others)} more errors)" if others else "")


def _predictor(label: str, given: PredictorTable, base: Path | None, own: Any) -> NamedPredictor:
    name = label if given.predictor is None else given.predictor
    where = f"predictors.{label}"
    if own is not None:
        return NamedPredictor(name, Described(own))
    try:
        return NamedPredictor(name, predictor_of(_located(name, base), given.model_extra or {}))
    except InputError as error:
        raise InputError(f"{where}.{error}") from None


def _strategy(label: str, given: StrategyTable, table: ExperimentTable, base: Path | None, own: Any) -> NamedStrategy:
    name = label if given.strategy is None else given.strategy
    where = f"strategies.{label}"
    strategy: Any
    try:
        strategy = _described(own) if own is not None else strategy_of(_located(name, base), given.model_extra or {})
    except InputError as error:
        raise InputError(f"{where}.{error}") from None
    wanted = tuple(table.predictors) if given.predictors is None else given.predictors
    absent = [one for one in wanted if one not in table.predictors]
    if absent or not wanted:
        expected = f"expected some of {', '.join(table.predictors)}"
        raise InputError(f"{where}.predictors: {expected}, got {', '.join(absent) or 'none'}")
    if parts_of(strategy):
        raise InputError(f"{where}: reads a predictor in its first cycle, when none is fitted; expected a hybrid")
    return NamedStrategy(strategy, wanted)


class Found(NamedTuple):
    """Files of one data set and of the graph: by key ("data.screen"), checksums and paths."""

    checksums: tuple[tuple[str, str], ...]
    paths: tuple[tuple[str, Path], ...]


class Sources(NamedTuple):
    """All files.

    Attributes:
        checksums: by data set's label, then key.
        paths: as `checksums`; empty where results are only read.
    """

    checksums: Mapping[str, Mapping[str, str]]
    paths: Mapping[str, Mapping[str, Path]]

    def of(self, label: str) -> Found:
        """Those of one data set."""
        return Found(tuple(self.checksums[label].items()), tuple(self.paths.get(label, {}).items()))


def find_sources(experiment: Experiment, base: Path) -> Sources:
    """Find all files and take their checksums.

    Args:
        experiment: which.
        base: the directory that relative paths start from.

    Raises:
        InputError: a file that is not there, naming the field; a published data set that is not in the cache.
    """
    known: dict[Path, str] = {}
    checksums: dict[str, dict[str, str]] = {}
    paths: dict[str, dict[str, Path]] = {}
    for label, data in experiment.table.data.items():
        found = _paths(label, data, experiment.table.graph, base)
        for path in found.values():
            known.setdefault(path, "")
            known[path] = known[path] or sha256_of(path)
        checksums[label] = {key: known[path] for key, path in found.items()}
        paths[label] = found
    return Sources(checksums, paths)


def _paths(label: str, data: Data, graph: Graph, base: Path) -> dict[str, Path]:
    named: dict[str, Path | None] = {
        "data.screen": data.screen,
        "graph.file": graph.file,
        "graph.annotation": graph.annotation,
        "graph.universe": graph.universe if isinstance(graph.universe, Path) else None,
    }
    if data.simulation is not None and isinstance(data.simulation.perturbations, Path):
        named["data.simulation.perturbations"] = data.simulation.perturbations
    found = {}
    for key, path in named.items():
        if path is None:
            continue
        place = (base / path).absolute()
        if not place.is_file():
            raise InputError(f"{key.replace('data', f'data.{label}', 1)}: expected a file, found none at {place}")
        found[key] = place
    if data.dataset is not None:
        if holding(data.dataset).cells is None:
            at = cache_directory() / data.dataset / CELLS
            raise InputError(f"data.{label}.dataset: {data.dataset} is not in the cache ({at}); fetch it first")
        found["data.dataset"] = fetch(data.dataset).path
    return found
