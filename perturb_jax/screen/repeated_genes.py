"""Genes that have several columns of a matrix: their values summed into one of them, on the scale of counts."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int
from scipy import sparse

from perturb_jax.screen.matrix import Chunk


class ColumnSums:
    """Sums columns of equal names into the last of each; the others become empty.

    Values of log1p are summed as what they are the log1p of: log1p(sum of expm1).
    """

    def __init__(self, names: Sequence[str], logged: bool):
        last = {name: column for column, name in enumerate(names)}
        self.onto: Int[np.ndarray, " genes"] = np.array([last[name] for name in names], np.int64)
        self.kept: Bool[np.ndarray, " genes"] = self.onto == np.arange(len(names))
        self._summed: Bool[np.ndarray, " genes"] = np.isin(self.onto, self.onto[~self.kept])
        self._logged = logged
        self._held: dict[int, sparse.csr_array] = {}

    def of_rows(self, cells: sparse.csr_array) -> sparse.csr_array:
        """The sums of whole cells [cells, genes]."""
        summed = self._summed[cells.indices]
        if not summed.any():
            return cells
        data = cells.data.copy()
        data[summed] = self._plain(data[summed])
        done = sparse.csr_array((data, self.onto[cells.indices], cells.indptr), shape=cells.shape)
        done.sum_duplicates()
        summed = self._summed[done.indices]
        done.data[summed] = self._log(done.data[summed])
        return done

    def of_chunk(self, chunk: Chunk, num_minor: int) -> Chunk:
        """The sums of a chunk; chunks of genes are to come in order, each once."""
        if chunk.by_cell:
            done = self.of_rows(chunk.part(num_minor))
        else:
            rows = np.arange(chunk.first, chunk.first + len(chunk.indptr) - 1)
            if not self._summed[rows].any():
                return chunk
            part = chunk.part(num_minor)
            done = sparse.csr_array(sparse.diags_array((~self._summed[rows]).astype(float)) @ part)
            done.eliminate_zeros()
            for row in np.flatnonzero(self._summed[rows]):
                gene, onto = int(rows[row]), int(self.onto[rows[row]])
                values = part[[row]]
                values.data = self._plain(values.data)
                values = values + self._held.pop(onto) if onto in self._held else values
                if gene != onto:
                    self._held[onto] = values
                    continue
                values.data = self._log(values.data)
                empty = [sparse.csr_array((count, num_minor)) for count in (row, len(rows) - row - 1)]
                done = done + sparse.vstack([empty[0], values, empty[1]], format="csr")
        done.sort_indices()
        return chunk._replace(data=done.data, minor=done.indices.astype(np.int32), indptr=done.indptr.astype(np.int64))

    def _plain(self, values: np.ndarray) -> np.ndarray:
        return np.expm1(values) if self._logged else values

    def _log(self, values: np.ndarray) -> np.ndarray:
        return np.log1p(values) if self._logged else values
