"""Sums of kernels: several sources of prior knowledge, each with its weight."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int

from perturb_jax.genes.perturbations import unknown_to
from perturb_jax.genes.symbols import GeneNames
from perturb_jax.kernel.kernel import CHUNK, Block, Kernel, Rows, as_dense, scaled, union
from perturb_jax.support.checks import is_number
from perturb_jax.support.errors import InputError


class SumKernel(Kernel):
    """K = sum over sources i of w_i K_i, each K_i of unit diagonal, over the genes of all sources together.

    Written ``0.5 * a + 0.3 * b``. A gene that a source does not know is independent of all others there; combinations
    are formed inside each source. Sums of sums are one sum: of all their sources, with the products of their weights.

    Args:
        kernels: the sources.
        weights: of each, at least 0 and not all 0.

    Raises:
        InputError: no kernel; another number of weights; weights that cannot be used.

    Attributes:
        sources: the kernels, each over all genes.
        weights: what each is multiplied with.

    Complexity: that of its sources together.

    Examples:
        >>> import perturb_jax as pj
        >>> a = pj.DenseKernel(["A", "B"], [[1, 0.5], [0.5, 1]])
        >>> b = pj.DenseKernel(["B", "C"], [[1, 0.8], [0.8, 1]])
        >>> kernel = 0.5 * a + 0.25 * b
        >>> kernel.genes, kernel.matrix(["A", "B", "C"]).round(2).tolist()
        (('A', 'B', 'C'), [[0.75, 0.25, 0.0], [0.25, 0.75, 0.2], [0.0, 0.2, 0.75]])
        >>> kernel.coverage(["A", "B+C"]).astype(int).to_numpy().tolist()
        [[1, 0], [0, 1]]
    """

    def __init__(self, kernels: Sequence[Kernel], weights: Sequence[int | float]):
        if not kernels or not all(isinstance(kernel, Kernel) for kernel in kernels):
            raise InputError("kernels: expected at least one, and nothing but kernels, each times a number")
        if len(weights) != len(kernels):
            raise InputError(f"weights: expected one per kernel, {len(kernels)}, got {len(weights)}")
        bad = [weight for weight in weights if not (is_number(weight) and weight >= 0)]
        if bad:
            raise InputError(f"weights: expected finite numbers of at least 0, got {bad[0]!r}")
        sources: list[Kernel] = []
        together: list[float] = []
        for kernel, weight in zip(kernels, weights, strict=True):
            inside = kernel if isinstance(kernel, SumKernel) else None
            sources += [kernel] if inside is None else inside.sources
            together += [float(weight)] if inside is None else [float(weight) * one for one in inside.weights]
        if not any(together):
            raise InputError("weights: expected one above 0, got 0 for all")
        self._hold(sources, tuple(together), union([source.names for source in sources]))

    def _hold(self, sources: Sequence[Kernel], weights: tuple[float, ...], names: GeneNames) -> None:
        self.names, self.weights = names, weights
        self.sources = tuple(source.over(names) for source in sources)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the sources are called; with a number where several are called the same."""
        plain = [source.label for source in self.sources]
        seen = [plain[: i + 1].count(label) for i, label in enumerate(plain)]
        return tuple(f"{label} {n}" if plain.count(label) > 1 else label for label, n in zip(plain, seen, strict=True))

    def coverage(self, names: Iterable[str] | None = None) -> pd.DataFrame:
        """Which sources know which perturbations, all of their genes: True or False, a column per source.

        Args:
            names: genes or combinations "A+B", also such as no source knows; None: every gene.
        """
        wanted = list(self.genes if names is None else [names] if isinstance(names, str) else names)
        unknown = [unknown_to(source.known, wanted) for source in self.sources]
        known = {label: [name not in lost for name in wanted] for label, lost in zip(self.labels, unknown, strict=True)}
        return pd.DataFrame(known, index=pd.Index(wanted, name="perturbation"), dtype=bool)

    def rows(self, members: Int[np.ndarray, "rows arity"]) -> Rows:
        """Perturbations as rows of every source, with their prior variance: the sum of the weights."""
        parts = tuple(source.rows(members) for source in self.sources)
        return Rows(members, np.ones(len(members)), np.full(len(members), sum(self.weights)), parts)

    def features(self, members: Int[np.ndarray, "rows arity"]) -> Iterator[tuple[slice, Block]]:
        """The sources' features side by side, each times the root of its weight."""
        for start in range(0, len(members), CHUNK):
            some, blocks = members[start : start + CHUNK], []
            for weight, source in zip(self.weights, self.sources, strict=True):
                rows = source.rows(some)
                scale = np.sqrt(weight / rows.variance) * rows.scale
                blocks += [as_dense(block) * scale[part, None] for part, block in source.features(some)]
            yield slice(start, start + CHUNK), np.hstack(blocks)

    def between(self, some: Rows, others: Rows) -> Iterator[tuple[slice, Block]]:
        """The weighted sum of the sources' blocks, each scaled to unit diagonal."""
        for start in range(0, len(some), CHUNK):
            here = some.take(np.arange(start, min(start + CHUNK, len(some))))
            blocks = [
                scaled(source.covariance(ours, theirs), ours.variance**-0.5, theirs.variance**-0.5) * weight
                for source, weight, ours, theirs in zip(
                    self.sources, self.weights, here.parts, others.parts, strict=True
                )
            ]
            if any(isinstance(block, np.ndarray) for block in blocks):
                yield slice(start, start + CHUNK), np.sum([as_dense(block) for block in blocks], axis=0)
            else:
                yield slice(start, start + CHUNK), sum(blocks[1:], blocks[0])

    def times(self, some: Rows, others: Rows) -> Partial:
        """The weighted sum of the sources' products, each scaled to unit diagonal."""
        each = tuple(
            (source.times(ours, theirs), jnp.asarray(1 / np.sqrt(ours.variance), float),
             jnp.asarray(1 / np.sqrt(theirs.variance), float))
            for source, ours, theirs in zip(self.sources, some.parts, others.parts, strict=True)
        )  # fmt: skip
        return Partial(_sum_times, jnp.asarray(self.weights, float), each)

    def over(self, genes: GeneNames | Iterable[str]) -> "SumKernel":
        """The same sum over other genes; one that no source knows is independent of all others."""
        names = genes if isinstance(genes, GeneNames) else GeneNames(tuple(genes), where="the kernel")
        other = SumKernel.__new__(SumKernel)
        other._hold(self.sources, self.weights, names)
        return other

    def description(self) -> dict[str, Any]:
        """The sources' descriptions, with their weights."""
        sources = [
            {"weight": weight, **source.description()}
            for weight, source in zip(self.weights, self.sources, strict=True)
        ]
        return {"kernel": "sum", "sources": sources}


def _sum_times(
    weights: Float[Array, " sources"],
    each: tuple[tuple[Partial, Float[Array, " some"], Float[Array, " others"]], ...],
    values: Float[Array, " others"],
) -> Float[Array, " some"]:
    terms = [weight * left * times(right * values) for weight, (times, left, right) in zip(weights, each, strict=True)]
    return sum(terms[1:], terms[0])
