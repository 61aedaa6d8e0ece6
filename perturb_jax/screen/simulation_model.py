"""Simulated effects: the model with its parameters, effects that follow the graph, moments of what cells express."""

import json
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.interpolate import RectBivariateSpline
from scipy.special import gammaln

from perturb_jax.genes.perturbations import NO_MEMBER, Perturbations
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.kernel.graph import GraphKernel
from perturb_jax.kernel.kernel import as_dense
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import Options, option

FITTED = Path(__file__).parent / "data" / "simulation.json"
"""The fitted numbers; `scripts/fit_simulation.py` makes the file."""

LEAST_DISPERSION = 0.02
"""No gene is less dispersed: real genes are not, and no probability of a count underflows."""

LARGEST_CHANGE = float(np.log(50.0))
"""Log fold changes are cut here."""

SCALE = 1e4
"""Counts are scaled to this total per cell before log1p."""

Cells = Literal["norman19", "datlinger17"]


@dataclass(frozen=True, eq=False)
class FittedCells:
    """What was fitted to the cells of one data set, gene by gene, so that genes can be drawn like its genes.

    What says nothing here is described at `SimulationModel`.
    """

    name: str  # the data set
    rate: Float[np.ndarray, " genes"]  # fraction of a cell's counts that is a gene's
    dispersion: Float[np.ndarray, " genes"]  # variance = mean + dispersion * mean^2, within a perturbation
    response: Float[np.ndarray, " genes"]  # standard deviation of log fold changes, sampling error taken off
    library_median: float
    library_spread: float
    null: float
    strength_spread: float
    background: Float[np.ndarray, " background"]  # as `rate`, of genes too rare to be fitted one by one
    background_dispersion: float  # these respond to nothing
    responsive: float


@dataclass(frozen=True)
class SimulationModel(Options):
    """The generative model of a screen. None stands for the number fitted to `cells`.

    Cell c with library size L_c = library_median * exp(library_spread * N(0, 1)), perturbation p and gene g::

        count_cg ~ NB(mean = L_c * rate_g * exp(E_pg), variance = mean + dispersion_g * mean^2)
        expression_cg = log1p(10,000 * count_cg / L_c)

    L_c is the total of the cell, genes that are not measured included, so the measured ones sum to less. Counts of a
    cell correlate through a Gaussian copula: every gene follows one of `states` cell states, N(0, 1) in each cell, with
    correlation sqrt(shared). This leaves each gene's distribution exactly the stated one.

    A fraction `responsive` of the measured genes, perturbed ones first, is drawn from the real genes that have counts
    enough to be fitted. The rest are background, drawn from the real genes with hardly any count: what most highly
    variable genes are, silent and without a response. Means over genes fall with them as in real screens, and so does
    the change of the top DE genes, which are chosen among fewer.

    The log fold changes of perturbing one gene are E_p = s_p * response * (U z_p) / |U_g|, with programme loadings of
    genes U_gk ~ N(0, 1) and of perturbations::

        z_p = sqrt(homophily) * x_p + sqrt(1 - homophily) * y_p,   x ~ N(0, K),   y ~ N(0, I) for each programme,

    where K = P^k (P^k)^T of the graph with unit diagonal (`GraphKernel`): the covariance of two perturbations' effects
    is homophily * K_pq, relative to their strengths. A fraction `null` has strength s_p = 0, the others a lognormal
    one, and the mean of s_p^2 is 1 (so `response` keeps the meaning that it was fitted with), times `strength`. The
    perturbed gene itself changes by log(remaining). Combinations add, and with `interaction` a further effect, drawn
    from the graph-independent part, of strength interaction * (the root mean square of the parts' strengths).

    Source of the parts: negative-binomial counts with gene-wise dispersion as in DESeq2 (Love et al. 2014); programmes
    as in factor models of Perturb-seq (Norman et al. 2019).

    Limits: one cell type, no batches, no guides that fail in some cells, no cell that responds in part; effects are
    symmetric in sign; a gene's dispersion does not change; background genes never respond. `remaining`, `programmes`,
    `states` and `shared` are assumptions, not fits.
    Of the data sets only highly variable genes were at hand. norman19: 500, of which 95 could be fitted, rarer than
    most screens keep; its numbers of DE genes and the size of its changes are reproduced. datlinger17: 1,645, far
    burstier, and no background; it has more DE genes when simulated than in truth, and the fit of its strengths lies at
    the grid's end: for its genes' noise, not for its effects.

    Raises:
        InputError: parameters out of range.
    """

    cells: Cells = option("norman19", "The data set whose genes, library sizes and strengths are imitated.")
    responsive: float | None = option(
        None, "Fraction of the measured genes that are no background, as perturbed genes never are; None: 95 of 500 "
        "(norman19), 1 (datlinger17).", at_least=0, at_most=1,
    )  # fmt: skip
    programmes: int = option(32, "Latent programmes.", at_least=1)
    strength: float = option(1.0, "Factor on all log fold changes besides the target's.", at_least=0, at_most=100)
    null: float | None = option(
        None, "Fraction of perturbations without an effect on other genes.", at_least=0, at_most=1
    )
    strength_spread: float | None = option(None, "Standard deviation of log s_p of the others.", at_least=0, at_most=5)
    remaining: float = option(
        0.2, "Expression of a perturbed gene relative to control: 0.2 is a knock-down by 80 %.",
        at_least=1e-3, at_most=50,
    )  # fmt: skip
    interaction: float = option(0.0, "Strength of what is not additive in combinations.", at_least=0, at_most=100)
    states: int = option(10, "Cell states that make genes of a cell correlate.", at_least=1)
    shared: float = option(0.5, "Squared correlation of a gene's rank with its state.", at_least=0, at_most=0.99)
    library_median: float | None = option(None, "Counts per cell.", at_least=10, at_most=1e6)
    library_spread: float | None = option(None, "Standard deviation of log counts per cell.", at_least=0, at_most=2)
    least_rate: float = option(0.0, "Counts per 10,000 below which no gene is measured.", at_least=0, at_most=100)
    least_target_rate: float = option(
        0.1, "The same for perturbed genes: screens choose expressed ones, and a knock-down shows in those.",
        at_least=0, at_most=100,
    )  # fmt: skip

    @property
    def fitted(self) -> FittedCells:
        """The fitted numbers, replaced by those set here."""
        names = ("library_median", "library_spread", "null", "strength_spread", "responsive")
        own = {name: value for name in names if (value := getattr(self, name)) is not None}
        return replace(fitted_cells(self.cells), **own)


@cache
def fitted_cells(name: Cells) -> FittedCells:
    """The committed numbers of one data set."""
    stored = json.loads(FITTED.read_text(), parse_int=float)[name]
    record = {"name": name, "background": [], "background_dispersion": LEAST_DISPERSION} | stored
    record["responsive"] = len(record["rate"]) / len(record["rate"] + record["background"])
    parts = {part.name: record[part.name] for part in fields(FittedCells)}
    values: Any = {part: np.array(value) if isinstance(value, list) else value for part, value in parts.items()}
    return FittedCells(**values)


_JITTER = 0.2  # of log rate, log dispersion and log response, so that genes with the same donor are not twins


class Genes(NamedTuple):
    """The measured genes in control cells: numbers as in `FittedCells`, and the cell state that each follows."""

    names: tuple[str, ...]
    rate: Float[np.ndarray, " genes"]
    dispersion: Float[np.ndarray, " genes"]
    response: Float[np.ndarray, " genes"]
    state: Int[np.ndarray, " genes"]


def draw_genes(
    names: tuple[str, ...], perturbed: frozenset[str], model: SimulationModel, rng: np.random.Generator
) -> Genes:
    """Give every gene the fitted numbers of a real one, drawn at random and jittered.

    What is background is drawn last, so that the other genes are the same whatever the fraction of background.
    """
    fitted = model.fitted
    own = np.array([name in perturbed for name in names])
    donors = np.where(own, _donors(fitted, max(model.least_rate, model.least_target_rate), own.size, rng),
                      _donors(fitted, model.least_rate, own.size, rng))  # fmt: skip
    jitter = np.exp(_JITTER * rng.standard_normal((3, own.size)))
    state = rng.integers(0, model.states, own.size)
    silent, rare = _background(own, model, rng)
    rate = np.where(silent, rare, fitted.rate[donors]) * jitter[0]
    rate *= min(1.0, 0.5 / rate.sum())  # the other half of a cell's counts, at least, is of genes that are not measured
    dispersion = np.where(silent, fitted.background_dispersion, fitted.dispersion[donors]) * jitter[1]
    dispersion = np.maximum(dispersion, fitted.dispersion.min())
    return Genes(names, rate, dispersion, np.where(silent, 0.0, fitted.response[donors] * jitter[2]), state)


def _background(
    perturbed: Bool[np.ndarray, " genes"], model: SimulationModel, rng: np.random.Generator
) -> tuple[Bool[np.ndarray, " genes"], Float[np.ndarray, " genes"]]:
    """Which genes are background, and what fraction of a cell's counts each would be."""
    fitted = model.fitted
    number = min(round((1 - fitted.responsive) * perturbed.size), int((~perturbed).sum()))
    silent = np.zeros(perturbed.size, bool)
    if not number:
        return silent, np.zeros(perturbed.size)
    rates = fitted.background[fitted.background * SCALE >= model.least_rate]
    if not len(rates):
        reason = "of such a least_rate" if len(fitted.background) else f"in {model.cells}"
        raise InputError(f"responsive: there are no background genes {reason}; expected responsive=1, got "
                         f"{fitted.responsive:.3g}")  # fmt: skip
    order = rng.permutation(perturbed.size)
    silent[order[~perturbed[order]][:number]] = True
    return silent, rng.choice(rates, perturbed.size)


def _donors(fitted: FittedCells, least: float, number: int, rng: np.random.Generator) -> Int[np.ndarray, " genes"]:
    enough = np.flatnonzero(fitted.rate * SCALE >= least)
    if not len(enough):
        highest = fitted.rate.max() * SCALE
        raise InputError(f"expected a least rate of at most {highest:.3g} counts per 10,000, got {least}; lower it")
    return rng.choice(enough, number)


def draw_strengths(
    number: int, null: float, spread: float, rng: np.random.Generator
) -> Float[np.ndarray, " perturbations"]:
    """Strengths: 0 for a fraction `null` of perturbations, lognormal for others; the mean square is 1, or all are 0."""
    active = rng.random(number) >= null
    strengths = np.exp(spread * rng.standard_normal(number) - spread**2)
    return np.where(active, strengths / np.sqrt(max(1 - null, 1e-12)), 0.0)


def draw_changes(
    graph: KnowledgeGraph,
    candidates: Perturbations,
    genes: Genes,
    model: SimulationModel,
    homophily: float,
    hops: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "perturbations genes"]:
    """Log fold changes of every perturbation on every measured gene: E of `SimulationModel`.

    All that belongs to a perturbed gene is drawn for every gene of the graph, so that its effect does not depend on
    what else is in the screen (given the same measured genes, and of these the same perturbed ones).

    Complexity: O(programmes * (nodes + edges within `hops` of the perturbations + perturbations * genes)).
    """
    shape = (graph.num_nodes, model.programmes)
    field, own = rng.standard_normal(shape), rng.standard_normal(shape)
    fitted = model.fitted
    strength = draw_strengths(graph.num_nodes, fitted.null, fitted.strength_spread, rng)
    loading = rng.standard_normal((len(genes.names), model.programmes))
    loading *= (genes.response * model.strength / np.linalg.norm(loading, axis=1))[:, None]
    present = candidates.members != NO_MEMBER
    nodes = np.unique(candidates.members[present])
    kernel = GraphKernel(graph, hops)
    smooth = np.concatenate([as_dense(block @ field) for _, block in kernel.features(nodes[:, None])])
    smooth *= kernel.rows(nodes[:, None]).scale[:, None]
    programmes = np.sqrt(homophily) * smooth + np.sqrt(1 - homophily) * own[nodes]
    position = np.searchsorted(nodes, np.where(present, candidates.members, nodes[0]))
    weight = np.where(present, strength[candidates.members], 0.0)
    total = np.einsum("pa,pak->pk", weight, programmes[position])
    if model.interaction:
        several = present.sum(1) > 1
        scale = model.interaction * np.sqrt((weight**2).sum(1) / present.sum(1)) * several
        total += scale[:, None] * rng.standard_normal(total.shape)
    changes = np.clip(total @ loading.T, -LARGEST_CHANGE, LARGEST_CHANGE)
    columns = pd.Index(genes.names).get_indexer(pd.Index(graph.genes).take(candidates.members[present]))
    measured = columns >= 0
    changes[np.nonzero(present)[0][measured], columns[measured]] = np.log(model.remaining)
    return changes


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
        mean, variance, third, fourth, zero = np.stack(
            [_moments(np.exp(log_rate), np.exp(value), libraries, weights) for value in log_dispersion], axis=1
        )
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
    for column, fraction in enumerate(rate):
        mean = fraction * libraries[:, None]
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
