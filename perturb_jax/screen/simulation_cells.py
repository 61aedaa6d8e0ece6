"""Cells of a simulated screen: negative-binomial counts, drawn chunk by chunk, and the .h5ad file of them."""

from collections.abc import Iterator
from math import erfc, exp, log1p, sqrt
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import anndata
import h5py
import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse
from scipy.interpolate import RectBivariateSpline
from scipy.special import gammaln

from perturb_jax.screen.simulation_model import LARGEST_CHANGE, SCALE, Genes, SimulationModel
from perturb_jax.support.loops import kernel

CHUNK = 256
"""Cells that are drawn at a time."""


class Chunk(NamedTuple):
    """Some cells of one perturbation.

    Attributes:
        expression: log1p of counts scaled to 10,000, float32 [cells, genes].
        library: total counts of each cell, of genes that are not measured too.
    """

    expression: sparse.csr_array
    library: Float[np.ndarray, " cells"]


def draw_cells(
    genes: Genes, rate: Float[np.ndarray, " genes"], number: int, model: SimulationModel, rng: np.random.Generator
) -> Iterator[Chunk]:
    """Cells of one perturbation, in chunks of at most `CHUNK`. O(cells * genes).

    Args:
        genes: the measured genes.
        rate: their shares of a cell's counts under the perturbation.
        number: how many cells.
        model: the parameters.
        rng: randomness.
    """
    fitted = model.fitted
    for start in range(0, number, CHUNK):
        cells = min(CHUNK, number - start)
        library = fitted.library_median * np.exp(fitted.library_spread * rng.standard_normal(cells))
        states = rng.standard_normal((cells, model.states))
        own = rng.standard_normal((cells, len(rate)), np.float32)
        parts = negative_binomial(rate, 1 / genes.dispersion, library, states, genes.state, model.shared, own, SCALE)
        yield Chunk(sparse.csr_array(parts, shape=(cells, len(rate))), library)


@kernel
def negative_binomial(rate, size, library, states, state, shared, own, scale):  # type: ignore[no-untyped-def]
    """Counts by inversion of the distribution function at correlated ranks, as CSR arrays of log1p(scale * count / L).

    The rank of gene g in cell c is Phi(sqrt(shared) * states[c, state[g]] + sqrt(1 - shared) * own[c, g]): uniform, so
    that the count is negative binomial with mean library[c] * rate[g] and size (1 / dispersion) size[g].
    """
    cells, genes = own.shape
    data = np.empty(cells * genes, np.float32)
    indices = np.empty(cells * genes, np.int32)
    indptr = np.zeros(cells + 1, np.int32)
    common, private = sqrt(shared), sqrt(1 - shared)
    stored = 0
    for cell in range(cells):
        for gene in range(genes):
            mean = library[cell] * rate[gene]
            shape = size[gene]
            mass = exp(-shape * log1p(mean / shape))
            rank = 0.5 * erfc(-(common * states[cell, state[gene]] + private * own[cell, gene]) / sqrt(2.0))
            if rank <= mass:
                continue
            ratio, total, count = mean / (shape + mean), mass, 0
            while total < rank and (count <= mean or mass > 1e-14):  # the second: rounding may keep total below rank
                mass *= ratio * (count + shape) / (count + 1)
                count += 1
                total += mass
            data[stored] = log1p(scale * count / library[cell])
            indices[stored] = gene
            stored += 1
        indptr[cell + 1] = stored
    return data[:stored].copy(), indices[:stored].copy(), indptr


class CellFile:
    """Writes cells to an .h5ad file as they are drawn: X is CSR float32, never whole in memory.

    The file is written beside `path` and renamed when it is whole.

    Args:
        path: the file; an existing one is replaced.
        genes: names of the measured genes.
        settings: plain values, kept as `uns["simulation"]`.
    """

    def __init__(self, path: Path, genes: tuple[str, ...], settings: dict[str, object]) -> None:
        self._path, self._genes, self._settings = path, genes, settings
        self._conditions: list[str] = []
        self._libraries: list[np.ndarray] = []

    def __enter__(self) -> "CellFile":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = self._path.with_name(self._path.name + ".part")
        self._file = h5py.File(self._partial, "w")
        matrix = self._file.create_group("X")
        matrix.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        storage = {"shape": (0,), "maxshape": (None,), "chunks": (1 << 18,), "compression": "gzip"}
        self._data = matrix.create_dataset("data", dtype="f4", compression_opts=1, **storage)
        self._indices = matrix.create_dataset("indices", dtype="i4", compression_opts=1, shuffle=True, **storage)
        self._ends = [np.zeros(1, np.int64)]
        return self

    def add(self, condition: str, chunk: Chunk) -> None:
        """Append cells of one condition."""
        start = int(self._ends[-1][-1])
        for stored, values in ((self._data, chunk.expression.data), (self._indices, chunk.expression.indices)):
            stored.resize(start + len(values), axis=0)
            stored[start:] = values
        self._ends.append(start + chunk.expression.indptr[1:].astype(np.int64))
        self._conditions += [condition] * len(chunk.library)
        self._libraries.append(chunk.library)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._file.close()
            self._partial.unlink()
            return
        number = len(self._conditions)
        self._file["X"].create_dataset("indptr", data=np.concatenate(self._ends))
        self._file["X"].attrs["shape"] = np.array([number, len(self._genes)])
        cells = pd.Index([f"cell{i}" for i in range(number)])
        obs = {
            "condition": pd.Categorical(self._conditions),
            "cell_type": pd.Categorical(["simulated"] * number),
            "total_counts": np.concatenate(self._libraries),
        }
        var = pd.DataFrame({"gene_name": list(self._genes)}, index=pd.Index(self._genes))
        uns = {"simulation": self._settings, "log1p": {}}
        for name, part in (("obs", pd.DataFrame(obs, index=cells)), ("var", var), ("uns", uns)):
            anndata.io.write_elem(self._file, name, part)
        self._file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        self._file.close()
        self._partial.replace(self._path)


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
