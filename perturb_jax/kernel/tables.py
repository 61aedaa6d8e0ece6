"""Kernels from tables of numbers: features of genes, or the covariance among them as it is."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pandas as pd
import scipy.sparse as sp
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int

from perturb_jax.genes.symbols import GeneNames
from perturb_jax.kernel.kernel import Block, Members, Rows, Source, as_dense, incidence, on_device
from perturb_jax.support.checks import listed
from perturb_jax.support.errors import InputError

_ROUNDING = 1e-6  # of the largest entry: how far from symmetric, and how negative an eigenvalue, rounding may make it
_LARGEST_CHECKED = 4096  # genes up to which the smallest eigenvalue is computed: seconds


class TableSource(Source):
    """A source that has its genes in a table V: what these have in common is V, or V V^T of a table of features.

    For perturbations as sums of units M, [rows, units], the kernel is left(M) right(M')^T before it is scaled, beside
    the identity among genes that the table does not have.
    """

    values: Float[np.ndarray, "genes width"]
    of_features: ClassVar[bool]

    def _left(self, sums: sp.csr_array) -> Float[np.ndarray, "rows width"]:
        return np.asarray(sums @ self.values)

    def _right(self, sums: sp.csr_array) -> Block:
        return self._left(sums) if self.of_features else sums

    def between(self, some: Rows, others: Rows) -> Iterator[tuple[slice, Block]]:
        """The kernel, slice by slice of `some`: blocks [rows of the slice, others], dense and scaled."""
        known = len(self.known)
        read = sp.csr_array(incidence(others.members, self.num_units).multiply(others.scale[:, None]))
        right, new = self._right(read[:, :known]).T, read[:, known:].T.tocsr()
        for part, sums in self.sums(some.members):
            block = np.asarray(self._left(sums[:, :known]) @ right)
            if new.shape[0]:
                block = block + (sums[:, known:] @ new).toarray()
            yield part, block * some.scale[part, None]

    def times(self, some: Rows, others: Rows) -> Partial:
        """The kernel on a device. O(the table)."""
        apply = Partial(_outer_product if self.of_features else _product, jnp.asarray(self.values, float))
        units = jnp.zeros(self.num_units)
        return Partial(_table_times, apply, units, on_device(some, self), on_device(others, self))

    def _squares(self, members: Int[np.ndarray, "rows arity"]) -> Float[np.ndarray, " rows"]:
        known, squares = len(self.known), [np.zeros(0)]
        for _, sums in self.sums(members):
            left, right = self._left(sums[:, :known]), as_dense(self._right(sums[:, :known]))
            squares.append(np.einsum("rd,rd->r", left, right) + np.asarray(sums[:, known:].sum(1)))
        return np.concatenate(squares)


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

    of_features = False

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


_CONSTANT = 1e-12  # standard deviation relative to the largest number of a feature that counts as none


class FeatureKernel(TableSource):
    """The cosine of genes' standardised features: genes with similar numbers have similar effects.

    Every feature is scaled to mean 0 and standard deviation 1 over the genes of the table, every gene then to length 1:
    K = Z Z^T. A combination is the sum of its genes' features, scaled again.

    Args:
        table: genes (index) by features: a DataFrame, or a CSV file whose first column holds the genes.

    Raises:
        InputError: a file that cannot be read; genes that are blank or there twice; values that are not finite numbers;
            features that are the same for all genes; genes of which nothing differs from the mean.

    Complexity: O(genes x features) numbers, and operations per product.

    Examples:
        >>> import pandas as pd, perturb_jax as pj
        >>> table = pd.DataFrame({"x": [1.0, 2.0, 6.0], "y": [0.0, 1.0, 5.0]}, index=["A", "B", "C"])
        >>> pj.FeatureKernel(table).matrix().round(2).tolist()
        [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
    """

    of_features = True

    def __init__(self, table: pd.DataFrame | str | Path):
        self.source = "table" if isinstance(table, pd.DataFrame) else str(table)
        read = table if isinstance(table, pd.DataFrame) else _read(Path(table))
        names = GeneNames([gene if isinstance(gene, str) else str(gene) for gene in read.index], where="the kernel")
        names.resolve(names.genes)  # refuses blank and repeated names
        self.values = _directions(read, names)
        super().__init__(names)

    def features(self, members: Int[np.ndarray, "rows arity"]) -> Iterator[tuple[slice, Block]]:
        """Directions of genes, summed over a combination's; then a feature for each gene that is not in the table."""
        known = len(self.known)
        for part, sums in self.sums(self.units_of(members)):
            yield part, np.hstack([self._left(sums[:, :known]), sums[:, known:].toarray()])

    def description(self) -> dict[str, Any]:
        """What it is made of, in plain values."""
        genes, features = self.values.shape
        return {"kernel": "features", "source": self.source, "genes": genes, "features": features}


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, index_col=0)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: cannot be read as a CSV file of genes by features: {error}") from None


def _directions(table: pd.DataFrame, names: GeneNames) -> Float[np.ndarray, "genes features"]:
    """Standardised features, every gene's scaled to length 1; says all that is wrong with the table at once."""
    numeric = table.apply(pd.to_numeric, errors="coerce")
    values = numeric.to_numpy(np.float64)
    if values.shape[0] < 2 or values.shape[1] < 1:
        raise InputError(f"features: expected at least 2 genes and 1 feature, got {len(table)} and {values.shape[1]}")
    labels, finite = [str(label) for label in table.columns], np.isfinite(values)
    problems = []
    if not finite.all():
        genes = [names.genes[i] for i in np.flatnonzero(~finite.all(1))]
        problems.append(f"expected finite numbers, got others for {listed(genes)}; omit these genes or fill them in")
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        problems.append(f"there twice: {listed(repeated)}; give each feature once")
    known = np.where(finite, values, 0)
    spread, size = known.std(0), np.abs(known).max(0)
    constant = finite.all(0) & (spread <= _CONSTANT * size)
    if constant.any():
        features = [label for label, same in zip(labels, constant, strict=True) if same]
        problems.append(f"the same for all genes: {listed(features)}; omit these features")
    if problems:
        raise InputError("features: " + "; ".join(problems))
    standard = (values - values.mean(0)) / spread
    lengths = np.linalg.norm(standard, axis=1)
    if not (lengths > 0).all():
        genes = [names.genes[i] for i in np.flatnonzero(lengths == 0)]
        raise InputError(f"features: nothing differs from the mean for {listed(genes)}; omit these genes")
    return standard / lengths[:, None]


def _outer_product(features: Float[Array, "genes width"], values: Float[Array, " units"]) -> Float[Array, " genes"]:
    return features @ (values[: len(features)] @ features)


def _table_times(
    apply: Partial, like: Array, some: Members, others: Members, values: Float[Array, " others"]
) -> Float[Array, " some"]:
    units = others.spread(values, len(like))
    known = apply(units)
    return some.gather(jnp.concatenate([known, units[len(known) :]]))
