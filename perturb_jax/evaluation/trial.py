"""One trial: a predictor learns from some perturbations of a screen and is measured on others."""

from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturb_jax.evaluation.metrics import evaluate, summarize
from perturb_jax.evaluation.prediction_figure import Panel, prediction_figure
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.predictors.predictor import Fitted, Key, Predictor
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.split import Split
from perturb_jax.support.errors import InputError

_PANELS = 4


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of it.

    Attributes:
        predictor: what was fitted, with its configuration.
        fitted: the fitted predictor.
        split: what it learned from and was measured on.
        effects: predicted changes of the test perturbations.
        metrics: a row per test perturbation (see `evaluate`).
    """

    predictor: Predictor
    fitted: Fitted
    split: Split
    effects: Float[np.ndarray, "test genes"]
    metrics: pd.DataFrame

    def summary(self) -> pd.DataFrame:
        """Mean and median of every metric, and over how many perturbations it is defined."""
        return summarize(self.metrics)


def run_trial(screen: Screen, graph: KnowledgeGraph, predictor: Predictor, split: Split, key: Key) -> Trial:
    """Fit on the split's training perturbations, predict its test perturbations, measure.

    Raises:
        InputError: what the predictor cannot learn from or predict.
    """
    fitted = predictor.fit(screen, graph, split.train, split.validation, key)
    effects = fitted.effects(split.test)
    metrics = evaluate(screen, split.test, effects, split.train)
    return Trial(predictor, fitted, split, effects, metrics)


def configured(predictor: Predictor, settings: dict[str, str]) -> Predictor:
    """A predictor with some settings changed, given as text: "hops=2" and the like.

    Raises:
        InputError: a setting that the predictor does not have; text that is no value of its type.
    """
    kinds = {name: kind for name, kind in get_type_hints(type(predictor)).items() if name != "name" and _is_plain(kind)}
    for name in settings:
        if name not in kinds:
            raise InputError(
                f"{name}: not a setting of {predictor.name}; expected one of: {', '.join(kinds) or 'none'}"
            )
    values = {name: _parsed(name, text, kinds[name]) for name, text in settings.items()}
    return replace(predictor, **values)  # type: ignore[type-var]


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", NoneType: "none"}


def _choices(kind: Any) -> tuple[Any, ...]:
    """What a union is a choice of; any other type alone."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _is_plain(kind: Any) -> bool:
    """Whether text can say a value of this type."""
    return all(
        one in _WORDS or get_origin(one) is Literal or (get_origin(one) is tuple and get_args(one)[0] in _WORDS)
        for one in _choices(kind)
    )


def _parsed(name: str, text: str, kind: Any) -> Any:
    choices = sorted(_choices(kind), key=lambda one: one is not NoneType)  # "none" before any text
    for one in choices:
        try:
            return _read(text, one)
        except ValueError:
            continue
    raise InputError(f"{name}: expected {', or '.join(map(_described, choices[::-1]))}, got {text!r}")


def _read(text: str, kind: Any) -> Any:
    """A value of a type; ValueError where the text is none."""
    if get_origin(kind) is tuple:
        return tuple(_read(part.strip(), get_args(kind)[0]) for part in text.split(","))
    if get_origin(kind) is Literal:
        return get_args(kind)[get_args(kind).index(text)]
    if kind is bool:
        return bool(("false", "true").index(text.lower()))
    if kind is NoneType:
        return (None,)[("none",).index(text.lower())]
    return kind(text)


def _described(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return f"several such as {'1,2,3' if get_args(kind)[0] is int else '0.1,1,10'}"
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    return _WORDS[kind]


def trial_picture(screen: Screen, trial: Trial) -> bytes:
    """Predicted against observed change of the DE genes, for the first test perturbations, as a PNG."""
    names = tuple(screen.perturbations[row] for row in screen.index(trial.split.test[:_PANELS]))
    cells = _cells_of(screen, names)
    panels, scores = [], {}
    for number, name in enumerate(names):
        row = screen.index((name,))[0]
        genes = screen.de_genes[row]
        panels.append(
            Panel(
                name,
                [screen.genes[gene] for gene in genes],
                trial.effects[number, genes],
                None if cells is None else cells[name][:, genes] - screen.control_mean[genes][None, :],
                screen.change[row, genes],
                np.sqrt(screen.variance[row, genes]),
            )
        )
        measured = trial.metrics.iloc[number]
        scores[name] = f"MSE {measured['mse_de']:.3f}, Pearson {measured['pearson_de']:.2f}"
    title = f"{trial.predictor.name}: {len(screen.de_genes[0])} most changed genes of test perturbations"
    return prediction_figure(title, panels, scores)


def _cells_of(screen: Screen, names: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """Expression in the cells of some perturbations; None for a screen of moments only."""
    if screen.source is None or not screen.source.is_file():
        return None
    from perturb_jax.screen.cells import read_cells  # reads the file again

    cells = read_cells(screen, names)
    return {name: cells.expression[np.flatnonzero(cells.conditions == name)].toarray() for name in names}
