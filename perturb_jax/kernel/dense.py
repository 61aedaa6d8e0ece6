"""A kernel from a matrix: whatever says how similar genes are, as a table of numbers."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import scipy.sparse as sp
from jax.tree_util import Partial
from jaxtyping import Array, Float

from perturb_jax.genes.symbols import GeneNames
from perturb_jax.kernel.kernel import TableSource
from perturb_jax.support.errors import InputError

_ROUNDING = 1e-6  # of the largest entry: how far from symmetric, and how negative an eigenvalue, rounding may make it
_LARGEST_CHECKED = 4096  # genes up to which the smallest eigenvalue is computed: seconds


class DenseKernel(TableSource):
    """K as it is given, scaled to unit diagonal: the covariance of effects between genes.

    A combination "A+B" covaries with C as K_AC + K_BC, scaled: so give the covariance before it is scaled where
    lengths of genes' features are to count.

    Args:
        genes: the genes, in order; or a square DataFrame, whose index and columns are the genes.
        matrix: the covariance among them: symmetric, without negative eigenvalues (checked up to 4,096 genes).
        normalize: scale to unit diagonal.

    Raises:
        InputError: genes that are blank or there twice; a matrix that is not square, symmetric, finite and positive
            semidefinite, or with a diagonal that is not above 0.

    Complexity: O(genes^2) numbers, and operations per product.

    Examples:
        >>> import perturb_jax as pj
        >>> kernel = pj.DenseKernel(["A", "B", "C"], [[4, 2, 0], [2, 4, 0], [0, 0, 1]])
        >>> kernel.matrix(["A", "B+C"]).round(3).tolist()
        [[1.0, 0.447], [0.447, 1.0]]
    """

    def __init__(
        self,
        genes: Sequence[str] | pd.DataFrame,
        matrix: np.ndarray | Sequence[Sequence[int | float]] | None = None,
        normalize: bool = True,
    ):
        if isinstance(genes, pd.DataFrame):
            if matrix is not None:
                raise InputError("matrix: expected none beside a table, which holds the matrix")
            if list(genes.index) != list(genes.columns):
                raise InputError("genes: expected a table with the same genes, in the same order, as index and columns")
            matrix, genes = genes.to_numpy(), [str(gene) for gene in genes.index]
        elif matrix is None:
            raise InputError("matrix: expected one beside the genes, got none")
        names = GeneNames(genes, where="the kernel")
        names.resolve(names.genes)  # refuses blank and repeated names
        self.values = _covariance(matrix, names)
        super().__init__(names, normalize)

    def _left(self, sums: sp.csr_array) -> Float[np.ndarray, "rows width"]:
        return np.asarray(sums @ self.values)

    def _right(self, sums: sp.csr_array) -> sp.csr_array:
        return sums

    def _apply(self) -> Partial:
        return Partial(_product, jnp.asarray(self.values, float))

    def description(self) -> dict[str, Any]:
        """What it is made of, in plain values."""
        return {"kernel": "matrix", "genes": len(self.known), "normalize": self.normalize}


def _covariance(matrix: object, names: GeneNames) -> Float[np.ndarray, "genes genes"]:
    values = np.array(matrix, np.float64)
    size = len(names)
    if values.shape != (size, size) or size == 0:
        raise InputError(f"matrix: expected {size} rows and columns, one per gene, got shape {values.shape}")
    if not np.isfinite(values).all():
        gene = names.genes[int((~np.isfinite(values)).any(1).argmax())]
        raise InputError(f"matrix: expected finite numbers, got others for {gene}; omit such genes")
    if not (values.diagonal() > 0).all():
        gene = names.genes[int(values.diagonal().argmin())]
        raise InputError(
            f"matrix: expected variances above 0 on the diagonal, got {values.diagonal().min():g} for {gene}"
        )
    largest = np.abs(values).max()
    if np.abs(values - values.T).max() > _ROUNDING * largest:
        raise InputError("matrix: expected a symmetric one; give a covariance")
    values = (values + values.T) / 2
    if size <= _LARGEST_CHECKED:
        least = float(np.linalg.eigvalsh(values)[0])
        if least < -_ROUNDING * largest * size:
            raise InputError(
                f"matrix: expected no negative eigenvalue, got {least:.3g}; a similarity that is no covariance must be "
                "made one, for instance by adding to its diagonal"
            )
    return values


def _product(matrix: Float[Array, "genes genes"], values: Float[Array, " units"]) -> Float[Array, " genes"]:
    return matrix @ values[: len(matrix)]
