"""One trial: a predictor learns from some perturbations of a screen and is measured on others."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturb_jax.evaluation.metrics import Metric, evaluate, summarize
from perturb_jax.genes.perturbations import perturbed_genes, unknown_to
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.predictors.predictor import Fitted, Key, Predictor
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.split import Split, choose_test, remaining, split_selected
from perturb_jax.support.errors import InputError, TooFewPerturbationsError

_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of it.

    Attributes:
        predictor: what was fitted, with its settings.
        fitted: the fitted predictor.
        split: what it learned from and was measured on.
        effects: predicted changes of the test perturbations.
        metrics: a row per test perturbation (see `evaluate`).
        seconds: of "training" and of "evaluation".
    """

    predictor: Predictor
    fitted: Fitted
    split: Split
    effects: Float[np.ndarray, "test genes"]
    metrics: pd.DataFrame
    seconds: Mapping[str, float] = field(default_factory=dict)

    def summary(self) -> pd.DataFrame:
        """Mean and median of every metric, and over how many perturbations it is defined."""
        return summarize(self.metrics)

    def __repr__(self) -> str:
        """What was fitted to how many perturbations, and the medians."""
        sizes = ", ".join(f"{len(getattr(self.split, part))} {part}" for part in ("train", "validation", "test"))
        medians = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.median().items())
        return f"Trial({self.predictor.name}: {sizes}; medians: {medians})"


def fit_and_measure(
    screen: Screen,
    graph_or_kernel: Any,
    predictor: Predictor,
    split: Split,
    key: Key = 0,
    metrics: Iterable[str | Metric] | None = None,
) -> Trial:
    """Fit on the split's training perturbations, predict its test perturbations, measure.

    Args:
        screen: the outcomes.
        graph_or_kernel: what the predictor knows beforehand: a knowledge graph or, for those that take one, a kernel.
        predictor: what is fitted.
        split: perturbations to train on, to tune or stop on, and to measure on.
        key: a seed or a JAX random key, of the training.
        metrics: see `evaluate`; all that ship here where none are named.

    Raises:
        InputError: what the predictor cannot learn from or predict; metrics that are not known.
        FloatingPointError: training diverged.

    Examples:
        >>> import perturb_jax as pj
        >>> genes = ["TP53", "MDM2", "GATA1", "MYC", "KLF1", "SPI1"]
        >>> graph = pj.load_go_graph(genes)
        >>> screen = pj.simulate_screen(graph, genes, 6, 50)
        >>> split = Split(("TP53", "MDM2", "GATA1"), (), ("KLF1", "MYC"), 0)
        >>> fit_and_measure(screen, graph, pj.GraphGP(), split).metrics.index.tolist()
        ['KLF1', 'MYC']
    """
    begin = time.perf_counter()
    try:
        fitted = predictor.fit(screen, graph_or_kernel, split.train, split.validation, key)
    except TooFewPerturbationsError as error:
        raise TooFewPerturbationsError(
            f"{error}; {len(split.validation)} validate and {len(split.test)} test: hold out fewer, or select more"
        ) from None
    if not isinstance(fitted, Fitted):
        raise InputError(
            f"{predictor.name}: expected a Fitted from fit, got {type(fitted).__name__}; inherit from "
            "perturb_jax.Fitted, which says what there is unless you define it"
        )
    trained = time.perf_counter()
    effects = fitted.effects(split.test)
    table = evaluate(screen, split.test, effects, split.train, metrics=metrics)
    seconds = {"training": trained - begin, "evaluation": time.perf_counter() - trained}
    return Trial(predictor, fitted, split, effects, table, seconds)


class Usable(NamedTuple):
    """What a graph knows of a screen: perturbations whose genes it has, and the missing ones with the reason."""

    perturbations: tuple[str, ...]
    missing: dict[str, str]


def usable_perturbations(screen: Screen, graph: KnowledgeGraph, unknown: str = "error") -> Usable:
    """The perturbations of a screen that a predictor on the graph can learn from or predict.

    Those of genes that the graph lacks are refused, or with ``unknown="drop"`` omitted and reported.
    """
    missing = unknown_to(graph.names, screen.perturbations)
    shown = "; ".join(f"{name} ({reason})" for name, reason in list(missing.items())[:_SHOWN])
    if len(missing) == len(screen):
        raise InputError(
            f"none of the {len(screen)} perturbations is in the graph: {shown}; are both the same species?"
        )
    if missing and unknown == "error":
        raise InputError(
            f"{len(missing)} of {len(screen)} perturbations have genes that the graph lacks: {shown}; "
            "unknown='drop' omits them"
        )
    return Usable(tuple(name for name in screen.perturbations if name not in missing), missing)


def genes_of_screen(screen: Screen) -> tuple[str, ...]:
    """The measured and the perturbed genes: those of a screen's graph unless others are named."""
    perturbed = (gene for name in screen.perturbations for gene in perturbed_genes(name))
    return tuple(dict.fromkeys([*screen.readouts, *perturbed]))


def measured_outside(screen: Screen, graph: KnowledgeGraph) -> tuple[str, ...]:
    """The measured genes that are not in the graph; refuses a graph that has none."""
    outside = graph.names.resolve(screen.readouts, "drop", distinct=False).dropped
    if len(outside) == len(screen.readouts):
        some = ", ".join(screen.readouts[:_SHOWN])
        raise InputError(
            f"none of the {len(outside)} measured genes is in the graph: {some}; choose the column of their names, "
            "gene_names"
        )
    return tuple(outside)


def split_of(
    usable: Usable, test: Sequence[str] | int | float, seed: int, selected: Sequence[str] | None = None
) -> Split:
    """What trains, validates and tests.

    `test` names the test set, of which those that are missing are omitted; or it is its size, a count or a fraction,
    drawn from what is not selected. `selected` trains and validates; None: all that does not test.
    """
    if isinstance(test, int | float):
        held_out = choose_test(usable.perturbations, test, seed, selected or ())
    else:
        held_out = remaining(test, usable.missing)
    picks = remaining(usable.perturbations, held_out) if selected is None else remaining(selected, usable.missing)
    return split_selected(picks, held_out, seed, screen=usable.perturbations)
