"""How good predicted effects are: a row per perturbation, a column per metric, what is undefined kept and counted."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist

from perturb_jax.genes.perturbations import identity
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError
from perturb_jax.support.registry import Registry, remade, source_of

Nan = Literal["keep", "zero"]

_ROUNDING = 4 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class Measured:
    """What a metric compares, a row for each evaluated perturbation, in float64.

    Attributes:
        screen: the outcomes.
        rows: of the screen, which are evaluated.
        training: rows of the screen that were trained on.
        predicted: x, mean expression as predicted.
        truth: y, as measured.
        means: y of all perturbations of the screen.
        control: c, of control cells.
    """

    screen: Screen
    rows: Int[np.ndarray, " rows"]
    training: Int[np.ndarray, " train"]
    predicted: Float[np.ndarray, "rows genes"]
    truth: Float[np.ndarray, "rows genes"]
    means: Float[np.ndarray, "perturbations genes"]
    control: Float[np.ndarray, " genes"]

    @cached_property
    def centroid(self) -> Float[np.ndarray, " genes"]:
        """m, the mean of the training perturbations, each counting once."""
        return self.means[self.training].mean(0)

    @cached_property
    def rounding(self) -> Float[np.ndarray, " rows"]:
        """How far the rounding of float32 profiles moves a difference of two."""
        return _ROUNDING * np.abs(self.truth).max(1, initial=0)

    def over_de_genes(self) -> tuple[np.ndarray, np.ndarray]:
        """The profiles x and y over the DE genes of each perturbation, [rows, DE genes]."""
        genes = self.screen.de_genes[self.rows]
        return np.take_along_axis(self.predicted, genes, 1), np.take_along_axis(self.truth, genes, 1)


@dataclass(frozen=True, eq=False)
class Metric:
    """What is measured of predicted effects, and how tables and figures speak of it.

    One of a user's own is such a record in a file: ``metrics = ["mse_de", "my.py:LARGEST_ERROR"]``.

    Attributes:
        name: of its column.
        label: for tables and figures.
        smaller_is_better: whether it is an error.
        function: a number for each row of what is compared, NaN where it is undefined; None where stored numbers are
            only read.
        over: the genes that it is over, in words; empty where it is not over genes.
        unit: of the numbers; empty where they have none.
        needs: attributes of the screen that it reads beside the means; where a screen lacks one, it is undefined.

    Raises:
        InputError: `needs` names what no screen has.
    """

    name: str
    label: str
    smaller_is_better: bool
    function: Callable[[Measured], Float[np.ndarray, " rows"]] | None = None
    over: str = ""
    unit: str = ""
    needs: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        parts = {one.name for one in fields(Screen)} | {name for name in dir(Screen) if not name.startswith("_")}
        if unknown := sorted(set(self.needs) - parts):
            found, known = ", ".join(unknown), ", ".join(sorted(parts))
            raise InputError(f"metric {self.name}: needs: expected some of {known}; got {found}")

    @property
    def words(self) -> str:
        """The label, and the genes that it is over."""
        return f"{self.label} over {self.over}" if self.over else self.label

    def __reduce__(self) -> Any:
        """To other processes one of a user's file goes with the file's source, one that ships here by its name."""
        if globals().get(self.name.upper()) is self:
            return self.name.upper()
        if self.function is not None and (found := source_of(self.function, self)) is not None:
            return remade, (*found, "metric")
        return type(self), tuple(getattr(self, one.name) for one in fields(self))


def _squares(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return ((first - second) ** 2).mean(1) if first.shape[1] else np.full(len(first), np.nan)


def _pearson_less(measured: Measured, profile: np.ndarray) -> np.ndarray:
    return pearson_rows(measured.predicted - profile, measured.truth - profile, measured.rounding)


def _weighted_mse(measured: Measured) -> np.ndarray:
    weights = de_weights(measured.screen, measured.rows)
    return (weights * (measured.predicted - measured.truth) ** 2).sum(1)


_DE, _ALL, _SQUARES = "DE genes", "all genes", "squared log expression"
MSE_DE = Metric("mse_de", "MSE", True, lambda of: _squares(*of.over_de_genes()), _DE, _SQUARES, ("de_genes",))
PEARSON_DE = Metric(
    "pearson_de", "Pearson", False, lambda of: pearson_rows(*of.over_de_genes()), _DE, needs=("de_genes",)
)
MSE = Metric("mse", "MSE", True, lambda of: _squares(of.predicted, of.truth), _ALL, _SQUARES)
PEARSON = Metric("pearson", "Pearson", False, lambda of: pearson_rows(of.predicted, of.truth), _ALL)
PEARSON_CHANGE = Metric("pearson_change", "Pearson of changes", False, lambda of: _pearson_less(of, of.control), _ALL)
PEARSON_CENTROID = Metric(
    "pearson_centroid", "Pearson beyond the training mean", False, lambda of: _pearson_less(of, of.centroid), _ALL
)
CENTROID_ACCURACY = Metric(
    "centroid_accuracy", "centroid accuracy", False, lambda of: centroid_accuracy(of.predicted, of.means, of.rows)
)
WEIGHTED_MSE = Metric("weighted_mse", "weighted MSE", True, _weighted_mse, _ALL, _SQUARES, ("perturbed", "control"))

_SHIPPED = (
    MSE_DE, PEARSON_DE, MSE, PEARSON, PEARSON_CHANGE, PEARSON_CENTROID, CENTROID_ACCURACY, WEIGHTED_MSE,
)  # fmt: skip
METRICS: Registry[Metric] = Registry(
    "metric", {metric.name: f"{__name__}:{metric.name.upper()}" for metric in _SHIPPED}, "perturb_jax.metrics"
)
"""Every metric, in the order of tables."""

BUILT_IN = tuple(METRICS.built_in)
"""The columns of `evaluate` where none are named."""


def register_metric(metric: Metric) -> None:
    """Make a metric of one's own known by its name, for this process.

    Installed packages name theirs by an entry point of the group ``perturb_jax.metrics``; "FILE.py:NAME" needs no name.

    Raises:
        InputError: the name of one that ships here; no metric.
    """
    METRICS.register(_checked(metric, "metric").name, metric)


def metrics_of(named: Iterable[str | Metric] | None = None) -> tuple[Metric, ...]:
    """Metrics by their names, or by "FILE.py:NAME"; all that ship here where none are named."""
    found = [METRICS.get(one) if isinstance(one, str) else one for one in (BUILT_IN if named is None else tuple(named))]
    metrics = [_checked(metric, "metrics") for metric in found]
    names = [metric.name for metric in metrics]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise InputError(f"metrics: expected different ones, got {', '.join(twice) or 'none'} twice")
    return tuple(metrics)


def _checked(metric: object, what: str) -> Metric:
    if not isinstance(metric, Metric) or metric.function is None:
        raise InputError(f"{what}: expected a Metric with its function, got {metric!r:.80}")
    return metric


def evaluate(
    screen: Screen,
    perturbations: Sequence[str],
    effects: Float[np.ndarray, "perturbations genes"],
    train: Sequence[str],
    nan: Nan = "keep",
    metrics: Iterable[str | Metric] | None = None,
) -> pd.DataFrame:
    """Measure predicted effects against a screen, one row per perturbation.

    With y the mean expression in the perturbation's cells, c in control cells, x = c + effect the prediction, m the
    mean of the training perturbations' y (each counts once):

    - ``mse_de``, ``pearson_de``: mean squared error and Pearson correlation of x and y over the screen's DE genes (20,
      as GEARS and the papers on it). ``mse``, ``pearson``: over all genes. As ``gears.inference.compute_metrics``.
    - ``pearson_change``: of x - c and y - c.
    - ``pearson_centroid``: of x - m and y - m: what is specific to the perturbation, beyond what any does. Undefined
      where x is m (Systema, Viñas Torné et al. 2025).
    - ``centroid_accuracy``: the fraction of the screen's other perturbations whose y is farther from x than the right
      one (Euclidean; a tie is not farther); 0.5 by chance (Systema).
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
        metrics: names, "FILE.py:NAME" or records of what to measure; all that ship here where none are named.

    Returns:
        A table with index "perturbation" and a column for each metric.

    Raises:
        InputError: perturbations that the screen does not have, given twice, or trained on; effects of another shape or
            not finite; no training perturbation; another `nan`; metrics that are not known, or whose function gives
            anything but a number for each row.

    Complexity: O(evaluated x perturbations x genes), for the centroid accuracy.
    """
    if nan not in ("keep", "zero"):
        raise InputError(f"nan: expected 'keep' or 'zero', got {nan!r}")
    chosen = metrics_of(metrics)
    rows, training = _checked_rows(screen, perturbations, train)
    if effects.shape != (len(rows), len(screen.readouts)):
        raise InputError(f"effects: expected the shape {(len(rows), len(screen.readouts))}, got {effects.shape}")
    bad = [name for name, effect in zip(perturbations, effects, strict=True) if not np.isfinite(effect).all()]
    if bad:
        raise InputError(f"effects: expected finite numbers, got NaN or infinity for {', '.join(bad[:5])}")
    control = screen.control_mean.astype(np.float64)
    means = screen.mean.astype(np.float64)
    measured = Measured(screen, rows, training, control + effects.astype(np.float64), means[rows], means, control)
    table = {metric.name: _values(metric, measured) for metric in chosen}
    result = pd.DataFrame(table, index=pd.Index(list(perturbations), name="perturbation"))
    return result.fillna({"pearson": 0.0, "pearson_de": 0.0}) if nan == "zero" else result


def _values(metric: Metric, measured: Measured) -> np.ndarray:
    rows = len(measured.rows)
    if metric.function is None or any(getattr(measured.screen, part) is None for part in metric.needs):
        return np.full(rows, np.nan)
    values = np.asarray(metric.function(measured), np.float64)
    if values.shape != (rows,):
        raise InputError(f"metric {metric.name}: expected {rows} numbers, one for each row, got shape {values.shape}")
    return values


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Per metric: mean and median over the perturbations where it is defined, and how many these and the others are.

    Examples:
        >>> summarize(pd.DataFrame({"mse": [1.0, 3.0, np.nan]})).loc["mse"].tolist()
        [2.0, 2.0, 2.0, 1.0]
    """
    defined, undefined = table.notna().sum(), table.isna().sum()
    found = {"mean": table.mean(), "median": table.median(), "defined": defined, "undefined": undefined}
    return pd.DataFrame(found).rename_axis("metric")


def duplicate_ceiling(
    first: Screen, second: Screen, perturbations: Sequence[str], train: Sequence[str], nan: Nan = "keep"
) -> pd.DataFrame:
    """The technical duplicate: how well one half of the cells predicts the other.

    The effects measured in the second half are evaluated as predictions of the first half, so this is what measuring
    again would predict. DE genes and weights are the first half's, as `evaluate` takes them; where predictors are
    evaluated on a screen `whole` of all cells, its genes are used with ``replace(first, de_genes=whole.de_genes)``.

    Source: Mejia et al. 2025, "Diversity by Design".
    Limits: not a bound. Both halves are noisy: with the variance v among cells and n cells in each half, of the
    perturbation and of control, the squared error is 4 v / n; that of the true effect, evaluated on all 2 n, is v / n.

    Examples:
        >>> import perturb_jax as pj
        >>> graph = pj.load_go_graph(["TP53", "MDM2", "GATA1", "MYC", "KLF1", "SPI1"])
        >>> halves = [pj.simulate_screen(graph, ["KLF1", "MYC", "TP53"], 6, 500, cell_seed=seed) for seed in (1, 2)]
        >>> table = duplicate_ceiling(*halves, ["KLF1", "TP53"], train=["MYC"])
        >>> table["pearson"].round(1).tolist()
        [1.0, 1.0]
    """
    if first.readouts != second.readouts:
        raise InputError("second: expected the same measured genes in the same order as in the first half")
    rows, _ = _checked_rows(second, perturbations, train)
    return evaluate(first, perturbations, second.effects[rows], train, nan)


def pearson_rows(
    first: Float[np.ndarray, "rows columns"],
    second: Float[np.ndarray, "rows columns"],
    tolerance: Float[np.ndarray, " rows"] | float = 0.0,
) -> Float[np.ndarray, " rows"]:
    """The Pearson correlation of every pair of rows; NaN where one of them differs from a constant by `tolerance`."""
    result = np.full(len(first), np.nan)
    if first.shape[1] == 0:
        return result
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
    """The fraction of the other means that are farther from a prediction than the right one's, `rows`."""
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
    with np.errstate(divide="ignore", invalid="ignore"):
        of_control = screen.control.variance[None, :] / (float(screen.control.cells) - 1)
        squares = screen.perturbed.variance[rows] / (counts - 1) + of_control
        change = np.abs(screen.mean[rows] - screen.control_mean[None, :]).astype(np.float64)
        size = np.where((change == 0) & (squares == 0), 0.0, change / np.sqrt(squares))
        least = size.min(1, keepdims=True, initial=np.inf)
        weights = ((size - least) / (size.max(1, keepdims=True, initial=0) - least)) ** 2
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
