"""What a model-based strategy sees of a fitted predictor, and how it reads it."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from perturb_jax.support.errors import InputError

if TYPE_CHECKING:
    from perturb_jax.predictors.predictor import Fitted
    from perturb_jax.strategies.strategy import Ask

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
    """Some parts of the view of a predictor.

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


def read_view(ask: "Ask", part: str, perturbations: Iterable[str]) -> np.ndarray:
    """A part of the view, in float64; a log variance of -inf, a predictor that is certain, is let through.

    Raises:
        InputError: no view, or one without this part; values that are not finite.
    """
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
