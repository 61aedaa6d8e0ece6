"""A kernel from a table of numbers per gene: embeddings, expression, or whatever describes genes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import scipy.sparse as sp
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int

from perturb_jax.genes.symbols import GeneNames
from perturb_jax.kernel.kernel import CHUNK, Block, TableSource, incidence
from perturb_jax.support.errors import InputError

_SHOWN = 5
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
        for start in range(0, len(members), CHUNK):
            sums = incidence(self.units_of(members[start : start + CHUNK]), self.num_units)
            yield slice(start, start + CHUNK), np.hstack([self._left(sums[:, :known]), sums[:, known:].toarray()])

    def _left(self, sums: sp.csr_array) -> Float[np.ndarray, "rows features"]:
        return np.asarray(sums @ self.values)

    _right = _left

    def _apply(self) -> Partial:
        return Partial(_outer_product, jnp.asarray(self.values, float))

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
        problems.append(f"expected finite numbers, got others for {_listed(genes)}; omit these genes or fill them in")
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        problems.append(f"there twice: {_listed(repeated)}; give each feature once")
    known = np.where(finite, values, 0)
    spread, size = known.std(0), np.abs(known).max(0)
    constant = finite.all(0) & (spread <= _CONSTANT * size)
    if constant.any():
        features = [label for label, same in zip(labels, constant, strict=True) if same]
        problems.append(f"the same for all genes: {_listed(features)}; omit these features")
    if problems:
        raise InputError("features: " + "; ".join(problems))
    standard = (values - values.mean(0)) / spread
    lengths = np.linalg.norm(standard, axis=1)
    if not (lengths > 0).all():
        genes = [names.genes[i] for i in np.flatnonzero(lengths == 0)]
        raise InputError(f"features: nothing differs from the mean for {_listed(genes)}; omit these genes")
    return standard / lengths[:, None]


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _outer_product(features: Float[Array, "genes width"], values: Float[Array, " units"]) -> Float[Array, " genes"]:
    return features @ (values[: len(features)] @ features)
