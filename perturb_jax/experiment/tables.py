"""The tables of an experiment's file, field by field."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from perturb_jax.experiment.seeds import Purpose
from perturb_jax.screen.datasets import DATASETS
from perturb_jax.screen.simulation_model import SimulationModel


def _size(value: object) -> object:
    count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not count and not (isinstance(value, float) and 0 < value < 1):
        raise ValueError("expected a count of at least 1, or a share between 0 and 1")
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


class Data(_Table):
    """One data set: a simulation, a file, or a published screen; for the last two, how it is read (`read_screen`)."""

    simulation: Simulation | None = None
    screen: Path | None = None
    dataset: str | None = None
    where: dict[str, str | int | float | bool] = {}
    condition: Text | None = None
    gene_names: Text | None = None
    control: Text | None = None
    cell_type: Text | None = None
    layer: Text | None = None
    normalize: Flag = False
    too_few: Literal["error", "drop"] = "error"
    pseudobulk: Flag = False
    cell_counts: Text | None = None
    unknown: Literal["error", "drop"] = "error"

    @model_validator(mode="after")
    def _one_source(self) -> "Data":
        given = [name for name in ("simulation", "screen", "dataset") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of simulation, screen and dataset, got {' and '.join(given) or 'none'}")
        if self.dataset is not None and self.dataset not in DATASETS:
            raise ValueError(f"dataset: expected one of {', '.join(DATASETS)}, got {self.dataset!r}")
        reading = self.model_fields_set - {"simulation", "screen", "dataset", "unknown"}
        if self.simulation is not None and reading:
            raise ValueError(f"{', '.join(sorted(reading))}: a simulated screen is not read; leave the key away")
        return self


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
            raise ValueError(f"{', '.join(sorted(others))}: a finished edge list is used as it is; leave the key away")
        return self


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


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
