"""What every model-based strategy does first: it checks what it is asked and reads its part of the view."""

from collections.abc import Sequence

import numpy as np

from perturb_jax.genes.perturbations import identity
from perturb_jax.strategies.cycle import Ask
from perturb_jax.support.checks import check_budget, check_seed
from perturb_jax.support.errors import InputError

REPRESENTATIONS = ("embedding", "effect", "features")
"""What a perturbation can be to a strategy that compares them: the parts of a `View` with several columns."""


def check_representation(value: object) -> None:
    """Refuse anything but one of `REPRESENTATIONS`."""
    if value not in REPRESENTATIONS:
        raise InputError(f"representation: expected one of {', '.join(REPRESENTATIONS)}, got {value!r}")


def candidates_left(ask: Ask) -> tuple[str, ...]:
    """The candidates, none that is selected.

    Raises:
        InputError: a seed that is no whole number from 0; more picks asked for than candidates are left.
    """
    check_seed(ask.seed)
    selected = {identity(name) for name in ask.selected}
    left = tuple(name for name in ask.candidates if identity(name) not in selected)
    check_budget(ask.batch, len(left))
    return left


def read_view(ask: Ask, part: str, perturbations: Sequence[str]) -> np.ndarray:
    """A part of the view, in float64; a log variance of -inf, a predictor that is certain, is let through.

    Raises:
        InputError: no view, or one without this part; values that are not finite.
    """
    if ask.view is None:
        raise InputError(
            f"{part}: expected a view of a fitted predictor, got none; select the first perturbations with a strategy "
            "that reads the graph alone"
        )
    values = np.asarray(ask.view.rows(part, perturbations), np.float64)
    usable = np.isfinite(values) | ((values == -np.inf) & (part == "log_variance"))
    if not usable.all():
        bad = perturbations[int(np.flatnonzero(~usable.reshape(len(values), -1).all(1))[0])]
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
