"""How good predicted effects are: a row per perturbation, a column per metric, what is undefined kept and counted."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist

from perturb_jax.genes.perturbations import identity
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError

Nan = Literal["keep", "zero"]
METRICS = (
    "mse_de",
    "pearson_de",
    "mse",
    "pearson",
    "pearson_change",
    "pearson_centroid",
    "centroid_accuracy",
    "weighted_mse",
)
"""The columns of `evaluate`; "mse" ones are better when smaller, the others when larger."""

_ROUNDING = 4 * float(np.finfo(np.float32).eps)
_GEARS_PEARSONS = ["pearson", "pearson_de"]


def evaluate(
    screen: Screen,
    perturbations: Sequence[str],
    effects: Float[np.ndarray, "perturbations genes"],
    train: Sequence[str],
    nan: Nan = "keep",
) -> pd.DataFrame:
    """Measure predicted effects against a screen, one row per perturbation.

    With y the mean expression in the perturbation's cells, c in control cells, x = c + effect the prediction, m the
    mean of the training perturbations' y (each counts once):

    - ``mse_de``, ``pearson_de``: mean squared error and Pearson correlation of x and y over the screen's DE genes (20,
      as GEARS and the papers on it). ``mse``, ``pearson``: over all genes. As ``gears.inference.compute_metrics``.
    - ``pearson_change``: of x - c and y - c.
    - ``pearson_centroid``: of x - m and y - m: what is specific to the perturbation, beyond what any does. Undefined
      where x is m (Systema, Viñas Torné et al. 2025).
    - ``centroid_accuracy``: the share of the screen's other perturbations whose y is farther from x than the right one
      (Euclidean; a tie is not farther); 0.5 by chance (Systema).
    - ``weighted_mse``: squared errors averaged with the weights of `de_weights` (after Mejia et al. 2025).

    A correlation is undefined, NaN, where either side is constant; of differences also where one side is nothing but
    float32's rounding of the profiles. Metrics over no genes and with weights that are undefined are NaN too.

    Args:
        screen: the outcomes.
        perturbations: perturbations of the screen, "A+B" in any order, each once.
        effects: predicted mean expression less the control mean, a row for each, finite.
        train: the perturbations that the predictor learned from, without those that it was tuned on: what a predictor
            of the training mean returns has to be m. None of them may be evaluated.
        nan: "keep", or "zero" to reproduce GEARS, which counts an undefined ``pearson`` or ``pearson_de`` as 0.

    Returns:
        A table with index "perturbation" and the columns `METRICS`.

    Raises:
        InputError: perturbations that the screen does not have, given twice, or trained on; effects of another shape or
            not finite; no training perturbation; another `nan`.

    Complexity: O(evaluated x perturbations x genes), for the centroid accuracy.
    """
    if nan not in ("keep", "zero"):
        raise InputError(f"nan: expected 'keep' or 'zero', got {nan!r}")
    rows, training = _checked_rows(screen, perturbations, train)
    if effects.shape != (len(rows), len(screen.genes)):
        raise InputError(f"effects: expected the shape {(len(rows), len(screen.genes))}, got {effects.shape}")
    bad = [name for name, effect in zip(perturbations, effects, strict=True) if not np.isfinite(effect).all()]
    if bad:
        raise InputError(f"effects: expected finite numbers, got NaN or infinity for {', '.join(bad[:5])}")
    control = screen.control_mean.astype(np.float64)
    means = screen.mean.astype(np.float64)
    truth, predicted = means[rows], control + effects.astype(np.float64)
    centroid = means[training].mean(0)
    de_genes = screen.de_genes[rows]
    true_de, predicted_de = (np.take_along_axis(profile, de_genes, 1) for profile in (truth, predicted))
    size = np.abs(truth).max(1, initial=0)
    table = {
        "mse_de": _mean((predicted_de - true_de) ** 2),
        "pearson_de": pearson_rows(predicted_de, true_de),
        "mse": _mean((predicted - truth) ** 2),
        "pearson": pearson_rows(predicted, truth),
        "pearson_change": pearson_rows(predicted - control, truth - control, _ROUNDING * size),
        "pearson_centroid": pearson_rows(predicted - centroid, truth - centroid, _ROUNDING * size),
        "centroid_accuracy": centroid_accuracy(predicted, means, rows),
        "weighted_mse": (de_weights(screen, rows) * (predicted - truth) ** 2).sum(1),
    }
    result = pd.DataFrame(table, index=pd.Index(list(perturbations), name="perturbation"))[list(METRICS)]
    if nan == "zero":
        result[_GEARS_PEARSONS] = result[_GEARS_PEARSONS].fillna(0.0)
    return result


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Per metric: mean and median over the perturbations where it is defined, and how many these and the others are.

    Examples:
        >>> summarize(pd.DataFrame({"mse": [1.0, 3.0, np.nan]})).loc["mse"].tolist()
        [2.0, 2.0, 2.0, 1.0]
    """
    return pd.DataFrame(
        {
            "mean": table.mean(),
            "median": table.median(),
            "defined": table.notna().sum(),
            "undefined": table.isna().sum(),
        }
    ).rename_axis("metric")


def duplicate_ceiling(
    first: Screen, second: Screen, perturbations: Sequence[str], train: Sequence[str], nan: Nan = "keep"
) -> pd.DataFrame:
    """The technical duplicate: how well one half of the cells predicts the other.

    The effects measured in the second half are evaluated as predictions of the first half, so this is what measuring
    again would predict. DE genes and weights are the first half's, as `evaluate` takes them; where predictors are
    evaluated on a screen `whole` of all cells, its genes are asked with ``replace(first, de_genes=whole.de_genes)``.

    Source: Mejia et al. 2025, "Diversity by Design".
    Complexity: that of `evaluate`.
    Limits: not a bound. Both halves are noisy: with the variance v among cells and n cells in each half, of the
    perturbation and of control, the squared error is 4 v / n; that of the true effect, evaluated on all 2 n, is v / n.

    Args:
        first: the screen from one half of the cells.
        second: from the other half, with the same measured genes in the same order.
        perturbations: of both.
        train: see `evaluate`.
        nan: see `evaluate`.

    Returns:
        See `evaluate`.

    Raises:
        InputError: screens that measure other genes; see also `evaluate`.

    Examples:
        >>> import perturb_jax as pj
        >>> graph = pj.load_go_graph(["TP53", "MDM2", "GATA1", "MYC", "KLF1", "SPI1"])
        >>> halves = [pj.simulate_screen(graph, ["KLF1", "MYC", "TP53"], 6, 500, cell_seed=seed) for seed in (1, 2)]
        >>> table = duplicate_ceiling(*halves, ["KLF1", "TP53"], train=["MYC"])
        >>> table["pearson"].round(1).tolist()
        [1.0, 1.0]
    """
    if first.genes != second.genes:
        raise InputError("second: expected the same measured genes in the same order as in the first half")
    rows, _ = _checked_rows(second, perturbations, train)
    return evaluate(first, perturbations, second.change[rows], train, nan)


def pearson_rows(
    first: Float[np.ndarray, "rows columns"],
    second: Float[np.ndarray, "rows columns"],
    tolerance: Float[np.ndarray, " rows"] | float = 0.0,
) -> Float[np.ndarray, " rows"]:
    """The Pearson correlation of every pair of rows; NaN where one of them differs from a constant by `tolerance`."""
    if first.shape[1] == 0:
        return np.full(len(first), np.nan)
    result = np.full(len(first), np.nan)
    defined = np.minimum(np.ptp(first, axis=1), np.ptp(second, axis=1)) > tolerance
    units = []
    for side in (first[defined], second[defined]):
        centred = side - side.mean(1, keepdims=True)
        centred /= np.abs(centred).max(1, keepdims=True, initial=0)  # squares of tiny differences would underflow
        units.append(centred / np.linalg.norm(centred, axis=1, keepdims=True))
    result[defined] = np.clip((units[0] * units[1]).sum(1), -1, 1)
    return result


def centroid_accuracy(
    predicted: Float[np.ndarray, "rows genes"], means: Float[np.ndarray, "perturbations genes"], rows: np.ndarray
) -> Float[np.ndarray, " rows"]:
    """The share of the other perturbations' means that are farther from a prediction than the right one's, `rows`."""
    if len(means) < 2:
        return np.full(len(rows), np.nan)
    distances = cdist(predicted, means)
    own = np.take_along_axis(distances, rows[:, None], 1)
    return (distances > own).sum(1) / (len(means) - 1)


def de_weights(screen: Screen, rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows genes"]:
    """How much each gene counts by differential expression: |t|, scaled to [0, 1] per perturbation, squared, sum 1.

    t is Welch's, against control. Source: Mejia et al. 2025, "Diversity by Design", whose t is against all other
    perturbations; a `Screen` has its DE genes against control. NaN where t is undefined: no variance, as in a
    pseudobulk, or one cell; and where all |t| are equal. A gene that is constant and the same in both has t = 0.
    """
    counts = screen.cell_counts[rows].astype(np.float64)[:, None]
    control_count = float(screen.control_count)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = screen.variance[rows] / (counts - 1) + screen.control_variance[None, :] / (control_count - 1)
        change = np.abs(screen.mean[rows] - screen.control_mean[None, :]).astype(np.float64)
        size = np.where((change == 0) & (squares == 0), 0.0, change / np.sqrt(squares))
        span = size.max(1, keepdims=True, initial=0) - size.min(1, keepdims=True, initial=np.inf)
        weights = ((size - size.min(1, keepdims=True, initial=np.inf)) / span) ** 2
        return weights / weights.sum(1, keepdims=True)


def _checked_rows(screen: Screen, perturbations: Sequence[str], train: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    position = {identity(name): row for row, name in enumerate(screen.perturbations)}
    trained = {identity(name) for name in train}
    if not trained:
        raise InputError("train: expected at least one perturbation, got none")
    seen: set[frozenset[str]] = set()
    for name in (*train, *perturbations):
        if identity(name) not in position:
            raise InputError(f"{name!r} is not in the screen; evaluate and train on its perturbations")
    for name in perturbations:
        if identity(name) in trained:
            raise InputError(f"{name!r} was trained on; evaluate on perturbations that were not")
        if identity(name) in seen:
            raise InputError(f"{name!r} is given twice; evaluate each perturbation once")
        seen.add(identity(name))
    rows = np.array([position[identity(name)] for name in perturbations], np.int64)
    return rows, np.array(sorted(position[genes] for genes in trained), np.int64)


def _mean(squares: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, " rows"]:
    return squares.mean(1) if squares.shape[1] else np.full(len(squares), np.nan)
