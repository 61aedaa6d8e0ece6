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

from perturb_jax.screen.simulation_effects import Genes
from perturb_jax.screen.simulation_model import SCALE, SimulationModel
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
