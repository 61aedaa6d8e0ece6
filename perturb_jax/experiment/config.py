"""The file that says what an experiment is: TOML, checked before anything is done; an error names the field."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from perturb_jax.experiment.tables import ExperimentTable, PredictorTable, StrategyTable
from perturb_jax.predictors.predictor import Predictor
from perturb_jax.predictors.registry import predictor_of
from perturb_jax.strategies.registry import strategy_of
from perturb_jax.strategies.strategy import parts_of
from perturb_jax.support.errors import InputError


class NamedPredictor(NamedTuple):
    """A predictor and its name in the registry."""

    name: str
    predictor: Predictor


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
    """

    table: ExperimentTable
    predictors: dict[str, NamedPredictor]
    strategies: dict[str, NamedStrategy]


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
        return raw, experiment_of(raw)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def experiment_of(raw: Mapping[str, Any]) -> Experiment:
    """An experiment from the file's tables.

    Raises:
        InputError: a field that is missing, unknown or wrong.
    """
    try:
        table = ExperimentTable.model_validate(raw)
    except ValidationError as error:
        raise InputError(first_error(error)) from None
    predictors = {label: _predictor(label, given) for label, given in table.predictors.items()}
    strategies = {label: _strategy(label, given, table) for label, given in table.strategies.items()}
    return Experiment(table, predictors, strategies)


def first_error(error: ValidationError) -> str:
    """The first error: where, what was expected, what came."""
    first, *others = error.errors(include_url=False)
    where = ".".join(str(part) for part in first["loc"] if part != "[key]")
    what, got = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected"), first["input"]
    if first["type"] == "missing":
        what = "expected a value, got none"
    elif first["type"] == "extra_forbidden":
        inside = len(first["loc"]) > 2
        what = "no such key; take it away" + (" (a label with a dot in it needs quotes)" if inside else "")
    elif not isinstance(got, dict | BaseModel):
        what = f"{what}, got {got!r}"
    return f"{where}: {what}" + (f" (and {len(others)} more errors)" if others else "")


def _predictor(label: str, given: PredictorTable) -> NamedPredictor:
    name = label if given.predictor is None else given.predictor
    where = f"predictors.{label}"
    try:
        return NamedPredictor(name, predictor_of(name, given.model_extra or {}))
    except InputError as error:
        raise InputError(f"{where}.{error}") from None


def _strategy(label: str, given: StrategyTable, table: ExperimentTable) -> NamedStrategy:
    name = label if given.strategy is None else given.strategy
    where = f"strategies.{label}"
    try:
        strategy = strategy_of(name, given.model_extra or {})
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
