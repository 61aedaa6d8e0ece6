"""What a model-based strategy sees of a fitted predictor, how it reads it; and Uncertainty, which does no more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from perturb_jax.strategies.strategy import Ask, Strategy
from perturb_jax.support.errors import InputError

if TYPE_CHECKING:
    from perturb_jax.predictors.predictor import Fitted

PARTS = ("embedding", "features", "effect", "log_variance")
"""What a view can hold; a strategy says which of them it reads."""

Representation = Literal["embedding", "effect", "features"]
"""What a perturbation can be to a strategy that compares them: the parts of a `View` with several columns."""


class View(NamedTuple):
    """What a model-based strategy sees of a fitted predictor: read-only arrays with a row per perturbation.

    Attributes:
        perturbations: selected ones and candidates.
        embedding: what the knowledge-graph layers say of each.
        features: what the predictor's readout reads: GEARS' cross-gene state.
        effect: predicted changes of the measured genes.
        log_variance: predicted, mean over the measured genes; high where the predictor is unsure.

    A part that is not read is None.
    """

    perturbations: tuple[str, ...]
    embedding: Float[np.ndarray, "perturbations features"] | None = None
    features: Float[np.ndarray, "perturbations features"] | None = None
    effect: Float[np.ndarray, "perturbations genes"] | None = None
    log_variance: Float[np.ndarray, " perturbations"] | None = None

    def rows(self, part: str, names: Iterable[str]) -> np.ndarray:
        """A part for some of the perturbations, in their order.

        Raises:
            InputError: a part that the view does not hold.
        """
        values = getattr(self, part)
        if values is None:
            raise InputError(f"{part}: not in this view of the predictor; say so in `parts` of the strategy")
        position = {name: row for row, name in enumerate(self.perturbations)}
        return values[[position[name] for name in names]]


def view_of(fitted: "Fitted", perturbations: Sequence[str], parts: Sequence[str]) -> View:
    """Some parts of the view of a predictor."""
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


def mean_log_variance(deviations: Float[np.ndarray, "perturbations genes"]) -> Float[np.ndarray, " perturbations"]:
    """Mean over genes of 2 log deviation, over those with a deviation everywhere: a constant gene has none anywhere.

    0 for all where no gene has one.
    """
    known = deviations[:, (deviations > 0).all(0)]
    return 2 * np.log(known).mean(1) if known.shape[1] else np.zeros(len(deviations))


def read_view(ask: Ask, part: str, perturbations: Iterable[str]) -> np.ndarray:
    """A part of the view, in float64; a log variance of -inf, a predictor that is certain, is let through."""
    if ask.view is None:
        raise InputError(
            f"{part}: expected a view of a fitted predictor, got none; select the first perturbations with a strategy "
            "that reads the graph alone"
        )
    names = tuple(perturbations)
    values = np.asarray(ask.view.rows(part, names), np.float64)
    usable = np.isfinite(values) | ((values == -np.inf) & (part == "log_variance"))
    if not usable.all():
        bad = names[int(np.flatnonzero(~usable.reshape(len(values), -1).all(1))[0])]
        raise InputError(f"{part}: not finite for {bad}; the predictor's training has failed, train it otherwise")
    return values


def isometric(rows: np.ndarray) -> np.ndarray:
    """The same rows up to a rotation, as few columns as there are rows: all their inner products are as before.

    An embedding over the knowledge graph has a column per gene of the genome, an effect one per measured gene.
    O(columns x rows^2).
    """
    if rows.shape[1] <= rows.shape[0]:
        return rows
    return np.ascontiguousarray(np.asarray(np.linalg.qr(rows.T, mode="r")).T)


@dataclass(frozen=True)
class Uncertainty(Strategy):
    """Pick the candidates with the highest predicted log variance, mean over the measured genes.

    GEARS predicts log variances where it is trained with uncertainty. The number that it gives its user, the
    exponential of minus their mean, is a confidence, the other way round: high where it is sure. `GraphGP` ranks
    perturbations by its posterior variance: the genes' scales are the same for all of them.

    Each candidate is judged alone, so a batch may hold several that would tell the same. Ties go to the earliest
    candidate; nothing is drawn.

    Source: uncertainty sampling, Lewis and Gale 1994 (arXiv cmp-lg/9407020).
    Complexity: O(candidates log candidates).

    Examples:
        >>> import pandas as pd, numpy as np, perturb_jax as pj
        >>> graph = pj.graph_from_edges(pd.DataFrame({"source": ["A", "C"], "target": ["B", "A"], "importance": 1.0}))
        >>> view = pj.View(("A", "B", "C"), log_variance=np.array([0.1, 0.5, 0.3]))
        >>> Uncertainty().choose(Ask.of(graph, ["A", "B", "C"], 2, view=view))
        ('B', 'C')
    """

    def parts(self, cycle: int) -> tuple[str, ...]:  # noqa: ARG002  (the contract's)
        """The log variance."""
        return ("log_variance",)

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """The least certain candidates, the least certain first.

        Raises:
            InputError: no log variance in the view, or one that is not a number.
        """
        log_variance = read_view(ask, "log_variance", ask.candidates)
        order = np.argsort(-log_variance, kind="stable")
        return ask.candidates.take(order[: int(ask.budget)]).labels
