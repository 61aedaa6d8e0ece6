"""The moments of simulated expression, without cells: sums over the distribution of counts."""

import numpy as np
from jaxtyping import Float
from scipy.interpolate import RectBivariateSpline
from scipy.special import gammaln

from perturb_jax.screen.simulation_model import LARGEST_CHANGE, SCALE

_RATE_STEP = 0.1  # of the table, in log rate
_DISPERSION_STEP = 0.2  # in log dispersion
_LIBRARY_NODES = 21  # of Gauss-Hermite quadrature over log library sizes
_EVERY = 256  # counts up to here are summed one by one, larger ones on a grid
_GRID_STEP = 0.02  # of that grid, in log counts: fine against the spread, at least sqrt(LEAST_DISPERSION) = 0.14


def count_grid(largest: float) -> tuple[Float[np.ndarray, " counts"], Float[np.ndarray, " counts"]]:
    """Counts and weights with which a sum over all counts up to `largest` is taken: the trapezoidal rule far out."""
    sparse = np.exp(np.arange(np.log(_EVERY), np.log(max(largest, 2.0 * _EVERY)), _GRID_STEP))[1:]
    counts = np.concatenate([np.arange(_EVERY + 1), sparse])
    gaps = np.diff(counts)
    return counts, 0.5 * np.concatenate([[1.0], gaps[1:] + gaps[:-1], gaps[-1:]]) + 0.5 * (counts == 0)


class MomentTable:
    """Moments of log1p(10,000 * count / L) as functions of a gene's rate and dispersion.

    With count ~ NB(mean = L * rate, dispersion) given L and L lognormal. For every node of a grid of (log rate, log
    dispersion) the distribution is summed over counts and integrated over L by Gauss-Hermite quadrature; between the
    nodes are bicubic splines of quantities that stay smooth: log mean, log variance, and third and fourth central
    moments relative to the variance. A test compares all of them with plain summation.

    Complexity: one table takes O(rates * dispersions * 21 * counts on the grid), a second; then microseconds per value.

    Args:
        rate: rates in control cells.
        dispersion: dispersions.
        library_median: counts per cell.
        library_spread: standard deviation of log counts per cell.
    """

    def __init__(
        self,
        rate: Float[np.ndarray, " genes"],
        dispersion: Float[np.ndarray, " genes"],
        library_median: float,
        library_spread: float,
    ) -> None:
        span = LARGEST_CHANGE + 2 * np.log(10.0)  # knock-downs and activations of the target may exceed the cut
        log_rate = _grid(np.log(rate), span, _RATE_STEP)
        log_dispersion = _grid(np.log(dispersion), 0.0, _DISPERSION_STEP)
        nodes, weights = np.polynomial.hermite_e.hermegauss(_LIBRARY_NODES if library_spread else 1)
        libraries = library_median * np.exp(library_spread * nodes)
        weights = weights / weights.sum()
        table = np.stack(
            [_moments(np.exp(log_rate), np.exp(value), libraries, weights) for value in log_dispersion], axis=1
        )
        mean, variance, third, fourth, zero = table
        smooth = (np.log(mean), np.log(variance), third / variance, fourth / variance, np.log(zero))
        self._splines = [RectBivariateSpline(log_dispersion, log_rate, part) for part in smooth]

    def __call__(
        self, rate: Float[np.ndarray, " genes"], dispersion: Float[np.ndarray, " genes"]
    ) -> Float[np.ndarray, "5 genes"]:
        """Mean, central moments 2 to 4, and the probability of a count of 0."""
        at = np.log(dispersion), np.log(rate)
        mean, variance, third, fourth, zero = (spline.ev(*at) for spline in self._splines)
        variance = np.exp(variance)
        return np.stack([np.exp(mean), variance, third * variance, fourth * variance, np.exp(np.minimum(zero, 0.0))])


def _grid(values: np.ndarray, span: float, step: float) -> np.ndarray:
    low, high = values.min() - span - step, values.max() + span + step
    return np.linspace(low, high, max(5, int(np.ceil((high - low) / step))))


def _moments(rate: np.ndarray, dispersion: float, libraries: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The five numbers of every rate [5, rates], for one dispersion."""
    counts, step = count_grid(40 * (1 + dispersion) * rate.max() * libraries.max())
    size = 1 / dispersion
    choose = gammaln(counts + size) - gammaln(size) - gammaln(counts + 1)
    values = np.log1p(SCALE * counts / libraries[:, None])
    result = np.empty((5, len(rate)))
    for column, share in enumerate(rate):
        mean = share * libraries[:, None]
        log_mass = choose + size * np.log(size / (size + mean)) + counts * np.log(mean / (size + mean))
        mass = np.exp(log_mass) * step
        mass *= (weights / mass.sum(1))[:, None]
        first = (mass * values).sum()
        centred = values - first
        squares = mass * centred**2
        result[:, column] = (
            first, squares.sum(), (squares * centred).sum(), (squares * centred**2).sum(), mass[:, 0].sum(),
        )  # fmt: skip
    return result
