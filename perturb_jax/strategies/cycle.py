"""The contract of strategies over several cycles: what one is asked, what it may see of a predictor, what it answers.

A one-shot strategy reads the knowledge graph alone; a model-based one reads a view of the predictor that was fitted to
what is selected so far. Neither can be given an outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.predictors.predictor import Fitted
from perturb_jax.strategies import STRATEGIES
from perturb_jax.support.errors import InputError

PARTS = ("embedding", "features", "effect", "log_variance")
"""What a view can hold; a strategy says which of them it reads."""


class View(NamedTuple):
    """What a model-based strategy sees of a fitted predictor: read-only arrays with a row per perturbation.

    Attributes:
        perturbations: selected ones and candidates.
        embedding: what the knowledge-graph layers say of each.
        features: what the predictor's readout reads: GEARS' cross-gene state.
        effect: predicted changes of the measured genes.
        log_variance: predicted, mean over the measured genes; high where the predictor is unsure.

    A part that was not asked for is None.
    """

    perturbations: tuple[str, ...]
    embedding: Float[np.ndarray, "perturbations features"] | None = None
    features: Float[np.ndarray, "perturbations features"] | None = None
    effect: Float[np.ndarray, "perturbations genes"] | None = None
    log_variance: Float[np.ndarray, " perturbations"] | None = None

    def rows(self, part: str, names: Sequence[str]) -> np.ndarray:
        """A part for some of the perturbations, in their order.

        Raises:
            InputError: a part that the view does not hold.
        """
        values = getattr(self, part)
        if values is None:
            raise InputError(f"{part}: not in this view of the predictor; say so in `parts` of the strategy")
        position = {name: row for row, name in enumerate(self.perturbations)}
        return values[[position[name] for name in names]]


def view_of(fitted: Fitted, perturbations: Sequence[str], parts: Sequence[str]) -> View:
    """The parts of a view that are asked for.

    Raises:
        InputError: what the predictor does not have; genes that it does not know.
    """
    read: dict[str, Any] = {
        "embedding": fitted.embeddings,
        "features": fitted.features,
        "effect": fitted.effects,
        "log_variance": lambda names: mean_log_variance(fitted.uncertainties(names)),
    }
    held = {part: np.asarray(read[part](perturbations)) for part in parts}
    for values in held.values():
        values.setflags(write=False)
    return View(tuple(perturbations), **held)


def mean_log_variance(
    deviations: Float[np.ndarray, "perturbations genes"],
) -> Float[np.ndarray, " perturbations"]:
    """Mean over genes of 2 log deviation, over those with a deviation everywhere: a constant gene has none anywhere.

    0 for all where no gene has one.
    """
    known = deviations[:, (deviations > 0).all(0)]
    return 2 * np.log(known).mean(1) if known.shape[1] else np.zeros(len(deviations))


class Ask(NamedTuple):
    """What a strategy is asked.

    Attributes:
        graph: the knowledge graph.
        candidates: what can be selected, in a fixed order; no selected ones.
        selected: what is selected already, in the order picked.
        batch: how many to select now.
        seed: of the selection.
        view: of the predictor fitted to what is selected; None where the strategy said that it reads nothing.
    """

    graph: KnowledgeGraph
    candidates: tuple[str, ...]
    selected: tuple[str, ...]
    batch: int
    seed: int
    view: View | None = None


@runtime_checkable
class CycleStrategy(Protocol):
    """Chooses perturbations cycle by cycle. A frozen dataclass of plain values."""

    def parts(self, cycle: int) -> tuple[str, ...]:
        """The parts of the view that it reads in a cycle (the first is 0), of `PARTS`; none: it needs no predictor.

        Cycles in a row that need no predictor are asked for together, so that a one-shot strategy chooses its whole
        order at once.
        """
        ...

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """`ask.batch` of the candidates, in order.

        Raises:
            InputError: what it cannot choose from.
        """
        ...


@dataclass(frozen=True)
class OneShot:
    """A strategy of `STRATEGIES`, which reads the knowledge graph alone.

    Attributes:
        name: in `STRATEGIES`.
        options: its keyword arguments, besides `selected` and `seed`.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()

    def parts(self, cycle: int) -> tuple[str, ...]:  # noqa: ARG002  (the contract's)
        """None."""
        return ()

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """The strategy's picks."""
        picks = STRATEGIES[self.name](
            ask.graph, ask.candidates, ask.batch, selected=ask.selected, seed=ask.seed, **dict(self.options)
        )
        return picks.genes


@dataclass(frozen=True)
class Hybrid:
    """One strategy for the first cycles, another one afterwards.

    Attributes:
        first: reads no view.
        cycles: how many cycles are its.
        then: for the others.
    """

    first: CycleStrategy
    cycles: int
    then: CycleStrategy

    def parts(self, cycle: int) -> tuple[str, ...]:
        """Those of the strategy whose cycle it is."""
        return (self.first if cycle < self.cycles else self.then).parts(cycle)

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """The choice of the first strategy where there is no view, else that of the other."""
        return (self.first if ask.view is None else self.then).choose(ask)
